//! Runs requests on one keyspace by the rows of the families, without router or shard.

use rondo::commands::table::{Aside, Call, Caller, Effect, Patience};
use rondo::commands::{Arity, Command, CommandError, FAMILIES};
use rondo::keyspace::{Keyspace, KeyspaceOptions};
use rondo::resp::args::OwnedArgs;
use rondo::resp::{Protocol, Reply};

/// A client of one keyspace.
pub struct Runner {
    pub keys: Keyspace,
    pub db: usize,
    pub protocol: Protocol,
    pub no_touch: bool,
    pub patience: Patience,
}

/// When tests begin: a fixed moment in 2023.
pub const START_MS: i64 = 1_700_000_000_000;

impl Runner {
    pub fn new(seed: u64) -> Self {
        Self::with_options(KeyspaceOptions::for_tests(seed))
    }

    pub fn with_options(options: KeyspaceOptions) -> Self {
        let mut keys = Keyspace::new(options);
        keys.set_now(START_MS);
        Self {
            keys,
            db: 0,
            protocol: Protocol::Resp2,
            no_touch: false,
            patience: Patience::default(),
        }
    }

    /// Lets time pass.
    pub fn wait(&mut self, ms: i64) {
        let now_ms = self.keys.now_ms() + ms;
        self.keys.set_now(now_ms);
    }

    /// Runs a request; returns the reply's bytes, an error's line among them.
    pub fn run<W: AsRef<[u8]>>(&mut self, words: &[W]) -> Vec<u8> {
        self.run_counting(words).0
    }

    /// As `run`, with the changes made.
    pub fn run_counting<W: AsRef<[u8]>>(&mut self, words: &[W]) -> (Vec<u8>, u64) {
        let mut out = Vec::new();
        let changes = match self.execute(words, &mut out) {
            Ok(effect) => effect.changes,
            Err(error) => {
                out.clear();
                Reply::new(&mut out, self.protocol).error(&error.text());
                0
            }
        };
        (out, changes)
    }

    /// Runs a request given as redis-cli would take it; returns the reply as a transcript has it, lines joined by blanks.
    pub fn say(&mut self, line: &str) -> String {
        let words = super::transcript::split_words(line);
        super::transcript::reply_lines(&self.run(&words)).join(" ")
    }

    fn execute<W: AsRef<[u8]>>(
        &mut self,
        words: &[W],
        out: &mut Vec<u8>,
    ) -> Result<Effect, CommandError> {
        let owned: OwnedArgs = words.iter().map(AsRef::as_ref).collect();
        let mut args = owned.as_args();
        let mut row = find(FAMILIES.iter().copied().flatten(), args.get(0));
        let mut full_name = row.name.to_lowercase();
        if !row.sub.is_empty() && args.len() > 1 {
            row = find(row.sub, args.get(1));
            full_name = format!("{full_name}|{}", row.name.to_lowercase());
        }
        let is_right = match row.arity {
            Arity::Exactly(count) => args.len() == usize::from(count),
            Arity::AtLeast(count) => args.len() >= usize::from(count),
        };
        if !is_right {
            return Err(CommandError::Arity(full_name.leak()));
        }
        if full_name.contains('|') {
            args = args.tail(1);
        }
        let Some(run) = row.run.on_keys() else {
            panic!("{full_name} runs on keys");
        };
        let mut call = Call {
            keys: &mut self.keys,
            db: self.db,
            caller: &Caller {
                user: 0,
                protocol: self.protocol,
                no_touch: self.no_touch,
                ..Caller::default()
            },
            patience: self.patience,
            is_alone: false,
            is_logged: false,
            aside: &mut Aside::default(),
        };
        run(&mut call, &args, &mut Reply::new(out, self.protocol))
    }
}

fn find(rows: impl IntoIterator<Item = &'static Command>, name: &[u8]) -> &'static Command {
    rows.into_iter()
        .find(|row| row.name.as_bytes().eq_ignore_ascii_case(name))
        .unwrap_or_else(|| panic!("a row for {:?}", String::from_utf8_lossy(name)))
}
