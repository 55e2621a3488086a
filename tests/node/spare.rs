//! The file of a snapshot that another replaced is written over by the next one, unless somebody could miss any of it.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};
use rondo::node::removal::{is_alone, is_short_of_room};
use rondo::node::spare::{Spares, remove_left};

const KEYS: u64 = 100;

/// A folder with a snapshot that another has replaced.
struct Folder {
    path: PathBuf,
    spares: Spares,
}

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("rondo-spare-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a folder");
        let spares = Spares::new(1, |_| true);
        Self { path, spares }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// A save of so many keys that holds this.
    fn save(&self, text: &str, keys: u64) {
        let temporary = self.at("temp-1.rdb");
        std::fs::write(&temporary, text).expect("a file");
        let replaced = self.spares.replace(&temporary, &self.at("dump.rdb"), keys);
        replaced.expect("a folder");
        assert_eq!(text_of(&self.at("dump.rdb")), text);
        assert!(!temporary.exists(), "it has the other name now");
    }

    /// What the next save is written over.
    fn take(&self, keys: u64) -> Option<String> {
        let temporary = self.at("temp-1.rdb");
        let is_taken = self.spares.take(&temporary, keys);
        assert_eq!(temporary.exists(), is_taken);
        let text = is_taken.then(|| text_of(&temporary));
        let _ = std::fs::remove_file(&temporary);
        text
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.path).expect("a folder");
        let name = |entry: std::io::Result<std::fs::DirEntry>| entry.expect("a name").file_name();
        let mut names: Vec<String> = entries
            .map(|entry| name(entry).to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// Where room is short, or nobody can tell who has a file open, none is written over.
    fn has_room(&self) -> bool {
        let path = self.at("probe");
        let file = File::create(&path).expect("a file");
        std::fs::remove_file(&path).expect("a file");
        is_alone(&file).is_ok() && !is_short_of_room(&file)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

fn text_of(path: &Path) -> String {
    std::fs::read_to_string(path).expect("a file")
}

fn spare_name(number: u64) -> String {
    format!("temp-{}-{number}.old", std::process::id())
}

#[test]
fn the_file_before_the_last_is_written_over() {
    let folder = Folder::new("over");
    assert_eq!(folder.take(KEYS), None, "there was no save");
    folder.save("one", KEYS);
    assert_eq!(folder.take(KEYS), None, "it is in force");
    for (number, before, now) in [(1, "one", "two"), (2, "two", "three")] {
        folder.save(now, KEYS);
        if folder.has_room() {
            assert_eq!(folder.names(), ["dump.rdb".to_string(), spare_name(number)]);
            assert_eq!(folder.take(KEYS).as_deref(), Some(before));
        }
        assert_eq!(folder.take(KEYS), None, "once");
        assert_eq!(folder.names(), ["dump.rdb"]);
    }
}

#[test]
fn one_that_is_not_needed_any_more_is_written_over() {
    let folder = Folder::new("aside");
    folder.save("one", KEYS);
    folder
        .spares
        .set_aside(&folder.at("dump.rdb"), 1)
        .expect("a file");
    if folder.has_room() {
        assert_eq!(folder.names(), [spare_name(1)]);
        assert_eq!(folder.take(KEYS).as_deref(), Some("one"));
    }
    assert!(folder.names().is_empty());
    let gone = folder.spares.set_aside(&folder.at("dump.rdb"), 1);
    assert_eq!(
        gone.expect_err("it is gone").kind(),
        std::io::ErrorKind::NotFound
    );
}

#[test]
fn none_is_left_in_a_folder_that_is_let_go() {
    let folder = Folder::new("forgotten");
    folder.save("one", KEYS);
    folder.save("two", KEYS);
    folder.spares.forget(&folder.path);
    assert_eq!(folder.names(), ["dump.rdb"]);
    // Nor is anything known of what is there.
    folder.save("three", KEYS);
    assert_eq!(folder.take(KEYS), None);
}

#[test]
fn who_reads_it_keeps_all_of_it() {
    let folder = Folder::new("open");
    folder.save("one", KEYS);
    let mut reader = File::open(folder.at("dump.rdb")).expect("a file");
    folder.save("two", KEYS);
    assert_eq!(folder.take(KEYS), None);
    assert_eq!(folder.names(), ["dump.rdb"], "it went");
    let mut text = String::new();
    reader.read_to_string(&mut text).expect("a file");
    assert_eq!(text, "one");
}

#[test]
fn a_link_keeps_all_of_it() {
    let folder = Folder::new("link");
    folder.save("one", KEYS);
    std::fs::hard_link(folder.at("dump.rdb"), folder.at("link")).expect("a link");
    folder.save("two", KEYS);
    assert_eq!(folder.names(), ["dump.rdb", "link"], "it is not kept");
    folder.save("three", KEYS);
    if folder.has_room() {
        std::fs::hard_link(folder.at(&spare_name(1)), folder.at("late")).expect("a link");
        assert_eq!(folder.take(KEYS), None);
        assert_eq!(text_of(&folder.at("late")), "two");
    }
    assert_eq!(text_of(&folder.at("link")), "one");
}

#[test]
fn what_others_wrote_is_not_written_over() {
    let folder = Folder::new("others");
    std::fs::write(folder.at("dump.rdb"), "not of this process").expect("a file");
    folder.save("one", KEYS);
    assert_eq!(folder.names(), ["dump.rdb"]);
    std::fs::write(folder.at("new"), "of somebody else").expect("a file");
    std::fs::rename(folder.at("new"), folder.at("dump.rdb")).expect("a file");
    folder.save("two", KEYS);
    assert_eq!(folder.names(), ["dump.rdb"]);
    assert_eq!(folder.take(KEYS), None);
}

/// Else most of it would have to be freed.
#[test]
fn a_much_smaller_snapshot_does_not_take_it() {
    let folder = Folder::new("smaller");
    folder.save("one", KEYS);
    folder.save("two", KEYS);
    assert_eq!(folder.take(KEYS / 2 - 1), None);
    assert_eq!(folder.names(), ["dump.rdb"]);
    folder.save("three", KEYS);
    if folder.has_room() {
        assert_eq!(folder.take(KEYS / 2).as_deref(), Some("two"));
    }
}

#[test]
fn so_many_of_a_folder_are_kept() {
    let folder = Folder::new("many");
    for name in ["a", "b", "c"] {
        let path = folder.at(name);
        std::fs::write(&path, name).expect("a file");
        folder.spares.note(&path, KEYS);
        folder.spares.set_aside(&path, 2).expect("a file");
    }
    if folder.has_room() {
        assert_eq!(folder.names(), [spare_name(1), spare_name(2)]);
        let mut texts = [folder.take(KEYS), folder.take(KEYS)].map(Option::unwrap_or_default);
        texts.sort();
        assert_eq!(texts, ["a", "b"]);
    }
    assert_eq!(folder.take(KEYS), None);
    assert!(folder.names().is_empty());
}

#[test]
fn it_goes_when_nobody_takes_it() {
    let folder = Folder::new("late");
    folder.save("one", KEYS);
    folder.save("two", KEYS);
    let now = Instant::now();
    let has_others = folder.spares.look(now);
    assert!(has_others || !folder.has_room());
    assert!(!folder.spares.look(now + Duration::from_secs(600)));
    assert_eq!(folder.names(), ["dump.rdb"]);
    assert_eq!(folder.take(KEYS), None);
    folder.save("three", KEYS);
    folder.spares.remove_all();
    assert_eq!(folder.names(), ["dump.rdb"]);
}

#[test]
fn what_a_killed_process_left_goes_and_nothing_else() {
    let folder = Folder::new("left");
    let names = [
        "dump.rdb",
        "temp-1-7.old",
        "temp-1.rdb",
        "temp-2-7.old",
        "temp-x-7.old",
    ];
    for name in names {
        std::fs::write(folder.at(name), name).expect("a file");
    }
    let of_another = File::open(folder.at("temp-2-7.old")).expect("a file");
    let lock = Flock::lock(of_another, FlockArg::LockExclusiveNonblock);
    remove_left(&folder.path);
    assert_eq!(
        folder.names(),
        ["dump.rdb", "temp-1.rdb", "temp-2-7.old", "temp-x-7.old"]
    );
    drop(lock);
    remove_left(&folder.path);
    assert_eq!(folder.names(), ["dump.rdb", "temp-1.rdb", "temp-x-7.old"]);
}
