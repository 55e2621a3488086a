//! Blocks whose keys are all on one shard, as one request.

use rondo::base::hash::KeyHasher;
use rondo::commands::table;
use rondo::commands::table::Caller;
use rondo::keyspace::{Keyspace, KeyspaceOptions};
use rondo::resp::args::OwnedArgs;
use rondo::router::packed::Packed;
use rondo::router::{FromShard, KeyLock, LockMode, LockSet, Operation, Origin, ToShard};
use rondo::shard::{Outcome, Request, Shard};

const SEED: u64 = 1;

fn shard() -> Shard {
    let mut shard = Shard::new(3, Keyspace::new(KeyspaceOptions::for_tests(SEED)));
    shard.set_now(1_700_000_000_000);
    shard
}

fn request(name: &str, connection: u32) -> Request {
    Request {
        entry: table().find(name.as_bytes()).expect("a good command"),
        db: 0,
        caller: Caller::default(),
        origin: Origin {
            core: 7,
            connection,
            generation: 1,
            sequence: 5,
        },
    }
}

/// Its reply, or `None` if it has to wait.
fn exec(shard: &mut Shard, connection: u32, lines: &[&str]) -> Option<String> {
    let mut packed = Packed::default();
    for line in lines {
        let words: OwnedArgs = line.split(' ').map(str::as_bytes).collect();
        let args = words.as_args();
        let entry = table().resolve(&args).expect("a good command");
        packed.push(entry, &args, Some(3));
    }
    let mut ran = Vec::new();
    let mut reply = b"before".to_vec();
    let outcome = shard.execute_block(
        &request("EXEC", connection),
        packed.steps(),
        &mut reply,
        |_, step, bytes| ran.push((step.entry.command.name, bytes)),
    );
    let text = String::from_utf8(reply).expect("text");
    let text = text.strip_prefix("before").expect("what was there stays");
    match outcome {
        Outcome::Done => {
            assert_eq!(ran.len(), lines.len());
            Some(text.to_owned())
        }
        Outcome::Deferred => {
            assert_eq!((text, ran.len()), ("", 0));
            None
        }
    }
}

fn say(shard: &mut Shard, connection: u32, line: &str) -> Option<String> {
    let words: OwnedArgs = line.split(' ').map(str::as_bytes).collect();
    let args = words.as_args();
    let request = request(args_name(line), connection);
    let mut reply = Vec::new();
    let outcome = shard.execute(&request, &args, &mut reply);
    (outcome == Outcome::Done).then(|| String::from_utf8(reply).expect("text"))
}

fn args_name(line: &str) -> &str {
    line.split(' ').next().expect("a name")
}

fn lock(shard: &mut Shard, tx: u64, key: &str) {
    let hash = KeyHasher::with_seed(SEED).hash(key.as_bytes());
    let mode = LockMode::Exclusive;
    shard.handle(ToShard::Schedule {
        tx,
        core: 2,
        locks: LockSet::of_keys(tx, vec![KeyLock { hash, mode }]),
        read: None,
    });
    let granted = shard.next_event();
    assert!(matches!(
        granted,
        Some((2, FromShard::Scheduled { granted: true, .. }))
    ));
}

fn late(shard: &mut Shard) -> Option<(u32, String)> {
    match shard.next_event()? {
        (7, FromShard::Late { origin, reply, .. }) => {
            Some((origin.connection, String::from_utf8(reply).expect("text")))
        }
        _ => panic!("a reply was expected"),
    }
}

#[test]
fn a_block_runs_at_once_where_no_lock_is_in_its_way() {
    let mut shard = shard();
    let lines = ["SET a 1", "INCR a", "LPUSH a x", "GET a"];
    let expected = "*4\r\n+OK\r\n:2\r\n-WRONGTYPE Operation against a key holding the wrong kind of value\r\n$1\r\n2\r\n";
    assert_eq!(exec(&mut shard, 1, &lines).as_deref(), Some(expected));
    lock(&mut shard, 10, "b");
    assert_eq!(
        exec(&mut shard, 1, &["GET a"]).as_deref(),
        Some("*1\r\n$1\r\n2\r\n")
    );
}

/// It waits for the lock on its last key, what comes behind it on its connection waits with it, and so does what has its
/// first key: nobody sees half of it.
#[test]
fn a_block_waits_whole_for_a_lock_on_one_of_its_keys() {
    let mut shard = shard();
    lock(&mut shard, 10, "b");
    assert_eq!(exec(&mut shard, 1, &["SET a 1", "SET b 1"]), None);
    assert_eq!(shard.deferred_count(), 1);
    assert!(shard.has_deferred_writes() && !shard.is_quiet());
    assert_eq!(say(&mut shard, 2, "GET a"), None);
    assert_eq!(say(&mut shard, 1, "GET c"), None);
    assert_eq!(say(&mut shard, 3, "GET d").as_deref(), Some("$-1\r\n"));
    assert!(late(&mut shard).is_none());
    shard.handle(ToShard::Release { tx: 10 });
    let replies: Vec<_> = std::iter::from_fn(|| late(&mut shard)).collect();
    let expected = [
        (1, "*2\r\n+OK\r\n+OK\r\n".to_owned()),
        (2, "$1\r\n1\r\n".to_owned()),
        (1, "$-1\r\n".to_owned()),
    ];
    assert_eq!(replies[0], expected[0]);
    assert!(expected.iter().all(|reply| replies.contains(reply)));
    assert!(shard.is_quiet());
}

#[test]
fn a_block_that_waits_for_a_busy_script_is_told() {
    let mut shard = shard();
    lock(&mut shard, 10, "b");
    assert_eq!(exec(&mut shard, 1, &["SET b 1"]), None);
    shard.turn_away(10, false, &"BUSY it runs".into());
    let reply = "-EXECABORT Transaction discarded because of: BUSY it runs\r\n";
    assert_eq!(late(&mut shard), Some((1, reply.to_owned())));
    assert_eq!(shard.deferred_count(), 0);
    shard.handle(ToShard::Release { tx: 10 });
    assert_eq!(say(&mut shard, 2, "GET b").as_deref(), Some("$-1\r\n"));
}

/// The last step of a transaction takes no lock beside locks on other keys, and waits for one on its own.
#[test]
fn a_last_step_passes_what_is_not_in_its_way() {
    let mut shard = shard();
    lock(&mut shard, 10, "b");
    let run = |shard: &mut Shard, tx: u64, key: &str| {
        let hash = KeyHasher::with_seed(SEED).hash(key.as_bytes());
        let mode = LockMode::Exclusive;
        shard.handle(ToShard::RunLast {
            tx,
            core: 2,
            locks: LockSet::of_keys(tx, vec![KeyLock { hash, mode }]),
            operation: Operation::Length { db: 0 },
        });
        matches!(shard.next_event(), Some((2, FromShard::Ran { .. })))
    };
    assert!(run(&mut shard, 11, "a"));
    assert!(!run(&mut shard, 12, "b"));
    // The shard to itself: everything is in its way.
    shard.handle(ToShard::RunLast {
        tx: 13,
        core: 2,
        locks: LockSet::of_shard(13, LockMode::Exclusive),
        operation: Operation::Length { db: 0 },
    });
    assert!(shard.next_event().is_none());
    shard.handle(ToShard::Release { tx: 10 });
    let ran: Vec<u64> = std::iter::from_fn(|| shard.next_event())
        .map(|(_, event)| match event {
            FromShard::Ran { tx, .. } => tx,
            _ => panic!("they run"),
        })
        .collect();
    assert_eq!(ran, [12, 13]);
    assert!(shard.is_quiet());
}
