//! One request's words, borrowed from the buffer they arrived in.
//!
//! Promises  no copy and no allocation per word; `spans` is reused from request to request.
//! Not here  finding the words: `resp/parse.rs`.

use crate::base::long_copy;
use crate::base::shared_bytes::SharedBytes;

/// Where one word lies in the buffer of its request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// First byte, from the start of the buffer.
    pub start: u32,
    /// Length in bytes.
    pub len: u32,
}

/// The words of one request; word 0 is the command's name.
#[derive(Clone, Copy)]
pub struct Args<'a> {
    bytes: &'a [u8],
    spans: &'a [Span],
    backing: Option<&'a SharedBytes>,
    /// Of word 1, which most commands have as their key: its hash, where it was needed before.
    hash: Option<u64>,
}

impl<'a> Args<'a> {
    /// Every span must lie inside `bytes`; the parser and `OwnedArgs` see to it.
    pub fn new(bytes: &'a [u8], spans: &'a [Span]) -> Self {
        Self {
            bytes,
            spans,
            backing: None,
            hash: None,
        }
    }

    /// The same words, with the hash of word 1 under the process's hasher.
    #[inline]
    pub fn with_hash(self, hash: u64) -> Self {
        Self {
            hash: Some(hash),
            ..self
        }
    }

    /// The hash of word `index`, if it is known.
    #[inline]
    pub fn hash(&self, index: usize) -> Option<u64> {
        self.hash.filter(|_| index == 1)
    }

    /// Words inside a shared buffer, so that a large one can be kept without a copy ([`Args::share`]).
    pub fn shared(backing: &'a SharedBytes, spans: &'a [Span]) -> Self {
        Self {
            bytes: backing,
            spans,
            backing: Some(backing),
            hash: None,
        }
    }

    /// How many words, the name included.
    #[inline]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there is no word at all (an empty request).
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The buffer the words lie in.
    #[inline]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Where word `index` lies in [`Args::bytes`].
    #[inline]
    pub fn span(&self, index: usize) -> Span {
        self.spans[index]
    }

    /// Word `index`; the arity check makes the index good, an index past the end is a bug and panics.
    #[inline]
    pub fn get(&self, index: usize) -> &'a [u8] {
        let span = self.spans[index];
        &self.bytes[span.start as usize..(span.start + span.len) as usize]
    }

    /// Word `index` as a handle on the receive buffer, where the word is at least half of that buffer.
    ///
    /// `None` means: copy it. Keeping a small word would keep the whole buffer alive.
    pub fn share(&self, index: usize) -> Option<SharedBytes> {
        let backing = self.backing?;
        let span = self.spans[index];
        if (span.len as usize) < backing.len() / 2 {
            return None;
        }
        Some(backing.slice(span.start as usize..(span.start + span.len) as usize))
    }

    /// The words from `index` on.
    pub fn iter_from(&self, index: usize) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        let bytes = self.bytes;
        self.spans[index.min(self.spans.len())..]
            .iter()
            .map(move |span| &bytes[span.start as usize..(span.start + span.len) as usize])
    }

    /// The words without the first `count`: a container command's subcommand sees itself as word 0.
    pub fn tail(&self, count: usize) -> Args<'a> {
        Args {
            bytes: self.bytes,
            spans: &self.spans[count..],
            backing: self.backing,
            hash: self.hash.filter(|_| count == 0),
        }
    }

    /// The words of a range, which lies inside.
    pub fn part(&self, words: std::ops::Range<usize>) -> Args<'a> {
        Args {
            bytes: self.bytes,
            spans: &self.spans[words],
            backing: self.backing,
            hash: None,
        }
    }

    /// The words as an array of bulk strings, where they are a request as it came: all words of it, parsed from the first byte
    /// of their buffer to its last. The two bytes that end a line or a word may be any, as to the parser.
    ///
    /// - Cost: a look at the first word and the last. Words that were not parsed begin with their buffer's first byte; a part
    ///   of a request ends before its buffer, or begins after the place where a first word does.
    #[inline]
    pub fn as_wire(&self) -> Option<&'a [u8]> {
        let digits = |number: usize| match number {
            0..10 => 1,
            10..100 => 2,
            _ => 1 + number.ilog10() as usize,
        };
        let (first, last) = (self.spans.first()?, self.spans.last()?);
        let start = 6 + digits(self.spans.len()) + digits(first.len as usize);
        let is_whole = first.start as usize == start
            && (last.start + last.len) as usize + 2 == self.bytes.len();
        (is_whole && self.bytes[0] == b'*').then_some(self.bytes)
    }

    /// What the words take on the wire, as an array of bulk strings.
    pub fn wire_bytes(&self) -> u64 {
        let digits = |number: usize| u64::from(number.checked_ilog10().unwrap_or(0)) + 1;
        let bulk = |word: &[u8]| 5 + digits(word.len()) + word.len() as u64;
        let words: u64 = self.iter_from(0).map(bulk).sum();
        3 + digits(self.len()) + words
    }

    /// Whether word `index` is `word`, ignoring ASCII case.
    pub fn is(&self, index: usize, word: &str) -> bool {
        self.get(index).eq_ignore_ascii_case(word.as_bytes())
    }
}

/// A request that outlives the buffer it came in: sent to another core, or waiting for a lock.
#[derive(Clone, Debug, Default)]
pub struct OwnedArgs {
    bytes: Vec<u8>,
    spans: Vec<Span>,
}

impl OwnedArgs {
    /// No words yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// No words yet, and room for `words` of them with `bytes` bytes in all.
    pub fn with_capacity(words: usize, bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
            spans: Vec::with_capacity(words),
        }
    }

    /// Copies all words of `args`, in two allocations.
    pub fn from_args(args: &Args<'_>) -> Self {
        let words_bytes = args.iter_from(0).map(<[u8]>::len).sum();
        let mut owned = Self::with_capacity(args.len(), words_bytes);
        args.iter_from(0).for_each(|word| owned.push(word));
        owned
    }

    /// Appends one word.
    pub fn push(&mut self, word: &[u8]) {
        debug_assert!(self.bytes.len() + word.len() <= u32::MAX as usize);
        self.spans.push(Span {
            start: self.bytes.len() as u32,
            len: word.len() as u32,
        });
        long_copy::append(&mut self.bytes, word);
    }

    /// Bytes of all words.
    pub fn bytes_len(&self) -> usize {
        self.bytes.len()
    }

    /// Takes all words away and keeps the memory for the next ones.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.spans.clear();
    }

    /// How many words.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there is no word at all.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Heap bytes held.
    pub fn heap_bytes(&self) -> usize {
        self.bytes.capacity() + self.spans.capacity() * size_of::<Span>()
    }

    /// The words, borrowed.
    pub fn as_args(&self) -> Args<'_> {
        Args::new(&self.bytes, &self.spans)
    }
}

impl<'w> FromIterator<&'w [u8]> for OwnedArgs {
    fn from_iter<I: IntoIterator<Item = &'w [u8]>>(words: I) -> Self {
        let mut owned = Self::new();
        words.into_iter().for_each(|word| owned.push(word));
        owned
    }
}
