//! Question: what does one cross-core hop cost, request sent to reply received?
//! Run:      make bench NAME=hop          (host settings: tuning/host.md; HOPS= and PIPELINES= for other sizes)
//! Reads:    us of a GET whose key is on the connection's core and of one whose key is on the other, taken in turn, so
//!           that both see the same machine; then us a request in pipelines of 50, with no key and with half of the keys remote. The
//!           sum of the reply bytes pins the work. A real server of two cores; with two CPUs in all the client shares
//!           them, and only the difference means something.

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rondo::keyspace::SlotMap;

const VALUE: &str = "vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv";
/// `$32`, the value, and two line ends.
const REPLY_BYTES: usize = 5 + 32 + 2;
const DEPTH: usize = 50;

fn main() {
    let bench = support::Bench::from_arguments();
    let hops_count = bench.size("hops", 500, 200_000);
    let pipelines_count = bench.size("pipelines", 50, 20_000);
    let server = Server::start();
    let mut client = server.connect();
    let (local, remote) = keys();
    for key in local.iter().chain(&remote) {
        client
            .write_all(format!("SET {key} {VALUE}\r\n").as_bytes())
            .expect("the server reads");
        client.read_exact(&mut [0; 5]).expect("the server answers");
    }

    // A new connection, which settles on the core of its first key and has no reason to leave it: never more than half
    // of its keys live on the other.
    let mut client = server.connect();
    let mut bytes_sum = 0;
    let (mut near, mut far) = (support::latencies(), support::latencies());
    for index in 0..hops_count as usize {
        let pair = [(&local, &mut near), (&remote, &mut far)];
        for (keys, histogram) in pair {
            let request = format!("GET {}\r\n", keys[index % keys.len()]);
            let start = Instant::now();
            bytes_sum += exchange(&mut client, request.as_bytes(), 1);
            histogram.saturating_record(start.elapsed().as_nanos() as u64);
        }
    }
    support::print_latencies("local key, one at a time", &near);
    support::print_latencies("remote key, one at a time", &far);
    let difference_ns = far.value_at_quantile(0.5) as f64 - near.value_at_quantile(0.5) as f64;
    println!("a hop, at the median: {:.2} us", difference_ns / 1_000.0);

    for (what, every_nth) in [("pipeline, local", 0), ("pipeline, half remote", 2)] {
        let request: String = (0..DEPTH)
            .map(|index| {
                let is_remote = every_nth > 0 && index % every_nth == 1;
                let keys = if is_remote { &remote } else { &local };
                format!("GET {}\r\n", keys[index % keys.len()])
            })
            .collect();
        let mut histogram = support::latencies();
        for _ in 0..pipelines_count {
            let start = Instant::now();
            bytes_sum += exchange(&mut client, request.as_bytes(), DEPTH);
            histogram.saturating_record(start.elapsed().as_nanos() as u64);
        }
        support::print_latencies(what, &histogram);
    }
    println!("sum of reply bytes: {bytes_sum}");
    println!("{}", server.figures());
}

/// Sends requests and waits for the replies to all of them.
fn exchange(client: &mut TcpStream, request: &[u8], count: usize) -> usize {
    let mut reply = [0; REPLY_BYTES * DEPTH];
    let reply = &mut reply[..REPLY_BYTES * count];
    client.write_all(request).expect("the server reads");
    client.read_exact(reply).expect("the server answers");
    reply.len()
}

/// 64 keys of the first shard of two, 64 of the second.
fn keys() -> (Vec<String>, Vec<String>) {
    let map = SlotMap::new(2);
    let mut keys = (Vec::new(), Vec::new());
    for index in 0.. {
        let key = format!("key:{index}");
        let side = if map.shard_of(key.as_bytes()) == 0 {
            &mut keys.0
        } else {
            &mut keys.1
        };
        if side.len() < 64 {
            side.push(key);
        }
        if keys.0.len() == 64 && keys.1.len() == 64 {
            break;
        }
    }
    keys
}

/// The built server with two cores, ended when dropped.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn start() -> Self {
        let free = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = free.local_addr().expect("a bound socket").port();
        drop(free);
        let child = Command::new(env!("CARGO_BIN_EXE_rondo"))
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--threads", "2", "--pin-threads", "no"])
            .arg("--dir")
            .arg(std::env::temp_dir())
            .stdout(Stdio::null())
            .spawn()
            .expect("the server starts");
        Self { child, port }
    }

    fn connect(&self) -> TcpStream {
        let start = Instant::now();
        loop {
            match TcpStream::connect(("127.0.0.1", self.port)) {
                Ok(socket) => {
                    socket.set_nodelay(true).expect("a TCP socket");
                    return socket;
                }
                Err(error) => assert!(start.elapsed() < Duration::from_secs(20), "{error}"),
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// How many requests were local and how many took a hop, as the server counts them.
    fn figures(&self) -> String {
        let mut socket = self.connect();
        socket
            .write_all(b"INFO stats\r\nQUIT\r\n")
            .expect("the server reads");
        let mut text = String::new();
        socket.read_to_string(&mut text).expect("text");
        let wanted = ["local_requests:", "hops:", "connection_moves:"];
        let lines = text
            .lines()
            .filter(|line| wanted.iter().any(|name| line.starts_with(name)));
        lines.collect::<Vec<_>>().join(" ")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
