//! BACKUP on a disk that fails, at every step: it is said, what was there of it goes or is made whole by the next try, and the server
//! goes on as if nobody had asked for one.

use super::backup::{LOG, NO_LOG, error, is_empty, list, restore, rewrite, start, status};
use super::client::{Client, Value, bulk, ok};
use super::harness::eventually;
use super::mending::Faulty;

/// The backup that is under way fails with this in its error, and leaves nothing.
fn fails(faulty: &Faulty, client: &mut Client, with: &str) {
    eventually("it fails", || status(client, "state") == "failed");
    let reason = status(client, "error");
    assert!(reason.contains(with), "{reason}");
    let folder = faulty.server.dir.join("backupdir");
    eventually("its files go", || is_empty(&folder));
    assert!(list(client).is_empty());
    assert_eq!(client.ask("SET after 1"), ok());
}

/// SEAL is refused and may be asked for again; what it makes then is all there was.
fn is_sealed_by_the_second_try(faulty: &Faulty, fault: &str, threads: usize) {
    let mut client = faulty.server.client();
    start(&mut client);
    client.ask("SET within 1");
    faulty.begin(fault);
    let said = error(&mut client, "BACKUP SEAL");
    assert!(said.starts_with("ERR Can't seal the backup: "), "{said}");
    assert_eq!(status(&mut client, "state"), "incrementing");
    faulty.end(fault);
    client.ask("SET within 2");
    assert_eq!(client.ask("BACKUP SEAL"), ok(), "{}", faulty.server.log());
    let digest = client.ask("DEBUG DIGEST");
    let folder = faulty.server.dir.join("backupdir");
    let restored = restore(&list(&mut client), &folder, threads);
    let mut other = restored.client();
    assert_eq!(other.ask("GET within"), bulk("2"));
    assert_eq!(other.ask("DEBUG DIGEST"), digest);
    assert_eq!(client.ask("BACKUP CLEANUP"), ok());
    assert!(is_empty(&folder));
}

#[test]
fn a_base_that_cannot_be_had_is_the_end_of_a_backup() {
    let faulty = Faulty::start_with(2, LOG);
    let mut client = faulty.server.client();
    client.ask("SET before 1");
    for (fault, with) in [
        ("link", ".base.rdb: No space left"),
        ("base", "Input/output error"),
    ] {
        faulty.begin(fault);
        assert_eq!(client.ask("BACKUP START"), ok());
        fails(&faulty, &mut client, with);
        faulty.end(fault);
        is_sealed_by_the_second_try(&faulty, "unlock", 1);
    }
}

/// The log drops a segment that cannot get its second name: the backup ends, not the rewriting.
#[test]
fn a_segment_that_cannot_be_kept_is_the_end_of_a_backup() {
    let mut faulty = Faulty::start_with(2, LOG);
    let mut client = faulty.server.client();
    client.ask("MSET a 1 b 2 c 3 d 4 e 5");
    start(&mut client);
    client.ask("MSET a 2 b 3 c 4 d 5 e 6");
    faulty.begin("link");
    rewrite(&faulty.server, &mut client);
    fails(&faulty, &mut client, "No space left");
    faulty.end("link");
    assert_eq!(
        error(&mut client, "BACKUP SEAL"),
        "ERR No backup ready to seal (must be in the incrementing state)"
    );
    faulty.server.signal("KILL");
    faulty.server.wait_for_the_end();
    assert!(faulty.server.restart(3, LOG), "{}", faulty.server.log());
    assert_eq!(faulty.server.client().ask("GET e"), bulk("6"));
}

#[test]
fn a_seal_that_fails_may_be_asked_for_again() {
    let faulty = Faulty::start_with(2, LOG);
    for (fault, threads) in [("copy", 1), ("manifest", 2), ("unlock", 3)] {
        is_sealed_by_the_second_try(&faulty, fault, threads);
    }
    let faulty = Faulty::start_with(2, NO_LOG);
    for (fault, threads) in [("base", 1), ("manifest", 2), ("unlock", 3)] {
        is_sealed_by_the_second_try(&faulty, fault, threads);
    }
}

/// What SEAL waits for does not come to the disk: it is refused, and the log mends itself as it does without a backup.
#[test]
fn a_log_that_cannot_be_synced_is_not_sealed() {
    let faulty = Faulty::start_with(2, &[LOG, &["--appendfsync", "no"]].concat());
    let mut client = faulty.server.client();
    start(&mut client);
    client.ask("MSET a 2 b 3 c 4 d 5 e 6");
    faulty.begin("sync");
    assert!(matches!(client.ask("BACKUP SEAL"), Value::Error(_)));
    assert_eq!(client.ask("GET e"), bulk("6"));
    faulty.end("sync");
    eventually("writes are taken", || client.ask("SET within 1") == ok());
    // The logs have begun anew, so this backup can have no end.
    eventually("it can be given up", || {
        client.ask("BACKUP ABORT");
        status(&mut client, "state") == "failed"
    });
    is_sealed_by_the_second_try(&faulty, "copy", 2);
}
