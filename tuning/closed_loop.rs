//! A closed loop of writes that asks little of its own core: SET to random keys, every connection as fast as its replies come.
//!
//! ```text
//! cargo run --release --example closed_loop -- --port 6379 [--connections 50] [--pipeline 1] [--seconds 3] [--keys 1000000] [--size 100] [--busy-poll]
//! ```
//!
//! redis-benchmark registers and unregisters each connection with epoll for each request, memtier_benchmark builds and parses
//! what it sends and receives: with one core for each, they are what a fast server waits for. Here the requests are bytes that
//! lie ready, of which only the digits of the key change, and a request is one `write` and one `read`.
//!
//! With `--busy-poll` it never sleeps. Over loopback a reply to a client that sleeps costs the server the waking of its core, a
//! third of its time in a virtual machine: work that a client on another machine does not make.
//!
//! Prints JSON as `steady_load.py` does: operations a second, p50, p99, p99.9 and the longest in milliseconds from sent to
//! answered, and `busy`, the part of the time in which it did not wait: where that is near 1, this client is the limit.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use clap::{Arg, ArgAction, Command, value_parser};
use hdrhistogram::Histogram;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use rondo::base::rng::Rng;

const KEY_DIGITS: usize = 12;
const REPLY: &[u8] = b"+OK\r\n";

struct Connection {
    stream: TcpStream,
    /// A whole pipeline of requests.
    requests: Vec<u8>,
    /// Where in `requests` each key's digits begin.
    digits: Vec<usize>,
    sent: Instant,
    received: usize,
}

impl Connection {
    fn open(port: u16, pipeline: usize, size: usize) -> Connection {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("a server listens");
        stream.set_nodelay(true).expect("TCP_NODELAY can be set");
        stream
            .set_nonblocking(true)
            .expect("a socket can be non-blocking");
        let (mut requests, mut digits) = (Vec::new(), Vec::new());
        for _ in 0..pipeline {
            let key_bytes = KEY_DIGITS + 4;
            requests.extend(format!("*3\r\n$3\r\nSET\r\n${key_bytes}\r\nkey:").as_bytes());
            digits.push(requests.len());
            requests.extend([b'0'; KEY_DIGITS]);
            requests.extend(format!("\r\n${size}\r\n{}\r\n", "x".repeat(size)).as_bytes());
        }
        Connection {
            stream,
            requests,
            digits,
            sent: Instant::now(),
            received: 0,
        }
    }

    fn send(&mut self, next_key: &mut impl FnMut() -> u64, now: Instant) {
        for &start in &self.digits {
            let mut key = next_key();
            for digit in self.requests[start..start + KEY_DIGITS].iter_mut().rev() {
                *digit = b'0' + (key % 10) as u8;
                key /= 10;
            }
        }
        self.sent = now;
        self.received = 0;
        let mut rest = &self.requests[..];
        while !rest.is_empty() {
            match self.stream.write(rest) {
                Ok(count) => rest = &rest[count..],
                // Pipelines longer than what the sockets hold: the server reads on meanwhile.
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
                Err(error) => panic!("the server went away: {error}"),
            }
        }
    }

    /// True once every request of the pipeline is answered.
    fn receive(&mut self, into: &mut [u8]) -> bool {
        let count = match self.stream.read(into) {
            Ok(0) => panic!("the server closed the connection"),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            Err(error) => panic!("the server went away: {error}"),
        };
        for (index, &byte) in into[..count].iter().enumerate() {
            let expected = REPLY[(self.received + index) % REPLY.len()];
            assert_eq!(
                byte,
                expected,
                "no OK: {}",
                String::from_utf8_lossy(&into[..count])
            );
        }
        self.received += count;
        self.received == self.digits.len() * REPLY.len()
    }
}

fn main() {
    let number = |name: &'static str, default: &'static str| {
        Arg::new(name)
            .long(name)
            .default_value(default)
            .value_parser(value_parser!(u64).range(1..))
    };
    let arguments = Command::new("closed_loop")
        .arg(number("port", "6379"))
        .arg(number("connections", "50"))
        .arg(number("pipeline", "1"))
        .arg(
            Arg::new("seconds")
                .long("seconds")
                .default_value("3")
                .value_parser(value_parser!(f64)),
        )
        .arg(number("keys", "1000000"))
        .arg(number("size", "100"))
        .arg(
            Arg::new("busy-poll")
                .long("busy-poll")
                .action(ArgAction::SetTrue),
        )
        .get_matches();
    let of = |name: &str| *arguments.get_one::<u64>(name).expect("it has a default");

    let port = u16::try_from(of("port")).expect("a port");
    let pipeline = of("pipeline");
    let epoll = Epoll::new(EpollCreateFlags::empty()).expect("epoll can be had");
    let mut connections: Vec<Connection> = (0..of("connections"))
        .map(|index| {
            let connection = Connection::open(port, pipeline as usize, of("size") as usize);
            let event = EpollEvent::new(EpollFlags::EPOLLIN, index);
            epoll
                .add(&connection.stream, event)
                .expect("a socket can be watched");
            connection
        })
        .collect();
    let mut latencies =
        Histogram::<u64>::new_with_bounds(1, 60_000_000, 3).expect("bounds are in order");
    let mut rng = Rng::with_seed(u64::from(std::process::id()));
    let keys_count = of("keys");
    let mut next_key = || rng.below(keys_count);
    let mut bytes = vec![0; 64 << 10];
    let mut events = vec![EpollEvent::empty(); connections.len()];

    let start = Instant::now();
    let seconds = *arguments
        .get_one::<f64>("seconds")
        .expect("it has a default");
    let end = start + Duration::try_from_secs_f64(seconds).expect("a length of time");
    for connection in &mut connections {
        connection.send(&mut next_key, start);
    }
    let longest_wait = match arguments.get_flag("busy-poll") {
        true => EpollTimeout::ZERO,
        false => EpollTimeout::from(1_000u16),
    };
    let mut now = start;
    let mut waited = Duration::ZERO;
    while now < end {
        let before = Instant::now();
        let count = epoll
            .wait(&mut events, longest_wait)
            .expect("a wait is not interrupted");
        // One look at the clock for all that came at once: what a busy client's user would see.
        now = Instant::now();
        waited += now - before;
        for event in &events[..count] {
            let connection = &mut connections[event.data() as usize];
            if connection.receive(&mut bytes) {
                let micros = (now - connection.sent).as_micros() as u64;
                latencies.saturating_record_n(micros.max(1), pipeline);
                connection.send(&mut next_key, now);
            }
        }
    }

    let seconds = start.elapsed().as_secs_f64();
    let millis = |quantile| latencies.value_at_quantile(quantile) as f64 / 1e3;
    println!(
        "{{\"operations\": {:.0}, \"p50\": {:.3}, \"p99\": {:.3}, \"p99.9\": {:.3}, \"most\": {:.3}, \"busy\": {:.2}}}",
        latencies.len() as f64 / seconds,
        millis(0.5),
        millis(0.99),
        millis(0.999),
        millis(1.0),
        1.0 - waited.as_secs_f64() / seconds
    );
}
