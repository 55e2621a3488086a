//! A script's call that is given up, and one that had run by then.

use rondo::base::hash::KeyHasher;
use rondo::commands::table;
use rondo::commands::table::Caller;
use rondo::keyspace::SlotMap;
use rondo::resp::args::OwnedArgs;
use rondo::router::calls::Queued;
use rondo::router::programs::script::{ScriptRequest, ScriptStep};
use rondo::router::{FromShard, Output, ShardId, Step, ToShard, Transaction};

const TX: u64 = 5;

fn queued(line: &str) -> Queued {
    let args: OwnedArgs = line.split(' ').map(str::as_bytes).collect();
    Queued {
        entry: table().resolve(&args.as_args()).expect("a good command"),
        args,
        denied: None,
    }
}

struct Script {
    transaction: Transaction,
    sent: Vec<(ShardId, ToShard)>,
}

impl Script {
    fn start() -> Self {
        let request = ScriptRequest {
            command: queued("EVAL text 0"),
            db: 0,
            caller: Caller::default(),
            is_readonly: false,
            here: 0,
            now_ms: 0,
            seed: 1,
        };
        let hasher = KeyHasher::with_seed(1);
        let mut script = Self {
            transaction: Transaction::script(request, SlotMap::new(2), &hasher).with_token(),
            sent: Vec::new(),
        };
        let step = script.transaction.start(0, TX, &mut script.sent);
        assert!(matches!(step, Step::Script(_)));
        script
    }

    /// What comes of a message: what the script is told, if it goes on.
    fn receive(&mut self, message: FromShard) -> Option<Vec<u8>> {
        match (self.transaction).receive(message, &mut || unreachable!(), &mut self.sent) {
            Step::Wait => None,
            Step::Script(step) => match *step {
                ScriptStep::GoOn { reply } => reply,
                _ => panic!("it has started"),
            },
            _ => panic!("it is not over"),
        }
    }

    fn ran(&mut self, shard: ShardId, output: Output) -> Option<Vec<u8>> {
        self.receive(FromShard::Ran {
            tx: TX,
            shard,
            output,
            trace: None,
        })
    }

    /// The script calls; the shard that is asked for locks, with the call to be run.
    fn call(&mut self, line: &str) -> ShardId {
        self.sent.clear();
        let (command, caller) = (queued(line), Caller::default());
        let called = Output::Called {
            command,
            db: 0,
            caller,
        };
        assert_eq!(self.ran(0, called), None);
        match &self.sent[..] {
            [(shard, ToShard::Seize { then: Some(_), .. })] => *shard,
            _ => panic!("one message"),
        }
    }

    fn withdraw(&mut self) {
        self.sent.clear();
        let reply = b"-BUSY\r\n".to_vec();
        self.transaction.withdraw(reply, &mut self.sent);
        assert!(matches!(&self.sent[..], [(_, ToShard::Withdraw { .. })]));
    }
}

/// The call has run, so its own reply is what the script is told; the late answer to the withdrawal is not taken for that to
/// the next one.
#[test]
fn what_has_run_is_not_withdrawn() {
    let mut script = Script::start();
    let shard = script.call("INCR a");
    script.withdraw();
    let (tx, whole, ran) = (TX, false, true);
    let seized = FromShard::Seized {
        tx,
        shard,
        whole,
        ran,
    };
    assert_eq!(script.receive(seized), None);
    let reply = b":1\r\n".to_vec();
    assert_eq!(script.ran(shard, Output::Reply(reply.clone())), Some(reply));
    // The same shard, another key.
    assert_eq!(script.call("INCR {a}b"), shard);
    assert_eq!(script.receive(FromShard::Withdrawn { tx, shard }), None);
    script.withdraw();
    let told = script.receive(FromShard::Withdrawn { tx, shard });
    assert_eq!(told, Some(b"-BUSY\r\n".to_vec()));
}

/// Locks that come later come without the call: then it is sent.
#[test]
fn a_call_whose_locks_come_later_is_sent_then() {
    let mut script = Script::start();
    let shard = script.call("INCR a");
    script.sent.clear();
    let (tx, whole, ran) = (TX, true, false);
    let seized = FromShard::Seized {
        tx,
        shard,
        whole,
        ran,
    };
    assert_eq!(script.receive(seized), None);
    assert!(matches!(&script.sent[..], [(of, ToShard::Run { .. })] if *of == shard));
    let reply = b":1\r\n".to_vec();
    assert_eq!(script.ran(shard, Output::Reply(reply.clone())), Some(reply));
}
