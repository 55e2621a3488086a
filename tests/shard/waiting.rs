//! Who is served with what, and when not yet.

use rondo::base::hash::KeyHasher;
use rondo::commands::table;
use rondo::commands::table::Caller;
use rondo::keyspace::{Keyspace, KeyspaceOptions};
use rondo::persist::log::{Place, Policy};
use rondo::persist::{Holds, Log};
use rondo::resp::args::OwnedArgs;
use rondo::router::wait::{Claim, Taken};
use rondo::router::{
    FromShard, KeyLock, LockMode, LockSet, Operation, Origin, Output, ToShard, WaitTicket,
};
use rondo::shard::{CycleBudget, Outcome, Request, Shard, Waited};

const SEED: u64 = 1;

fn shard() -> Shard {
    let mut shard = Shard::new(0, Keyspace::new(KeyspaceOptions::for_tests(SEED)));
    shard.set_now(1_700_000_000_000);
    shard
}

fn request(line: &str, connection: u32) -> (Request, OwnedArgs) {
    let args: OwnedArgs = line.split(' ').map(str::as_bytes).collect();
    let request = Request {
        entry: table().resolve(&args.as_args()).expect("a good command"),
        db: 0,
        caller: Caller::default(),
        origin: Origin {
            core: 0,
            connection,
            generation: 0,
            sequence: 0,
        },
    };
    (request, args)
}

fn say(shard: &mut Shard, line: &str) -> String {
    let (request, args) = request(line, 1000);
    let mut reply = Vec::new();
    let outcome = shard.execute(&request, &args.as_args(), &mut reply);
    assert_eq!(outcome, Outcome::Done, "{line}");
    String::from_utf8(reply).expect("text").replace("\r\n", " ")
}

/// A client that waits under this id; its claim.
fn wait(shard: &mut Shard, id: u64, line: &str) -> Claim {
    let (request, args) = request(line, id as u32);
    let ticket = WaitTicket {
        id,
        origin: request.origin,
        claim: Claim::default(),
    };
    let mut reply = Vec::new();
    let waited = shard.execute_or_wait(&request, &args.as_args(), &ticket, &mut reply);
    assert_eq!(waited, Waited::Yes(None), "{line}");
    assert!(reply.is_empty());
    ticket.claim
}

fn served(shard: &mut Shard) -> Vec<(u64, String)> {
    let events = std::iter::from_fn(|| shard.next_event());
    let of = |event| match event {
        (_, FromShard::Served { id, reply, .. }) => (
            id,
            String::from_utf8(reply).expect("text").replace("\r\n", " "),
        ),
        _ => panic!("only clients are served"),
    };
    events.map(of).collect()
}

#[test]
fn the_order_is_that_of_arrival_whatever_is_waited_for() {
    let mut shard = shard();
    wait(&mut shard, 5, "BLPOP a b 0");
    wait(&mut shard, 7, "BRPOP b 0");
    wait(&mut shard, 9, "BLPOP b a 0");
    assert_eq!(shard.waiting_counts(), (3, 2));
    assert_eq!(say(&mut shard, "RPUSH b 1 2"), ":2 ");
    assert_eq!(
        served(&mut shard),
        [
            (5, "*2 $1 b $1 1 ".to_string()),
            (7, "*2 $1 b $1 2 ".to_string())
        ]
    );
    assert_eq!(say(&mut shard, "RPUSH a 3"), ":1 ");
    assert_eq!(served(&mut shard), [(9, "*2 $1 a $1 3 ".to_string())]);
    assert_eq!(shard.waiting_counts(), (0, 0));
    assert_eq!(say(&mut shard, "EXISTS a b"), ":0 ");
}

/// A key that a transaction holds is served when it lets go, not between its phases.
#[test]
fn a_locked_key_is_served_when_it_is_released() {
    let mut shard = shard();
    wait(&mut shard, 1, "BLMOVE a c LEFT LEFT 0");
    let hash = KeyHasher::with_seed(SEED).hash(b"c");
    let mode = LockMode::Exclusive;
    shard.handle(ToShard::Schedule {
        tx: 2,
        core: 0,
        locks: LockSet::of_keys(2, vec![KeyLock { hash, mode }]),
        read: None,
    });
    assert!(shard.next_event().is_some(), "it is granted");
    assert_eq!(say(&mut shard, "RPUSH a x"), ":1 ");
    assert!(shard.next_event().is_none());
    assert_eq!(say(&mut shard, "LLEN a"), ":1 ");
    shard.handle(ToShard::Release { tx: 2 });
    assert_eq!(served(&mut shard), [(1, "$1 x ".to_string())]);
    assert_eq!(say(&mut shard, "LRANGE c 0 -1"), "*1 $1 x ");
}

/// A transaction fills many keys that somebody waits for. Each is looked at when it is filled and when the locks go, however many
/// turns there are between, and whatever other locks go meanwhile; they are served in the order in which they were filled.
#[test]
fn what_a_transaction_holds_is_not_looked_at_while_it_does() {
    const COUNT: u64 = 50;
    let mut shard = shard();
    let hasher = KeyHasher::with_seed(SEED);
    let mode = LockMode::Exclusive;
    let lock = |shard: &mut Shard, tx, names: &[String]| {
        let key = |name: &String| KeyLock {
            hash: hasher.hash(name.as_bytes()),
            mode,
        };
        shard.handle(ToShard::Schedule {
            tx,
            core: 0,
            locks: LockSet::of_keys(tx, names.iter().map(key).collect()),
            read: None,
        });
        assert!(shard.next_event().is_some(), "it is granted");
    };
    let names: Vec<String> = (0..COUNT).map(|index| format!("own{index}")).collect();
    for (index, name) in names.iter().enumerate() {
        wait(&mut shard, 1 + index as u64, &format!("BLPOP {name} 0"));
    }
    wait(&mut shard, 100, "BLPOP other 0");
    lock(&mut shard, 200, &names);
    lock(&mut shard, 201, &["other".to_string()]);
    for (count, name) in names.iter().rev().enumerate() {
        let (push, args) = request(&format!("RPUSH {name} x"), 9);
        shard.handle(ToShard::Run {
            tx: 200,
            core: 0,
            operation: Operation::Command {
                entry: push.entry,
                db: 0,
                caller: push.caller,
                args,
            },
            last: false,
        });
        let answer = shard.next_event();
        assert!(matches!(answer, Some((0, FromShard::Ran { .. }))));
        lock(&mut shard, 300 + count as u64, &[format!("free{count}")]);
        shard.handle(ToShard::Release {
            tx: 300 + count as u64,
        });
        assert!(!shard.retry_waiters(), "nothing is to be decided elsewhere");
        assert_eq!(shard.waiting_looks_count(), 1 + count as u64);
    }
    shard.handle(ToShard::Release { tx: 201 });
    assert_eq!(shard.waiting_looks_count(), COUNT);
    shard.handle(ToShard::Release { tx: 200 });
    // What its client pops is a change of the key, too.
    assert_eq!(shard.waiting_looks_count(), 3 * COUNT);
    let expected = (0..COUNT).rev();
    let expected = expected.map(|index| {
        let name = format!("own{index}");
        let reply = format!("*2 ${} {name} $1 x ", name.len());
        (1 + index, reply)
    });
    assert_eq!(served(&mut shard), expected.collect::<Vec<_>>());
    assert!(!shard.retry_waiters());
}

/// What a whole shard's lock was in the way of is served when that goes, though other locks stay.
#[test]
fn what_waited_for_a_whole_shard_is_looked_at_when_that_is_free() {
    let mut shard = shard();
    wait(&mut shard, 1, "BLPOP a 0");
    let schedule = |shard: &mut Shard, tx, locks| {
        let read = None;
        let core = 0;
        shard.handle(ToShard::Schedule {
            tx,
            core,
            locks,
            read,
        });
    };
    schedule(&mut shard, 2, LockSet::of_shard(2, LockMode::Exclusive));
    assert!(shard.next_event().is_some(), "it is granted");
    let hash = KeyHasher::with_seed(SEED).hash(b"b");
    let mode = LockMode::Exclusive;
    schedule(
        &mut shard,
        3,
        LockSet::of_keys(3, vec![KeyLock { hash, mode }]),
    );
    let (push, args) = request("RPUSH a x", 9);
    shard.handle(ToShard::Run {
        tx: 2,
        core: 0,
        operation: Operation::Command {
            entry: push.entry,
            db: 0,
            caller: push.caller,
            args,
        },
        last: false,
    });
    assert!(matches!(
        shard.next_event(),
        Some((0, FromShard::Ran { .. }))
    ));
    for _ in 0..10 {
        assert!(!shard.retry_waiters());
    }
    assert_eq!(shard.waiting_looks_count(), 1);
    shard.handle(ToShard::Release { tx: 2 });
    let granted = shard.next_event();
    assert!(matches!(
        granted,
        Some((0, FromShard::Scheduled { tx: 3, .. }))
    ));
    assert_eq!(served(&mut shard), [(1, "*2 $1 a $1 x ".to_string())]);
}

/// Another shard has the client's claim for a moment; what it decides is waited for.
#[test]
fn a_claim_that_is_busy_is_looked_at_again() {
    for is_served_there in [false, true] {
        let mut shard = shard();
        let claim = wait(&mut shard, 1, "BLPOP a 0");
        wait(&mut shard, 2, "BLPOP a 0");
        assert_eq!(claim.take(), Taken::Yes);
        assert_eq!(say(&mut shard, "RPUSH a x"), ":1 ");
        assert!(shard.next_event().is_none());
        assert!(shard.retry_waiters(), "it is to be looked at soon");
        if is_served_there {
            claim.end();
        } else {
            claim.give_back();
        }
        assert!(!shard.retry_waiters());
        let first = if is_served_there { 2 } else { 1 };
        assert_eq!(served(&mut shard), [(first, "*2 $1 a $1 x ".to_string())]);
    }
}

/// One that needs another shard too: its coordinator is asked, and those behind it wait for the answer. Once it has what it
/// wanted they have what is left, with no further write.
#[test]
fn what_one_leaves_who_was_asked_goes_to_the_next() {
    let mut shard = shard();
    let (request, args) = request("BLMOVE a elsewhere LEFT LEFT 0", 1);
    let origin = request.origin;
    shard.handle(ToShard::RunWhole {
        tx: 9,
        core: 0,
        locks: LockSet::of_keys(9, Vec::new()),
        operation: Operation::Enlist {
            entry: request.entry,
            db: 0,
            caller: request.caller,
            args,
            ticket: WaitTicket {
                id: 1,
                origin,
                claim: Claim::default(),
            },
            asks: true,
            is_part: false,
        },
    });
    assert!(shard.next_event().is_some(), "it is entered");
    wait(&mut shard, 2, "BLPOP a 0");
    assert_eq!(say(&mut shard, "RPUSH a x y"), ":2 ");
    let asked = shard.next_event();
    assert!(matches!(asked, Some((0, FromShard::Ask { id: 1, .. }))));
    // What the coordinator does here: the element goes, then the waiter.
    assert_eq!(say(&mut shard, "LPOP a"), "$1 x ");
    assert!(shard.next_event().is_none(), "the answer is not there yet");
    shard.handle(ToShard::Forget { id: 1 });
    assert_eq!(served(&mut shard), [(2, "*2 $1 a $1 y ".to_string())]);
}

/// One that pops from several shards: where a transaction over several has filled a key, one that the client named earlier may
/// be filled as well, so its coordinator looks. What fills this shard alone serves it here.
#[test]
fn what_several_shards_were_given_is_looked_for_in_order() {
    let mut shard = shard();
    let enter = |shard: &mut Shard, id| {
        let (request, args) = request("BLPOP b 0", id as u32);
        shard.handle(ToShard::Run {
            tx: id,
            core: 0,
            operation: Operation::Enlist {
                entry: request.entry,
                db: 0,
                caller: request.caller,
                args,
                ticket: WaitTicket {
                    id,
                    origin: request.origin,
                    claim: Claim::default(),
                },
                asks: false,
                is_part: true,
            },
            last: false,
        });
        assert!(shard.next_event().is_some(), "it is entered");
    };
    enter(&mut shard, 1);
    assert_eq!(say(&mut shard, "RPUSH b x"), ":1 ");
    assert_eq!(served(&mut shard), [(1, "*2 $1 b $1 x ".to_string())]);
    enter(&mut shard, 2);
    let (push, args) = request("RPUSH b y", 9);
    shard.handle(ToShard::Run {
        tx: 9,
        core: 0,
        operation: Operation::Command {
            entry: push.entry,
            db: 0,
            caller: push.caller,
            args,
        },
        last: false,
    });
    let mut is_asked = false;
    while let Some((_, event)) = shard.next_event() {
        is_asked |= matches!(event, FromShard::Ask { id: 2, .. });
        assert!(!matches!(event, FromShard::Served { .. }));
    }
    assert!(is_asked);
}

/// A reader of streams on several shards, one of whose keys has come to hold another type: its coordinator says whether that is
/// still so. If it is not, what there is is read here, and it is asked again for what comes later.
#[test]
fn a_reader_is_served_here_once_no_key_is_of_another_type() {
    let mut shard = shard();
    let (read, args) = request("XREAD BLOCK 0 STREAMS a b $ $", 1);
    let ticket = WaitTicket {
        id: 1,
        origin: read.origin,
        claim: Claim::default(),
    };
    shard.handle(ToShard::Run {
        tx: 1,
        core: 0,
        operation: Operation::Enlist {
            entry: read.entry,
            db: 0,
            caller: read.caller,
            args,
            ticket: ticket.clone(),
            asks: false,
            is_part: true,
        },
        last: false,
    });
    assert!(shard.next_event().is_some(), "it is entered");
    // Here, or at another shard.
    assert_eq!(say(&mut shard, "SET a text"), "+OK ");
    assert!(ticket.claim.is_in_doubt());
    let is_asked = |shard: &mut Shard| {
        let event = shard.next_event();
        let is_asked = matches!(event, Some((0, FromShard::Ask { id: 1, .. })));
        assert!(is_asked || event.is_none());
        is_asked
    };
    assert_eq!(say(&mut shard, "DEL a"), ":1 ");
    assert!(!is_asked(&mut shard), "there is nothing to read");
    assert_eq!(say(&mut shard, "XADD b 1-0 f v"), "$3 1-0 ");
    assert!(is_asked(&mut shard));
    assert_eq!(say(&mut shard, "DEL b"), ":1 ");
    shard.handle(ToShard::Rest { id: 1 });
    assert!(!is_asked(&mut shard), "what there was has gone");
    assert_eq!(say(&mut shard, "XGROUP CREATE b g 0 MKSTREAM"), "+OK ");
    assert!(is_asked(&mut shard));
    shard.handle(ToShard::Rest { id: 1 });
    assert!(!is_asked(&mut shard), "it is empty");
    assert_eq!(say(&mut shard, "XADD b 2-0 f v"), "$3 2-0 ");
    assert!(is_asked(&mut shard));
    shard.handle(ToShard::Rest { id: 1 });
    assert_eq!(
        served(&mut shard),
        [(1, "*1 *2 $1 b *1 *2 $3 2-0 *2 $1 f $1 v ".to_string())]
    );
}

/// What a transaction over several shards has brought to a stream it may have brought to a reader's other streams: his coordinator looks,
/// and looks again for another transaction that came while it did. What comes by itself is read here, with what it knows of.
#[test]
fn what_a_transaction_brings_to_a_stream_is_not_read_here_alone() {
    let mut shard = shard();
    let enter_with = |shard: &mut Shard, id, words: &str| {
        let (read, args) = request(words, id as u32);
        let ticket = WaitTicket {
            id,
            origin: read.origin,
            claim: Claim::default(),
        };
        shard.handle(ToShard::Run {
            tx: id,
            core: 0,
            operation: Operation::Enlist {
                entry: read.entry,
                db: 0,
                caller: read.caller,
                args,
                ticket,
                asks: false,
                is_part: true,
            },
            last: false,
        });
        assert!(shard.next_event().is_some(), "it is entered");
    };
    let enter = |shard: &mut Shard, id| enter_with(shard, id, "XREAD BLOCK 0 STREAMS a b $ $");
    let add = |shard: &mut Shard, line: &str| {
        let (add, args) = request(line, 9);
        let operation = Operation::Command {
            entry: add.entry,
            db: 0,
            caller: add.caller,
            args,
        };
        shard.handle(ToShard::Run {
            tx: 9,
            core: 0,
            operation,
            last: false,
        });
        assert!(matches!(
            shard.next_event(),
            Some((0, FromShard::Ran { .. }))
        ));
    };
    let is_asked = |shard: &mut Shard, of: u64| {
        let event = shard.next_event();
        let is_asked = matches!(event, Some((0, FromShard::Ask { id, .. })) if id == of);
        assert!(is_asked || event.is_none());
        is_asked
    };
    enter(&mut shard, 1);
    assert_eq!(say(&mut shard, "XADD a 1-0 f v"), "$3 1-0 ");
    let entry = |key: &str, id: &str| format!("*2 $1 {key} *1 *2 $3 {id} *2 $1 f $1 v ");
    assert_eq!(
        served(&mut shard),
        [(1, format!("*1 {}", entry("a", "1-0")))]
    );
    enter(&mut shard, 2);
    add(&mut shard, "XADD a 2-0 f v");
    assert!(is_asked(&mut shard, 2));
    add(&mut shard, "XADD b 3-0 f v");
    assert!(!is_asked(&mut shard, 2), "it is being looked");
    shard.handle(ToShard::Rest { id: 2 });
    assert!(
        is_asked(&mut shard, 2),
        "what came meanwhile may be part of more"
    );
    shard.handle(ToShard::Rest { id: 2 });
    let both = format!("*2 {}{}", entry("a", "2-0"), entry("b", "3-0"));
    assert_eq!(served(&mut shard), [(2, both)]);
    enter(&mut shard, 3);
    add(&mut shard, "XADD a 4-0 f v");
    assert!(is_asked(&mut shard, 3));
    assert_eq!(say(&mut shard, "XADD b 5-0 f v"), "$3 5-0 ");
    shard.handle(ToShard::Rest { id: 3 });
    let both = format!("*2 {}{}", entry("a", "4-0"), entry("b", "5-0"));
    assert_eq!(served(&mut shard), [(3, both)]);
    // What brings him nothing is not looked at elsewhere either.
    enter_with(&mut shard, 4, "XREAD BLOCK 0 STREAMS a b 99-0 99-0");
    add(&mut shard, "XADD a 6-0 f v");
    add(&mut shard, "XADD b 6-0 f v");
    assert!(!is_asked(&mut shard, 4));
    say(&mut shard, "XADD a 100-0 f v");
    let one = "*1 *2 $1 a *1 *2 $5 100-0 *2 $1 f $1 v ".to_string();
    assert_eq!(served(&mut shard), [(4, one)]);
}

/// Whose coordinator looks does not find what somebody waits for who came before it and could not be served yet.
#[test]
fn what_somebody_waits_for_is_not_there_for_a_later_one() {
    let mut shard = shard();
    wait(&mut shard, 5, "BLMOVE a c LEFT LEFT 0");
    wait(&mut shard, 6, "BZPOPMIN b 0");
    let hash = KeyHasher::with_seed(SEED).hash(b"c");
    let mode = LockMode::Exclusive;
    shard.handle(ToShard::Schedule {
        tx: 2,
        core: 0,
        locks: LockSet::of_keys(2, vec![KeyLock { hash, mode }]),
        read: None,
    });
    assert!(shard.next_event().is_some(), "it is granted");
    assert_eq!(say(&mut shard, "RPUSH a x"), ":1 ");
    assert_eq!(say(&mut shard, "RPUSH b x"), ":1 ");
    let mut which = |waiter| {
        shard.handle(ToShard::Run {
            tx: 2,
            core: 0,
            operation: Operation::WhichExist {
                db: 0,
                keys: ["a", "b", "d"].iter().map(|key| key.as_bytes()).collect(),
                waiter,
            },
            last: false,
        });
        match shard.next_event() {
            Some((_, FromShard::Ran { output, .. })) => match output {
                Output::Which { exist, .. } => exist,
                _ => panic!("it says which exist"),
            },
            _ => panic!("it runs"),
        }
    };
    assert_eq!(which(None), [true, true, false]);
    assert_eq!(which(Some(4)), [true, true, false]);
    assert_eq!(which(Some(9)), [false, true, false]);
}

/// What is not enough for one who came first is there for whose coordinator looks: shard and coordinator would send each other
/// round for ever. Once it is more the first has its turn.
#[test]
fn what_is_not_enough_for_one_is_there_for_the_next() {
    let mut shard = shard();
    wait(&mut shard, 5, "BLMOVEM a c LEFT LEFT 0 EXACTLY 3 BULK");
    let exists = |shard: &mut Shard| {
        shard.handle(ToShard::Run {
            tx: 2,
            core: 0,
            operation: Operation::WhichExist {
                db: 0,
                keys: ["a"].iter().map(|key| key.as_bytes()).collect(),
                waiter: Some(9),
            },
            last: false,
        });
        match shard.next_event() {
            Some((_, FromShard::Ran { output, .. })) => match output {
                Output::Which { exist, .. } => exist,
                _ => panic!("it says which exist"),
            },
            _ => panic!("it runs"),
        }
    };
    assert_eq!(say(&mut shard, "RPUSH a x"), ":1 ");
    assert_eq!(exists(&mut shard), [true]);
    assert_eq!(say(&mut shard, "RPUSH a y"), ":2 ");
    assert_eq!(exists(&mut shard), [true]);
    let hash = KeyHasher::with_seed(SEED).hash(b"c");
    let mode = LockMode::Exclusive;
    shard.handle(ToShard::Schedule {
        tx: 3,
        core: 0,
        locks: LockSet::of_keys(3, vec![KeyLock { hash, mode }]),
        read: None,
    });
    assert!(shard.next_event().is_some(), "it is granted");
    assert_eq!(say(&mut shard, "RPUSH a z"), ":3 ");
    assert_eq!(exists(&mut shard), [false], "it is the first one's now");
    shard.handle(ToShard::Release { tx: 3 });
    assert_eq!(served(&mut shard), [(5, "*3 $1 x $1 y $1 z ".to_string())]);
}

/// Who has gone is passed over; who is forgotten leaves nothing.
#[test]
fn the_next_one_has_what_the_first_cannot_have() {
    let mut shard = shard();
    let claim = wait(&mut shard, 1, "BLPOP a b c 0");
    wait(&mut shard, 2, "BLPOP a 0");
    wait(&mut shard, 3, "BLPOP b c 0");
    assert_eq!(claim.cancel(), Taken::Yes);
    assert_eq!(say(&mut shard, "RPUSH a x"), ":1 ");
    assert_eq!(served(&mut shard), [(2, "*2 $1 a $1 x ".to_string())]);
    shard.handle(ToShard::Forget { id: 3 });
    assert_eq!(shard.waiting_counts(), (0, 0));
    assert_eq!(say(&mut shard, "RPUSH b x"), ":1 ");
    assert!(shard.next_event().is_none());
}

/// A key of another type is passed over by those who wait for a list, and changes nothing for them.
#[test]
fn a_key_of_another_type_wakes_nobody() {
    let mut shard = shard();
    wait(&mut shard, 1, "BLPOP a 0");
    assert_eq!(say(&mut shard, "SET a text"), "+OK ");
    assert!(shard.next_event().is_none());
    assert_eq!(say(&mut shard, "DEL a"), ":1 ");
    assert_eq!(say(&mut shard, "RPUSH a 1"), ":1 ");
    assert_eq!(served(&mut shard), [(1, "*2 $1 a $1 1 ".to_string())]);
}

/// Who reads a group is told when its key's time comes: by the cycle, by a request that meets the key, or by another reader that
/// does. With a log, without one, and after one has ended.
#[test]
fn a_key_whose_time_comes_takes_its_readers_along() {
    const REFUSED: &str =
        "-NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option ";
    let refused = |id| (id, REFUSED.to_string());
    let place = Place {
        epoch: 1,
        core: 0,
        cores: 1,
    };
    for has_log in [false, true] {
        for ends_log in [false, true] {
            let mut shard = shard();
            for (key, ttl) in [("s", "20"), ("other", "1000"), ("gone", "20")] {
                say(&mut shard, &format!("XGROUP CREATE {key} g $ MKSTREAM"));
                say(&mut shard, &format!("PEXPIRE {key} {ttl}"));
            }
            if has_log {
                shard.set_log(Some(Log::new(place, 1, Policy::Always)));
            }
            wait(&mut shard, 1, "XREADGROUP GROUP g c BLOCK 0 STREAMS s >");
            wait(&mut shard, 2, "BLPOP list 0");
            wait(
                &mut shard,
                3,
                "XREADGROUP GROUP g c BLOCK 0 STREAMS other s > >",
            );
            if ends_log {
                shard.set_log(None);
            }
            shard.set_now(1_700_000_000_020);
            shard.cycle(CycleBudget::default());
            assert!(served(&mut shard).is_empty(), "it lives to the end of it");
            shard.set_now(1_700_000_000_021);
            shard.cycle(CycleBudget::default());
            assert_eq!(served(&mut shard), [refused(1), refused(3)]);
            assert_eq!(shard.waiting_counts(), (1, 1));

            say(&mut shard, "XGROUP CREATE s g $ MKSTREAM");
            say(&mut shard, "PEXPIRE s 20");
            wait(&mut shard, 4, "XREADGROUP GROUP g c BLOCK 0 STREAMS s >");
            wait(
                &mut shard,
                5,
                "XREADGROUP GROUP g c BLOCK 0 STREAMS s other > >",
            );
            shard.set_now(1_700_000_000_042);
            assert_eq!(say(&mut shard, "GET s"), "$-1 ");
            assert_eq!(served(&mut shard), [refused(4), refused(5)]);

            say(&mut shard, "XGROUP CREATE s g $ MKSTREAM");
            say(&mut shard, "PEXPIRE s 20");
            wait(
                &mut shard,
                6,
                "XREADGROUP GROUP g c BLOCK 0 STREAMS s other > >",
            );
            wait(&mut shard, 7, "XREADGROUP GROUP g c BLOCK 0 STREAMS s >");
            shard.set_now(1_700_000_000_063);
            assert_eq!(say(&mut shard, "XADD other 1-0 f v"), "$3 1-0 ");
            assert_eq!(served(&mut shard), [refused(6), refused(7)]);
        }
    }
}

/// A reply waits for its write, whoever has been served with it meanwhile.
#[test]
fn a_write_that_serves_somebody_waits_for_its_own_record() {
    let mut shard = shard();
    let place = Place {
        epoch: 1,
        core: 0,
        cores: 1,
    };
    shard.set_log(Some(Log::new(place, 1, Policy::Always)));
    wait(&mut shard, 5, "BLPOP a 0");
    assert_eq!(say(&mut shard, "RPUSH a x"), ":1 ");
    let waits_for = |holds: Holds| holds.iter().map(|hold| hold.lsn).max();
    let holds = shard.take_holds().expect("it has written");
    assert_eq!(waits_for(holds), Some(1));
    let Some((_, FromShard::Served { holds, .. })) = shard.next_event() else {
        panic!("a client is served");
    };
    assert_eq!(waits_for(holds), Some(1));
    assert!(shard.take_holds().is_none(), "it is taken once");
}

/// A command that might wait and finds very much replies in pieces, as others do.
#[test]
fn what_might_wait_replies_in_pieces() {
    let mut shard = shard();
    shard.set_long_reads(50, 10);
    for index in 1..=100 {
        say(&mut shard, &format!("XADD stream {index}-1 f v"));
    }
    let (request, args) = request("XREAD BLOCK 0 STREAMS stream 0", 1);
    let ticket = WaitTicket {
        id: 1,
        origin: request.origin,
        claim: Claim::default(),
    };
    let mut reply = Vec::new();
    let waited = shard.execute_or_wait(&request, &args.as_args(), &ticket, &mut reply);
    assert_eq!(waited, Waited::Reads);
    assert!(reply.is_empty() && shard.has_long_reads());
    while shard.read_on(|_, _| true) {}
    let mut pieces_count = 0;
    while let Some((_, event)) = shard.next_event() {
        let FromShard::Part { bytes, .. } = event else {
            panic!("nothing else is said");
        };
        reply.extend(bytes);
        pieces_count += 1;
    }
    assert!(pieces_count > 5 && shard.is_quiet());
    shard.set_long_reads(usize::MAX, 10);
    let mut whole = Vec::new();
    let waited = shard.execute_or_wait(&request, &args.as_args(), &ticket, &mut whole);
    assert_eq!((waited, whole), (Waited::No, reply));
}
