//! DEBUG's switches of a whole server.

use super::client::{Value, bulk, ok};
use super::harness::{Server, eventually};

/// Keys that nobody asks for stay, on every core, until ticks go on.
#[test]
fn ticks_rest_and_go_on() {
    for threads in [1, 3] {
        let server = Server::start(threads, &["--enable-debug-command", "yes", "--hz", "100"]);
        let mut client = server.client();
        assert_eq!(client.ask("DEBUG PAUSE-CRON 1"), ok());
        for number in 0..30 {
            assert_eq!(client.ask(&format!("SET key:{number} v PX 1")), ok());
        }
        // A pause that is over ends all the same: somebody waits for that.
        assert_eq!(client.ask("CLIENT PAUSE 20 WRITE"), ok());
        assert_eq!(client.ask("SET other 1"), ok());
        assert_eq!(client.ask("DBSIZE"), Value::Integer(31));
        assert_eq!(client.ask("DEBUG PAUSE-CRON 0"), ok());
        eventually("the dead are gone", || {
            client.ask("DBSIZE") == Value::Integer(1)
        });
    }
}

/// The largest reply is shown until its time is over.
#[test]
fn the_peak_of_replies_is_remembered_as_told() {
    let server = Server::start(2, &["--enable-debug-command", "yes", "--hz", "100"]);
    let mut client = server.client();
    let mut other = server.client();
    other.ask("CLIENT SETNAME other");
    let peak = |client: &mut super::client::Client| {
        let list = client.ask("CLIENT LIST").text();
        let row = list.lines().find(|row| row.contains(" name=other "));
        let row = row.expect("the other one is there").to_string();
        let field = row.split(' ').find_map(|field| field.strip_prefix("rbp="));
        field.expect("a field").parse::<u64>().expect("a number")
    };
    assert_eq!(client.ask("DEBUG REPLYBUFFER PEAK-RESET-TIME NEVER"), ok());
    assert_eq!(client.ask(&format!("SET long {}", "x".repeat(5000))), ok());
    assert_eq!(other.ask("GET long").text().len(), 5000);
    assert!(peak(&mut client) >= 5000);
    assert_eq!(client.ask("DEBUG REPLYBUFFER PEAK-RESET-TIME 1"), ok());
    eventually("it is forgotten", || peak(&mut client) < 5000);
    assert_eq!(
        client.ask("DEBUG REPLYBUFFER PEAK-RESET-TIME x"),
        Value::Error("ERR value is not an integer or out of range".to_string())
    );
    assert_eq!(client.ask("DEBUG REPLYBUFFER PEAK-RESET-TIME RESET"), ok());
}

/// Without a file there is nothing to write; with one, a line for each option.
#[test]
fn the_whole_configuration_is_written() {
    let server = Server::start(1, &["--enable-debug-command", "yes"]);
    assert_eq!(
        server.client().ask("DEBUG CONFIG-REWRITE-FORCE-ALL"),
        Value::Error("ERR CONFIG-REWRITE-FORCE-ALL failed: Bad address".to_string())
    );
    let server = Server::start_with_file(2, "enable-debug-command yes\nmaxclients 100 # few\n");
    let mut client = server.client();
    assert_eq!(client.ask("DEBUG CONFIG-REWRITE-FORCE-ALL"), ok());
    let text = std::fs::read_to_string(server.dir.join("redis.conf")).expect("a file");
    for line in [
        "maxclients 100 # few",
        "timeout 0",
        "maxmemory-policy noeviction",
    ] {
        assert!(text.lines().any(|other| other == line), "{line}: {text}");
    }
    assert_eq!(client.ask("CONFIG GET maxclients").items()[1], bulk("100"));
}
