//! What a log says happened in the order and at the time in which it did: transactions over several cores, and what expires beside
//! them.

use super::client::{Client, Value, bulk, ok};
use super::harness::{ALWAYS, Server, eventually};

/// Takes a while, and so many other cores as its keys are on, when it is the end of a script.
const SLOW: &str = "for i=1,6000 do redis.call('GET', KEYS[1+i%3]) end return 1";

fn eval(client: &mut Client, script: &str, keys: &[&str]) -> Value {
    let count = keys.len().to_string();
    let mut words: Vec<&[u8]> = vec![b"EVAL", script.as_bytes(), count.as_bytes()];
    words.extend(keys.iter().map(|key| key.as_bytes()));
    client.run(&words)
}

fn again(server: &mut Server) -> Client {
    server.signal("KILL");
    assert!(server.restart(3, ALWAYS), "{}", server.log());
    server.client()
}

/// A key that has expired goes into the log after the transaction that has copied it, which is logged when it ends.
#[test]
fn what_expires_is_logged_after_who_has_used_it() {
    let mut server = Server::start(3, ALWAYS);
    let mut client = server.client();
    for index in 1..=100 {
        client.ask(&format!("SET k{{a}}{index} v PX 60"));
    }
    let script = format!(
        "for i=1,100 do redis.call('COPY', 'k{{a}}'..i, 'c{{a}}'..i) redis.call('PERSIST', 'c{{a}}'..i) end \
         for i=1,3 do redis.call('SET', KEYS[i], 1) end {SLOW}"
    );
    assert_eq!(
        eval(&mut client, &script, &["q1", "q2", "q3"]),
        Value::Integer(1)
    );
    eventually("all are gone", || {
        client.ask("EXISTS k{a}1 k{a}50 k{a}100") == Value::Integer(0)
    });
    let copies: String = (1..=100).map(|index| format!(" c{{a}}{index}")).collect();
    let count = client.ask(&format!("EXISTS{copies}"));
    let mut client = again(&mut server);
    assert_eq!(client.ask(&format!("EXISTS{copies}")), count);
}

/// The same where the transaction has swapped databases: what expires in one of them is not what has its name in the other.
#[test]
fn what_expires_beside_a_swap_is_removed_where_it_was() {
    let mut server = Server::start(3, ALWAYS);
    let mut client = server.client();
    client.ask("SELECT 1");
    for index in 0..300 {
        client.ask(&format!("SET e{index} precious"));
    }
    client.ask("SELECT 0");
    for index in 0..300 {
        client.ask(&format!("SET e{index} v PX 100"));
    }
    let script = format!("redis.call('SWAPDB', 0, 1) {SLOW}");
    eval(&mut client, &script, &["q1", "q2", "q3"]);
    assert_eq!(client.ask("DBSIZE"), Value::Integer(300));
    eventually("the others are gone", || {
        client.ask("SELECT 1");
        let is_empty = client.ask("DBSIZE") == Value::Integer(0);
        client.ask("SELECT 0");
        is_empty
    });
    let mut client = again(&mut server);
    assert_eq!(client.ask("DBSIZE"), Value::Integer(300));
    assert_eq!(client.ask("GET e299"), bulk("precious"));
}

/// A transaction over several cores that has written on one of them happened when it ran, not when it was logged.
#[test]
fn what_a_transaction_has_written_on_one_core_has_its_time() {
    let mut server = Server::start(3, ALWAYS);
    let mut client = server.client();
    let script = "local id = redis.call('XADD', KEYS[1], '*', 'f', 'v') redis.call('SET', KEYS[5], 'v', 'PX', 1000000) \
                  for i=1,6000 do redis.call('GET', KEYS[2+i%3]) end return id";
    let keys = ["x{a}", "q1", "q2", "q3", "k{a}"];
    let id = eval(&mut client, script, &keys).text();
    let next = id.replace("-0", "-1");
    assert_eq!(client.ask(&format!("XADD x{{a}} {next} a b")), bulk(&next));
    let deadline = client.ask("PEXPIRETIME k{a}");
    assert_eq!(client.ask(&format!("XDEL x{{a}} {id}")), Value::Integer(1));
    let mut client = again(&mut server);
    assert_eq!(client.ask("PEXPIRETIME k{a}"), deadline);
    assert_eq!(client.ask("XLEN x{a}"), Value::Integer(1));
    assert_eq!(client.ask("SET q1 1"), ok());
}

/// A hash goes with its last field that lives, for the log as well, which has no word of the fields that have died before.
#[test]
fn a_hash_whose_other_fields_have_died_goes_from_the_log_too() {
    let requests = [
        "HDEL h f1",
        "HGETDEL h FIELDS 1 f1",
        "HGETEX h PXAT 1 FIELDS 1 f1",
        "HPEXPIREAT h 1 FIELDS 1 f1",
        "HSETEX h PXAT 1 FIELDS 1 f1 v",
    ];
    let mut server = Server::start(3, ALWAYS);
    let mut client = server.client();
    for (index, request) in requests.iter().enumerate() {
        client.ask(&format!("HSET h{index} f1 a f2 b"));
        client.ask(&format!("HPEXPIRE h{index} 1 FIELDS 1 f2"));
        eventually("it is gone and removed", || {
            client.ask(&format!("HLEN h{index}")) == Value::Integer(1)
        });
        let request = request.replace(" h ", &format!(" h{index} "));
        assert!(
            !matches!(client.ask(&request), Value::Error(_)),
            "{request}"
        );
        let list = format!("RPUSH h{index} x");
        assert_eq!(client.ask(&list), Value::Integer(1), "{request}");
    }
    let mut client = again(&mut server);
    for index in 0..requests.len() {
        let all = Value::Array(vec![bulk("x")]);
        assert_eq!(client.ask(&format!("LRANGE h{index} 0 -1")), all);
    }
}

/// A script of very many calls on several cores is one transaction of as many parts.
#[test]
fn a_transaction_of_very_many_parts_is_run_again() {
    let mut server = Server::start(3, ALWAYS);
    let mut client = server.client();
    assert_eq!(client.ask("SET before 1"), ok());
    let script = "for i=1,65600 do redis.call('SET', 'k'..i%300, i) end return 1";
    assert_eq!(eval(&mut client, script, &[]), Value::Integer(1));
    assert_eq!(client.ask("SET after 1"), ok());
    let digest = client.ask("DEBUG DIGEST");
    let mut client = again(&mut server);
    assert_eq!(client.ask("DBSIZE"), Value::Integer(302));
    assert_eq!(client.ask("GET k200"), bulk("65600"));
    assert_eq!(client.ask("DEBUG DIGEST"), digest);
}
