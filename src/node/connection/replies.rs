//! Replies in the order of their requests, whoever makes them, and messages between them.
//!
//!     reserve -> a slot ------------- fill ---> its turn? output : side, until what is before it is there
//!     push_message ------------------> between the replies of what ran before it and of what ran after it
//!
//! Promises  a reply leaves when all before it have; pieces of a long reply leave as they come, in its turn.
//! Not here  what keeps output from being sent: `node/holding.rs`, `node/backlog.rs`.

use super::super::outgoing::Outgoing;
use super::{Blocked, Connection};
use crate::base::long_copy;
use crate::commands::Session;

/// The place of one reply that has not left yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    /// Not there yet; `silent`: CLIENT REPLY keeps it from being sent.
    Pending { silent: bool },
    /// In `side`. Wide, since output has no limit unless one is set.
    Ready { start: u64, length: u64 },
}

/// Replies that other cores may owe a connection.
#[derive(Clone, Copy, Debug)]
pub struct Portion {
    /// So many bytes, by the size of the latest ones.
    bytes: usize,
    /// At least so many, whatever their size.
    count_min: usize,
}

impl Portion {
    /// What is asked of the same cores meanwhile waits for all that they owe: of clients that ask for long replies and read none
    /// there may be many.
    pub const SHORT: Self = Self {
        bytes: 2 << 20,
        count_min: 2,
    };
    /// Where output is limited: what was asked for together is counted together, see [`Connection::waits_for_its_portion`].
    pub const OF_LIMITED: Self = Self {
        bytes: 32 << 20,
        count_min: 16,
    };
}

/// However short they are, so many at most.
const PORTION_COUNT_MAX: usize = 16 * 1024;
/// More output than this leaves without what is to follow it: it may be what a piece of a reply waits for.
const PORTION_HELD_BYTES_MAX: usize = 1 << 20;
/// What a reply is taken for before there was one.
pub(super) const REPLY_BYTES_GUESS: usize = 128 * 1024;

/// So much of `side` may be left over from replies that are gone before the rest is moved together.
const SIDE_SLACK_BYTES: usize = 64 * 1024;

impl Connection {
    /// Sends what had to wait for that reply.
    pub fn push_late(&mut self) {
        self.take_all_news();
        self.output.append(&mut self.late);
        self.late = Vec::new();
    }

    /// Whether there are messages that wait for replies.
    #[inline]
    pub fn has_news(&self) -> bool {
        self.news.is_some()
    }

    /// Sends the messages that came before the request that is under way, which ran at `ran_at` (`Core::clock`).
    pub fn take_news_before(&mut self, ran_at: u64) {
        let sequence = self.next_sequence();
        self.take_news_before_reply(sequence, ran_at);
    }

    /// Moves the messages that go before the reply to request `sequence` to `output`.
    fn take_news_before_reply(&mut self, sequence: u64, ran_at: u64) {
        if let Some(news) = &mut self.news {
            news.take_before(sequence, ran_at, &mut self.output);
            if news.is_empty() {
                self.news = None;
            }
        }
    }

    /// Moves all messages that wait to `output`.
    fn take_all_news(&mut self) {
        if let Some(news) = self.news.take() {
            self.output.extend_from_slice(news.all());
        }
    }

    /// Keeps a message that came at `at` behind what ran before that, and before what runs later.
    fn keep_news(&mut self, at: u64, write: impl FnOnce(&mut Vec<u8>)) {
        let ready = self
            .slots
            .iter()
            .rposition(|slot| matches!(slot, Slot::Ready { .. }));
        let mut before = self.first_sequence + ready.map_or(0, |index| index as u64 + 1);
        if self.is_in_pieces {
            before = before.max(self.first_sequence + 1);
        }
        for reply in self.early.iter().flat_map(|early| &early.replies) {
            before = before.max(reply.sequence + 1);
        }
        self.news.get_or_insert_default().push(at, before, write);
    }

    /// How many replies are outstanding.
    pub fn slots_count(&self) -> usize {
        self.slots.len()
    }

    /// Whether so many requests are out that their replies might be more than a client may be given before anyone can
    /// see whether it reads them.
    #[inline]
    pub fn has_full_portion(&self, portion: Portion) -> bool {
        let count = self.slots.len();
        count >= portion.count_min
            && (count * self.reply_bytes > portion.bytes || count >= PORTION_COUNT_MAX)
    }

    /// Whether output is not to leave yet: what was asked for together is counted together where there is a limit, so that
    /// nothing leaves of what is too much. It waits for the replies that are owed now, not for those to requests that come
    /// meanwhile; a reply in pieces leaves as it comes, since the next piece is made only then.
    pub fn waits_for_its_portion(&mut self) -> bool {
        let owes_nothing = self.slots.is_empty() || self.output.is_empty() || self.closed;
        let comes_in_pieces = self.is_in_pieces || self.early.is_some();
        let is_much = self.output.len() + self.lent_bytes() >= PORTION_HELD_BYTES_MAX;
        // Its own reply is owed, and may never come.
        let waits = self.blocked == Some(Blocked::OnKeys);
        if owes_nothing || comes_in_pieces || is_much || waits || self.holding.is_some() {
            self.is_gathering = false;
        } else if !self.is_gathering {
            self.is_gathering = true;
            self.gathers_until = self.next_sequence();
        } else {
            self.is_gathering = self.first_sequence < self.gathers_until;
        }
        self.is_gathering
    }

    /// Keeps a place for a reply that comes later; returns its sequence number.
    #[inline]
    pub fn reserve(&mut self, silent: bool) -> u64 {
        self.slots.push_back(Slot::Pending { silent });
        self.first_sequence + self.slots.len() as u64 - 1
    }

    /// The sequence number the next [`Connection::reserve`] will give.
    #[inline]
    pub fn next_sequence(&self) -> u64 {
        self.first_sequence + self.slots.len() as u64
    }

    /// Where a reply that is ready now goes: straight out, or behind replies that are not there yet.
    ///
    /// `write` appends the reply to the buffer it is given.
    #[inline]
    pub fn write_reply<R>(&mut self, write: impl FnOnce(&mut Vec<u8>, &mut Session) -> R) -> R {
        if self.slots.is_empty() {
            return write(&mut self.output, &mut self.session);
        }
        self.write_aside(write)
    }

    /// Not inlined: [`Connection::write_reply`] is in many places, most of them without replies that are outstanding.
    #[inline(never)]
    fn write_aside<R>(&mut self, write: impl FnOnce(&mut Vec<u8>, &mut Session) -> R) -> R {
        let start = self.side.len();
        self.note_run(self.next_sequence(), u64::MAX);
        let result = write(&mut self.side, &mut self.session);
        let slot = self.slot_from(start);
        self.slots.push_back(slot);
        result
    }

    /// Notes when a request ran whose reply waits for its turn; `u64::MAX`: just now.
    #[inline]
    fn note_run(&mut self, sequence: u64, ran_at: u64) {
        if self.news.is_some() {
            self.note_run_behind_news(sequence, ran_at);
        }
    }

    #[cold]
    fn note_run_behind_news(&mut self, sequence: u64, ran_at: u64) {
        if let Some(news) = &mut self.news {
            news.note(sequence, ran_at);
        }
    }

    /// Where what the client must forget goes: behind the replies that are outstanding, since it may be what one of those
    /// requests did; straight out to a client that waits for an element, which may be long in coming.
    #[inline]
    pub fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if self.blocked == Some(Blocked::OnKeys) {
            write(&mut self.output);
        } else {
            self.write_reply(|out, _| write(out));
        }
    }

    /// Where a message goes that comes now, at `now` of `Core::clock`: straight out to a client to which no reply is
    /// outstanding, or that waits for an element; else it waits to see when what is outstanding ran.
    #[inline]
    pub fn push_message(&mut self, now: impl FnOnce() -> u64, write: impl FnOnce(&mut Vec<u8>)) {
        let is_free = self.slots.is_empty() && !self.is_answered_first();
        if is_free || self.blocked == Some(Blocked::OnKeys) {
            write(&mut self.output);
        } else {
            self.keep_news(now(), write);
        }
    }

    /// Runs a request behind replies that are not there yet; `run` says whether it wrote its reply.
    pub fn write_ahead(&mut self, run: impl FnOnce(&mut Vec<u8>) -> bool) {
        let start = self.side.len();
        if run(&mut self.side) {
            self.note_run(self.next_sequence(), u64::MAX);
            let slot = self.slot_from(start);
            self.slots.push_back(slot);
        }
    }

    /// The slot of a reply that was just appended to `side` at `start`.
    fn slot_from(&mut self, start: usize) -> Slot {
        let length = self.side.len() - start;
        self.side_used += length;
        Slot::Ready {
            start: start as u64,
            length: length as u64,
        }
    }

    /// A reply has come for request `sequence`, which ran at `ran_at` (`Core::clock`; 0: before all messages that wait): it and
    /// whatever it held up moves to `output`.
    #[inline]
    pub fn fill(&mut self, sequence: u64, reply: &[u8], ran_at: u64) {
        if self.news.is_none() {
            return self.fill_alone(sequence, reply);
        }
        if sequence == self.first_sequence {
            self.take_news_before_reply(sequence, ran_at);
        } else {
            self.note_run(sequence, ran_at);
        }
        self.fill_alone(sequence, reply);
        self.free_news();
    }

    /// As [`Connection::fill`], for a long reply in a buffer of its own, or with a string that lies elsewhere: it leaves as it is
    /// where it is the next.
    pub fn fill_whole(&mut self, sequence: u64, mut reply: Outgoing, ran_at: u64) {
        let is_next = sequence == self.first_sequence
            && matches!(self.slots.front(), Some(Slot::Pending { silent: false }))
            && self.news.is_none();
        if !self.may_borrow() {
            reply = reply.into_bytes().into();
        }
        let may_join = self.output.is_empty() || reply.lent_bytes() > 0;
        if !is_next || !may_join {
            return self.fill(sequence, &reply.into_bytes(), ran_at);
        }
        self.reply_bytes = reply.len().max(self.reply_bytes - self.reply_bytes / 16);
        let (bytes, lent) = reply.into_parts();
        let length = self.output.len();
        match length {
            0 => self.output = bytes,
            _ => self.output.extend_from_slice(&bytes),
        }
        for lent in lent.into_iter().flat_map(|lent| lent.into_strings()) {
            self.lend(lent.behind(length));
        }
        self.slots.pop_front();
        self.first_sequence += 1;
        self.advance();
    }

    /// Where no reply is outstanding any more, messages wait for none.
    fn free_news(&mut self) {
        if self.slots.is_empty() && !self.is_answered_first() {
            self.take_all_news();
        }
    }

    fn fill_alone(&mut self, sequence: u64, reply: &[u8]) {
        let index = (sequence - self.first_sequence) as usize;
        self.reply_bytes = reply.len().max(self.reply_bytes - self.reply_bytes / 16);
        if index == 0 {
            if let Some(Slot::Pending { silent: false }) = self.slots.pop_front() {
                long_copy::append(&mut self.output, reply);
            }
            self.first_sequence += 1;
            self.advance();
        } else {
            let silent = matches!(self.slots[index], Slot::Pending { silent: true });
            let start = self.side.len();
            if !silent {
                long_copy::append(&mut self.side, reply);
            }
            self.slots[index] = self.slot_from(start);
        }
    }

    /// Moves what has come to its turn to `output`.
    fn advance(&mut self) {
        loop {
            while let Some(Slot::Ready { start, length }) = self.slots.front().copied() {
                let (start, length) = (start as usize, length as usize);
                let sequence = self.first_sequence;
                if let Some(news) = &mut self.news
                    && let Some(ran_at) = news.take_noted(sequence)
                {
                    self.take_news_before_reply(sequence, ran_at);
                }
                long_copy::append(&mut self.output, &self.side[start..start + length]);
                self.side_used -= length;
                self.slots.pop_front();
                self.first_sequence += 1;
            }
            if self.early.is_none() || !self.take_early() {
                break;
            }
        }
        self.trim_side();
    }

    /// Moves the pieces of the reply whose turn it is to `output`; whether it was all of a reply.
    #[cold]
    fn take_early(&mut self) -> bool {
        let sequence = self.first_sequence;
        let Some(early) = &mut self.early else {
            return false;
        };
        let Some(at) = early.replies.iter().position(|it| it.sequence == sequence) else {
            return false;
        };
        let reply = early.replies.swap_remove(at);
        if early.replies.is_empty() {
            self.early = None;
        }
        self.take_news_before_reply(sequence, reply.ran_at);
        self.is_in_pieces = !reply.is_whole;
        if !matches!(self.slots.front(), Some(Slot::Pending { silent: true })) {
            for piece in &reply.pieces {
                long_copy::append(&mut self.output, piece);
            }
        }
        if reply.is_whole {
            self.slots.pop_front();
            self.first_sequence += 1;
        }
        reply.is_whole
    }

    /// The next piece of a reply has come; with the last, how many bytes it has. `ran_at` as for [`Connection::fill`].
    pub fn fill_part(
        &mut self,
        sequence: u64,
        mut piece: Vec<u8>,
        bytes_so_far: u64,
        is_last: bool,
        ran_at: u64,
    ) {
        let index = (sequence - self.first_sequence) as usize;
        if is_last {
            self.reply_bytes = bytes_so_far as usize;
        }
        let is_silent = matches!(self.slots.get(index), Some(Slot::Pending { silent: true }));
        if is_silent {
            piece = Vec::new();
        }
        if index > 0 {
            let early = self.early.get_or_insert_default();
            return early.add(sequence, piece, is_last, ran_at);
        }
        if !self.is_in_pieces {
            self.take_news_before_reply(sequence, ran_at);
        }
        self.is_in_pieces = !is_last;
        if self.output.is_empty() {
            self.output = piece;
        } else {
            self.output.append(&mut piece);
        }
        if is_last {
            self.slots.pop_front();
            self.first_sequence += 1;
            self.advance();
            self.free_news();
        }
    }

    /// Gives back what replies that are gone have left of `side`. An endless pipeline may never be without a slot.
    fn trim_side(&mut self) {
        if self.slots.is_empty() {
            self.side.clear();
            self.side.shrink_to(SIDE_SLACK_BYTES);
            return;
        }
        // The walk over the slots and the copy cost less than what was appended since the last time.
        let walk_bytes = self.slots.len() * std::mem::size_of::<Slot>();
        if self.side.len() - self.side_used <= SIDE_SLACK_BYTES + self.side_used + walk_bytes {
            return;
        }
        let mut kept = Vec::with_capacity(self.side_used);
        for slot in &mut self.slots {
            if let Slot::Ready { start, length } = slot {
                let from = *start as usize;
                *start = kept.len() as u64;
                kept.extend_from_slice(&self.side[from..from + *length as usize]);
            }
        }
        self.side = kept;
    }
}

/// Pieces of replies that come in pieces, before their turn.
#[derive(Default)]
pub(super) struct Early {
    replies: Vec<EarlyReply>,
}

struct EarlyReply {
    sequence: u64,
    pieces: Vec<Vec<u8>>,
    /// All of them are there.
    is_whole: bool,
    /// When the request ran.
    ran_at: u64,
}

impl Early {
    fn add(&mut self, sequence: u64, piece: Vec<u8>, is_whole: bool, ran_at: u64) {
        let known = self.replies.iter_mut().find(|it| it.sequence == sequence);
        if let Some(reply) = known {
            reply.pieces.push(piece);
            reply.is_whole |= is_whole;
            return;
        }
        self.replies.push(EarlyReply {
            sequence,
            pieces: vec![piece],
            is_whole,
            ran_at,
        });
    }

    pub(super) fn bytes(&self) -> usize {
        let pieces = self.replies.iter().flat_map(|reply| &reply.pieces);
        pieces.map(Vec::len).sum()
    }
}
