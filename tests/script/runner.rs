//! Runs scripts with a little store behind `redis.call`, as the rooms above would.

use rondo::resp::{Args, OwnedArgs, Protocol, Reply};
use rondo::script::{Answer, Context, Engine, Limits, Origin, Run, Settings, Step};
use std::collections::HashMap;
use std::sync::Arc;

/// An engine and what its scripts' commands work on.
pub struct Runner {
    pub engine: Engine,
    pub settings: Arc<Settings>,
    pub store: HashMap<Vec<u8>, Vec<u8>>,
    pub logged: Vec<(u8, String)>,
    pub protocol: Protocol,
}

impl Runner {
    pub fn new() -> Self {
        let mut engine = Engine::new(Limits {
            memory_bytes_max: 64 << 20,
        });
        let settings = Arc::<Settings>::default();
        engine.share_settings(settings.clone());
        Self {
            engine,
            settings,
            store: HashMap::new(),
            logged: Vec::new(),
            protocol: Protocol::Resp2,
        }
    }

    /// The reply to `EVAL script keys argv`, as text.
    pub fn eval(&mut self, script: &str, keys: &[&str], argv: &[&str]) -> String {
        String::from_utf8_lossy(&self.eval_bytes(script.as_bytes(), keys, argv)).into_owned()
    }

    pub fn eval_bytes(&mut self, script: &[u8], keys: &[&str], argv: &[&str]) -> Vec<u8> {
        let id = match self.engine.load(script, Origin::Eval) {
            Ok(id) => id,
            Err(error) => {
                let mut out = Vec::new();
                Reply::new(&mut out, self.protocol).error_bytes(error.text());
                return out;
            }
        };
        let context = Context {
            protocol: self.protocol,
            ..Context::default()
        };
        let keys = words(keys);
        let argv = words(argv);
        let run = self
            .engine
            .start(&id, &keys.as_args(), &argv.as_args(), context);
        self.finish(run.expect("it was loaded"))
    }

    /// Answers all a script wants until it is over.
    pub fn finish(&mut self, mut run: Run) -> Vec<u8> {
        let mut step = run.resume(Answer::Begin);
        let mut looks = 0;
        loop {
            step = match step {
                Step::Done(reply) => return reply,
                Step::Call { protocol } => {
                    let mut out = Vec::new();
                    let error = {
                        let mut reply = Reply::new(&mut out, protocol);
                        execute(&mut self.store, &run.words(), &mut reply)
                    };
                    match error {
                        None => run.resume(Answer::Reply(&out)),
                        Some(text) => run.resume(Answer::Error(text.as_bytes())),
                    }
                }
                Step::AclCheck => {
                    let may = !run.words().is(0, "FLUSHALL");
                    if run.words().is(0, "NOSUCH") {
                        run.resume(Answer::Error(b""))
                    } else {
                        run.resume(Answer::Allowed(may))
                    }
                }
                Step::Log(level) => {
                    let text = String::from_utf8_lossy(run.log_text()).into_owned();
                    self.logged.push((level, text));
                    run.resume(Answer::Begin)
                }
                Step::Slow => {
                    looks += 1;
                    run.resume(if looks > 100 {
                        Answer::Kill
                    } else {
                        Answer::Begin
                    })
                }
            };
        }
    }
}

pub fn words(words: &[&str]) -> OwnedArgs {
    words.iter().map(|word| word.as_bytes()).collect()
}

/// A few commands; what is none has an error.
fn execute(
    store: &mut HashMap<Vec<u8>, Vec<u8>>,
    words: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Option<&'static str> {
    let name = words.get(0).to_ascii_lowercase();
    if name == b"echo" && words.len() != 2 {
        return Some("Wrong number of args calling Redis command from script");
    }
    match &name[..] {
        b"get" => match store.get(words.get(1)) {
            Some(value) => reply.bulk(value),
            None => reply.null(),
        },
        b"set" => {
            store.insert(words.get(1).to_vec(), words.get(2).to_vec());
            reply.ok();
        }
        b"del" => reply.integer(i64::from(store.remove(words.get(1)).is_some())),
        b"echo" => reply.bulk(words.get(1)),
        b"fail" => reply.error("WRONGTYPE Operation against a key holding the wrong kind of value"),
        b"words" => {
            reply.array(words.len() - 1);
            words.iter_from(1).for_each(|word| reply.bulk(word));
        }
        b"raw" => reply.raw(words.get(1)),
        _ => return Some("Unknown Redis command called from script"),
    }
    None
}
