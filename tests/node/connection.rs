//! Replies of one connection, in any order of arrival.

use rondo::base::rng::Rng;
use rondo::base::shared_bytes::SharedBytes;
use rondo::commands::Session;
use rondo::node::connection::{Connection, Peer, Portion};
use rondo::node::outgoing::Outgoing;
use rondo::resp::Lent;
use std::collections::VecDeque;
use std::os::unix::net::UnixStream;

fn connection() -> Connection {
    let (socket, _) = UnixStream::pair().expect("a pair of sockets");
    Connection::new(socket.into(), Peer::default(), Session::default(), 0)
}

/// A reply that tells which request it is for.
fn reply_of(number: u64) -> Vec<u8> {
    format!(":{number}{}\r\n", "0".repeat(number as usize % 300)).into_bytes()
}

/// The same, with its digits elsewhere.
fn lent_reply_of(number: u64) -> Outgoing {
    let reply = reply_of(number);
    let digits = 1..reply.len() - 2;
    let string = SharedBytes::copy_of(&reply[digits]);
    Outgoing::of_reply(b":\r\n".to_vec(), Some(Lent { at: 1, string }))
}

/// Requests without an end, of which one is always out: replies leave in order, and what is kept stays small.
#[test]
fn an_endless_pipeline_keeps_its_order_and_little_memory() {
    for seed in 0..8 {
        let mut rng = Rng::with_seed(seed);
        let mut connection = connection();
        let mut out: VecDeque<(u64, u64)> = VecDeque::new();
        let mut expected = Vec::new();
        let mut most_bytes = 0;
        for number in 0..60_000u64 {
            let reply = reply_of(number);
            expected.extend_from_slice(&reply);
            match rng.below(3) {
                0 => out.push_back((connection.reserve(false), number)),
                1 => connection.write_reply(|out, _| out.extend_from_slice(&reply)),
                _ if connection.is_drained() && number % 2 == 0 => {
                    let string = SharedBytes::copy_of(&reply);
                    let at = connection.output.len();
                    connection.lend(Lent { at, string });
                }
                _ if connection.is_drained() => connection.output.extend_from_slice(&reply),
                _ => connection.write_ahead(|out| {
                    out.extend_from_slice(&reply);
                    true
                }),
            }
            // Those that are out come back in any order, a few of them late; one at least stays out.
            while out.len() > 1 && (out.len() > 100 || rng.below(4) > 0) {
                let index = rng.below(out.len() as u64) as usize;
                let (sequence, number) = out.remove(index).expect("one of them");
                match rng.below(3) {
                    0 => connection.fill(sequence, &reply_of(number), 0),
                    1 => connection.fill_whole(sequence, reply_of(number).into(), 0),
                    _ => connection.fill_whole(sequence, lent_reply_of(number), 0),
                }
            }
            let sent = connection.take_bytes();
            assert!(expected.starts_with(&sent), "seed {seed} at {number}");
            expected.drain(..sent.len());
            most_bytes = most_bytes.max(connection.memory_bytes());
        }
        assert!(most_bytes < 1 << 20, "seed {seed}: {most_bytes} bytes");
        for (sequence, number) in out {
            connection.fill(sequence, &reply_of(number), 0);
        }
        assert_eq!(connection.output, expected, "seed {seed}");
        assert!(connection.is_drained());
        assert_eq!(connection.output_bytes(), expected.len());
    }
}

/// Of long replies few are owed at a time, or what others ask of the same core would wait for all of them; of short ones many.
#[test]
fn few_long_replies_are_owed_and_many_short_ones() {
    let mut connection = connection();
    let mut owed_count = |portion, reply_bytes: usize| {
        let mut counts = [0; 2];
        for count in &mut counts {
            let first = connection.next_sequence();
            while !connection.has_full_portion(portion) {
                connection.reserve(false);
            }
            let end = connection.next_sequence();
            *count = end - first;
            for sequence in first..end {
                connection.fill(sequence, &vec![b'x'; reply_bytes], 0);
                connection.output.clear();
            }
        }
        counts
    };
    let mebibyte = 1 << 20;
    // Nothing is known of the first ones.
    assert_eq!(owed_count(Portion::SHORT, mebibyte), [17, 3]);
    assert_eq!(owed_count(Portion::OF_LIMITED, mebibyte), [33, 33]);
    for _ in 0..8 {
        owed_count(Portion::SHORT, 10);
    }
    assert!(owed_count(Portion::SHORT, 10)[1] > 1000);
}

/// Messages and replies of requests that run anywhere, at any time: a message stands before the first reply whose request
/// ran after it came, and behind all that had run by then.
#[test]
fn a_message_stands_where_it_came() {
    const REQUESTS: u64 = 40;
    for seed in 0..3_000 {
        let mut rng = Rng::with_seed(seed);
        let mut connection = connection();
        // When each request ran and when its reply came; 0: not yet.
        let mut ran = vec![0; REQUESTS as usize];
        let mut has_come = vec![false; REQUESTS as usize];
        let mut numbers: Vec<u64> = Vec::new();
        let mut messages: Vec<(u64, Vec<u64>)> = Vec::new();
        let mut now = 0;
        let mut sent_count = 0;
        while sent_count < REQUESTS || has_come.contains(&false) {
            now += 1;
            let out = |at: u64| ran[at as usize] > 0 && !has_come[at as usize];
            let to_come: Vec<u64> = (0..sent_count).filter(|&at| out(at)).collect();
            let to_run: Vec<u64> = (0..sent_count)
                .filter(|&at| ran[at as usize] == 0)
                .collect();
            match rng.below(6) {
                0 if sent_count < REQUESTS => {
                    numbers.push(connection.reserve(false));
                    sent_count += 1;
                }
                // One that runs here.
                1 if sent_count < REQUESTS => {
                    numbers.push(connection.next_sequence());
                    connection.write_reply(|out, _| out.extend_from_slice(&reply_of(sent_count)));
                    ran[sent_count as usize] = now;
                    has_come[sent_count as usize] = true;
                    sent_count += 1;
                }
                2 => {
                    let behind = (0..sent_count)
                        .filter(|&at| has_come[at as usize])
                        .collect();
                    let text = format!("+{now}\r\n");
                    connection.push_message(|| now, |out| out.extend_from_slice(text.as_bytes()));
                    messages.push((now, behind));
                }
                3 | 4 if !to_run.is_empty() => {
                    ran[to_run[rng.below(to_run.len() as u64) as usize] as usize] = now;
                }
                5 if !to_come.is_empty() => {
                    let at = to_come[rng.below(to_come.len() as u64) as usize];
                    let (sequence, ran_at) = (numbers[at as usize], ran[at as usize]);
                    let reply = reply_of(at);
                    if rng.below(2) == 0 {
                        connection.fill(sequence, &reply, ran_at);
                    } else {
                        let bytes_count = reply.len() as u64;
                        connection.fill_part(sequence, reply, bytes_count, true, ran_at);
                    }
                    has_come[at as usize] = true;
                }
                _ => {}
            }
        }
        assert!(connection.is_drained());
        let mut expected = Vec::new();
        let mut told = messages.iter().peekable();
        for at in 0..REQUESTS {
            let stands_before = |(came_at, behind): &&(u64, Vec<u64>)| {
                ran[at as usize] > *came_at && behind.iter().all(|&other| other < at)
            };
            while let Some((came_at, _)) = told.next_if(|message| stands_before(message)) {
                expected.extend_from_slice(format!("+{came_at}\r\n").as_bytes());
            }
            expected.extend_from_slice(&reply_of(at));
        }
        for (came_at, _) in told {
            expected.extend_from_slice(format!("+{came_at}\r\n").as_bytes());
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert_eq!(text(&connection.output), text(&expected), "seed {seed}");
        assert_eq!(connection.output_bytes(), expected.len(), "seed {seed}");
    }
}
