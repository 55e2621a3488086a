//! A connection: a state machine in a slab, not a task.
//!
//!     bytes -> requests ------> executed here: reply straight into `output`
//!                       \-----> sent away: a slot keeps its place; replies that are early wait in `side`
//!
//! Promises  replies leave in the order the requests came; a connection without traffic holds no buffers; whatever
//!           must wait (for a lock, a pause, a full link) leaves its request unread in `input`.
//! Not here  replies and messages in their order: `replies.rs`; what a request does: `node/dispatch.rs`.
//!           Sockets' completions: `node/event_loop.rs`.

mod affinity;
mod replies;

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use affinity::Affinity;
pub use replies::Portion;
use replies::{Early, REPLY_BYTES_GUESS, Slot};

use super::acceptor;
use super::backlog::{Backlog, PIECE_BYTES_MIN};
use super::block::Block;
use super::client_log;
use super::holding::Holding;
use super::mesh::{CoreFlags, count_moved};
use super::news::News;
use super::outgoing::{LentStrings, Outgoing};
use super::subscriptions::Subscriptions;
use super::tls::Tls;
use super::under_way::UnderWay;
use super::unread::Unread;
use crate::base::shared_bytes::SharedBytes;
use crate::commands::{Entry, Session};
use crate::ds::growing_buffer::GrowingBuffer;
use crate::resp::args::OwnedArgs;
use crate::resp::parse::ParseState;
use crate::resp::{Args, Lent};

/// The rest of a large request is received to where it stays where it is so long.
const GATHERED_BYTES_MIN: usize = 8 * 1024;

/// A connection with more output does not move before that is sent: the socket may not take it all at once.
const MOVES_WITH_BYTES_MAX: usize = 64 * 1024;

/// Why a connection's next request is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocked {
    /// The request must run alone: wait until everything before it has its reply.
    UntilDrained,
    /// A transaction or a node request is under way; its reply comes first.
    UntilReply,
    /// CLIENT PAUSE.
    Paused,
    /// A link to another core is full, or the disk is far behind.
    Congested,
    /// It has had its part of this turn.
    Yielding,
    /// What the requests before it have done is told first.
    UntilTold,
    /// The same of what waits for the disks.
    UntilDurable,
    /// On the way to another core.
    Moving,
    /// A command waits for one of its keys (BLPOP).
    OnKeys,
    /// A command waits for disks or replicas (WAITAOF).
    OnDisks,
}

/// Where a connection came from and when, for CLIENT LIST.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    /// `address:port` or `path:0`.
    pub address: String,
    /// The local end.
    pub local: String,
    /// Over a unix socket.
    pub is_unix: bool,
}

impl Peer {
    /// Whether the client is on this machine.
    pub fn is_local(&self) -> bool {
        self.is_unix || self.address.starts_with("127.") || self.address.starts_with("[::1]")
    }
}

/// Where the bytes of a large request come to.
pub enum Large {
    /// Here.
    Here(Box<GrowingBuffer>),
    /// The ring has it: the kernel writes to it.
    AtRing {
        /// Bytes in it when it went.
        bytes: usize,
    },
}

impl Large {
    /// How many bytes have come.
    pub fn bytes_count(&self) -> usize {
        match self {
            Self::Here(buffer) => buffer.len(),
            Self::AtRing { bytes } => *bytes,
        }
    }
}

/// A command that the node carries out.
pub struct Asked {
    /// Which.
    pub entry: &'static Entry,
    /// When that began (`Core::clock`).
    pub stamp: u64,
    /// Its words, where anybody would want them if it is slow.
    pub words: Option<OwnedArgs>,
}

/// One client's connection. In the order of use: what every request and every send looks at lies in the first lines, for
/// with many clients each of them comes from the second cache.
#[repr(C, align(64))]
pub struct Connection {
    /// The socket; closing it is what ends the connection.
    pub socket: OwnedFd,
    /// A receive is armed.
    pub receiving: bool,
    /// A send is in flight.
    pub sending: bool,
    /// On the list of connections with output.
    pub dirty: bool,
    /// On the list of those whose memory is looked at.
    pub is_active: bool,
    /// The socket has been shut; waiting for the last completions.
    pub closed: bool,
    /// A block of it is being run command by command: it keeps its place, with what it is the session of, until that is over.
    pub runs_block: bool,
    /// Close when all output has been sent.
    pub close_after_output: bool,
    /// The client sends nothing more; what it has sent is still to be answered.
    pub ended: bool,
    /// The outstanding replies, if any, are those of PUBLISH: anything else waits for them.
    pub publishing: bool,
    /// The reply that is first in turn has begun to leave and comes in pieces.
    is_in_pieces: bool,
    /// Output waits for what was asked for with it: see [`Connection::waits_for_its_portion`].
    is_gathering: bool,
    /// Too much input lies unread: the receive is to stay unarmed.
    pub stop_receiving: bool,
    /// So many receives are armed for one time only: what comes next may be a large request again, the rest of which is received to
    /// where it stays.
    pub receives_once: u8,
    /// Why the next request waits.
    pub blocked: Option<Blocked>,
    /// On the list of connections with messages.
    pub is_pushed: bool,
    /// Another client redirects to it.
    pub is_target: bool,
    /// It is sent a snapshot, or waits for one.
    pub is_copied_to: bool,
    /// The reply the connection is blocked for will not be sent (CLIENT REPLY).
    pub silent_reply: bool,
    /// The same, of the last request or reply.
    pub last_active_ms: i64,
    /// Replies ready to be sent.
    pub output: Vec<u8>,
    /// Long strings that it lacks: they are sent from where they lie.
    pub lent: Option<Box<LentStrings>>,
    /// Bytes received.
    pub bytes_in: u64,
    /// Requests executed.
    pub commands_count: u64,
    /// The last command.
    pub last_command: Option<&'static Entry>,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Since when, or since its last part.
    pub sending_since_ms: i64,
    /// Bytes in flight in that send.
    pub sending_bytes: usize,
    /// What it was last counted as, for limits of memory.
    pub accounted_bytes: usize,
    /// How much of that tells of evicted keys and has not been tried to send.
    pub untried_bytes: usize,
    /// The most that was sent at once, of late, and since when that is counted.
    pub reply_bytes_peak: usize,
    /// TLS, where it came by that.
    pub tls: Option<Box<Tls>>,
    /// Replies that wait for the disk.
    pub holding: Option<Box<Holding>>,
    /// What it is subscribed to, if anything.
    pub subscriptions: Option<Box<Subscriptions>>,
    /// What MULTI and WATCH have it keep.
    pub block: Option<Box<Block>>,
    /// Keys of its transactions that are under way while it goes on.
    pub under_way: Option<Box<UnderWay>>,
    /// What commands see.
    pub session: Session,
    /// Bytes that arrived and are not yet executed, beginning with a request's first byte.
    pub input: Unread,
    /// How far the first request in `input` (or `large`) has been parsed.
    pub parse: ParseState,
    /// How many bytes `large` surely still needs.
    pub large_needed: usize,
    /// A request so large that its bytes go to a place of their own.
    pub large: Option<Large>,
    slots: VecDeque<Slot>,
    /// Those before them, behind a send under way.
    pub backlog: Backlog,
    /// Requests whose core is another, and who has most of them: when to move.
    pub affinity: Affinity,
    /// A large request that is complete and waits for its turn.
    pub held: Option<SharedBytes>,
    /// Its user is gone: close after the reply to what it asked for.
    pub is_doomed: bool,
    /// The request behind so many (`commands_count`) has waited for the end of a pause, and waits for that of no other.
    pub paused_behind: Option<u64>,
    /// The same of what was withheld.
    pub told_behind: Option<u64>,
    /// Both ends.
    pub peer: Peer,
    /// Sequence number of `slots[0]`.
    first_sequence: u64,
    /// While `is_gathering`: the sequence number behind the last reply that is waited for.
    gathers_until: u64,
    /// Replies that came before their turn.
    side: Vec<u8>,
    /// About the largest of the latest replies from other cores.
    reply_bytes: usize,
    /// Bytes of `side` that a slot still names; the others' replies have left.
    side_used: usize,
    /// Pieces of long replies whose turn has not come.
    early: Option<Box<Early>>,
    /// What it waits as, while it is blocked on keys.
    pub waits_as: Option<u64>,
    /// The words of what it waits for, in bytes.
    pub waits_bytes: usize,
    /// What the client must forget, for what a request did that is one step to everybody: it is sent after its reply.
    pub late: Vec<u8>,
    /// Messages that came while replies were outstanding.
    news: Option<Box<News>>,
    /// The core it is moving to.
    pub moving_to: Option<u16>,
    /// It is counted there already, so that others that want to go there see how many will be.
    pub is_expected: bool,
    /// Bytes of the request that the node is carrying out, or that waits for the end of a pause, for CLIENT LIST.
    pub request_bytes: usize,
    /// Bytes of its words alone.
    pub words_bytes: usize,
    /// Milliseconds since the epoch.
    pub created_ms: i64,
    /// When the output first passed the soft limit, 0 if it has not.
    pub soft_limit_since_ms: i64,
    /// See `reply_bytes_peak`; milliseconds since the epoch.
    pub reply_peak_since_ms: i64,
    /// The command the node is carrying out for it.
    pub asked: Option<Asked>,
}

impl Connection {
    /// A fresh connection.
    pub fn new(socket: OwnedFd, peer: Peer, session: Session, now_ms: i64) -> Self {
        Self {
            socket,
            tls: None,
            session,
            peer,
            input: Unread::default(),
            large: None,
            large_needed: 0,
            held: None,
            parse: ParseState::default(),
            output: Vec::new(),
            lent: None,
            backlog: Backlog::default(),
            slots: VecDeque::new(),
            first_sequence: 0,
            gathers_until: 0,
            is_gathering: false,
            is_in_pieces: false,
            side: Vec::new(),
            reply_bytes: REPLY_BYTES_GUESS,
            side_used: 0,
            early: None,
            holding: None,
            blocked: None,
            waits_as: None,
            waits_bytes: 0,
            subscriptions: None,
            publishing: false,
            is_target: false,
            is_copied_to: false,
            late: Vec::new(),
            news: None,
            silent_reply: false,
            stop_receiving: false,
            receives_once: 0,
            moving_to: None,
            is_expected: false,
            request_bytes: 0,
            words_bytes: 0,
            receiving: false,
            sending: false,
            sending_since_ms: 0,
            sending_bytes: 0,
            dirty: false,
            is_active: false,
            is_pushed: false,
            is_doomed: false,
            paused_behind: None,
            told_behind: None,
            close_after_output: false,
            ended: false,
            closed: false,
            runs_block: false,
            affinity: Affinity::default(),
            created_ms: now_ms,
            last_active_ms: now_ms,
            soft_limit_since_ms: 0,
            accounted_bytes: 0,
            untried_bytes: 0,
            reply_bytes_peak: 0,
            reply_peak_since_ms: now_ms,
            bytes_in: 0,
            bytes_out: 0,
            commands_count: 0,
            last_command: None,
            asked: None,
            block: None,
            under_way: None,
        }
    }

    /// Whether it must not move: messages of other cores know where it is.
    #[inline]
    pub fn stays(&self) -> bool {
        let session = &self.session;
        session.subscribed || session.monitoring || session.tracking.is_some() || self.is_target
    }

    /// Whether what there is for its client can be expected to be on its way after this turn: then it may move. What an earlier turn
    /// has left unsent is for a client that does not read, and may be writing before it does.
    #[inline]
    pub fn may_be_sent_soon(&self) -> bool {
        !self.sending
            && self.backlog.is_empty()
            && self.output.len() + self.lent_bytes() <= MOVES_WITH_BYTES_MAX
    }

    /// Notes what CLIENT LIST shows of a request that is not over at once.
    pub fn note_request(&mut self, args: &Args<'_>) {
        self.request_bytes = args.bytes().len();
        self.words_bytes = args.iter_from(0).map(<[u8]>::len).sum();
    }

    /// Bytes of `input` that are neither words already nor those of a request that waits for the end of a pause.
    #[inline]
    pub fn unread_bytes(&self) -> usize {
        let understood_bytes = match (self.blocked, &self.held) {
            (Some(Blocked::Paused), None) => self.request_bytes,
            (None, None) if self.large.is_none() => self.parse.parsed_bytes(),
            _ => 0,
        };
        self.input.len().saturating_sub(understood_bytes)
    }

    /// What has come and is no word yet, or the part of it that is here.
    pub fn unread(&self) -> &[u8] {
        let (bytes, from) = match &self.large {
            Some(Large::Here(large)) => (large.as_slice(), self.parse.parsed_bytes()),
            _ => {
                let input = self.input.as_slice();
                (input, input.len() - self.unread_bytes())
            }
        };
        bytes.get(from..).unwrap_or_default()
    }

    /// Bytes that requests take which have not run.
    pub fn input_buffer_bytes(&self) -> usize {
        self.input.capacity()
            + self.large.as_ref().map_or(0, Large::bytes_count)
            + self.held.as_ref().map_or(0, |held| held.len())
    }

    /// Whether it may be long before its next request is read. All that comes meanwhile is received, as in Redis, up to the limit
    /// of the query buffer: the end of the connection is behind it.
    #[inline]
    pub fn waits_at_length(&self) -> bool {
        matches!(
            self.blocked,
            Some(Blocked::OnKeys | Blocked::OnDisks | Blocked::Paused)
        )
    }

    /// Whether messages wait for the reply of the request that is under way.
    #[inline]
    pub fn is_answered_first(&self) -> bool {
        self.blocked == Some(Blocked::UntilReply)
    }

    /// Whether what it has yet to send of a large request is to be received to where it stays. A short rest is not worth a receive
    /// of its own, and what TLS opens comes from there.
    pub fn gathers(&self) -> bool {
        let is_plain = self.tls.is_none() || self.is_in_kernel();
        self.large_needed >= GATHERED_BYTES_MIN && is_plain && self.large.is_some()
    }

    /// The buffer of a large request, for the ring to receive to.
    pub fn lend_large(&mut self) -> Option<Box<GrowingBuffer>> {
        if !self.gathers() {
            return None;
        }
        match self.large.take() {
            Some(Large::Here(buffer)) => {
                self.large = Some(Large::AtRing {
                    bytes: buffer.len(),
                });
                Some(buffer)
            }
            other => {
                self.large = other;
                None
            }
        }
    }

    /// The ring gives it back: it is kept where the request is not given up.
    pub fn take_large_back(&mut self, buffer: Box<GrowingBuffer>) {
        if self.large.is_some() {
            self.large = Some(Large::Here(buffer));
        }
    }

    /// The socket, to name it to the ring.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Whether every request so far has its reply in `output`.
    #[inline]
    pub fn is_drained(&self) -> bool {
        self.slots.is_empty()
    }

    /// Whether nothing will be added to `output`: it may close once that is sent.
    pub fn has_said_all(&self) -> bool {
        let has_read_all = self.ended && self.blocked.is_none() && self.held.is_none();
        (self.close_after_output || has_read_all) && self.is_drained() && self.holding.is_none()
    }

    /// Encrypts the output, with what else TLS has to say.
    pub fn seal_output(&mut self) {
        let output = self.take_bytes();
        self.output = self.sealed(output);
    }

    /// What is sent in place of these replies: themselves without TLS, else encrypted and with what else TLS has to say.
    #[inline]
    pub fn sealed(&mut self, plain: Vec<u8>) -> Vec<u8> {
        match self.tls.is_some() {
            true => self.sealed_by_tls(plain),
            false => plain,
        }
    }

    #[cold]
    fn sealed_by_tls(&mut self, plain: Vec<u8>) -> Vec<u8> {
        if self.is_in_kernel() {
            return self.kept_plain(plain);
        }
        let says_all = self.has_said_all();
        match &mut self.tls {
            Some(tls) if !plain.is_empty() || tls.wants_write() || says_all => {
                tls.seal(&plain, says_all)
            }
            _ => plain,
        }
    }

    /// Whether long strings may be sent from where they lie: TLS reads all of what it seals, which is a copy.
    #[inline]
    pub fn may_borrow(&self) -> bool {
        self.tls.is_none()
    }

    /// The reply at the end of `output` lacks a string.
    #[cold]
    pub fn lend(&mut self, lent: Lent) {
        let strings = self.lent.get_or_insert_default();
        if strings.is_full() {
            self.output
                .splice(lent.at..lent.at, lent.string.iter().copied());
        } else {
            strings.push(lent);
        }
    }

    /// Bytes of strings that `output` lacks.
    #[inline]
    pub fn lent_bytes(&self) -> usize {
        self.lent.as_ref().map_or(0, |lent| lent.bytes())
    }

    /// Takes all output.
    #[inline]
    pub fn take_outgoing(&mut self) -> Outgoing {
        Outgoing::new(std::mem::take(&mut self.output), self.lent.take())
    }

    /// The same in one piece.
    #[inline]
    pub fn take_bytes(&mut self) -> Vec<u8> {
        self.take_outgoing().into_bytes()
    }

    /// Throws output away.
    pub fn clear_output(&mut self) {
        self.output.clear();
        self.lent = None;
    }

    /// Puts large output behind the send that is under way.
    pub fn put_behind(&mut self) {
        if self.output.len() + self.lent_bytes() >= PIECE_BYTES_MIN {
            let output = self.take_outgoing();
            self.backlog.push(output);
        }
    }

    /// What to send next of what waited for a send, which has ended: encrypted where there is TLS.
    pub fn next_behind(&mut self) -> Option<Outgoing> {
        let piece = self.backlog.pop()?;
        if self.tls.is_none() {
            return Some(piece);
        }
        Some(self.sealed_piece(piece.into_bytes()).into())
    }

    fn sealed_piece(&mut self, plain: Vec<u8>) -> Vec<u8> {
        if self.backlog.is_empty() && self.output.is_empty() {
            return self.sealed(plain);
        }
        if self.is_in_kernel() {
            return self.kept_plain(plain);
        }
        match &mut self.tls {
            Some(tls) => tls.seal(&plain, false),
            None => plain,
        }
    }

    /// Whether the kernel seals what is sent and opens what is received.
    pub fn is_in_kernel(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_in_kernel())
    }

    /// Tells the client that nothing follows, where the kernel seals; elsewhere that is sealed with the last of the output.
    pub fn say_end(&mut self) {
        let is_between_records = !self.sending;
        if let Some(keys) = self
            .tls
            .as_mut()
            .and_then(|tls| tls.kernel())
            .filter(|_| is_between_records)
        {
            keys.say_end(self.socket.as_fd());
        }
    }

    /// What the kernel seals.
    #[cold]
    fn kept_plain(&mut self, plain: Vec<u8>) -> Vec<u8> {
        if !plain.is_empty()
            && let Some(keys) = self.tls.as_mut().and_then(|tls| tls.kernel())
            && let Err(reason) = keys.before_send(self.socket.as_fd(), plain.len())
        {
            client_log::tell_unwritable(&self.peer, &reason);
            // The send fails, and the connection ends with it.
            acceptor::shut(&self.socket);
        }
        plain
    }

    /// Whether TLS has something to send, replies left aside.
    pub fn tls_wants_write(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.wants_write())
    }

    /// Bytes of replies that lie here since the last send, be it their turn or not.
    #[inline]
    pub fn replied_bytes(&self) -> usize {
        self.output.len() + self.lent_bytes() + self.side.len()
    }

    /// Bytes waiting to leave: what the output limits count.
    pub fn output_bytes(&self) -> usize {
        self.ready_bytes() + self.early_bytes() + self.side_used
    }

    /// Of those, bytes that wait for nothing but the client.
    fn ready_bytes(&self) -> usize {
        let unsent = self.output.len() + self.lent_bytes() + self.late_bytes() + self.held_bytes();
        unsent + self.sending_bytes + self.backlog.bytes()
    }

    /// Bytes that must leave before more of the reply to request `sequence` is of use: those behind it wait for it themselves.
    pub fn bytes_before(&self, sequence: u64) -> usize {
        match sequence == self.first_sequence {
            true => self.ready_bytes(),
            false => self.output_bytes(),
        }
    }

    fn early_bytes(&self) -> usize {
        self.early.as_ref().map_or(0, |early| early.bytes())
    }

    fn late_bytes(&self) -> usize {
        self.late.len() + self.news.as_ref().map_or(0, |news| news.bytes())
    }

    fn held_bytes(&self) -> usize {
        self.holding.as_ref().map_or(0, |holding| holding.bytes())
    }

    /// It does not move.
    ///
    /// - `core`: where it is.
    pub fn stay(&mut self, cores: &[CoreFlags], core: u16) {
        let target = self.moving_to.take();
        if let Some(target) = target.filter(|_| std::mem::take(&mut self.is_expected)) {
            count_moved(cores, target, core);
        }
    }

    /// Whether what it holds changes with nothing but its own requests, and it watches no key.
    pub fn is_at_rest(&self) -> bool {
        let holds_input = self.input.capacity() > 0 || self.large.is_some() || self.held.is_some();
        let holds_output = self.output.capacity() + self.output_bytes() > 0;
        // Who waits for a key is owed one reply, which is sent when it comes.
        let owed_count = usize::from(self.blocked == Some(Blocked::OnKeys));
        let waits = self.slots_count() > owed_count
            || self.under_way.is_some()
            || self
                .blocked
                .is_some_and(|blocked| blocked != Blocked::OnKeys);
        let block = self.block.as_ref();
        let watches = block.is_some_and(|block| block.watched.is_some());
        !(holds_input || holds_output || waits || watches)
    }

    /// Bytes this connection holds, for INFO and CLIENT LIST.
    pub fn memory_bytes(&self) -> usize {
        std::mem::size_of::<Self>()
            + self.input.capacity()
            + self.output.capacity()
            + self.lent_bytes()
            + self.backlog.allocated_bytes()
            + self.side.capacity()
            + self.early_bytes()
            + self.held_bytes()
            + self.late.capacity()
            + (self.news.as_ref()).map_or(0, |news| news.allocated_bytes())
            + self.sending_bytes
            + self.slots.capacity() * std::mem::size_of::<Slot>()
            + self.large.as_ref().map_or(0, Large::bytes_count)
            + self.held.as_ref().map_or(0, |held| held.len())
            + self
                .subscriptions
                .as_ref()
                .map_or(0, |subscriptions| subscriptions.memory_bytes())
            + (self.under_way.as_ref()).map_or(0, |under_way| under_way.bytes())
            + self.queued_bytes()
            + self.watched_bytes()
            // Here, and where its waiters are.
            + 2 * self.waits_bytes
            + (self.session.tracking.as_ref()).map_or(0, |tracking| tracking.prefixes_bytes)
            + (self.session.fieldsets.as_ref()).map_or(0, |fieldsets| fieldsets.heap_bytes())
    }
}
