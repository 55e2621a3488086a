//! Connections come, move between cores, and go.

use super::client::{Client, Next, Value, bulk, error, ok, push_request, request};
use super::harness::{Server, eventually, exists, free_port, new_dir, run_to_end};
use super::order::{Model, check_against_model};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Connections that keep to one key end up on its core, and lose nothing on the way.
#[test]
fn connections_follow_their_keys_and_lose_nothing() {
    for threads in [2, 5] {
        let server = Server::start(threads, &[]);
        let port = server.port;
        std::thread::scope(|scope| {
            for index in 0..30 {
                scope.spawn(move || {
                    let mut client = Client::connect(port);
                    let mut expected = 0;
                    // Enough requests for a window of the vote, for one key after another.
                    for round in 0..3 {
                        let key = format!("follow:{}", (index + round * 7) % 30);
                        let mut bytes = Vec::new();
                        for _ in 0..50 {
                            push_request(&mut bytes, &[b"GET", key.as_bytes()]);
                        }
                        let own = format!("own:{index}");
                        push_request(&mut bytes, &[b"INCR", own.as_bytes()]);
                        for _ in 0..50 {
                            client.send(&bytes);
                            let replies = client.replies(51);
                            assert!(replies[..50].iter().all(|reply| *reply == Value::Null));
                            expected += 1;
                            assert_eq!(replies[50], Value::Integer(expected));
                        }
                    }
                });
            }
        });
        let moves = server.info_number("stats", "connection_moves");
        assert!(moves > 0, "no connection moved on {threads} cores");
        // A move must not cost the connection its session.
        let mut client = server.client();
        assert_eq!(client.ask("CLIENT SETNAME traveller"), ok());
        assert_eq!(client.ask("SELECT 3"), ok());
        for index in 0..40 {
            assert_eq!(client.ask(&format!("SET there:{index} {index}")), ok());
        }
        assert_eq!(client.ask("CLIENT GETNAME"), bulk("traveller"));
        assert_eq!(client.ask("DBSIZE"), Value::Integer(40));
    }
}

/// A connection settles on the core of its first key; keys of another core do not draw it away while they are half.
#[test]
fn the_first_key_decides_where_a_connection_lives() {
    let map = rondo::keyspace::SlotMap::new(2);
    for first in [0, 1] {
        let server = Server::start(2, &[]);
        let key_of = |shard| {
            let names = (0..).map(|index| format!("key:{index}"));
            let mut found = names.filter(|name| map.shard_of(name.as_bytes()) == shard);
            found.next().expect("every shard has keys")
        };
        let keys = [key_of(first), key_of(1 - first)];
        let mut client = server.client();
        for index in 0..400 {
            let reply = client.ask(&format!("GET {}", keys[index % 2]));
            assert_eq!(reply, Value::Null);
        }
        assert_eq!(server.info_number("stats", "local_requests"), 200);
        assert_eq!(server.info_number("stats", "hops"), 200);
        assert!(server.info_number("stats", "connection_moves") <= 1);
    }
}

/// Clients that begin with the same key at the same moment, as those of a load generator or of a pool do, do not all end up on its
/// core; nor do those that turn to one key at the same moment.
#[test]
fn clients_with_the_same_first_key_stay_spread() {
    for threads in [2, 4, 7] {
        let server = Server::start(threads, &[]);
        let mut clients: Vec<Client> = (0..threads * 16).map(|_| server.client()).collect();
        for client in &mut clients {
            assert_eq!(client.ask("PING").text(), "PONG");
        }
        let most = || {
            let of_core = |core: usize| {
                let text = server.info("cores", &format!("core{core}"));
                let field = text
                    .split(',')
                    .find_map(|it| it.strip_prefix("connections="));
                field.expect("a count").parse::<usize>().expect("a number")
            };
            (0..threads).map(of_core).max().expect("cores")
        };
        for client in &mut clients {
            client.send(b"GET key\r\n");
        }
        for client in &mut clients {
            assert_eq!(client.reply(), Value::Null);
        }
        // An eighth more than on the core they come from and one, and as many again as there are cores that look at once.
        let limit = 16 + 16 / 8 + 2 + threads;
        assert!(most() <= limit, "{} of {threads} cores", most());
        let mut bytes = Vec::new();
        for _ in 0..600 {
            push_request(&mut bytes, &[b"INCR", b"other"]);
        }
        for client in &mut clients {
            client.send(&bytes);
        }
        for client in &mut clients {
            client.replies(600);
        }
        assert!(most() <= limit, "{} of {threads} cores", most());
        let total = clients.len() as i64 * 600;
        assert_eq!(clients[0].ask("GET other"), bulk(total.to_string()));
    }
}

/// A connection that turns to one key of another core, without a pipeline, is there after some hundred requests.
#[test]
fn a_connection_that_turns_to_one_key_follows_it_soon() {
    let map = rondo::keyspace::SlotMap::new(2);
    let key_of = |shard| {
        let names = (0..).map(|index| format!("key:{index}"));
        let mut found = names.filter(|name| map.shard_of(name.as_bytes()) == shard);
        found.next().expect("every shard has keys")
    };
    let keys = [key_of(0), key_of(1)];
    let server = Server::start(2, &[]);
    let mut client = server.client();
    for (index, key) in [0, 1, 0, 1].into_iter().map(|at| &keys[at]).enumerate() {
        let before = server.info_number("stats", "hops");
        for _ in 0..2_000 {
            client.ask(&format!("INCR {key}"));
        }
        let hops = server.info_number("stats", "hops") - before;
        // What is left of a window, and the begin of the next.
        assert!(hops <= 256 + 64 + 1, "{hops} of phase {index} took a hop");
    }
}

/// Blocks and scripts whose keys are all on another core draw a connection there as plain requests do.
#[test]
fn a_connection_follows_the_keys_of_its_blocks_and_scripts() {
    let map = rondo::keyspace::SlotMap::new(2);
    let key_of = |shard| {
        let names = (0..).map(|index| format!("key:{index}"));
        let mut found = names.filter(|name| map.shard_of(name.as_bytes()) == shard);
        found.next().expect("every shard has keys")
    };
    for is_block in [true, false] {
        let server = Server::start(2, &[]);
        let mut client = server.client();
        let body = b"return redis.call('INCR', KEYS[1])";
        let Value::Bulk(digest) = client.run(&[b"SCRIPT", b"LOAD", body]) else {
            panic!("no digest");
        };
        let [first, second] = [key_of(0), key_of(1)];
        assert_eq!(client.ask(&format!("GET {first}")), Value::Null);
        let before = server.info_number("stats", "connection_moves");
        let mut bytes = Vec::new();
        for _ in 0..100 {
            if is_block {
                push_request(&mut bytes, &[b"MULTI"]);
                push_request(&mut bytes, &[b"INCR", second.as_bytes()]);
                push_request(&mut bytes, &[b"EXEC"]);
            } else {
                push_request(&mut bytes, &[b"EVALSHA", &digest, b"1", second.as_bytes()]);
            }
        }
        let mut count = 0;
        for _ in 0..30 {
            client.send(&bytes);
            for _ in 0..100 {
                count += 1;
                let number = Value::Integer(count);
                let expected = if is_block {
                    client.replies(2);
                    Value::Array(vec![number])
                } else {
                    number
                };
                assert_eq!(client.reply(), expected);
            }
        }
        let moves = server.info_number("stats", "connection_moves");
        assert_eq!(moves, before + 1, "blocks: {is_block}");
    }
}

/// A client that is killed in the middle of its work is gone; the others do not notice.
#[test]
fn a_busy_client_can_be_killed() {
    let server = Server::start(2, &[]);
    let port = server.port;
    let started = &AtomicBool::new(false);
    std::thread::scope(|scope| {
        let mut busy = server.client();
        let id = busy.ask("CLIENT ID").integer();
        let worker = scope.spawn(move || {
            let mut bytes = Vec::new();
            for index in 0..200 {
                let (a, b) = (format!("busy:{index}"), format!("busy:{}", index + 1));
                push_request(&mut bytes, &[b"SET", a.as_bytes(), b"value"]);
                push_request(&mut bytes, &[b"MGET", a.as_bytes(), b.as_bytes()]);
            }
            let start = Instant::now();
            while start.elapsed() < Duration::from_secs(20) {
                if busy.try_send(&bytes).is_err() {
                    return true;
                }
                for _ in 0..400 {
                    if busy.next() == Next::Closed {
                        return true;
                    }
                }
                started.store(true, Ordering::Relaxed);
            }
            false
        });
        scope.spawn(move || {
            let mut model = Model::default();
            let mut client = Client::connect(port);
            check_against_model(&mut client, &mut model, 5, 2_000, 20, "other:");
        });
        eventually("the busy client works", || started.load(Ordering::Relaxed));
        let mut killer = server.client();
        assert_eq!(
            killer.ask(&format!("CLIENT KILL ID {id}")),
            Value::Integer(1)
        );
        assert!(worker.join().expect("the worker"), "it was not cut off");
        eventually("the killed client is off the list", || {
            let list = killer.ask("CLIENT LIST").text();
            !list
                .lines()
                .any(|line| line.starts_with(&format!("id={id} ")))
        });
        assert_eq!(
            killer.ask(&format!("CLIENT KILL ID {id}")),
            Value::Integer(0)
        );
    });
    assert_eq!(server.client().ask("PING"), Value::Simple("PONG".into()));
}

#[test]
fn one_client_too_many_is_told() {
    let server = Server::start(2, &["--maxclients", "5"]);
    eventually("the first look is over", || {
        server.info_number("clients", "connected_clients") == 1
    });
    // The client that asked has gone as well once four more fit.
    let mut clients: Vec<Client> = Vec::new();
    eventually("five clients fit", || {
        clients.clear();
        clients.extend((0..5).map(|_| server.client()));
        clients.iter_mut().all(|client| {
            client.try_send(b"PING\r\n").is_ok()
                && client.next() == Next::Reply(Value::Simple("PONG".into()))
        })
    });
    let mut late = server.client();
    assert_eq!(late.reply(), error("ERR max number of clients reached"));
    assert_eq!(late.next(), Next::Closed);
    assert_eq!(clients[0].ask("PING"), Value::Simple("PONG".into()));
    let rejected = clients[0].ask("INFO stats").text();
    assert!(!rejected.contains("rejected_connections:0\r"), "{rejected}");
    // Who is turned away was not received.
    let counted = |client: &mut Client| {
        let text = client.ask("INFO stats").text();
        ["total_connections_received:", "rejected_connections:"].map(|name| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|number| number.trim().parse::<u64>().ok())
                .expect("a number")
        })
    };
    let [received, rejected] = counted(&mut clients[0]);
    for _ in 0..3 {
        let refusal = error("ERR max number of clients reached");
        assert_eq!(server.client().reply(), refusal);
    }
    assert_eq!(counted(&mut clients[0]), [received, rejected + 3]);
    drop(clients.pop());
    eventually("there is room again", || {
        let mut client = server.client();
        client.try_send(b"PING\r\n").is_ok()
            && client.next() == Next::Reply(Value::Simple("PONG".into()))
    });
}

/// Who is closed is counted no more, though the kernel may not have let go of its socket: asked in the same turn. The counts that
/// `maxclients` goes by are exact to the one, over connections that move as well.
#[test]
fn a_client_that_is_closed_is_counted_nowhere_at_once() {
    let connected = |info: &Value| {
        let text = info.text();
        let mut lines = text.lines();
        let number = lines.find_map(|line| line.strip_prefix("connected_clients:"));
        number.expect("a line").to_owned()
    };
    for threads in [1, 2, 7] {
        let server = Server::start(threads, &["--maxclients", "5"]);
        let mut client = server.client();
        eventually("the first look is over", || {
            connected(&client.ask("INFO clients")) == "1"
        });
        for round in 0..20 {
            let mut others: Vec<Client> = (0..4).map(|_| server.client()).collect();
            let id = others[3].ask("CLIENT ID").integer();
            for (number, other) in others[..3].iter_mut().enumerate() {
                // Half of them are on their way to another core when they are closed.
                let incr = format!("INCR {round}:{number}\r\n");
                let incrs = incr.repeat(300 * (round % 2));
                other.send(format!("PING\r\n{incrs}").as_bytes());
                assert_eq!(other.reply(), Value::Simple("PONG".into()), "{round}");
            }
            client.send(format!("CLIENT KILL ID {id}\r\nINFO clients\r\n").as_bytes());
            assert_eq!(client.reply(), Value::Integer(1));
            assert_eq!(connected(&client.reply()), "4", "{round} at {threads}");
            // There is room for one again, and for one only.
            assert_eq!(server.client().ask("PING"), Value::Simple("PONG".into()));
            eventually("it has gone", || {
                connected(&client.ask("INFO clients")) == "4"
            });
            others[3] = server.client();
            assert_eq!(others[3].ask("PING"), Value::Simple("PONG".into()));
            let refusal = error("ERR max number of clients reached");
            assert_eq!(server.client().reply(), refusal, "{round} at {threads}");
            client.send(b"CLIENT KILL TYPE normal\r\nINFO clients\r\n");
            assert_eq!(client.reply(), Value::Integer(4));
            assert_eq!(connected(&client.reply()), "1", "{round} at {threads}");
        }
    }
}

#[test]
fn a_silent_client_is_disconnected_after_the_timeout() {
    let server = Server::start(2, &["--timeout", "1"]);
    let mut silent = server.client();
    let mut talking = server.client();
    assert_eq!(silent.ask("SET a 1"), ok());
    let start = Instant::now();
    silent.set_reply_timeout(Duration::from_millis(100));
    let mut talks = 0;
    let ended = std::thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            silent.set_reply_timeout(Duration::from_secs(15));
            silent.next()
        });
        while !waiter.is_finished() {
            assert_eq!(talking.ask("GET a"), bulk("1"));
            talks += 1;
            std::thread::sleep(Duration::from_millis(20));
        }
        waiter.join().expect("the waiter")
    });
    assert_eq!(ended, Next::Closed);
    let waited = start.elapsed();
    assert!(waited > Duration::from_millis(900), "{waited:?}");
    assert!(talks > 10, "{talks}");
    assert_eq!(talking.ask("GET a"), bulk("1"));
}

#[test]
fn a_unix_socket_has_its_permissions_and_goes_with_the_server() {
    let dir = new_dir();
    let path = dir.join("rondo.sock");
    let text = path.display().to_string();
    // Any process may give its files to its own group.
    let group = std::fs::metadata(&dir).expect("the folder is there").gid();
    let group_text = group.to_string();
    let words = ["--unixsocketperm", "700", "--unixsocketgroup", &group_text];
    let mut server = Server::start(2, &[&["--unixsocket", &text], &words[..]].concat());
    let found = std::fs::metadata(&path).expect("the socket is there");
    assert_eq!(found.permissions().mode() & 0o777, 0o700);
    assert_eq!(found.gid(), group);
    let mut client = Client::connect_unix(&path).expect("the socket accepts");
    let mut model = Model::default();
    check_against_model(&mut client, &mut model, 6, 2_000, 40, "");
    let list = client.ask("CLIENT LIST").text();
    assert!(list.contains(&format!("addr={text}:0")), "{list}");
    assert_eq!(server.terminate().code(), Some(0));
    assert!(!exists(&path), "the socket file is still there");
    let port = free_port().to_string();
    let dir_text = dir.display().to_string();
    let words = ["--port", &port, "--dir", &dir_text, "--unixsocket", &text];
    let (code, said) = run_to_end(&[&words[..], &["--unixsocketgroup", "no such"]].concat());
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("unixsocketgroup no such"), "{said}");
    std::fs::remove_dir_all(&dir).expect("the folder is ours");
}

/// Nor is an empty file: whoever wants a name nobody else has may have made one (`mktemp`).
#[test]
fn a_stale_unix_socket_is_no_obstacle_and_a_file_is() {
    let dir = new_dir();
    let path = dir.join("rondo.sock");
    let text = path.display().to_string();
    for is_file in [false, true] {
        if is_file {
            std::fs::write(&path, "").expect("a file");
        } else {
            drop(std::os::unix::net::UnixListener::bind(&path).expect("a socket file"));
        }
        assert!(exists(&path));
        let mut server = Server::start(1, &["--unixsocket", &text]);
        let mut client = Client::connect_unix(&path).expect("the socket accepts");
        assert_eq!(client.ask("PING"), Value::Simple("PONG".into()));
        assert_eq!(server.terminate().code(), Some(0));
    }

    std::fs::write(&path, "precious").expect("a file");
    let port = free_port().to_string();
    let dir_text = dir.display().to_string();
    let (code, said) = run_to_end(&["--port", &port, "--dir", &dir_text, "--unixsocket", &text]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(&text), "{said}");
    assert_eq!(std::fs::read(&path).expect("still there"), b"precious");
    std::fs::remove_dir_all(&dir).expect("the folder is ours");
}

/// SIGTERM: exit code 0, and every reply of what had arrived was sent.
#[test]
fn sigterm_ends_the_server_with_success() {
    for threads in [1, 2, 5] {
        let mut server = Server::start(threads, &[]);
        let mut idle: Vec<Client> = (0..20).map(|_| server.client()).collect();
        for (index, client) in idle.iter_mut().enumerate() {
            assert_eq!(client.ask(&format!("SET key:{index} {index}")), ok());
        }
        let start = Instant::now();
        assert_eq!(server.terminate().code(), Some(0), "{}", server.log());
        let took = start.elapsed();
        assert!(
            took < Duration::from_secs(4),
            "idle clients held it up for {took:?}"
        );
        for client in &mut idle {
            assert_eq!(client.next(), Next::Closed);
        }
    }
}

#[test]
fn shutdown_ends_the_server_with_success() {
    let mut server = Server::start(2, &[]);
    let mut client = server.client();
    client.send(b"SHUTDOWN NOSAVE\r\n");
    assert_eq!(client.next(), Next::Closed);
    assert_eq!(server.wait_for_the_end().code(), Some(0));
}

#[test]
fn a_port_in_use_is_named() {
    let server = Server::start(1, &[]);
    let port = server.port.to_string();
    let dir = server.dir.display().to_string();
    let arguments = ["--port", &port, "--bind", "127.0.0.1", "--dir", &dir];
    let (code, said) = run_to_end(&arguments);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(&format!("127.0.0.1:{port}")), "{said}");
    assert!(said.contains("in use"), "{said}");
}

#[test]
fn a_wrong_option_is_named() {
    for (words, expected) in [
        (["--no-such-option", "1"], "no-such-option"),
        (["--port", "70000"], "port"),
        (["--dir", "/does/not/exist"], "/does/not/exist"),
    ] {
        let (code, said) = run_to_end(&words);
        assert_eq!(code, Some(1), "{words:?}: {said}");
        assert!(said.contains(expected), "{words:?}: {said}");
    }
}

/// Several `bind` addresses, IPv6 among them where the machine has it.
#[test]
fn every_bind_address_is_served() {
    let has_v6 = std::net::TcpListener::bind("[::1]:0").is_ok();
    let extra: &[&str] = if has_v6 {
        &["--bind", "127.0.0.1", "127.0.0.2", "::1"]
    } else {
        &["--bind", "127.0.0.1", "127.0.0.2"]
    };
    let server = Server::start(2, extra);
    let mut addresses = vec![
        format!("127.0.0.1:{}", server.port),
        format!("127.0.0.2:{}", server.port),
    ];
    if has_v6 {
        addresses.push(format!("[::1]:{}", server.port));
    }
    for address in addresses {
        use std::io::{Read, Write};
        let mut socket = std::net::TcpStream::connect(&address).expect("it listens");
        socket
            .write_all(&request(&[b"PING"]))
            .expect("it takes bytes");
        let mut reply = [0; 7];
        socket.read_exact(&mut reply).expect("it answers");
        assert_eq!(&reply, b"+PONG\r\n", "{address}");
    }
}

/// 10,000 clients at once, each asks something, all go: none is refused and none is left.
#[test]
fn ten_thousand_connections_come_and_go() {
    use nix::sys::resource::{Resource, getrlimit};
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    if soft < 11_000 {
        println!("skipped: {soft} open files allowed, 11,000 needed (ulimit -n 20000)");
        return;
    }
    let server = Server::start(2, &["--maxclients", "10100"]);
    let port = server.port;
    let everyone_is_here = &std::sync::Barrier::new(5);
    std::thread::scope(|scope| {
        for worker in 0..4 {
            scope.spawn(move || {
                let mut clients: Vec<Client> = (0..2_500).map(|_| Client::connect(port)).collect();
                for (index, client) in clients.iter_mut().enumerate() {
                    client.send(&request(&[
                        b"INCR",
                        format!("all:{}", (worker + index) % 64).as_bytes(),
                    ]));
                }
                for client in &mut clients {
                    assert!(client.reply().integer() > 0);
                }
                everyone_is_here.wait();
                everyone_is_here.wait();
            });
        }
        everyone_is_here.wait();
        let connected = server.info_number("clients", "connected_clients");
        everyone_is_here.wait();
        assert_eq!(connected, 10_001);
    });
    eventually("all are gone", || {
        server.info_number("clients", "connected_clients") == 1
    });
    let mut client = server.client();
    let mut sum = 0;
    for index in 0..64 {
        sum += client
            .ask(&format!("GET all:{index}"))
            .text()
            .parse::<i64>()
            .expect("a number");
    }
    assert_eq!(sum, 10_000);
}
