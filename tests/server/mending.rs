//! Disks that fail and disks that are full: writes are refused, reads served, nothing acknowledged is lost, and when the disk
//! takes writes again so does the server.

use super::client::{Client, Value, bulk, ok};
use super::harness::{Server, eventually};
use std::path::PathBuf;

/// A server whose disk fails as the test says.
pub(super) struct Faulty {
    pub(super) server: Server,
    faults: PathBuf,
}

const OPTIONS: &[&str] = &["--appendonly", "yes", "--enable-debug-command", "local"];

impl Faulty {
    pub(super) fn start(threads: usize, policy: &str) -> Self {
        Self::start_with(threads, &[OPTIONS, &["--appendfsync", policy]].concat())
    }

    pub(super) fn start_with(threads: usize, options: &[&str]) -> Self {
        let server = Server::start(threads, options);
        let faults = server.dir.join("faults");
        std::fs::create_dir(&faults).expect("a new folder");
        Self { server, faults }
    }

    pub(super) fn begin(&self, fault: &str) {
        std::fs::write(self.faults.join(fault), "").expect("a file in its folder");
    }

    pub(super) fn end(&self, fault: &str) {
        std::fs::remove_file(self.faults.join(fault)).expect("it was there");
    }
}

fn is_refused(client: &mut Client) -> bool {
    let reply = client.ask("SET probe 1");
    match reply {
        Value::Error(text) => {
            assert!(
                text.starts_with("MISCONF Errors writing to the AOF file: "),
                "{text}"
            );
            true
        }
        other => {
            assert_eq!(other, ok());
            false
        }
    }
}

fn status(server: &Server, what: &str) -> String {
    server.info("persistence", what)
}

/// A rewriting has failed where the log before cannot be gone on with: it would wait for the disk, and SAVE and SHUTDOWN for it.
#[test]
fn a_rewriting_does_not_wait_for_a_log_that_cannot_be_written() {
    for threads in [1, 2] {
        let faulty = Faulty::start(threads, "everysec");
        let mut client = faulty.server.client();
        for number in 0..20 {
            assert_eq!(client.ask(&format!("SET k{number} v")), ok());
        }
        faulty.begin("write");
        eventually("writes are refused", || is_refused(&mut client));
        client.ask("BGREWRITEAOF");
        eventually("it has failed", || {
            status(&faulty.server, "aof_last_bgrewrite_status") == "err"
                && status(&faulty.server, "aof_rewrite_in_progress") == "0"
        });
        assert_eq!(client.ask("SAVE"), ok());
        faulty.end("write");
        eventually("writes are taken", || !is_refused(&mut client));
        eventually("another one succeeds", || {
            client.ask("BGREWRITEAOF");
            status(&faulty.server, "aof_last_bgrewrite_status") == "ok"
        });
    }
}

/// As long as there is room for any segment at all, writes are taken, and all of them are there after a kill.
#[test]
fn a_nearly_full_disk_takes_writes_in_small_segments() {
    let mut faulty = Faulty::start(1, "always");
    let mut client = faulty.server.client();
    faulty.begin("nearly-full");
    let value = "v".repeat(30_000);
    // More than the first segment of the usual size has room for.
    for number in 1..=1_300 {
        let reply = client.ask(&format!("SET key{number} {value}{number}"));
        assert_eq!(reply, ok(), "{number}");
    }
    assert_eq!(status(&faulty.server, "aof_last_write_status"), "ok");
    faulty.server.signal("KILL");
    assert!(faulty.server.restart(2, OPTIONS), "{}", faulty.server.log());
    let mut client = faulty.server.client();
    assert_eq!(client.ask("DBSIZE"), Value::Integer(1_300));
    assert_eq!(client.ask("GETRANGE key1300 29998 -1"), bulk("vv1300"));
}

/// At the limit of tasks the kernel gives writes and syncs back: a thread that has begun before does them, in their places.
#[test]
fn a_log_is_written_where_the_kernel_can_begin_no_worker() {
    for (threads, policy) in [(1, "everysec"), (2, "always"), (7, "always")] {
        let mut faulty = Faulty::start(threads, policy);
        let mut client = faulty.server.client();
        assert_eq!(client.ask("SET before 1"), ok());
        faulty.begin("worker");
        for number in 0..200 {
            assert_eq!(client.ask(&format!("SET key{number} {number}")), ok());
        }
        // More than one write of the kernel's.
        let large = vec![b'v'; 3 << 20];
        assert_eq!(client.run(&[b"SET", b"large", &large]), ok());
        let synced = client.ask("WAITAOF 1 0 0");
        assert_eq!(synced.items(), [Value::Integer(1), Value::Integer(0)]);
        assert_eq!(status(&faulty.server, "aof_last_write_status"), "ok");
        let told = |line: &str| faulty.server.log().matches(line).count();
        let count = told("the kernel can begin no worker");
        assert!((1..=threads).contains(&count), "{count} lines");
        let digest = client.ask("DEBUG DIGEST");
        faulty.server.signal("KILL");
        assert!(faulty.server.restart(2, OPTIONS), "{}", faulty.server.log());
        assert_eq!(faulty.server.client().ask("DEBUG DIGEST"), digest);
    }
}

/// When the kernel has workers again they are asked again, and that is said, once each.
#[test]
fn workers_that_are_there_again_write_the_log() {
    let faulty = Faulty::start(1, "everysec");
    let mut client = faulty.server.client();
    let told = |line: &str| faulty.server.log().matches(line).count();
    faulty.begin("worker");
    eventually("the kernel has none", || {
        client.ask("INCR count");
        told("the kernel can begin no worker") > 0
    });
    faulty.end("worker");
    eventually("the kernel has some", || {
        client.ask("INCR count");
        told("the kernel begins workers") > 0
    });
    let synced = client.ask("WAITAOF 1 0 0");
    assert_eq!(synced.items(), [Value::Integer(1), Value::Integer(0)]);
    assert_eq!(told("the kernel can begin no worker"), 1);
    assert_eq!(told("the kernel begins workers"), 1);
}

/// Logs that take the place of a broken one are written by the same thread.
#[test]
fn a_broken_log_mends_itself_without_workers() {
    let mut faulty = Faulty::start(2, "everysec");
    let mut client = faulty.server.client();
    faulty.begin("worker");
    assert_eq!(client.ask("MSET a 1 b 2 c 3"), ok());
    faulty.begin("sync");
    eventually("writes are refused", || is_refused(&mut client));
    faulty.end("sync");
    eventually("writes are taken", || !is_refused(&mut client));
    assert_eq!(client.ask("MSET d 4 e 5 f 6"), ok());
    let synced = client.ask("WAITAOF 1 0 0");
    assert_eq!(synced.items(), [Value::Integer(1), Value::Integer(0)]);
    faulty.server.signal("KILL");
    assert!(faulty.server.restart(1, OPTIONS), "{}", faulty.server.log());
    let all = Value::Array(["1", "2", "3", "4", "5", "6"].map(bulk).to_vec());
    assert_eq!(faulty.server.client().ask("MGET a b c d e f"), all);
}

/// The sync fails, so what was written is not trusted: all keys go into a new base, and only with that are writes taken again.
#[test]
fn a_failed_sync_mends_itself_once_the_disk_takes_writes() {
    for threads in [1, 3] {
        let mut faulty = Faulty::start(threads, "everysec");
        let mut client = faulty.server.client();
        assert_eq!(client.ask("MSET a 1 b 2 c 3 d 4 e 5"), ok());
        // Bases that cannot be put in force keep it from mending.
        faulty.begin("manifest");
        faulty.begin("sync");
        eventually("writes are refused", || is_refused(&mut client));
        faulty.end("sync");
        assert_eq!(client.ask("GET c"), bulk("3"));
        assert_eq!(status(&faulty.server, "aof_last_write_status"), "err");
        eventually("a base is tried", || {
            status(&faulty.server, "aof_last_bgrewrite_status") == "err"
        });
        assert!(is_refused(&mut client), "its base is not in force");
        faulty.end("manifest");
        eventually("writes are taken", || !is_refused(&mut client));
        eventually("all is well", || {
            status(&faulty.server, "aof_last_write_status") == "ok"
                && status(&faulty.server, "aof_last_bgrewrite_status") == "ok"
        });
        assert_eq!(client.ask("SET after 6"), ok());
        assert_eq!(
            client.ask("WAITAOF 1 0 0"),
            Value::Array(vec![Value::Integer(1), Value::Integer(0)])
        );
        let digest = client.ask("DEBUG DIGEST");
        faulty.server.signal("KILL");
        assert!(faulty.server.restart(2, OPTIONS), "{}", faulty.server.log());
        let mut client = faulty.server.client();
        assert_eq!(client.ask("DEBUG DIGEST"), digest);
    }
}

/// Until then the logs of before are all that counts.
#[test]
fn a_kill_while_it_mends_loses_nothing_that_was_durable() {
    let mut faulty = Faulty::start(2, "everysec");
    let mut client = faulty.server.client();
    assert_eq!(client.ask("MSET a 1 b 2 c 3"), ok());
    assert_eq!(
        client.ask("WAITAOF 1 0 0"),
        Value::Array(vec![Value::Integer(1), Value::Integer(0)])
    );
    faulty.begin("manifest");
    faulty.begin("sync");
    eventually("writes are refused", || is_refused(&mut client));
    faulty.end("sync");
    eventually("a base is tried", || {
        status(&faulty.server, "aof_last_bgrewrite_status") == "err"
    });
    faulty.server.signal("KILL");
    assert!(faulty.server.restart(2, OPTIONS), "{}", faulty.server.log());
    let mut client = faulty.server.client();
    let all = Value::Array(["1", "2", "3"].map(bulk).to_vec());
    assert_eq!(client.ask("MGET a b c"), all);
}

/// With `always` whoever waited for the disk is answered when the new base is in force.
#[test]
fn what_waited_for_a_broken_log_is_answered_with_the_new_base() {
    let mut faulty = Faulty::start(2, "everysec");
    let mut client = faulty.server.client();
    let mut other = faulty.server.client();
    faulty.begin("manifest");
    faulty.begin("sync");
    // Written with `everysec`; from then on it is revealed to nobody before it is durable.
    assert_eq!(client.ask("SET a 1"), ok());
    assert_eq!(client.ask("CONFIG SET appendfsync always"), ok());
    client.send(b"SET b 1\r\n");
    // A write that is taken before the failure is known would wait for the new base too.
    eventually("the log fails", || {
        status(&faulty.server, "aof_last_write_status") == "err"
    });
    faulty.end("sync");
    eventually("a base is tried", || {
        status(&faulty.server, "aof_last_bgrewrite_status") == "err"
    });
    faulty.end("manifest");
    let reply = client.reply();
    let is_taken = reply == ok();
    assert!(is_taken || matches!(reply, Value::Error(_)), "{reply:?}");
    eventually("writes are taken", || !is_refused(&mut other));
    assert_eq!(other.ask("SET c 1"), ok());
    faulty.server.signal("KILL");
    assert!(faulty.server.restart(2, OPTIONS), "{}", faulty.server.log());
    let mut client = faulty.server.client();
    assert_eq!(client.ask("GET c"), bulk("1"));
    let expected = if is_taken { bulk("1") } else { Value::Null };
    assert_eq!(client.ask("GET b"), expected);
}

/// No room for a segment: as soon as there is some, what waits is written and writes are taken again.
#[test]
fn a_full_disk_refuses_writes_until_there_is_room() {
    let mut faulty = Faulty::start(1, "always");
    let mut client = faulty.server.client();
    assert_eq!(client.ask("SET a 1"), ok());
    faulty.begin("segment");
    faulty.begin("write");
    // This write fails and finds no segment to go to: it is answered when it is durable.
    let mut writer = faulty.server.client();
    writer.send(b"SET b 2\r\n");
    eventually("the log fails", || {
        status(&faulty.server, "aof_last_write_status") == "err"
    });
    assert!(is_refused(&mut client));
    assert_eq!(client.ask("GET a"), bulk("1"));
    // What reveals nothing of any key waits for nothing; what counts keys waits for all of them.
    assert!(client.ask("PING").text().starts_with("MISCONF "));
    assert_eq!(client.ask("ECHO here"), bulk("here"));
    let mut counting = faulty.server.client();
    counting.send(b"DBSIZE\r\n");
    faulty.end("write");
    faulty.end("segment");
    assert_eq!(writer.reply(), ok());
    assert_eq!(counting.reply(), Value::Integer(2));
    eventually("writes are taken", || !is_refused(&mut client));
    assert_eq!(status(&faulty.server, "aof_last_write_status"), "ok");
    assert_eq!(client.ask("SET c 3"), ok());
    // What went wrong before is no reason not to rewrite the log now.
    client.ask("BGREWRITEAOF");
    eventually("a rewriting has ended", || {
        faulty.server.rewrites_ended() == 1
            || status(&faulty.server, "aof_last_bgrewrite_status") == "err"
    });
    assert_eq!(status(&faulty.server, "aof_last_bgrewrite_status"), "ok");
    faulty.server.signal("KILL");
    assert!(faulty.server.restart(1, OPTIONS), "{}", faulty.server.log());
    let mut client = faulty.server.client();
    let all = Value::Array(["1", "2", "3"].map(bulk).to_vec());
    assert_eq!(client.ask("MGET a b c"), all);
}

/// Some sandboxes say of what they forbid that the kernel does not have it: segments are made without room of their own.
#[test]
fn a_sandbox_without_fallocate_has_a_log() {
    let mut faulty = Faulty::start(1, "always");
    let mut client = faulty.server.client();
    assert_eq!(client.ask("SET a 1"), ok());
    faulty.begin("fallocate");
    client.ask("BGREWRITEAOF");
    eventually("it has ended", || {
        faulty.server.rewrites_ended() == 1
            || status(&faulty.server, "aof_last_bgrewrite_status") == "err"
    });
    assert_eq!(status(&faulty.server, "aof_last_bgrewrite_status"), "ok");
    assert_eq!(client.ask("SET b 2"), ok());
    faulty.server.signal("KILL");
    assert!(faulty.server.restart(1, OPTIONS), "{}", faulty.server.log());
    let mut client = faulty.server.client();
    let both = Value::Array(["1", "2"].map(bulk).to_vec());
    assert_eq!(client.ask("MGET a b"), both);
}

/// After a sealed segment comes another, whatever becomes of the tries to make it anew.
#[test]
fn a_segment_that_cannot_be_made_again_is_not_missing() {
    let mut faulty = Faulty::start(1, "always");
    let mut client = faulty.server.client();
    assert_eq!(client.ask("SET a 1"), ok());
    client.ask("BGREWRITEAOF");
    eventually("it has ended", || faulty.server.rewrites_ended() == 1);
    assert_eq!(client.ask("SET b 2"), ok());
    faulty.begin("segment");
    faulty.begin("write");
    client.send(b"SET c 3\r\n");
    eventually("a segment is tried", || {
        faulty.server.log().contains("cannot make a segment")
    });
    faulty.server.signal("KILL");
    faulty.end("segment");
    faulty.end("write");
    assert!(faulty.server.restart(1, OPTIONS), "{}", faulty.server.log());
    let mut client = faulty.server.client();
    let both = Value::Array(["1", "2"].map(bulk).to_vec());
    assert_eq!(client.ask("MGET a b"), both);
}

/// A rewriting that waits for a segment of a log that breaks meanwhile ends, and the next one mends it.
#[test]
fn a_rewriting_of_a_log_that_breaks_ends() {
    let faulty = Faulty::start(1, "everysec");
    let mut client = faulty.server.client();
    assert_eq!(client.ask("SET a 1"), ok());
    faulty.begin("segment");
    client.ask("BGREWRITEAOF");
    eventually("it fails", || {
        status(&faulty.server, "aof_last_bgrewrite_status") == "err"
    });
    faulty.begin("sync");
    client.ask("SET a 2");
    client.ask("BGREWRITEAOF");
    eventually("writes are refused", || is_refused(&mut client));
    faulty.end("sync");
    faulty.end("segment");
    eventually("writes are taken", || !is_refused(&mut client));
    assert_eq!(client.ask("GET a").text().len(), 1);
}

/// What clients have been told is in the log when the process ends, if the disk takes it within the time there is.
#[test]
fn the_end_waits_for_a_disk_that_fails() {
    let mut faulty = Faulty::start(1, "everysec");
    let mut client = faulty.server.client();
    faulty.begin("stall");
    assert_eq!(client.ask("SET a 1"), ok());
    client.send(b"SHUTDOWN NOSAVE\r\n");
    eventually("it is about to end", || {
        faulty.server.log().contains("User requested shutdown")
    });
    // Nobody knew of a disk that fails when it was asked to end.
    faulty.begin("segment");
    faulty.begin("write");
    faulty.end("stall");
    eventually("a write fails", || {
        let log = faulty.server.log();
        log.contains("a write to the append-only log failed")
    });
    assert!(faulty.server.is_running());
    faulty.end("segment");
    faulty.end("write");
    let code = faulty.server.wait_for_the_end().code();
    assert_eq!(code, Some(0), "{}", faulty.server.log());
    assert!(faulty.server.restart(1, OPTIONS), "{}", faulty.server.log());
    assert_eq!(faulty.server.client().ask("GET a"), bulk("1"));
}

/// Replies that wait for the disk come, whatever the policy is by then.
#[test]
fn replies_that_wait_for_the_disk_come_with_another_policy() {
    for policy in ["no", "everysec"] {
        let faulty = Faulty::start(2, "always");
        let server = &faulty.server;
        faulty.begin("stall");
        let mut clients: Vec<Client> = (0..8).map(|_| server.client()).collect();
        for (index, client) in clients.iter_mut().enumerate() {
            client.send(format!("SET key{index} 1\r\n").as_bytes());
        }
        let mut other = server.client();
        assert_eq!(other.ask(&format!("CONFIG SET appendfsync {policy}")), ok());
        faulty.end("stall");
        for client in &mut clients {
            assert_eq!(client.reply(), ok());
        }
    }
}
