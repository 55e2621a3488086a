//! Users in files and in the configuration: they come from there, go there, and rules are read as Redis reads them.

use super::acl::{THREADS, client_of, field, make};
use super::client::{Client, Next, Value, bulk, error, ok};
use super::harness::{Server, new_dir, run_to_end};

/// Users come from a file, go to it, and come back; a file with faults changes nothing.
#[test]
fn users_live_in_a_file() {
    let dir = new_dir();
    let path = dir.join("users.acl");
    let file = path.display().to_string();
    let text =
        "user alice on >alice ~* &* +@all\n\n  user bob on nopass -@all +@set (+get ~b*)  \r\n";
    std::fs::write(&path, text).expect("a file in a new folder");
    let server = Server::start(4, &["--aclfile", &file]);
    let mut alice = client_of(&server, "alice", "alice");
    let mut bob = client_of(&server, "bob", "x");
    assert_eq!(alice.ask("ACL SAVE"), ok());
    let digest = "2bd806c97f0e00af1a1fc3328fa763a9269723c8db8fac4f93af71db186d6e90";
    let saved = format!(
        "user alice on sanitize-payload #{digest} ~* &* +@all\n\
         user bob on nopass sanitize-payload resetchannels -@all +@set (~b* resetchannels -@all +get)\n\
         user default on nopass sanitize-payload ~* &* +@all\n"
    );
    assert_eq!(std::fs::read_to_string(&path).expect("there"), saved);
    // Those whose users stay may stay.
    alice.ask("ACL SETUSER carol on nopass");
    let mut carol = client_of(&server, "carol", "x");
    assert_eq!(alice.ask("ACL LOAD"), ok());
    assert_eq!(carol.next(), Next::Closed);
    assert_eq!(alice.ask("ACL WHOAMI"), bulk("alice"));
    assert_eq!(bob.ask("GET b"), Value::Null);
    // Faults, all of them.
    let faulty = format!(
        "{saved}user bob on\nuser\nusr x\nuser e\t on\nuser f +nosuch ~* ~x +@no nosuch\nuser g (+get\n"
    );
    std::fs::write(&path, faulty).expect("writable");
    let told = alice.ask("ACL LOAD").text();
    for part in [
        "ERR WARNING: Duplicate user 'bob' found on line 4. ".to_string(),
        format!("{file}:5 should start with user keyword followed by the username. "),
        format!("{file}:6 should start with user keyword followed by the username. "),
        format!("'{file}:7: username 'e\t' contains invalid characters. "),
        format!(
            "{file}:8: Error in applying operation '+nosuch': Unknown command or category name in ACL. "
        ),
        format!("{file}:8: Adding a pattern after the * pattern"),
        format!(
            "{file}:8: Error in applying operation '+@no': Unknown command or category name in ACL. "
        ),
        format!("{file}:9: Unmatched parenthesis in selector definition."),
        "WARNING: ACL errors detected, no change to the previously active ACL rules was performed"
            .to_string(),
    ] {
        assert!(told.contains(&part), "{part}\nin\n{told}");
    }
    assert!(!told.contains("Syntax error"), "one fault a line: {told}");
    assert_eq!(alice.ask("ACL USERS").items().len(), 3);
    std::fs::remove_file(&path).expect("there");
    let text = format!("ERR Error loading ACLs, opening file '{file}': No such file or directory");
    assert_eq!(alice.ask("ACL LOAD"), error(&text));
    std::fs::remove_dir(&dir).expect("empty");
    let refused = error(
        "ERR There was an error trying to save the ACLs. Please check the server logs for more information",
    );
    assert_eq!(alice.ask("ACL SAVE"), refused);
}

/// Users and names of commands in the configuration.
#[test]
fn the_configuration_has_users_and_renames() {
    let server = Server::start(
        2,
        &[
            "--user",
            "alice",
            "on",
            ">pw",
            "~a*",
            "+@all",
            "-flushall",
            "--user",
            "default",
            "on",
            "nopass",
            "~*",
            "+@all",
            "-@dangerous",
            "+info",
            "--rename-command",
            "GET",
            "fetch",
            "--rename-command",
            "DEBUG",
            "",
            "--rename-command",
            "SET",
            "GET",
        ],
    );
    let mut client = server.client();
    assert_eq!(client.ask("GET a x"), ok());
    assert_eq!(client.ask("Fetch a"), bulk("x"));
    let unknown = client.ask("SET a x").text();
    assert!(
        unknown.starts_with("ERR unknown command 'SET'"),
        "{unknown}"
    );
    let unknown = client.ask("DEBUG OBJECT a").text();
    assert!(
        unknown.starts_with("ERR unknown command 'DEBUG'"),
        "{unknown}"
    );
    // Rules, errors and figures know commands by their own names.
    assert_eq!(
        client.ask("FETCH"),
        error("ERR wrong number of arguments for 'get' command")
    );
    assert_eq!(
        client.ask("CONFIG GET port"),
        error("NOPERM User default has no permissions to run the 'config|get' command")
    );
    assert_eq!(client.ask("AUTH alice pw"), ok());
    assert_eq!(client.ask("ACL SETUSER alice -get"), ok());
    assert_eq!(
        client.ask("FETCH a"),
        error("NOPERM User alice has no permissions to run the 'get' command")
    );
    assert!(
        client
            .ask("INFO commandstats")
            .text()
            .contains("cmdstat_get:calls=1,")
    );
    assert_eq!(
        client.ask("ACL DRYRUN alice fetch a").text(),
        "User alice has no permissions to run the 'get' command"
    );
    for (arguments, expected) in [
        (
            &["--rename-command", "NOSUCH", "x"][..],
            "No such command in rename-command",
        ),
        (
            &["--rename-command", "GET", "set"],
            "Target command name already exists",
        ),
        (
            &[
                "--rename-command",
                "GET",
                "",
                "--rename-command",
                "GET",
                "x",
            ],
            "No such command in rename-command",
        ),
        (
            &["--user", "a", "on", "--user", "a", "off"],
            "Error in user declaration 'a': Duplicate user found. A user can only be defined once in config files",
        ),
        (
            &["--user", "a", "+nosuch"],
            "Error in ACL SETUSER modifier '+nosuch': Unknown command or category name in ACL",
        ),
        (
            &["--user", "a", "on", "--aclfile", "x"],
            "declare them in one of the two",
        ),
        (
            &["--aclfile", "/nosuch/file"],
            "Error loading ACLs, opening file '/nosuch/file': No such file or directory",
        ),
    ] {
        let mut words = vec!["--port", "0", "--check-config"];
        words.extend(arguments);
        let (code, text) = run_to_end(&words);
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains(expected), "{expected}\nin\n{text}");
    }
}

/// A disk that does not answer keeps nobody waiting but those who asked for the file: here a pipe that nobody fills.
#[test]
fn a_file_of_users_that_is_slow_to_read_holds_nobody_up() {
    let dir = new_dir();
    let path = dir.join("users.acl");
    let file = path.display().to_string();
    std::fs::write(&path, "user default on nopass ~* &* +@all\n").expect("a file in a new folder");
    for threads in THREADS {
        let server = Server::start(threads, &["--aclfile", &file]);
        std::fs::remove_file(&path).expect("there");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.expect("mkfifo is there").success());
        let mut loading: Vec<Client> = (0..threads).map(|_| server.client()).collect();
        let mut others: Vec<Client> = (0..threads).map(|_| server.client()).collect();
        loading[0].send(b"ACL LOAD\r\n");
        for other in &mut others {
            assert_eq!(other.ask("SET a 1"), ok());
            assert_eq!(other.ask("ACL SETUSER late on nopass"), ok());
        }
        let text = "user default on nopass ~* &* +@all\nuser piped on nopass\n";
        std::fs::write(&path, text).expect("somebody reads");
        assert_eq!(loading[0].reply(), ok());
        let users = vec![bulk("default"), bulk("piped")];
        assert_eq!(others[0].ask("ACL USERS"), Value::Array(users));
        // Files are done in order: what is saved second is there in the end.
        std::fs::remove_file(&path).expect("there");
        let mut client = server.client();
        client.send(b"ACL SAVE\r\nACL SETUSER second on nopass\r\nACL SAVE\r\nACL LOAD\r\n");
        assert_eq!(client.replies(4), vec![ok(); 4]);
        let saved = std::fs::read_to_string(&path).expect("there");
        assert!(saved.contains("user second on nopass"), "{saved}");
    }
}

/// Rules that name what replicas ask for are understood, in the configuration and later, although there are no replicas.
#[test]
fn rules_may_name_the_commands_of_replication() {
    let rules = ["replica-user", "on", ">pw", "+psync", "+replconf", "+ping"];
    let mut options = vec!["--user"];
    options.extend(rules);
    let server = Server::start(2, &options);
    make(&server, "sentinel on >pw +sync +failover");
    for (user, rights) in [
        ("replica-user", "-@all +psync +replconf +ping"),
        ("sentinel", "-@all +sync +failover"),
    ] {
        let about = server.client().ask(&format!("ACL GETUSER {user}"));
        assert_eq!(field(&about, "commands"), &bulk(rights));
    }
    let mut replica = client_of(&server, "replica-user", "pw");
    assert_eq!(replica.ask("PING"), Value::Simple("PONG".to_string()));
    for line in ["REPLCONF listening-port 1", "PSYNC ? -1"] {
        assert_eq!(replica.ask(line), error("ERR replication is not built yet"));
    }
    assert_eq!(
        replica.ask("FAILOVER"),
        error("NOPERM User replica-user has no permissions to run the 'failover' command")
    );
    for category in ["admin", "dangerous"] {
        let names = server.client().ask(&format!("ACL CAT {category}"));
        for name in ["psync", "replconf", "sync", "failover"] {
            assert!(names.items().contains(&bulk(name)), "{name} in {category}");
        }
    }
}

/// As Redis reads rules, all but patterns and passwords end at a NUL.
#[test]
fn a_rule_ends_at_a_nul() {
    let server = Server::start(1, &[]);
    let mut client = server.client();
    let rules: [&[u8]; 6] = [b"ACL", b"SETUSER", b"u", b"on\0", b"+get\0x", b">a\0b"];
    assert_eq!(client.run(&rules), ok());
    let about = client.ask("ACL GETUSER u");
    assert_eq!(field(&about, "commands"), &bulk("-@all +get"));
    assert_eq!(field(&about, "flags").items()[0], bulk("on"));
    assert_eq!(client.run(&[b"AUTH", b"u", b"a\0b"]), ok());
    let pattern: [&[u8]; 4] = [b"ACL", b"SETUSER", b"u", b"~k\0x"];
    let said = server.client().run(&pattern).text();
    assert!(said.ends_with("Syntax error"), "{said}");
}
