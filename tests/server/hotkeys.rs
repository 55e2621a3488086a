//! HOTKEYS as clients see it, on one core and on several.

use super::client::{Client, Value, error, ok};
use super::harness::Server;
use std::time::{Duration, Instant};

/// The fields of HOTKEYS GET, by name.
fn get(client: &mut Client) -> Vec<(String, Value)> {
    let Value::Array(maps) = client.ask("HOTKEYS GET") else {
        panic!("not an array");
    };
    let [Value::Array(words)] = maps.as_slice() else {
        panic!("not one map: {maps:?}");
    };
    let text = |value: &Value| match value {
        Value::Bulk(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        other => panic!("a name: {other:?}"),
    };
    words
        .chunks(2)
        .map(|pair| (text(&pair[0]), pair[1].clone()))
        .collect()
}

fn field<'a>(fields: &'a [(String, Value)], name: &str) -> Option<&'a Value> {
    let found = fields.iter().find(|(field, _)| field == name);
    found.map(|(_, value)| value)
}

fn number(fields: &[(String, Value)], name: &str) -> i64 {
    match field(fields, name) {
        Some(Value::Integer(number)) => *number,
        other => panic!("{name}: {other:?}"),
    }
}

/// Keys and their figures.
fn keys(fields: &[(String, Value)], name: &str) -> Vec<(String, i64)> {
    let Some(Value::Array(words)) = field(fields, name) else {
        panic!("no {name}");
    };
    words
        .chunks(2)
        .map(|pair| match pair {
            [Value::Bulk(key), Value::Integer(figure)] => {
                (String::from_utf8_lossy(key).into_owned(), *figure)
            }
            other => panic!("{other:?}"),
        })
        .collect()
}

/// Keys of all cores, one of them with large values, another asked for often, a third by a script.
#[test]
fn the_most_expensive_keys_of_all_cores_are_told() {
    for threads in [1, 4] {
        let server = Server::start(threads, &[]);
        let (mut client, mut other) = (server.client(), server.client());
        assert_eq!(client.ask("HOTKEYS GET"), Value::Null);
        assert_eq!(client.ask("HOTKEYS STOP"), Value::Null);
        assert!(!client.ask("INFO").text().contains("# Hotkeys"));
        let start = "HOTKEYS START METRICS 2 CPU NET COUNT 3";
        assert_eq!(client.ask(start), ok());
        let on = error("ERR hotkey tracking session already in progress");
        assert_eq!(other.ask(start), on);
        let must_end = error("ERR hotkey tracking session in progress, stop tracking first");
        assert_eq!(other.ask("HOTKEYS RESET"), must_end);
        let large = "x".repeat(20_000);
        for index in 0..50 {
            client.ask(&format!("SET k{index} v"));
            client.ask(&format!("SET large {large}"));
            client.ask("INCR often");
            client.ask("INCR often");
            client.ask("EVAL redis.call('incr',KEYS[1]) 1 often");
            client.ask("MSET often 1 k1 2");
        }
        assert_eq!(number(&get(&mut other), "tracking-active"), 1);
        let section = |is_on| format!("# Hotkeys\r\nhotkeys-tracking-active:{is_on}\r\n");
        assert!(other.ask("INFO").text().contains(&section(1)));
        assert_eq!(other.ask("HOTKEYS STOP"), ok());
        assert_eq!(other.ask("INFO hotkeys").text(), section(0));
        client.ask(&format!("SET after {large}"));
        let fields = get(&mut client);
        assert_eq!(number(&fields, "tracking-active"), 0);
        assert_eq!(number(&fields, "sample-ratio"), 1);
        let by_bytes = keys(&fields, "by-net-bytes");
        assert_eq!(by_bytes.len(), 3, "{by_bytes:?}");
        assert_eq!(by_bytes[0].0, "large");
        // Each as it is on the wire, with OK.
        assert_eq!(by_bytes[0].1, 50 * (39 + 20_000), "{by_bytes:?}");
        assert_eq!(by_bytes[1].0, "often", "{by_bytes:?}");
        let all = number(&fields, "net-bytes-all-commands-all-slots");
        let told: i64 = by_bytes.iter().map(|(_, bytes)| bytes).sum();
        assert!(told <= all && number(&fields, "total-net-bytes") == all);
        let by_time = keys(&fields, "by-cpu-time-us");
        let time: i64 = by_time.iter().map(|(_, us)| us).sum();
        assert!(time <= number(&fields, "all-commands-all-slots-us") + 3);
        assert_eq!(client.ask("HOTKEYS RESET"), ok());
        assert_eq!(client.ask("HOTKEYS GET"), Value::Null);
        assert_eq!(client.ask("INFO hotkeys").text(), "");
    }
}

/// What was not asked for has no fields, and a session with a duration ends of itself.
#[test]
fn a_session_tells_what_it_was_asked_for_and_ends_in_time() {
    let server = Server::start(2, &[]);
    let mut client = server.client();
    let start = "HOTKEYS START METRICS 1 NET DURATION 1 SAMPLE 2";
    assert_eq!(client.ask(start), ok());
    client.ask("SET k v");
    let fields = get(&mut client);
    assert!(field(&fields, "by-cpu-time-us").is_none());
    assert!(field(&fields, "total-cpu-time-user-ms").is_none());
    assert_eq!(number(&fields, "sample-ratio"), 2);
    let began = Instant::now();
    while number(&get(&mut client), "tracking-active") == 1 {
        assert!(began.elapsed() < Duration::from_secs(20), "it goes on");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(number(&get(&mut client), "collection-duration-ms"), 1000);
    assert_eq!(client.ask("HOTKEYS STOP"), Value::Null);
    assert_eq!(client.ask("HOTKEYS START METRICS 1 CPU"), ok());
}

/// Words that are wrong, each with Redis's text.
#[test]
fn words_that_are_wrong_are_refused() {
    let server = Server::start(1, &[]);
    let mut client = server.client();
    let required = "ERR METRICS parameter is required";
    let range = "ERR METRICS count must be > 0 and <= 2";
    let mismatch = "ERR METRICS count does not match number of metric types provided";
    let none = "ERR METRICS no valid metrics passed. Supported: CPU|NET";
    for (words, text) in [
        ("", required),
        (" METRICS", required),
        (" CPU 1", required),
        (" METRICS 0 CPU", range),
        (" METRICS 3 CPU NET", range),
        (" METRICS 2 CPU", mismatch),
        (" METRICS 1 CPU NET", "ERR syntax error"),
        (" METRICS 1 GPU", none),
        (
            " METRICS 2 CPU CPU",
            "ERR METRICS CPU defined more than once!",
        ),
        (
            " METRICS 1 CPU COUNT 0",
            "ERR COUNT must be between 1 and 64",
        ),
        (
            " METRICS 1 CPU COUNT 65",
            "ERR COUNT must be between 1 and 64",
        ),
        (" METRICS 1 CPU COUNT", "ERR syntax error"),
        (
            " METRICS 1 CPU SAMPLE 0",
            "ERR SAMPLE ratio must be positive",
        ),
        (
            " METRICS 1 CPU DURATION 0",
            "ERR DURATION must be between 1 and 1000000",
        ),
        (
            " METRICS 1 CPU SLOTS 1 0",
            "ERR SLOTS parameter cannot be used in non-cluster mode",
        ),
    ] {
        let reply = client.ask(&format!("HOTKEYS START{words}"));
        assert_eq!(reply, error(text), "{words}");
    }
    // A metric of a later version is passed over.
    assert_eq!(client.ask("HOTKEYS START METRICS 2 GPU CPU"), ok());
}
