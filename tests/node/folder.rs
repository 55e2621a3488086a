//! Folders that are held open: what is below one is found whatever becomes of its name.

use std::fs;
use std::path::{Path, PathBuf};

use rondo::node::folder::{Folder, shown};

fn new_folder(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("rondo-folder-{}-{name}", std::process::id()));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).expect("a folder");
    path.canonicalize().expect("it is there")
}

#[test]
fn a_folder_is_the_same_after_it_was_renamed() {
    let above = new_folder("renamed");
    let (before, after) = (above.join("before"), above.join("after"));
    fs::create_dir(&before).expect("a folder");
    let folder = Folder::open(&before).expect("it is there");
    let file = folder.path().join("below").join("file");
    assert!(folder.is_at(&before) && !folder.is_at(&above));
    assert_eq!(shown(folder.path()), before);
    fs::rename(&before, &after).expect("one file system");
    // Another by the name that it had.
    fs::create_dir(&before).expect("a folder");
    fs::create_dir(folder.path().join("below")).expect("it goes on");
    fs::write(&file, "text").expect("it goes on");
    assert_eq!(
        fs::read(after.join("below").join("file")).expect("it is there"),
        b"text"
    );
    assert!(folder.is_at(&after) && !folder.is_at(&before));
    assert_eq!(shown(&file), after.join("below").join("file"));
    assert_eq!(shown(folder.path()), after);
    let _ = fs::remove_dir_all(&above);
}

#[test]
fn only_a_directory_is_a_folder() {
    let above = new_folder("directory");
    fs::write(above.join("file"), "").expect("a file");
    for (name, errno) in [("file", libc::ENOTDIR), ("none", libc::ENOENT)] {
        let opened = Folder::open(&above.join(name));
        let error = opened.err().and_then(|error| error.raw_os_error());
        assert_eq!(error, Some(errno), "{name}");
    }
    let _ = fs::remove_dir_all(&above);
}

#[test]
fn a_path_below_no_folder_is_shown_as_it_is() {
    for path in ["/proc/self/fd/nothing/file", "/tmp/file", "file", ""] {
        assert_eq!(shown(Path::new(path)), Path::new(path));
    }
}
