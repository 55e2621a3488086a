//! Replies of one connection, in any order of arrival.

use rondo::base::rng::Rng;
use rondo::commands::Session;
use rondo::node::connection::{Connection, Peer};
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
                connection.fill(sequence, &reply_of(number));
            }
            let sent = std::mem::take(&mut connection.output);
            assert!(expected.starts_with(&sent), "seed {seed} at {number}");
            expected.drain(..sent.len());
            most_bytes = most_bytes.max(connection.memory_bytes());
        }
        assert!(most_bytes < 1 << 20, "seed {seed}: {most_bytes} bytes");
        for (sequence, number) in out {
            connection.fill(sequence, &reply_of(number));
        }
        assert_eq!(connection.output, expected, "seed {seed}");
        assert!(connection.is_drained());
        assert_eq!(connection.output_bytes(), expected.len());
    }
}
