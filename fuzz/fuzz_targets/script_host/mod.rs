//! Runs one script on many inputs.

use rondo::resp::{OwnedArgs, Reply};
use rondo::script::{Answer, Context, Engine, Limits, Origin, ScriptId, Step};

/// Looks of the clock that a script may take.
const LOOKS_MAX: usize = 20;

/// An engine with one script in it, which returns 1 where all is well.
pub struct Host {
    engine: Engine,
    id: ScriptId,
}

impl Host {
    pub fn new(body: &str) -> Self {
        let mut engine = Engine::new(Limits { memory_bytes_max: 256 << 20 });
        let id = engine.load(body.as_bytes(), Origin::Load).expect("the script below");
        Self { engine, id }
    }

    /// Runs it; its reply, and whether it was let run to its end.
    pub fn run(&mut self, words: &[&[u8]]) -> (Vec<u8>, bool) {
        let argv: OwnedArgs = words.iter().copied().collect();
        let none = OwnedArgs::new();
        let run = self.engine.start(&self.id, &none.as_args(), &argv.as_args(), Context::default());
        let mut run = run.expect("it was loaded");
        let mut looks = 0;
        let mut answer = Answer::Begin;
        loop {
            answer = match run.resume(answer) {
                Step::Done(reply) => return (reply, looks <= LOOKS_MAX),
                Step::Slow => {
                    looks += 1;
                    if looks > LOOKS_MAX { Answer::Kill } else { Answer::Begin }
                }
                Step::Call { protocol } => {
                    let mut out = Vec::new();
                    Reply::new(&mut out, protocol).ok();
                    panic!("these scripts call nothing");
                }
                _ => Answer::Begin,
            };
        }
    }

    /// Runs it, and insists on 1 unless Lua's memory or the time was short.
    pub fn check(&mut self, words: &[&[u8]]) {
        let (reply, is_whole) = self.run(words);
        let text = String::from_utf8_lossy(&reply);
        assert!(!is_whole || text == ":1\r\n" || text.contains("not enough memory"), "{text}");
    }
}
