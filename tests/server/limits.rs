//! What one client may take: unread output, unread input, what a stranger may send.

use super::client::{Client, Next, Value, bulk, error, ok, push_request, request};
use super::harness::{Server, eventually};
use std::time::Duration;

/// A client that asks for much and reads nothing is cut off; another client is answered all the while.
fn check_slow_reader(threads: usize) {
    let server = Server::start(threads, &["--client-output-buffer-limit", "normal 1mb 0 0"]);
    let mut other = server.client();
    for index in 0..8 {
        let name = format!("large:{index}");
        assert_eq!(
            other.run(&[b"SET", name.as_bytes(), &[b'x'; 100_000]]),
            ok()
        );
    }
    let before = server.memory_bytes("VmRSS");
    let mut slow = server.client();
    let mut bytes = Vec::new();
    for index in 0..500 {
        bytes.extend_from_slice(&request(&[
            b"GET",
            format!("large:{}", index % 8).as_bytes(),
        ]));
    }
    // Far more than sockets hold on the way: 50 MB of replies each time.
    let mut rounds = 0;
    while slow.try_send(&bytes).is_ok() && rounds < 20 {
        rounds += 1;
        assert_eq!(other.ask("STRLEN large:3"), Value::Integer(100_000));
        assert_eq!(other.ask("MGET a b c"), Value::Array(vec![Value::Null; 3]));
    }
    eventually("the slow reader is cut off", || {
        assert_eq!(other.ask("STRLEN large:3"), Value::Integer(100_000));
        let text = other.ask("INFO stats").text();
        text.contains("client_output_buffer_limit_disconnections:1\r")
    });
    let peak = server.memory_bytes("VmHWM").saturating_sub(before);
    println!("{threads} threads: {peak} bytes at the peak for a slow reader's output");
    // On one core nothing is executed beyond the limit; what other cores have answered by then comes on top.
    assert!(threads > 1 || peak < 32 << 20, "{peak} bytes");
    eventually("it is off the list", || {
        assert_eq!(other.ask("STRLEN large:3"), Value::Integer(100_000));
        other.ask("CLIENT LIST").text().lines().count() == 1
    });
    assert!(
        server.log().contains(" cmd=get user=default ")
            && server
                .log()
                .contains("for overcoming of output buffer limits."),
        "{}",
        server.log()
    );
}

#[test]
fn a_reader_that_stops_reading_is_cut_off() {
    for threads in [1, 2, 5] {
        check_slow_reader(threads);
    }
}

/// What is asked for at once is held against the limit as a whole, on whatever cores its replies are made: nothing of it leaves
/// where it is too much, and nobody sees its client afterwards.
#[test]
fn nothing_leaves_of_a_pipeline_whose_replies_are_over_the_limit() {
    const REPLIES: usize = 15;
    for threads in [1, 2, 5] {
        let server = Server::start(
            threads,
            &["--client-output-buffer-limit", "normal 100000 0 0"],
        );
        let mut other = server.client();
        let names: Vec<String> = (0..REPLIES).map(|index| format!("value:{index}")).collect();
        for name in &names {
            assert_eq!(other.run(&[b"SET", name.as_bytes(), &[b'x'; 10_000]]), ok());
        }
        let gets = |count: usize| -> Vec<u8> {
            let names = names.iter().cycle().take(count);
            names
                .flat_map(|name| request(&[b"GET", name.as_bytes()]))
                .collect()
        };
        for _ in 0..20 {
            let mut greedy = server.client();
            assert_eq!(greedy.ask("CLIENT SETNAME greedy"), ok());
            greedy.send(&gets(REPLIES));
            assert_eq!(greedy.next(), Next::Closed);
            let list = other.ask("CLIENT LIST").text();
            assert!(!list.contains("name=greedy"), "{list}");
        }
        // What is under the limit each time it is asked for may be far above it in all.
        let mut modest = server.client();
        for _ in 0..50 {
            modest.send(&gets(9));
            for _ in 0..9 {
                assert_eq!(modest.reply().text().len(), 10_000);
            }
        }
    }
}

/// Replies of 80 MB are asked for at once and read only then: they come whole and in order, and others are served meanwhile.
#[test]
fn a_long_pipeline_is_answered_whole_to_whoever_reads_late() {
    for threads in [1, 3] {
        let server = Server::start(threads, &[]);
        let mut other = server.client();
        assert_eq!(other.run(&[b"SET", b"large", &[b'x'; 20_000]]), ok());
        let mut late = server.client();
        let mut bytes = Vec::new();
        const ROUNDS: usize = 4_000;
        for number in 0..ROUNDS {
            push_request(&mut bytes, &[b"GET", b"large"]);
            push_request(&mut bytes, &[b"ECHO", number.to_string().as_bytes()]);
        }
        late.send(&bytes);
        eventually("it waits to be read", || {
            let list = other.ask("CLIENT LIST").text();
            let figures = list.split([' ', '\n']);
            let waiting = figures.filter_map(|word| word.strip_prefix("omem="));
            waiting.filter_map(|text| text.parse::<u64>().ok()).max() > Some(50_000_000)
        });
        for number in 0..ROUNDS {
            let large = late.reply();
            assert_eq!(large.text().len(), 20_000, "{number}");
            assert_eq!(late.reply(), bulk(number.to_string()));
        }
        assert_eq!(late.ask("ECHO end"), bulk("end"));
    }
}

/// Empty requests get no reply, so nothing ends a stranger who sends them without end: what the server has not got round to
/// waits in the sockets.
#[test]
fn what_strangers_send_faster_than_it_is_looked_at_takes_no_memory() {
    const STRANGERS: usize = 64;
    let server = Server::start(1, &["--requirepass", "secret"]);
    let mut other = server.client();
    assert_eq!(other.ask("AUTH secret"), ok());
    let before = server.memory_bytes("VmRSS");
    let requests = b"*-1\r\n".repeat(100_000);
    std::thread::scope(|scope| {
        for _ in 0..STRANGERS {
            scope.spawn(|| server.client().send(&requests));
        }
    });
    eventually("all of it has arrived", || {
        let text = other.ask("INFO stats").text();
        let figures = text.split("\r\n");
        let mut arrived = figures.filter_map(|line| line.strip_prefix("total_net_input_bytes:"));
        let arrived: usize = arrived.next().expect("a figure").parse().expect("bytes");
        arrived > STRANGERS * requests.len()
    });
    let peak = server.memory_bytes("VmHWM").saturating_sub(before);
    println!("{peak} bytes for {STRANGERS} strangers");
    assert!(peak < 12 << 20, "{peak} bytes for {STRANGERS} strangers");
}

/// Clients' memory is looked at between the parts of a pipeline: a burst for 400 MB never takes much more than it may.
#[test]
fn a_burst_is_answered_in_parts_between_which_its_client_may_be_evicted() {
    let options = ["--maxmemory-clients", "16mb"];
    let server = Server::start(1, &options);
    let mut other = server.client();
    assert_eq!(other.run(&[b"SET", b"large", &[b'x'; 20_000]]), ok());
    let before = server.memory_bytes("VmRSS");
    let mut greedy = server.client();
    let mut bytes = Vec::new();
    for _ in 0..20_000 {
        push_request(&mut bytes, &[b"GET", b"large"]);
    }
    let _ = greedy.try_send(&bytes);
    eventually("it is evicted", || {
        server.info_number("stats", "evicted_clients") == 1
    });
    assert_eq!(other.ask("STRLEN large"), Value::Integer(20_000));
    let peak = server.memory_bytes("VmHWM").saturating_sub(before);
    assert!(peak < 64 << 20, "{peak} bytes");
}

/// What lies unread is bounded: the connection ends without a reply, as with Redis.
#[test]
fn a_request_over_the_query_buffer_limit_ends_the_connection() {
    let server = Server::start(2, &["--client-query-buffer-limit", "1mb"]);
    let mut fits = server.client();
    assert_eq!(fits.run(&[b"SET", b"a", &[b'x'; 900_000]]), ok());
    // One large argument.
    let mut large = server.client();
    let _ = large.try_send(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$5000000\r\n");
    let _ = large.try_send(&vec![b'x'; 4_000_000]);
    assert_eq!(large.next(), Next::Closed);
    eventually("it is counted", || query_limit_disconnections(&server) == 1);
    assert_eq!(fits.ask("STRLEN a"), Value::Integer(900_000));
}

fn query_limit_disconnections(server: &Server) -> i64 {
    server.info_number("stats", "client_query_buffer_limit_disconnections")
}

/// What is a word already does not lie unread: words that fit one by one may be over the limit together, as with Redis.
#[test]
fn words_that_are_over_the_query_buffer_limit_together_are_a_request() {
    const LIMIT: usize = 1 << 20;
    for threads in [1, 3] {
        let server = Server::start(threads, &["--client-query-buffer-limit", "1mb"]);
        let mut client = server.client();
        let long = vec![b'x'; 900_000];
        let words: [&[u8]; 7] = [b"MSET", b"a", &long, b"b", &long, b"c", &long];
        assert_eq!(client.run(&words), ok());
        let mut many: Vec<&[u8]> = vec![b"EXISTS"];
        many.resize(200_001, b"a");
        assert_eq!(client.run(&many), Value::Integer(200_000));
        // With its end, a word may be as long as the limit, whatever follows it.
        let mut bytes = request(&[b"SET", b"a", &vec![b'x'; LIMIT - 2]]);
        bytes.extend(b"PING\r\n".repeat(10_000));
        client.send(&bytes);
        assert_eq!(client.reply(), ok());
        for _ in 0..10_000 {
            assert_eq!(client.reply(), Value::Simple("PONG".into()));
        }
        assert_eq!(query_limit_disconnections(&server), 0);
        let too_long = request(&[b"SET", b"a", &vec![b'x'; LIMIT - 1]]);
        client.send(&too_long[..too_long.len() - 1]);
        let came = || {
            let list = server.client().ask("CLIENT LIST").text();
            list.contains(&format!(" qbuf={LIMIT} "))
        };
        eventually("it waits for the last byte", came);
        let _ = client.try_send(b"\n");
        assert_eq!(client.next(), Next::Closed);
        eventually("it is counted", || query_limit_disconnections(&server) == 1);
    }
}

/// Of what MULTI has queued the words count, with eight bytes more for each.
#[test]
fn many_short_commands_of_a_block_are_within_the_query_buffer_limit() {
    let server = Server::start(2, &["--client-query-buffer-limit", "1mb"]);
    let mut client = server.client();
    assert_eq!(client.ask("MULTI"), ok());
    client.send(&b"GET a\r\n".repeat(10_000));
    for _ in 0..10_000 {
        assert_eq!(client.reply(), Value::Simple("QUEUED".into()));
    }
    let long = vec![b'x'; 800_000];
    assert_eq!(
        client.run(&[b"SET", b"a", &long]),
        Value::Simple("QUEUED".into())
    );
    // The next is no word before it is whole: with what is queued it is too much.
    let _ = client.try_send(&request(&[b"SET", b"b", &long]));
    assert_eq!(client.next(), Next::Closed);
    assert_eq!(query_limit_disconnections(&server), 1);
    assert_eq!(server.client().ask("EXISTS a b"), Value::Integer(0));
}

/// A request that waits for the end of a pause is read, and what follows it may be as much as the limit; of a stranger a MiB.
#[test]
fn what_follows_a_paused_request_is_within_the_query_buffer_limit() {
    let options = ["--client-query-buffer-limit", "4mb", "--requirepass", "pw"];
    let server = Server::start(1, &options);
    let mut other = server.client();
    assert_eq!(other.ask("AUTH pw"), ok());
    let mut client = server.client();
    assert_eq!(client.ask("AUTH pw"), ok());
    assert_eq!(other.ask("CLIENT PAUSE 1000000 WRITE"), ok());
    client.send(&request(&[b"SET", b"a", &[b'x'; 1_000]]));
    eventually("it waits", || {
        other.ask("CLIENT LIST").text().contains("cmd=set")
    });
    client.send(&b"\r\n".repeat((4 << 20) / 2));
    eventually("all has come", || {
        let list = other.ask("CLIENT LIST").text();
        list.contains(&format!(" qbuf={} ", 4 << 20))
    });
    assert_eq!(other.ask("CLIENT UNPAUSE"), ok());
    assert_eq!(client.reply(), ok());
    assert_eq!(other.ask("CLIENT PAUSE 1000000 ALL"), ok());
    let mut stranger = server.client();
    stranger.send(b"AUTH pw\r\n");
    let _ = stranger.try_send(&b"\r\n".repeat(600_000));
    assert_eq!(stranger.next(), Next::Closed);
}

#[test]
fn an_argument_over_its_limit_is_refused_by_its_length_alone() {
    let server = Server::start(2, &["--proto-max-bulk-len", "1mb"]);
    let mut client = server.client();
    assert_eq!(client.run(&[b"SET", b"a", &vec![b'x'; 1 << 20]]), ok());
    client.send(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1048577\r\n");
    assert_eq!(
        client.reply(),
        error("ERR Protocol error: invalid bulk length")
    );
    assert_eq!(client.next(), Next::Closed);
    assert_eq!(server.client().ask("STRLEN a"), Value::Integer(1 << 20));
}

/// Before AUTH a client may send ten short words and nothing more.
#[test]
fn a_stranger_may_send_little() {
    let server = Server::start(2, &["--requirepass", "secret"]);
    let noauth = error("NOAUTH Authentication required.");
    let mut stranger = server.client();
    assert_eq!(stranger.ask("GET a"), noauth);
    assert_eq!(stranger.ask("MGET a b c"), noauth);
    assert_eq!(stranger.ask("PING"), noauth);
    assert_eq!(
        stranger.ask("AUTH wrong"),
        error("WRONGPASS invalid username-password pair or user is disabled.")
    );
    let cases: [(&[u8], &str); 3] = [
        (
            b"*11\r\n",
            "ERR Protocol error: unauthenticated multibulk length",
        ),
        (
            b"*2\r\n$3\r\nGET\r\n$16385\r\n",
            "ERR Protocol error: unauthenticated bulk length",
        ),
        (
            b"*2\r\n$536870912\r\n",
            "ERR Protocol error: unauthenticated bulk length",
        ),
    ];
    for (bytes, text) in cases {
        let mut client = server.client();
        client.send(bytes);
        assert_eq!(
            client.reply(),
            error(text),
            "{}",
            String::from_utf8_lossy(bytes)
        );
        assert_eq!(client.next(), Next::Closed);
    }
    // Once known, the same client may send as much as any.
    assert_eq!(stranger.ask("AUTH secret"), ok());
    assert_eq!(stranger.run(&[b"SET", b"a", &[b'x'; 20_000]]), ok());
    assert_eq!(
        stranger.ask("DEL a b c d e f g h i j k l m"),
        Value::Integer(1)
    );
    let mut other = server.client();
    assert!(matches!(
        other.ask("HELLO 3 AUTH default secret"),
        Value::Map(_)
    ));
    assert_eq!(other.ask("SET a 1"), ok());
    // In one pipeline: what follows AUTH is already allowed.
    let mut third = server.client();
    third.send(
        &[
            request(&[b"AUTH", b"secret"]),
            request(&[b"GET", b"a"]),
            b"*11\r\n".to_vec(),
        ]
        .concat(),
    );
    assert_eq!(third.reply(), ok());
    assert_eq!(third.reply(), bulk("1"));
    third.send(&[b"$4\r\nMGET\r\n".to_vec(), b"$1\r\na\r\n".repeat(10)].concat());
    assert_eq!(third.reply(), Value::Array(vec![bulk("1"); 10]));
}

/// Many clients that each begin a large request and stop there leave the others their latency.
#[test]
fn half_sent_requests_hold_nobody_up() {
    let server = Server::start(2, &[]);
    let mut halves: Vec<Client> = (0..50).map(|_| server.client()).collect();
    for client in &mut halves {
        client.send(b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$10000000\r\n");
        client.send(&[b'x'; 70_000]);
    }
    let mut client = server.client();
    client.set_reply_timeout(Duration::from_secs(5));
    for index in 0..200 {
        assert_eq!(client.ask(&format!("SET key:{index} 1")), ok());
    }
    drop(halves);
    eventually("the halves are gone", || {
        server.info_number("clients", "connected_clients") == 2
    });
    assert_eq!(client.ask("EXISTS key"), Value::Integer(0));
}

/// Replies from other cores are asked for in portions: a burst of short requests for long values is cut off long before
/// all of it has been answered.
#[test]
fn a_burst_for_other_cores_is_answered_in_portions() {
    let options = ["--client-output-buffer-limit", "normal 16mb 0 0"];
    let options = [&options[..], &["--enable-debug-command", "yes"]].concat();
    let server = Server::start(5, &options);
    let mut other = server.client();
    for index in 0..16 {
        let name = format!("large:{index}");
        assert_eq!(
            other.run(&[b"SET", name.as_bytes(), &[b'x'; 300_000]]),
            ok()
        );
    }
    let before = server.memory_bytes("VmRSS");
    let mut slow = server.client();
    assert_eq!(slow.ask("GET nothing"), Value::Null);
    other.send(&request(&[b"DEBUG", b"SLEEP", b"0.3"]));
    std::thread::sleep(Duration::from_millis(50));
    let mut bytes = Vec::new();
    for index in 0..4_000 {
        push_request(
            &mut bytes,
            &[b"GET", format!("large:{}", index % 16).as_bytes()],
        );
    }
    let _ = slow.try_send(&bytes);
    assert_eq!(other.reply(), ok());
    eventually("the burst is cut off", || {
        let text = other.ask("INFO stats").text();
        text.contains("client_output_buffer_limit_disconnections:1\r")
    });
    let peak = server.memory_bytes("VmHWM").saturating_sub(before);
    println!("{peak} bytes at the peak of 1.2 GB asked for");
    assert!(peak < 400 << 20, "{peak} bytes");
}

fn row_of(text: &str, name: &str) -> std::collections::HashMap<String, String> {
    let row = text
        .lines()
        .find(|row| row.contains(&format!(" name={name} ")));
    let fields = row.unwrap_or_else(|| panic!("no {name} in {text}"));
    let pair = |word: &str| {
        word.split_once('=')
            .map(|(name, value)| (name.into(), value.into()))
    };
    fields.split(' ').filter_map(pair).collect()
}

/// CLIENT LIST shows what a client makes the server hold: the words it asks with, a request that is not whole yet, replies
/// that it does not read.
#[test]
fn the_list_of_clients_shows_what_they_hold() {
    for threads in [1, 3] {
        let server = Server::start(threads, &[]);
        let mut client = server.client();
        assert_eq!(client.ask("CLIENT SETNAME asker"), ok());
        client.send(b"*2\r\n$6\r\nCLIENT\r\n$4\r\nLIST\r\n");
        let row = row_of(&client.reply().text(), "asker");
        // As with Redis and its threads: where there are several, what runs lies in no buffer of its client's.
        let unread = if threads == 1 { "26" } else { "0" };
        assert_eq!(
            (row["argv-mem"].as_str(), row["qbuf"].as_str()),
            ("10", unread)
        );
        assert_eq!(
            client.ask("CONFIG GET io-threads"),
            Value::Array(vec![bulk("io-threads"), bulk(threads.to_string())])
        );
        assert_eq!((row["obl"].as_str(), row["oll"].as_str()), ("0", "0"));
        let mut half = server.client();
        assert_eq!(half.ask("CLIENT SETNAME half"), ok());
        half.send(b"*2\r\n$3\r\nGET\r\n$900000\r\n");
        half.send(&vec![b'x'; 700_000]);
        eventually("it is there", || {
            let row = row_of(&client.ask("CLIENT LIST").text(), "half");
            // The name is understood, and so is how long what follows is.
            row["qbuf"] == "700000" && row["argv-mem"] == "3"
        });
        let mut paused = server.client();
        assert_eq!(paused.ask("CLIENT SETNAME paused"), ok());
        assert_eq!(client.ask("CLIENT PAUSE 100000 WRITE"), ok());
        paused.send(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n");
        eventually("it waits for the end of the pause", || {
            let row = row_of(&client.ask("CLIENT LIST").text(), "paused");
            let held = (row["qbuf"].as_str(), row["argv-mem"].as_str());
            (row["cmd"].as_str(), held) == ("set", ("0", "5"))
        });
        assert_eq!(client.ask("CLIENT UNPAUSE"), ok());
        assert_eq!(paused.reply(), ok());
        // A command that there is not leaves none.
        paused.ask("NOSUCH command");
        let row = row_of(&client.ask("CLIENT LIST").text(), "paused");
        assert_eq!(row["cmd"], "NULL");
        paused.ask("GET too many");
        let row = row_of(&client.ask("CLIENT LIST").text(), "paused");
        assert_eq!(row["cmd"], "get");
        let mut waiter = server.client();
        assert_eq!(waiter.ask("CLIENT SETNAME waiter"), ok());
        waiter.send(b"*3\r\n$4\r\nWAIT\r\n$1\r\n1\r\n$1\r\n0\r\n");
        eventually("it waits for a replica", || {
            row_of(&client.ask("CLIENT LIST").text(), "waiter")["argv-mem"] == "6"
        });
        let mut slow = server.client();
        assert_eq!(slow.ask("CLIENT SETNAME slow"), ok());
        let value = vec![b'v'; 1_000_000];
        assert_eq!(slow.run(&[b"SET", b"large", &value]), ok());
        for _ in 0..30 {
            slow.send(b"GET large\r\n");
        }
        eventually("its replies wait", || {
            let row = row_of(&client.ask("CLIENT LIST").text(), "slow");
            let number = |name: &str| row[name].parse::<usize>().unwrap_or(0);
            let (omem, pieces) = (number("omem"), number("oll"));
            assert_eq!(pieces, omem.div_ceil(16 * 1024));
            assert!(number("obl") <= 16 * 1024);
            omem > 5_000_000 && number("tot-mem") > omem
        });
    }
}
