//! CLIENT LIST and CLIENT KILL beside clients that move between cores.

use std::time::Duration;

use super::client::{Next, Value, request};
use super::harness::Server;

/// Long enough for another core to come to what it has received, on a machine that is not busy; nothing depends on it but how
/// much is seen.
const MOMENT: Duration = Duration::from_millis(20);

/// A client follows its key to a core that a script holds up: until that is over it is on neither of two cores. Whoever searches for it
/// finds it all the same.
#[test]
fn a_client_on_its_way_between_two_cores_is_listed_and_killed() {
    let server = Server::start(4, &[]);
    for round in 0..24 {
        let key = format!("key:{round}");
        let mut moving = server.client();
        let id = moving.ask("CLIENT ID").integer();
        let mut asking = server.client();
        let mut holding = server.client();
        let script = b"redis.call('get', KEYS[1]) for i = 1, 2e7 do end return 1";
        holding.send(&request(&[b"EVAL", script, b"1", key.as_bytes()]));
        std::thread::sleep(MOMENT);
        moving.send(&request(&[b"GET", key.as_bytes()]));
        std::thread::sleep(MOMENT);
        if round % 2 == 0 {
            let list = asking.ask(&format!("CLIENT LIST ID {id}")).text();
            assert!(list.starts_with(&format!("id={id} ")), "{round}: {list:?}");
            assert_eq!(list.lines().count(), 1, "{round}: {list:?}");
        }
        let killed = asking.ask(&format!("CLIENT KILL ID {id}"));
        assert_eq!(killed, Value::Integer(1), "round {round}");
        // What it had asked before may be answered.
        if let Next::Reply(reply) = moving.next() {
            assert_eq!(reply, Value::Null);
            assert_eq!(moving.next(), Next::Closed);
        }
        assert_eq!(holding.reply(), Value::Integer(1));
        let killed = asking.ask(&format!("CLIENT KILL ID {id}"));
        assert_eq!(killed, Value::Integer(0));
    }
}

/// Everybody but who asks, however they are spread and wherever they go, once each.
#[test]
fn a_kill_counts_each_client_once() {
    let server = Server::start(4, &[]);
    let mut asking = server.client();
    for round in 0..20 {
        let mut clients: Vec<_> = (0..12).map(|_| server.client()).collect();
        for client in &mut clients {
            client.ask(&format!("CLIENT SETNAME of:{round}"));
        }
        for (number, client) in clients.iter_mut().enumerate() {
            client.send(&request(&[b"GET", format!("{round}:{number}").as_bytes()]));
        }
        let killed = asking.ask(&format!("CLIENT KILL NAME of:{round}"));
        // Valkey's filter; Redis 8.0 has none by name.
        assert_eq!(killed, Value::Integer(12), "round {round}");
    }
}
