//! Requests arrive in any pieces and of any size.

use super::client::{Client, Value, bulk, ok, push_request, request};
use super::harness::Server;
use rondo::base::rng::Rng;

/// Every request cut at every byte, each piece in a send of its own.
#[test]
fn a_request_may_be_cut_at_every_byte() {
    let server = Server::start(2, &[]);
    let mut client = server.client();
    let mut bytes = Vec::new();
    push_request(&mut bytes, &[b"SET", b"key", b"va\r\nlue"]);
    push_request(&mut bytes, &[b"MSET", b"a", b"1", b"b", b"2", b"c", b"3"]);
    bytes.extend_from_slice(b"GET key\r\n");
    push_request(&mut bytes, &[b"MGET", b"a", b"b", b"c", b"missing"]);
    let expected = [
        ok(),
        ok(),
        bulk("va\r\nlue"),
        Value::Array(vec![bulk("1"), bulk("2"), bulk("3"), Value::Null]),
    ];
    for cut in 1..bytes.len() {
        client.send(&bytes[..cut]);
        // The second piece must not ride along: wait for what the first has answered.
        let whole = count_whole(&bytes[..cut]);
        assert_eq!(client.replies(whole), expected[..whole], "cut at {cut}");
        client.send(&bytes[cut..]);
        assert_eq!(client.replies(4 - whole), expected[whole..], "cut at {cut}");
    }
    // One byte at a time.
    for byte in &bytes {
        client.send(std::slice::from_ref(byte));
    }
    assert_eq!(client.replies(4), expected);

    fn count_whole(bytes: &[u8]) -> usize {
        let ends: Vec<usize> = {
            let mut all = Vec::new();
            push_request(&mut all, &[b"SET", b"key", b"va\r\nlue"]);
            let first = all.len();
            push_request(&mut all, &[b"MSET", b"a", b"1", b"b", b"2", b"c", b"3"]);
            vec![first, all.len(), all.len() + b"GET key\r\n".len()]
        };
        ends.iter().filter(|end| **end <= bytes.len()).count()
    }
}

/// Compares a reply with a value too long to print.
fn check_same(reply: &Value, value: &[u8]) {
    let Value::Bulk(bytes) = reply else {
        panic!("{reply:?} for a value of {} bytes", value.len());
    };
    let same = bytes.iter().zip(value).take_while(|(a, b)| a == b).count();
    let lengths = (bytes.len(), value.len());
    assert!(
        bytes == value,
        "got and wanted {lengths:?} bytes, the same for {same}"
    );
}

fn check_sizes(threads: usize) {
    let server = Server::start(threads, &[]);
    let mut client = server.client();
    let mut rng = Rng::with_seed(9);
    let lengths = [
        0, 1, 11, 12, 15, 16, 43, 44, 45, 63, 64, 127, 128, 255, 256, 1_000, 4_095, 4_096, 16_000,
        16_383, 16_384, 16_385, 32_767, 32_768, 65_535, 65_536, 65_537, 100_000, 131_072, 199_999,
        200_000,
    ];
    let values: Vec<Vec<u8>> = lengths
        .iter()
        .map(|length| (0..*length).map(|_| rng.below(256) as u8).collect())
        .collect();
    // All of it in one pipeline, so that it runs over many receive buffers, on keys of every shard.
    let mut bytes = Vec::new();
    for (index, value) in values.iter().enumerate() {
        push_request(
            &mut bytes,
            &[b"SET", format!("value:{index}").as_bytes(), value],
        );
        push_request(&mut bytes, &[b"GET", format!("value:{index}").as_bytes()]);
    }
    let port = server.port;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // A second client at the same time, in steps of odd sizes.
            let mut client = Client::connect(port);
            for piece in bytes.chunks(10_007) {
                client.send(piece);
            }
            for value in &values {
                assert_eq!(client.reply(), ok());
                check_same(&client.reply(), value);
            }
        });
        client.send(&bytes);
        for value in &values {
            assert_eq!(client.reply(), ok());
            check_same(&client.reply(), value);
        }
    });
    let names: Vec<String> = (0..values.len())
        .map(|index| format!("value:{index}"))
        .collect();
    let mut words: Vec<&[u8]> = vec![b"MGET"];
    words.extend(names.iter().map(|name| name.as_bytes()));
    let all = client.run(&words);
    assert!(
        all == Value::Array(values.iter().map(bulk).collect()),
        "MGET of all sizes"
    );
}

#[test]
fn values_of_any_size_come_back() {
    for threads in [1, 2, 5] {
        check_sizes(threads);
    }
}

/// A large value there and back. Arriving it takes its own length and no more: it is stored where it was received.
fn check_large(threads: usize, length: usize) {
    let server = Server::start(threads, &[]);
    let mut client = server.client();
    let mut value = vec![b'x'; length];
    for (index, byte) in value.iter_mut().enumerate().step_by(4_099) {
        *byte = (index % 251) as u8;
    }
    let before = server.memory_bytes("VmHWM");
    assert_eq!(client.ask("SET small 1"), ok());
    assert_eq!(client.run(&[b"SET", b"large", &value]), ok());
    let peak = server.memory_bytes("VmHWM") - before;
    println!("threads {threads}: receiving {length} bytes took {peak} bytes at the peak");
    assert!(
        peak < length as u64 * 3 / 2,
        "receiving {length} bytes took {peak}"
    );
    assert_eq!(client.ask("STRLEN large"), Value::Integer(length as i64));
    assert!(
        client.ask("GET large") == bulk(&value),
        "{length} bytes came back changed"
    );
    let peak = server.memory_bytes("VmHWM") - before;
    println!("threads {threads}: after sending it back {peak} bytes at the peak");
    // From another core the reply comes in a batch and is copied once more.
    let copies = if threads == 1 { 2 } else { 3 };
    assert!(
        peak < (length * copies + length / 2) as u64,
        "sending {length} bytes took {peak}"
    );

    let mut bytes = request(&[b"SET", b"large", &value]);
    push_request(&mut bytes, &[b"GETRANGE", b"large", b"-3", b"-1"]);
    push_request(&mut bytes, &[b"DEL", b"large", b"small"]);
    client.send(&bytes);
    assert_eq!(client.reply(), ok());
    assert_eq!(client.reply(), bulk(&value[length - 3..]));
    assert_eq!(client.reply(), Value::Integer(2));
}

#[test]
fn sixty_four_mebibytes_arrive_without_a_second_copy() {
    check_large(1, 64 << 20);
    check_large(2, 64 << 20);
}

#[test]
#[ignore = "takes gigabytes of memory; cargo test -- --ignored"]
fn five_hundred_and_twelve_mebibytes_arrive_without_a_second_copy() {
    check_large(1, 512 << 20);
    check_large(2, 512 << 20);
}

/// Long values among short requests, sent in pieces of all lengths: the rest of a long one is received to where it stays, and nothing
/// that belongs to the next request with it.
#[test]
fn long_requests_take_no_byte_of_what_is_sent_with_them() {
    for threads in [1, 2, 7] {
        let server = Server::start(threads, &[]);
        let mut client = server.client();
        let mut rng = Rng::with_seed(u64::from(threads as u32));
        for round in 0..12 {
            let mut bytes = Vec::new();
            let mut expected = Vec::new();
            for place in 0..8 {
                let key = format!("long:{}", rng.below(9));
                let length = match rng.below(3) {
                    0 => 1 + rng.below(200),
                    1 => 65_536 + rng.below(40_000),
                    _ => 200_000 + rng.below(400_000),
                };
                let value = vec![b'a' + (round + place) as u8 % 26; length as usize];
                if rng.below(2) == 0 {
                    push_request(&mut bytes, &[b"SET", key.as_bytes(), &value]);
                    expected.push(ok());
                } else {
                    // Words behind the long one: more of the request is to come.
                    let key = key.as_bytes();
                    let words: [&[u8]; 6] = [b"SET", key, &value, b"EX", b"1000", b"GET"];
                    push_request(&mut bytes, &[b"SET", key, b""]);
                    push_request(&mut bytes, &words);
                    push_request(&mut bytes, &[b"SETRANGE", key, b"0", b"<"]);
                    push_request(&mut bytes, &[b"APPEND", key, b">"]);
                    push_request(&mut bytes, &[b"GETRANGE", key, b"-2", b"-1"]);
                    push_request(&mut bytes, &[b"GETRANGE", key, b"0", b"0"]);
                    let end = [value.last().copied().unwrap_or_default(), b'>'];
                    expected.extend([ok(), bulk(""), Value::Integer(length as i64)]);
                    expected.push(Value::Integer(length as i64 + 1));
                    expected.push(match length {
                        1 => bulk("<>"),
                        _ => bulk(end),
                    });
                    expected.push(bulk("<"));
                }
            }
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let most = [100, 5_000, 70_000, 300_000][rng.below(4) as usize];
                let length = (1 + rng.below(most) as usize).min(rest.len());
                client.send(&rest[..length]);
                rest = &rest[length..];
            }
            let had = client.replies(expected.len());
            assert!(had == expected, "{threads} threads, round {round}");
        }
    }
}

/// A long value that was received grows, is written to and grows on without ever being copied.
#[test]
fn a_long_value_grows_without_a_copy() {
    for threads in [1, 2] {
        let server = Server::start(threads, &[]);
        let mut client = server.client();
        let length = 64 << 20;
        let value = vec![b'x'; length];
        let before = server.memory_bytes("VmHWM");
        assert_eq!(client.run(&[b"SET", b"large", &value]), ok());
        let count = Value::Integer(length as i64 + 1);
        assert_eq!(client.ask("APPEND large y"), count);
        assert_eq!(client.ask("SETRANGE large 7 z"), count);
        let more = vec![b'w'; 1 << 20];
        for times in 1..=8 {
            let count = Value::Integer((length + 1 + (times << 20)) as i64);
            assert_eq!(client.run(&[b"APPEND", b"large", &more]), count);
        }
        let peak = server.memory_bytes("VmHWM") - before;
        assert!(peak < (length + length / 2) as u64, "{peak} bytes");
        assert_eq!(client.ask("GETRANGE large 6 8"), bulk("xzx"));
        let middle = format!("GETRANGE large {} {}", length - 1, length + 1);
        assert_eq!(client.ask(&middle), bulk("xyw"));
        // Nothing is written between the end and what is written far behind it.
        let far = format!("SETRANGE large {} end", 400 << 20);
        assert_eq!(client.ask(&far), Value::Integer((400 << 20) + 3));
        let peak = server.memory_bytes("VmHWM") - before;
        assert!(peak < (length * 2) as u64, "{peak} bytes");
        let gap = format!("GETRANGE large {} {}", 300 << 20, (300 << 20) + 1);
        assert_eq!(client.ask(&gap), bulk("\0\0"));
        assert_eq!(client.ask("GETRANGE large -4 -1"), bulk("\0end"));
    }
}

/// An announced length costs nothing until its bytes come.
#[test]
fn an_announced_length_reserves_nothing() {
    let server = Server::start(2, &[]);
    let before = server.memory_bytes("VmRSS");
    let mut clients: Vec<Client> = (0..40).map(|_| server.client()).collect();
    for client in &mut clients {
        client.send(b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$536870912\r\nabc");
    }
    assert_eq!(server.client().ask("SET other 1"), ok());
    let grown = server.memory_bytes("VmRSS").saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes for 40 announcements");
}

/// An inline request, blank lines between requests, and quotes.
#[test]
fn requests_may_be_typed() {
    let server = Server::start(2, &[]);
    let mut client = server.client();
    client.send(
        b"SET typed \"a \\x41\\n b\"\r\n\r\n\nGET typed\nget 'typed'\r\nMGET typed missing typed\n",
    );
    assert_eq!(client.reply(), ok());
    assert_eq!(client.reply(), bulk("a A\n b"));
    assert_eq!(client.reply(), bulk("a A\n b"));
    assert_eq!(
        client.reply(),
        Value::Array(vec![bulk("a A\n b"), Value::Null, bulk("a A\n b")])
    );
}

/// What was sent before the client shut its side is answered.
#[test]
fn a_client_that_stops_sending_gets_its_replies() {
    let server = Server::start(2, &[]);
    let mut client = server.client();
    let mut bytes = Vec::new();
    for index in 0..1_000 {
        push_request(
            &mut bytes,
            &[b"INCR", format!("half:{}", index % 10).as_bytes()],
        );
    }
    client.send(&bytes);
    client.shut_write();
    let replies = client.rest();
    let lines = replies.iter().filter(|byte| **byte == b'\n').count();
    assert_eq!(lines, 1_000);
    let mut client = server.client();
    for index in 0..10 {
        assert_eq!(client.ask(&format!("GET half:{index}")), bulk("100"));
    }
}
