//! The configuration of a running server: CONFIG REWRITE, and what reaches the kernel.

use super::client::{Client, error, ok};
use super::harness::Server;

#[test]
fn a_server_without_a_file_has_none_to_rewrite() {
    let server = Server::start(1, &[]);
    assert_eq!(
        server.client().ask("CONFIG REWRITE"),
        error("ERR The server is running without a config file")
    );
}

/// What was set is there again after a restart from the rewritten file; the owner's words are where they were.
#[test]
fn what_was_set_is_in_the_file() {
    let server = Server::start_with_file(2, "# ours\ntimeout 5 # seconds\n");
    let mut client = server.client();
    assert_eq!(client.ask("CONFIG SET hz 20 maxclients 123"), ok());
    assert_eq!(client.ask("CONFIG REWRITE"), ok());
    let path = server.dir.join("redis.conf");
    let text = std::fs::read_to_string(&path).expect("the file is there");
    assert!(
        text.starts_with("# ours\ntimeout 5 # seconds\n\n# Generated"),
        "{text}"
    );
    let again = Server::start_with_file(2, &text.replace(&server.dir.display().to_string(), "."));
    let mut client = again.client();
    for (name, value) in [("timeout", "5"), ("hz", "20"), ("maxclients", "123")] {
        assert_eq!(
            client.ask(&format!("CONFIG GET {name}")).items()[1].text(),
            value
        );
    }
    // A folder that nothing can be written to any more.
    std::fs::remove_dir_all(&server.dir).expect("it is a folder");
    let reply = server.client().ask("CONFIG REWRITE");
    assert_eq!(
        reply,
        error("ERR Rewriting config file: No such file or directory")
    );
}

#[test]
fn the_oom_score_is_set_and_given_back() {
    let server = Server::start(1, &[]);
    let mut client = server.client();
    let score = || {
        let path = format!("/proc/{}/oom_score_adj", server.pid());
        let text = std::fs::read_to_string(path).expect("the process runs");
        text.trim().parse::<i64>().expect("a number")
    };
    let found = score();
    let set = |client: &mut Client, name: &str, value: &str| {
        assert_eq!(
            client.run(&[b"CONFIG", b"SET", name.as_bytes(), value.as_bytes()]),
            ok()
        );
    };
    set(&mut client, "oom-score-adj-values", "900 200 800");
    assert_eq!(score(), found);
    set(&mut client, "oom-score-adj", "absolute");
    assert_eq!(score(), 900);
    set(&mut client, "oom-score-adj-values", "50 200 800");
    set(&mut client, "oom-score-adj", "yes");
    assert_eq!(score(), found + 50);
    set(&mut client, "oom-score-adj", "no");
    assert_eq!(score(), found);
}
