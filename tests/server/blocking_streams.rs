//! Clients that wait for entries of streams.

use super::client::{Client, Value, bulk, error, request};
use super::harness::{ALWAYS, Server, eventually};

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

/// Streams that lie on several shards wherever there are some.
const STREAMS: [&str; 4] = ["a", "b", "c", "d"];

/// Makes each of them, with these groups.
fn create_groups(writer: &mut Client, groups: &[&str]) {
    for key in STREAMS {
        for group in groups {
            let created = writer.ask(&format!("XGROUP CREATE {key} {group} $ MKSTREAM"));
            assert_eq!(created, super::client::ok());
        }
    }
}

/// Adds an entry to all streams: as a block, as a script that declares its keys, and as one that does not, by turns.
fn add_to_all(writer: &mut Client, turn: usize, id: &str) {
    let text = "for _, key in ipairs(#KEYS > 0 and KEYS or {'a', 'b', 'c', 'd'}) do \
        redis.call('XADD', key, ARGV[1], 'field', 'value') end return 1";
    let words = match turn % 3 {
        0 => {
            assert_eq!(writer.ask("MULTI"), super::client::ok());
            // Not in the order in which they are read.
            for key in ["c", "a", "d", "b"] {
                let queued = writer.ask(&format!("XADD {key} {id} field value"));
                assert_eq!(queued, Value::Simple("QUEUED".to_string()));
            }
            let ids = vec![bulk(id); STREAMS.len()];
            return assert_eq!(writer.ask("EXEC"), Value::Array(ids));
        }
        1 => vec!["EVAL", text, "4", "c", "a", "d", "b", id],
        _ => vec!["EVAL", text, "0", id],
    };
    let words: Vec<&[u8]> = words.into_iter().map(str::as_bytes).collect();
    assert_eq!(writer.run(&words), Value::Integer(1));
}

/// What a reader is given of streams that each have this one entry.
///
/// - `claims`: it has said CLAIM.
fn streams_with(keys: &[&str], id: &str, claims: bool) -> Value {
    let stream = |key: &&str| {
        let mut entry = vec![bulk(id), Value::Array(vec![bulk("field"), bulk("value")])];
        if claims {
            entry.extend([Value::Integer(0), Value::Integer(0)]);
        }
        Value::Array(vec![bulk(key), Value::Array(vec![Value::Array(entry)])])
    };
    Value::Array(keys.iter().map(stream).collect())
}

/// Servers of one shard and of several, with a log and without.
fn each_server(check: impl Fn(&Server)) {
    for (threads, options) in [(1, &[][..]), (4, &[]), (4, ALWAYS)] {
        check(&Server::start(threads, options));
    }
}

/// Who waits for streams of several shards is woken by a block or a script that adds to several of them, and given all that this
/// has added to his, whichever shard was the first to know, and nothing of what came before he did.
#[test]
fn readers_see_a_transaction_over_several_streams_whole() {
    each_server(|server| {
        let mut writer = server.client();
        create_groups(&mut writer, &["g", "h", "i"]);
        for key in STREAMS {
            writer.ask(&format!("XADD {key} 0-1 field value"));
        }
        for group in ["g", "h", "i"] {
            let words = format!("XREADGROUP GROUP {group} c NOACK STREAMS a b c d > > > >");
            assert_eq!(writer.ask(&words), streams_with(&STREAMS, "0-1", false));
        }
        let lines = [
            ("XREAD BLOCK 0 STREAMS a b c d $ $ $ $", &STREAMS[..], false),
            ("XREAD BLOCK 0 STREAMS d none a $ $ $", &["d", "a"], false),
            (
                "XREADGROUP GROUP g c BLOCK 0 STREAMS a b c d > > > >",
                &STREAMS,
                false,
            ),
            (
                "XREADGROUP GROUP h c BLOCK 0 CLAIM 10000000 STREAMS d c b a > > > >",
                &["d", "c", "b", "a"],
                true,
            ),
            (
                "XREADGROUP GROUP i c COUNT 5 BLOCK 0 NOACK STREAMS b c > >",
                &["b", "c"],
                false,
            ),
        ];
        let mut readers: Vec<Client> = lines.iter().map(|_| server.client()).collect();
        for turn in 0..12 {
            for (reader, (line, ..)) in readers.iter_mut().zip(lines) {
                send(reader, line);
            }
            wait_until_blocked(server, lines.len() as i64);
            let id = format!("{}-0", turn + 1);
            add_to_all(&mut writer, turn, &id);
            for (reader, (line, keys, claims)) in readers.iter_mut().zip(lines) {
                assert_eq!(reader.reply(), streams_with(keys, &id, claims), "{line}");
            }
        }
        wait_until_blocked(server, 0);
        let pending = Value::Array(vec![Value::Integer(12), bulk("1-0"), bulk("12-0")]);
        for key in STREAMS {
            let summary = writer.ask(&format!("XPENDING {key} g"));
            assert_eq!(Value::Array(summary.items()[..3].to_vec()), pending);
        }
    });
}

/// Of two readers of a group who wait for the same streams, the one that has waited longer is given all of a block; who waits on is
/// the first then.
#[test]
fn a_transaction_goes_to_one_reader_of_a_group() {
    each_server(|server| {
        let mut writer = server.client();
        create_groups(&mut writer, &["g"]);
        let mut readers: Vec<Client> = (0..2).map(|_| server.client()).collect();
        let wait = |reader: &mut Client, name: usize, waiting_count| {
            let keys = ["a b c d", "d c b a"][name];
            let line = format!("XREADGROUP GROUP g c{name} BLOCK 0 STREAMS {keys} > > > >");
            send(reader, &line);
            wait_until_blocked(server, waiting_count);
        };
        wait(&mut readers[0], 0, 1);
        wait(&mut readers[1], 1, 2);
        for turn in 0..12 {
            let id = format!("{}-0", turn + 1);
            add_to_all(&mut writer, turn, &id);
            let name = turn % 2;
            let mut keys = STREAMS;
            if name == 1 {
                keys.reverse();
            }
            assert_eq!(readers[name].reply(), streams_with(&keys, &id, false));
            wait_until_blocked(server, 1);
            wait(&mut readers[name], name, 2);
        }
    });
}

/// A block adds to one stream and takes the group of another away: who waits for both is told of the group, and has been given
/// nothing.
#[test]
fn a_group_that_goes_with_a_transaction_keeps_its_readers_from_the_rest() {
    each_server(|server| {
        let mut writer = server.client();
        for last in ["XGROUP DESTROY b g", "DEL b", "SET b text"] {
            create_groups(&mut writer, &["g"]);
            let mut reader = server.client();
            send(
                &mut reader,
                "XREADGROUP GROUP g me BLOCK 0 STREAMS a b c > > >",
            );
            wait_until_blocked(server, 1);
            for line in ["MULTI", "XADD a 1-0 f v", last, "XADD c 1-0 f v", "EXEC"] {
                writer.ask(line);
            }
            let refusal = match last {
                "SET b text" => "WRONGTYPE Operation against a key holding the wrong kind of value",
                _ => {
                    "NOGROUP No such key 'b' or consumer group 'g' in XREADGROUP with GROUP option"
                }
            };
            assert_eq!(reader.reply(), error(refusal), "{last}");
            for key in ["a", "c"] {
                let pending = writer.ask(&format!("XPENDING {key} g"));
                assert_eq!(pending.items()[0], Value::Integer(0), "{last}");
            }
            assert_eq!(
                writer.ask("DEL a b c d").integer(),
                if last == "DEL b" { 3 } else { 4 }
            );
        }
    });
}
