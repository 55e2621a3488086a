//! redis.conf: what is read, and errors in the form recorded from Redis 8.0.6.

use rondo::commands::identity::RONDO_VERSION;
use rondo::node::Options;
use rondo::node::config_file::{apply_text, to_text};
use rondo::node::options::find;
use std::fs;
use std::path::PathBuf;

fn read(text: &str) -> Result<Options, String> {
    let mut options = Options::default();
    apply_text(&mut options, text).map_err(|error| error.to_string())?;
    Ok(options)
}

fn fatal(line: usize, text: &str, reason: &str) -> String {
    format!(
        "\n*** FATAL CONFIG FILE ERROR (rondo {RONDO_VERSION}) ***\nReading the configuration file, at line {line}\n>>> \
         '{text}'\n{reason}"
    )
}

#[test]
fn lines_comments_quotes_and_units_are_read() {
    let options = read(
        "# a comment\n\n  port 7777\r\n\tBIND 10.0.0.1 \"::1\"\nrequirepass \"a # b\"\nproto-max-bulk-len 2mb\n\
         unixsocketperm 770\nclient-output-buffer-limit normal 1 2 3\nclient-output-buffer-limit replica 4 5 6\n\
         save \"\"\nlua-replicate-commands yes\n",
    )
    .unwrap();
    assert_eq!(options.port, 7777);
    assert_eq!(options.bind, ["10.0.0.1", "::1"]);
    assert_eq!(options.requirepass, "a # b");
    assert_eq!(options.proto_max_bulk_len, 2 << 20);
    assert_eq!(options.unixsocketperm, 0o770);
    assert_eq!(options.client_output_buffer_limit[0].soft_seconds, 3);
    assert_eq!(options.client_output_buffer_limit[1].hard_bytes, 4);
    // One argument may hold several words.
    assert_eq!(
        read("bind \"1.1.1.1 2.2.2.2\"").unwrap().bind,
        ["1.1.1.1", "2.2.2.2"]
    );
    assert_eq!(read("bind \"\"").unwrap().bind, [""; 0]);
}

// Redis refuses these lines but for the last two.
#[test]
fn a_comment_may_follow_a_value() {
    let options = read(
        "port 7777 # the other one\nbind 10.0.0.1 ::1 #both\nclient-output-buffer-limit normal 1 2 3 # \"quotes\n\
         requirepass \"a # b\" # not the password\nlogfile a#b\nmasterauth #c\n",
    )
    .unwrap();
    assert_eq!(options.port, 7777);
    assert_eq!(options.bind, ["10.0.0.1", "::1"]);
    assert_eq!(options.client_output_buffer_limit[0].soft_seconds, 3);
    assert_eq!(options.requirepass, "a # b");
    assert_eq!(options.logfile, "a#b");
    assert_eq!(options.held["masterauth"], "#c");
}

#[test]
fn errors_name_the_line() {
    for (text, line, shown, reason) in [
        (
            "port 1\nfoo\n",
            2,
            "foo",
            "Bad directive or wrong number of arguments",
        ),
        (
            "foo bar",
            1,
            "foo bar",
            "Bad directive or wrong number of arguments",
        ),
        ("port", 1, "port", "wrong number of arguments"),
        ("port 1 2", 1, "port 1 2", "wrong number of arguments"),
        // What stands in the place of a value is one.
        ("port # 2", 1, "port # 2", "wrong number of arguments"),
        (
            "port a",
            1,
            "port a",
            "argument couldn't be parsed into an integer",
        ),
        (
            "\n  bind \"a\n",
            2,
            "bind \"a",
            "Unbalanced quotes in configuration line",
        ),
        (
            "port 65536",
            1,
            "port 65536",
            "argument must be between 0 and 65535 inclusive",
        ),
        (
            "unixsocketperm 9",
            1,
            "unixsocketperm 9",
            "argument couldn't be parsed as an octal number",
        ),
        (
            "unixsocketperm 1777",
            1,
            "unixsocketperm 1777",
            "argument must be between 0 and 777 inclusive",
        ),
        (
            "loadmodule x.so",
            1,
            "loadmodule x.so",
            "rondo loads no modules",
        ),
        (
            "enable-module-command yes",
            1,
            "enable-module-command yes",
            "rondo loads no modules",
        ),
        (
            "client-output-buffer-limit normal 1 2",
            1,
            "client-output-buffer-limit normal 1 2",
            "Wrong number of arguments in buffer limit configuration.",
        ),
    ] {
        assert_eq!(read(text), Err(fatal(line, shown, reason)));
    }
}

/// A folder that is gone when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("rondo-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn files_include_files() {
    let folder = Folder::new("include");
    let inner = folder.file("inner.conf", "# c\nport 7001\n");
    assert_eq!(
        read(&format!("include {inner}\ntimeout 4")).unwrap().port,
        7001
    );
    folder.file("bad.conf", "# c\nport x\n");
    let bad = folder.0.join("bad.conf").display().to_string();
    assert_eq!(
        read(&format!("\n\ninclude {bad}")),
        Err(fatal(
            2,
            "port x",
            "argument couldn't be parsed into an integer"
        ))
    );
    // A pattern may match nothing; a name must be there.
    let none = folder.0.join("none-*.conf").display().to_string();
    assert!(read(&format!("include {none}")).is_ok());
    let all = folder.0.join("i*.conf").display().to_string();
    assert_eq!(read(&format!("include {all}")).unwrap().port, 7001);
    let missing = folder.0.join("missing.conf").display().to_string();
    assert_eq!(
        read(&format!("include {missing}")),
        Err(format!(
            "Fatal error, can't open config file '{missing}': No such file or directory"
        ))
    );
}

/// A password or a pattern would be another one.
#[test]
fn bytes_that_are_no_text_are_refused_but_in_comments() {
    let folder = Folder::new("bytes");
    let path = folder.file("latin.conf", "");
    let write = |bytes: &[u8]| std::fs::write(&path, bytes).expect("a file");
    write(b"port 7001\n  # caf\xe9\n");
    assert_eq!(read(&format!("include {path}")).unwrap().port, 7001);
    write(b"port 7001\n# c\nrequirepass caf\xe9\n");
    assert_eq!(
        read(&format!("include {path}")),
        Err(format!(
            "Fatal error, can't open config file '{path}': line 3 has bytes that are no UTF-8"
        ))
    );
    assert_eq!(
        read("requirepass \"caf\\xe9\""),
        Err(fatal(
            1,
            "requirepass \"caf\\xe9\"",
            "it has bytes that are no UTF-8"
        ))
    );
    assert!(read("requirepass \"caf\\xc3\\xa9\"").is_ok());
}

#[test]
fn a_file_that_includes_itself_is_refused() {
    let folder = Folder::new("circle");
    let path = folder.0.join("circle.conf").display().to_string();
    folder.file("circle.conf", &format!("include {path}\n"));
    let error = read(&format!("include {path}")).unwrap_err();
    assert!(
        error.ends_with("files include each other more than 16 deep"),
        "{error}"
    );
}

/// As Redis reads it: the option alone, or with an empty word, means no save points.
#[test]
fn save_without_words_means_never() {
    assert!(read("save").unwrap().save.is_empty());
    assert!(read("save \"\"").unwrap().save.is_empty());
    assert_eq!(read("save\nsave 60 1").unwrap().save, [(60, 1)]);
    assert!(read("save 60").is_err());
    assert!(read("save \"\" \"\"").is_err());
    assert!(read("save \"\" 60 1").is_err());
    assert!(read("save \"60 x\"").is_err());
    // Lines add up however they are written, the defaults written out as well; an empty one has none of those before.
    for (text, expected) in [
        ("save \"60 1\"\nsave \"30 2\"", &[(60, 1), (30, 2)][..]),
        ("save 900 1\nsave \"300 10\"", &[(900, 1), (300, 10)]),
        (
            "save 3600 1 300 100 60 10000\nsave 10 1",
            &[(3600, 1), (300, 100), (60, 10_000), (10, 1)],
        ),
        (
            "save 900 1 300 10\nsave \"\"\nsave \"10 1 20 2\"",
            &[(10, 1), (20, 2)],
        ),
        ("save 900 1\nsave \"\"", &[]),
        ("save \"\"\nsave 60 1", &[(60, 1)]),
    ] {
        assert_eq!(read(text).unwrap().save, expected, "{text}");
    }
}

/// Bytes that would end a word, begin a comment or close quotes are quoted in every word of a list, so that the file a
/// process writes for its successor says the same.
#[test]
fn what_is_written_is_read_again_as_the_same() {
    for value in ["a\\r\\x0b \\t", "b \\\"c\\\" d", "e #f", "g \\\\ 'h'"] {
        let options = read(&format!("bind \"{value}\" last\n")).expect("a list of words");
        let written = to_text(&options);
        let again = read(&written).expect("what was written");
        assert_eq!(to_text(&again), written);
        let spec = find(b"bind").expect("an option");
        assert_eq!(spec.get(&again), spec.get(&options), "{written}");
    }
    for value in ["a  b", " a", "b "] {
        let options = read(&format!("bind \"{value}\" last\n")).expect("a list of words");
        let written = to_text(&options);
        assert_eq!(to_text(&read(&written).expect("what was written")), written);
    }
}
