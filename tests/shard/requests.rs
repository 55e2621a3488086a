//! Requests and transactions that meet on one shard.

use rondo::base::hash::KeyHasher;
use rondo::commands::table::Caller;
use rondo::commands::{CommandError, table};
use rondo::keyspace::{Keyspace, KeyspaceOptions};
use rondo::resp::args::OwnedArgs;
use rondo::router::{FromShard, KeyLock, LockMode, LockSet, Operation, Origin, Output, ToShard};
use rondo::shard::{Outcome, Request, Shard};

const SEED: u64 = 1;

fn shard() -> Shard {
    let mut shard = Shard::new(3, Keyspace::new(KeyspaceOptions::for_tests(SEED)));
    shard.set_now(1_700_000_000_000);
    shard
}

fn words(line: &str) -> OwnedArgs {
    line.split(' ').map(str::as_bytes).collect()
}

/// Sends a request on a connection; its reply, or `None` if it has to wait.
fn say(shard: &mut Shard, connection: u32, sequence: u64, line: &str) -> Option<String> {
    let owned = words(line);
    let args = owned.as_args();
    let request = Request {
        entry: table().resolve(&args).expect("a good command"),
        db: 0,
        caller: Caller::default(),
        origin: Origin {
            core: 7,
            connection,
            generation: 1,
            sequence,
        },
    };
    let mut reply = b"before".to_vec();
    let outcome = shard.execute(&request, &args, &mut reply);
    let reply = String::from_utf8(reply).expect("text");
    let reply = reply.strip_prefix("before").expect("what was there stays");
    match outcome {
        Outcome::Done => Some(reply.to_owned()),
        Outcome::Deferred => {
            assert_eq!(reply, "");
            None
        }
    }
}

fn lock(shard: &mut Shard, tx: u64, key: &str, mode: LockMode, read: Option<Operation>) {
    let hash = KeyHasher::with_seed(SEED).hash(key.as_bytes());
    let locks = LockSet::of_keys(tx, vec![KeyLock { hash, mode }]);
    shard.handle(ToShard::Schedule {
        tx,
        core: 2,
        locks,
        read,
    });
}

fn command(line: &str) -> Operation {
    let args = words(line);
    Operation::Command {
        entry: table().resolve(&args.as_args()).expect("a good command"),
        db: 0,
        caller: Caller::default(),
        args,
    }
}

/// What the shard has to say, a line each.
fn events(shard: &mut Shard) -> Vec<String> {
    let event = |shard: &mut Shard| {
        Some(match shard.next_event()? {
            (core, FromShard::Scheduled { tx, shard, granted }) => {
                format!("core {core}: {tx} on {shard} granted {granted}")
            }
            (core, FromShard::Seized { tx, whole, .. }) => {
                format!("core {core}: {tx} seized, whole {whole}")
            }
            (core, FromShard::Withdrawn { tx, .. }) => format!("core {core}: {tx} withdrawn"),
            (core, FromShard::Wounded { tx }) => format!("core {core}: {tx} wounded"),
            (core, FromShard::Busy { tx, is_function }) => {
                format!("core {core}: {tx} waits for a script, function {is_function}")
            }
            (core, FromShard::TurnedAway { tx, .. }) => format!("core {core}: {tx} turned away"),
            (core, FromShard::Ran { tx, output, .. }) => match output {
                Output::Reply(reply) => {
                    format!(
                        "core {core}: {tx} ran {:?}",
                        String::from_utf8_lossy(&reply)
                    )
                }
                _ => format!("core {core}: {tx} ran"),
            },
            (core, FromShard::Slow { calls, .. }) => {
                format!("core {core}: {} slow calls", calls.len())
            }
            (core, FromShard::Served { id, reply, .. }) => format!(
                "core {core}: waiter {id} served {:?}",
                String::from_utf8_lossy(&reply)
            ),
            (core, FromShard::Ask { id, .. }) => format!("core {core}: waiter {id} asks"),
            (core, FromShard::Part { origin, .. }) => {
                format!("core {core}: a part for connection {}", origin.connection)
            }
            (core, FromShard::NeedsMemory) => format!("core {core}: memory is short"),
            (core, FromShard::Late { origin, reply, .. }) => format!(
                "core {core}: connection {} request {} late {:?}",
                origin.connection,
                origin.sequence,
                String::from_utf8_lossy(&reply)
            ),
        })
    };
    std::iter::from_fn(|| event(shard)).collect()
}

#[test]
fn a_request_runs_at_once_unless_its_key_is_locked() {
    let mut shard = shard();
    assert_eq!(say(&mut shard, 1, 0, "SET a 1").as_deref(), Some("+OK\r\n"));
    lock(&mut shard, 5, "a", LockMode::Shared, None);
    assert_eq!(events(&mut shard), ["core 2: 5 on 3 granted true"]);
    assert_eq!(
        say(&mut shard, 1, 1, "GET a").as_deref(),
        Some("$1\r\n1\r\n")
    );
    assert_eq!(say(&mut shard, 1, 2, "SET b 2").as_deref(), Some("+OK\r\n"));
    assert_eq!(say(&mut shard, 2, 3, "SET a 3"), None);
    // What comes for the key after a request that waits, waits behind it, reads as well.
    assert_eq!(say(&mut shard, 3, 4, "GET a"), None);
    assert_eq!(shard.deferred_count(), 2);
    shard.handle(ToShard::Release { tx: 5 });
    assert_eq!(
        events(&mut shard),
        [
            "core 7: connection 2 request 3 late \"+OK\\r\\n\"",
            "core 7: connection 3 request 4 late \"$1\\r\\n3\\r\\n\"",
        ]
    );
    assert!(shard.is_quiet());
}

#[test]
fn a_connection_that_waits_is_not_overtaken_by_itself() {
    let mut shard = shard();
    lock(&mut shard, 5, "a", LockMode::Exclusive, None);
    assert_eq!(say(&mut shard, 1, 0, "SET a 1"), None);
    assert_eq!(say(&mut shard, 1, 1, "SET b 1"), None);
    assert_eq!(say(&mut shard, 2, 2, "GET c").as_deref(), Some("$-1\r\n"));
    events(&mut shard);
    shard.handle(ToShard::Release { tx: 5 });
    assert_eq!(
        events(&mut shard),
        [
            "core 7: connection 1 request 0 late \"+OK\\r\\n\"",
            "core 7: connection 1 request 1 late \"+OK\\r\\n\"",
        ]
    );
}

#[test]
fn what_a_transaction_reads_is_read_when_it_is_granted() {
    let mut shard = shard();
    lock(&mut shard, 5, "a", LockMode::Exclusive, None);
    lock(
        &mut shard,
        6,
        "a",
        LockMode::Shared,
        Some(command("MGET a")),
    );
    assert_eq!(events(&mut shard), ["core 2: 5 on 3 granted true"]);
    shard.handle(ToShard::Run {
        tx: 5,
        core: 2,
        operation: command("MSET a 1"),
        last: true,
    });
    assert_eq!(
        events(&mut shard),
        [
            "core 2: 5 ran \"+OK\\r\\n\"",
            "core 2: 6 ran \"*1\\r\\n$1\\r\\n1\\r\\n\"",
        ]
    );
    shard.handle(ToShard::Release { tx: 6 });
    assert!(shard.is_quiet());
}

#[test]
fn who_comes_late_is_told_so_and_leaves_nothing() {
    let mut shard = shard();
    lock(&mut shard, 5, "a", LockMode::Exclusive, None);
    lock(
        &mut shard,
        4,
        "a",
        LockMode::Shared,
        Some(command("MGET a")),
    );
    assert_eq!(
        events(&mut shard),
        [
            "core 2: 5 on 3 granted true",
            "core 2: 4 on 3 granted false",
        ]
    );
    shard.handle(ToShard::Release { tx: 5 });
    assert!(shard.is_quiet());
}

#[test]
fn a_transaction_that_gives_up_while_it_waits_leaves_nothing() {
    let mut shard = shard();
    lock(&mut shard, 5, "a", LockMode::Exclusive, None);
    lock(&mut shard, 6, "a", LockMode::Exclusive, None);
    shard.handle(ToShard::Release { tx: 6 });
    shard.handle(ToShard::Release { tx: 6 });
    shard.handle(ToShard::Release { tx: 5 });
    assert_eq!(events(&mut shard), ["core 2: 5 on 3 granted true"]);
    assert!(shard.is_quiet());
}

#[test]
fn errors_replace_what_was_written_and_are_counted() {
    let mut shard = shard();
    say(&mut shard, 1, 0, "SET a x");
    let reply = say(&mut shard, 1, 1, "INCR a");
    let expected = "-ERR value is not an integer or out of range\r\n";
    assert_eq!(reply.as_deref(), Some(expected));
    let incr = table().find(b"incr").expect("a command").index;
    assert_eq!(shard.figures()[usize::from(incr)].failed_count, 1);
    let errors: Vec<_> = shard.error_counts().iter().collect();
    assert_eq!(errors, [("ERR", 1)]);
    assert_eq!(shard.changes_count(), 1);
}

/// Requests are answered, coordinators told once; what runs here as a whole goes only if it has not run.
#[test]
fn who_waits_for_a_long_script_is_turned_away() {
    let mut shard = shard();
    let busy = CommandError::from("BUSY wait no more");
    lock(&mut shard, 5, "a", LockMode::Exclusive, None);
    lock(&mut shard, 6, "b", LockMode::Exclusive, None);
    lock(&mut shard, 7, "a", LockMode::Shared, None);
    assert_eq!(say(&mut shard, 1, 1, "GET a"), None);
    assert_eq!(say(&mut shard, 1, 2, "GET c"), None); // Behind the one before it.
    assert_eq!(say(&mut shard, 2, 1, "GET b"), None);
    events(&mut shard);
    shard.turn_away(5, true, &busy);
    assert_eq!(
        events(&mut shard),
        [
            "core 2: 7 waits for a script, function true",
            "core 7: connection 1 request 1 late \"-BUSY wait no more\\r\\n\"",
            "core 7: connection 1 request 2 late \"$-1\\r\\n\"",
        ]
    );
    shard.turn_away(5, true, &busy);
    assert!(events(&mut shard).is_empty());
    shard.handle(ToShard::Release { tx: 7 });
    // A whole one that waits, and one that has run before it could be turned away.
    for tx in [8, 9] {
        let hash = KeyHasher::with_seed(SEED).hash(b"a");
        let mode = LockMode::Exclusive;
        shard.handle(ToShard::RunWhole {
            tx,
            core: 2,
            locks: LockSet::of_keys(tx, vec![KeyLock { hash, mode }]),
            operation: command("APPEND a x"),
        });
    }
    let is_function = false;
    shard.handle(ToShard::TurnAway { tx: 8, is_function });
    assert_eq!(events(&mut shard), ["core 2: 8 turned away"]);
    shard.handle(ToShard::Release { tx: 5 });
    assert_eq!(events(&mut shard), ["core 2: 9 ran \":1\\r\\n\""]);
    shard.handle(ToShard::TurnAway { tx: 9, is_function });
    assert!(events(&mut shard).is_empty());
    shard.handle(ToShard::Release { tx: 6 });
    events(&mut shard);
    assert!(shard.is_quiet());
}

/// What a script calls is run with the locks that it wants, where nobody is in the way; where somebody is it is not, and
/// its coordinator, which is told so, asks again.
#[test]
fn a_call_runs_with_its_locks_unless_somebody_is_in_the_way() {
    let mut shard = shard();
    let seize = |tx, key: &str, line| {
        let hash = KeyHasher::with_seed(SEED).hash(key.as_bytes());
        let mode = LockMode::Exclusive;
        ToShard::Seize {
            tx,
            core: 2,
            locks: LockSet::of_keys(0, vec![KeyLock { hash, mode }]),
            then: Some(command(line)),
        }
    };
    shard.handle(seize(8, "a", "INCR a"));
    assert_eq!(
        events(&mut shard),
        [
            "core 2: 8 seized, whole false",
            "core 2: 8 ran \":1\\r\\n\""
        ]
    );
    lock(&mut shard, 9, "b", LockMode::Exclusive, None);
    assert_eq!(events(&mut shard), ["core 2: 9 on 3 granted true"]);
    shard.handle(seize(8, "b", "INCR b"));
    assert_eq!(events(&mut shard), ["core 0: 9 wounded"]);
    shard.handle(ToShard::Release { tx: 9 });
    assert_eq!(events(&mut shard), ["core 2: 8 seized, whole true"]);
    shard.handle(ToShard::Release { tx: 8 });
    assert_eq!(
        say(&mut shard, 1, 1, "MGET a b").as_deref(),
        Some("*2\r\n$1\r\n1\r\n$-1\r\n")
    );
    assert!(shard.is_quiet());
}
