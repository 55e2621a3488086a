//! A thousand clients that wait for work, killed at random: by a reset, by the end of their process, by the server, by closing.
//!
//! Each has its work moved to a list of its own, so that the server can be asked where each element is, whatever became of
//! the reply that told of it.

use super::client::{Client, Next, Value, request};
use super::harness::{Server, eventually};
use rondo::base::rng::Rng;
use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const WORKERS: u64 = 4;
const CLIENTS_OF_WORKER: u64 = 150;
const PROCESSES: u64 = 4;
const CLIENTS_OF_PROCESS: u64 = 100;
const LISTS: u64 = 16;
const ELEMENTS: usize = 3000;
/// Elements between the deaths of two processes.
const ELEMENTS_OF_LIFE: usize = 125;
/// Whom a process works for: its port, its first client's number.
const ORDERS: &str = "RONDO_TEST_WAITERS";

/// A client that waits, and what it has been told of.
struct Waiter {
    number: u64,
    client: Client,
    told: Vec<String>,
}

/// A client that waits no more.
struct Dead {
    number: u64,
    told: Vec<String>,
    /// It left in an orderly way, so it was told of all it had been given.
    has_left: bool,
}

impl Waiter {
    fn new(port: u16, number: u64, rng: &mut Rng) -> Self {
        let client = Client::connect(port);
        client.set_reply_timeout(Duration::from_millis(5));
        let mut waiter = Self {
            number,
            client,
            told: Vec::new(),
        };
        waiter.wait(rng);
        waiter
    }

    fn wait(&mut self, rng: &mut Rng) {
        let (from, to) = (
            format!("work:{}", rng.below(LISTS)),
            format!("own:{}", self.number),
        );
        let words = ["BLMOVE", &from, &to, "LEFT", "RIGHT", "0"].map(str::as_bytes);
        self.client.send(&request(&words));
    }

    /// Waits on if it has been told of an element.
    fn go_on(&mut self, rng: &mut Rng) {
        match self.client.try_next() {
            None => {}
            Some(Next::Reply(element)) => {
                self.told.push(element.text());
                self.wait(rng);
            }
            Some(Next::Closed) => panic!("the server closed a waiting client"),
        }
    }

    /// Ends its connection, one way or another.
    fn die(mut self, port: u16, rng: &mut Rng) -> Dead {
        let way = rng.below(4);
        match way {
            0 => self.client.reset(),
            1 => drop(self.client),
            2 => {
                let line = format!("CLIENT KILL ADDR {}", self.client.address());
                // None is found where it has not been accepted yet, or is under way to the core of its list.
                assert!(Client::connect(port).ask(&line).integer() <= 1);
            }
            // The end of its input ends its wait; an element that came before has been sent.
            _ => {
                self.client.shut_write();
                self.client.set_reply_timeout(Duration::from_secs(10));
                while let Next::Reply(element) = self.client.next() {
                    self.told.push(element.text());
                }
            }
        }
        Dead {
            number: self.number,
            told: self.told,
            has_left: way == 3,
        }
    }
}

/// Every element is in one list, and once: where it was pushed, or in the list of who it was given to. Each client was told
/// of its elements in order, and knows of all but the one whose reply was under way when it died, if any.
#[test]
fn what_killed_clients_were_given_is_where_it_was_moved() {
    let server = Server::start(4, &[]);
    let port = server.port;
    let is_over = AtomicBool::new(false);
    let mut dead: Vec<Dead> = Vec::new();
    std::thread::scope(|scope| {
        let is_over = &is_over;
        let start = |worker| scope.spawn(move || work(port, worker, is_over));
        let workers: Vec<_> = (0..WORKERS).map(start).collect();
        let mut number = 1_000_000 * WORKERS;
        let mut next = || {
            number += CLIENTS_OF_PROCESS;
            process(port, number)
        };
        let mut processes: Vec<Child> = (0..PROCESSES).map(|_| next()).collect();
        let mut rng = Rng::with_seed(99);
        let mut pusher = server.client();
        for element in 0..ELEMENTS {
            pusher.ask(&format!("RPUSH work:{} {element}", rng.below(LISTS)));
            if element % ELEMENTS_OF_LIFE == 0 {
                let victim = &mut processes[rng.below(PROCESSES) as usize];
                kill(victim);
                *victim = next();
            }
        }
        is_over.store(true, Ordering::Relaxed);
        processes.iter_mut().for_each(kill);
        for worker in workers {
            dead.extend(worker.join().expect("no panic"));
        }
    });
    eventually("nobody waits", || {
        server.info_number("clients", "blocked_clients") == 0
    });
    let mut asker = server.client();
    let mut list = |key: &str| -> Vec<String> {
        let elements = asker.ask(&format!("LRANGE {key} 0 -1"));
        elements.items().iter().map(Value::text).collect()
    };
    let mut untold_count = 0;
    for client in &dead {
        let (own, told) = (list(&format!("own:{}", client.number)), &client.told);
        let untold = own.len().checked_sub(told.len());
        assert!(own.starts_with(told), "{own:?} {told:?}");
        assert!(untold.is_some_and(|untold| untold <= usize::from(!client.has_left)));
        untold_count += untold.unwrap_or(0);
    }
    println!(
        "{} died, {untold_count} of them with a reply under way",
        dead.len()
    );
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for key in server.client().ask("KEYS *").items() {
        for element in list(&key.text()) {
            places.entry(element).or_default().push(key.text());
        }
    }
    let twice: Vec<_> = places.iter().filter(|(_, keys)| keys.len() > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    assert_eq!(places.len(), ELEMENTS, "all elements are somewhere");
}

/// Keeps clients waiting and kills some of them; all there were, in the end.
fn work(port: u16, worker: u64, is_over: &AtomicBool) -> Vec<Dead> {
    let mut rng = Rng::with_seed(worker);
    let mut number = 1_000_000 * worker;
    let mut new = |rng: &mut Rng| {
        number += 1;
        Waiter::new(port, number, rng)
    };
    let mut living: Vec<Waiter> = (0..CLIENTS_OF_WORKER).map(|_| new(&mut rng)).collect();
    let mut dead = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        let index = rng.below(living.len() as u64) as usize;
        if rng.below(3) == 0 {
            let victim = std::mem::replace(&mut living[index], new(&mut rng));
            dead.push(victim.die(port, &mut rng));
        } else {
            living[index].go_on(&mut rng);
        }
    }
    dead.extend(living.into_iter().map(|last| last.die(port, &mut rng)));
    dead
}

/// Another process of this binary, in which clients wait until it is killed.
fn process(port: u16, first_number: u64) -> Child {
    let name = "server::blocking_kills::clients_wait_until_their_process_is_killed";
    Command::new(std::env::current_exe().expect("a running binary"))
        .args(["--exact", name, "--ignored", "--nocapture"])
        .env(ORDERS, format!("{port} {first_number}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a process")
}

fn kill(process: &mut Child) {
    process.kill().expect("a running process");
    process.wait().expect("an ended process");
}

/// What another process does; nothing where it is not told to.
#[test]
#[ignore = "started by another test"]
fn clients_wait_until_their_process_is_killed() {
    let Ok(orders) = std::env::var(ORDERS) else {
        return;
    };
    let (port, number) = orders.split_once(' ').expect("a port and a number");
    let (port, first): (u16, u64) = (port.parse().unwrap(), number.parse().unwrap());
    let mut rng = Rng::with_seed(first);
    let mut new = |number| Waiter::new(port, number, &mut rng);
    let mut living: Vec<Waiter> = (first..first + CLIENTS_OF_PROCESS).map(&mut new).collect();
    loop {
        let index = rng.below(CLIENTS_OF_PROCESS) as usize;
        living[index].go_on(&mut rng);
    }
}
