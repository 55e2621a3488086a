//! Packed: commands one after the other in one piece of memory, as a block's wait for EXEC.
//!
//!     commands   | SET: shard 1, 3 words | GET: shard 1, 2 words |
//!     spans      |   .    .    .         |   .    .              |     each from where its command's bytes begin
//!     bytes      | S E T k 1 v           | G E T k 1             |
//!
//! Promises  no allocation per command; emptied, it keeps its memory for the next block.
//! Not here  commands one by one, as programs take them apart: [`Queued`].
//! Tests     tests/router/packed.rs.

use super::ShardId;
use super::calls::Queued;
use crate::commands::{CommandError, Entry};
use crate::resp::args::OwnedArgs;
use crate::resp::{Args, Span};

/// A command that is to run, or the error that stands in the place of its reply.
#[derive(Clone, Copy)]
pub struct Step<'q> {
    /// What to run; its arity has been checked.
    pub entry: &'static Entry,
    /// All words, the name included.
    pub args: Args<'q>,
    /// It is not run: this is its reply.
    pub denied: Option<&'q CommandError>,
}

/// One of [`Packed`].
#[derive(Clone, Copy)]
struct Command {
    entry: &'static Entry,
    /// The shard of all of its keys, if there is one.
    home: Option<ShardId>,
    words_count: u32,
    /// Where its bytes end.
    bytes_end: usize,
}

/// See the module.
#[derive(Clone, Default)]
pub struct Packed {
    commands: Vec<Command>,
    spans: Vec<Span>,
    bytes: Vec<u8>,
    /// Errors in the place of replies, in order of the commands they belong to.
    denied: Vec<(usize, CommandError)>,
}

impl Packed {
    /// Appends a command.
    ///
    /// - `home`: the shard that it runs on, where that is one and all of the command's doing is there.
    /// - Cost: one copy of its words.
    pub fn push(&mut self, entry: &'static Entry, args: &Args<'_>, home: Option<ShardId>) {
        let first = args.span(0).start;
        let last = args.span(args.len() - 1);
        let words = &args.bytes()[first as usize..(last.start + last.len) as usize];
        self.bytes.extend_from_slice(words);
        self.spans.extend((0..args.len()).map(|index| {
            let span = args.span(index);
            Span {
                start: span.start - first,
                len: span.len,
            }
        }));
        self.commands.push(Command {
            entry,
            home,
            words_count: args.len() as u32,
            bytes_end: self.bytes.len(),
        });
    }

    /// Has an error stand in the place of a command's reply; the commands before it have been decided on.
    pub fn deny(&mut self, index: usize, error: CommandError) {
        self.denied.push((index, error));
    }

    /// Takes everything away and keeps the memory.
    pub fn clear(&mut self) {
        self.commands.clear();
        self.spans.clear();
        self.bytes.clear();
        self.denied.clear();
    }

    /// How many commands.
    #[inline]
    pub fn len(&self) -> usize {
        self.commands.len()
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// Bytes of all words.
    #[inline]
    pub fn bytes_count(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes that it holds.
    pub fn heap_bytes(&self) -> usize {
        self.commands.capacity() * size_of::<Command>()
            + self.spans.capacity() * size_of::<Span>()
            + self.bytes.capacity()
    }

    /// What one more command of so many words takes beside them.
    pub fn row_bytes(words_count: usize) -> usize {
        size_of::<Command>() + words_count * size_of::<Span>()
    }

    /// The shard of each command, in their order.
    pub fn homes(&self) -> impl Iterator<Item = Option<ShardId>> + Clone {
        self.commands.iter().map(|command| command.home)
    }

    /// The commands, in their order.
    pub fn steps(&self) -> impl Iterator<Item = Step<'_>> + Clone {
        let (mut spans_at, mut bytes_at) = (0, 0);
        let mut denied = self.denied.iter().peekable();
        self.commands
            .iter()
            .enumerate()
            .map(move |(index, command)| {
                let spans_end = spans_at + command.words_count as usize;
                let bytes = &self.bytes[bytes_at..command.bytes_end];
                let args = Args::new(bytes, &self.spans[spans_at..spans_end]);
                (spans_at, bytes_at) = (spans_end, command.bytes_end);
                let denied = denied.next_if(|(of, _)| *of == index);
                Step {
                    entry: command.entry,
                    args,
                    denied: denied.map(|(_, error)| error),
                }
            })
    }

    /// Those of one shard.
    pub fn steps_of(&self, shard: ShardId) -> impl Iterator<Item = Step<'_>> + Clone {
        let homes = self.homes();
        let of_shard = move |(home, step)| (home == Some(shard)).then_some(step);
        homes.zip(self.steps()).filter_map(of_shard)
    }

    /// Each command by itself.
    pub fn to_queued(&self) -> Vec<Queued> {
        let queued = |step: Step<'_>| Queued {
            entry: step.entry,
            args: OwnedArgs::from_args(&step.args),
            denied: step.denied.map(|error| Box::new(error.clone())),
        };
        self.steps().map(queued).collect()
    }
}
