//! Clients that wait for entries of streams.

use super::client::{Client, Value, bulk, error, request};
use super::harness::{Server, eventually};

fn wait_until_blocked(server: &Server, count: i64) {
    eventually("so many clients wait", || {
        server.info_number("clients", "blocked_clients") == count
    });
}

fn send(client: &mut Client, line: &str) {
    let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    client.send(&request(&words));
}

/// The reply of XREAD with one stream and entries of one field.
fn entries(key: &str, ids: &[&str]) -> Value {
    let entry = |id: &&str| {
        let fields = Value::Array(vec![bulk("field"), bulk("value")]);
        Value::Array(vec![bulk(id), fields])
    };
    let entries = Value::Array(ids.iter().map(entry).collect());
    Value::Array(vec![Value::Array(vec![bulk(key), entries])])
}

/// Readers of several streams on several shards all get what one entry brings; `$` is where each stream ended when the
/// reader came.
#[test]
fn an_entry_goes_to_all_who_read() {
    for threads in [1, 3] {
        let server = Server::start(threads, &[]);
        let mut writer = server.client();
        assert_eq!(writer.ask("XADD s 1-0 field value"), bulk("1-0"));
        let mut readers: Vec<Client> = (0..6).map(|_| server.client()).collect();
        for reader in &mut readers {
            send(reader, "XREAD BLOCK 0 STREAMS a b s c $ $ $ $");
        }
        wait_until_blocked(&server, 6);
        assert_eq!(writer.ask("XADD s 2-0 field value"), bulk("2-0"));
        for reader in &mut readers {
            assert_eq!(reader.reply(), entries("s", &["2-0"]));
        }
        wait_until_blocked(&server, 0);
    }
}

/// Of a group's readers one gets an entry and the others go on waiting, on cores that stay idle; when the group goes, or its
/// key, they are told.
#[test]
fn an_entry_goes_to_one_reader_of_a_group() {
    for threads in [1, 3] {
        let server = Server::start(threads, &[]);
        let mut writer = server.client();
        assert_eq!(
            writer.ask("XGROUP CREATE s g $ MKSTREAM"),
            super::client::ok()
        );
        assert_eq!(
            writer.ask("XGROUP CREATE other g $ MKSTREAM"),
            super::client::ok()
        );
        let mut readers: Vec<Client> = (0..4).map(|_| server.client()).collect();
        for (index, reader) in readers.iter_mut().enumerate() {
            let line = [
                "XREADGROUP GROUP g same BLOCK 0 STREAMS s >",
                "XREADGROUP GROUP g one BLOCK 0 STREAMS other s > >",
            ][index % 2];
            send(reader, line);
            wait_until_blocked(&server, index as i64 + 1);
        }
        for (index, id) in ["1-0", "2-0"].into_iter().enumerate() {
            assert_eq!(writer.ask(&format!("XADD s {id} field value")), bulk(id));
            assert_eq!(readers[index].reply(), entries("s", &[id]));
        }
        wait_until_blocked(&server, 2);
        assert_eq!(writer.ask("XGROUP DESTROY s g"), Value::Integer(1));
        let refusal =
            "NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option";
        for reader in &mut readers[2..] {
            assert_eq!(reader.reply(), error(refusal));
        }
        wait_until_blocked(&server, 0);
    }
}

/// The time of a stream comes while somebody reads it as of a group, on a core that stays idle.
#[test]
fn readers_of_a_group_are_told_when_its_time_comes() {
    for threads in [1, 3] {
        let server = Server::start(threads, &[]);
        let mut writer = server.client();
        for key in ["s", "other"] {
            let created = writer.ask(&format!("XGROUP CREATE {key} g $ MKSTREAM"));
            assert_eq!(created, super::client::ok());
        }
        let mut readers: Vec<Client> = (0..2).map(|_| server.client()).collect();
        for (index, reader) in readers.iter_mut().enumerate() {
            let line = [
                "XREADGROUP GROUP g c BLOCK 0 STREAMS s >",
                "XREADGROUP GROUP g c BLOCK 0 STREAMS other s > >",
            ][index];
            send(reader, line);
        }
        wait_until_blocked(&server, 2);
        assert_eq!(writer.ask("PEXPIRE s 30"), Value::Integer(1));
        let refusal =
            "NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option";
        for reader in &mut readers {
            assert_eq!(reader.reply(), error(refusal));
        }
        wait_until_blocked(&server, 0);
    }
}

/// The one entry of stream `s` that a reader with CLAIM is given: its id, and how often it had been delivered.
fn claimed(reply: &Value) -> (String, i64) {
    let stream = &reply.items()[0].items();
    assert_eq!(stream[0], bulk("s"), "{reply:?}");
    let entry = stream[1].items()[0].items();
    (entry[0].text(), entry[3].integer())
}

/// Who waits with CLAIM is given what others have had for too long as soon as that is so: what was pending when it came, what was
/// delivered since, and what somebody says has been idle.
#[test]
fn what_becomes_claimable_wakes_who_waits_for_it() {
    for threads in [1, 3] {
        let server = Server::start(threads, &[]);
        let mut writer = server.client();
        for key in ["s", "other"] {
            let create = format!("XGROUP CREATE {key} g $ MKSTREAM");
            assert_eq!(writer.ask(&create), super::client::ok());
        }
        for (round, keys) in ["s >", "other s > >"].into_iter().enumerate() {
            let mut reader = server.client();
            let id = format!("{}-1", round + 1);
            assert_eq!(writer.ask(&format!("XADD s {id} f v")), bulk(&id));
            writer.ask("XREADGROUP GROUP g dead STREAMS s >");
            // Two that wait for longer than this test lasts: they are not in its way.
            let mut patient = server.client();
            let line = format!("XREADGROUP GROUP g patient BLOCK 0 CLAIM 10000000 STREAMS {keys}");
            send(&mut patient, &line);
            wait_until_blocked(&server, 1);
            let line = format!("XREADGROUP GROUP g alive BLOCK 0 CLAIM 20 STREAMS {keys}");
            send(&mut reader, &line);
            assert_eq!(claimed(&reader.reply()), (id.clone(), 1));
            assert_eq!(writer.ask(&format!("XACK s g {id}")), Value::Integer(1));
            // Nothing is pending now; the patient one is given what comes next.
            send(&mut reader, &line);
            wait_until_blocked(&server, 2);
            let id = format!("{}-2", round + 1);
            assert_eq!(writer.ask(&format!("XADD s {id} f v")), bulk(&id));
            assert_eq!(claimed(&patient.reply()), (id.clone(), 0));
            assert_eq!(claimed(&reader.reply()), (id.clone(), 1));
            // Delivered now, idle for long.
            send(
                &mut patient,
                &format!("XREADGROUP GROUP g patient BLOCK 0 CLAIM 10000000 STREAMS {keys}"),
            );
            wait_until_blocked(&server, 1);
            writer.ask(&format!("XCLAIM s g third 0 {id} IDLE 20000000"));
            assert_eq!(claimed(&patient.reply()).0, id);
            assert_eq!(writer.ask(&format!("XACK s g {id}")), Value::Integer(1));
        }
    }
}
