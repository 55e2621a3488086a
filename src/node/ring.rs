//! One core's io_uring: everything that core asks of the kernel, one system call a turn.
//!
//!     turn = enter (submit what was queued, wait unless there is more to do) -> reap -> events -> work -> queue more
//!
//! Promises  buffers the kernel may write or read are owned here until their end is known, so callers handle only safe
//!           values; a receive buffer is readable until it is given back; completions of a connection that is gone
//!           carry its old generation; a send of which something is left ends a wait, one that is through does not.
//! Not here  what the events mean: `node/event_loop.rs`.
//! Source    `io_uring(7)`; measured before it was chosen: ARCHITECTURE, "The loop".
//! Details that cost time to find
//! - With DEFER_TASKRUN nothing completes until `io_uring_enter` is called with GETEVENTS, also when waiting for none.
//! - A multishot receive that finds no buffer ends with ENOBUFS and must be armed again, like any without MORE.
//! - A send with DONTWAIT never outlives the call that submits it. With WAITALL less than all of it is a failure, and
//!   SKIP_SUCCESS keeps a failure's completion: none, once the queue has been taken, says that all of it was sent.
#![allow(unsafe_code)]

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU16, Ordering};

use super::outgoing::Outgoing;
use super::patience::Patience;
use crate::ds::growing_buffer::GrowingBuffer;
use crate::persist::BlockBuffer;
use io_uring::{IoUring, cqueue, opcode, squeue, types};

/// Receive buffers per core: few and reused, so they stay in the cache (64 measured as good as 1,024 smaller ones).
const BUFFERS_COUNT: u16 = 64;
/// Bytes in one receive buffer.
pub const BUFFER_BYTES: usize = 16 * 1024;
/// The only provided-buffer group.
const BUFFER_GROUP: u16 = 1;
/// Bytes of all receive buffers of a core.
pub const BUFFERS_BYTES: usize = BUFFERS_COUNT as usize * BUFFER_BYTES;
/// What is longer goes in parts, so that it is known how far it has got; and the kernel takes no send of 2 GiB or more.
const SEND_BYTES_MAX: usize = 1 << 20;
/// What is received at once into a buffer of a connection's own: no client takes more of a turn, or of the memory there is, before
/// that is looked at.
const GATHERED_BYTES_MAX: usize = 256 * 1024;
/// Entries of the submission queue where nothing limits it; completions get four times as many.
const SUBMISSIONS_MAX: u32 = 4096;
const SUBMISSIONS_MIN: u32 = 128;
const COMPLETIONS_PER_SUBMISSION: u32 = 4;

/// The kernel takes no more than 2 GiB less a page in one write, so nothing larger is asked of it. Tests are to meet it.
pub const WRITE_BYTES_MAX: usize = if cfg!(debug_assertions) {
    1 << 20
} else {
    1 << 30
};
// Of `io_uring_enter(2)` and `io_uring_register(2)`.
const ENTER_GETEVENTS: libc::c_uint = 1;
const ENTER_REGISTERED_RING: libc::c_uint = 1 << 4;
const ENTER_EXT_ARG: libc::c_uint = 1 << 3;
const REGISTER_RING_FDS: libc::c_uint = 20;

/// A wait that several completions may end goes on for this long at most; the next one follows at once.
const WAIT_MAX: std::time::Duration = std::time::Duration::from_secs(3600);

const KIND_SHIFT: u32 = 60;
const KIND_RECEIVE: u64 = 1;
const KIND_SEND: u64 = 2;
const KIND_ACCEPT: u64 = 3;
const KIND_BELL: u64 = 4;
const KIND_TICK: u64 = 5;
const KIND_READABLE: u64 = 6;
const KIND_IGNORED: u64 = 7;
const KIND_SEND_AT_ONCE: u64 = 8;
const KIND_ALARM: u64 = 9;
const KIND_ERRAND: u64 = 10;
const KIND_LOG_WRITE: u64 = 11;
const KIND_LOG_SYNC: u64 = 12;
const KIND_LOG_ALARM: u64 = 13;
const KIND_GATHER: u64 = 14;
const KIND_MASK: u64 = (1 << KIND_SHIFT) - 1;
const GENERATION_MASK: u32 = (1 << 28) - 1;

/// A connection as the ring knows it: its place in the slab and which tenant of that place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token {
    /// Place in the connection slab.
    pub index: u32,
    /// Tenant of that place, below 2^28.
    pub generation: u32,
}

impl Token {
    /// The next tenant's number.
    pub fn next_generation(generation: u32) -> u32 {
        (generation + 1) & GENERATION_MASK
    }

    fn pack(self, kind: u64) -> u64 {
        kind << KIND_SHIFT | u64::from(self.generation) << 32 | u64::from(self.index)
    }

    fn unpack(user_data: u64) -> Self {
        Self {
            index: user_data as u32,
            generation: (user_data >> 32) as u32 & GENERATION_MASK,
        }
    }
}

/// Bytes the kernel received for a connection; give it back with [`Ring::recycle`].
#[derive(Debug)]
pub struct ReceiveBuffer {
    index: u16,
    length: u32,
}

/// What a receive brought.
#[derive(Debug)]
pub enum Received {
    /// At least one byte.
    Bytes(ReceiveBuffer),
    /// The peer closed, or the receive failed: no bytes will come any more.
    Ended {
        /// Why it failed; 0 where the peer closed.
        errno: i32,
    },
    /// All buffers were in use, or the receive was cancelled; arm it again when wanted.
    Stopped,
    /// There is something that is no data: the kernel's TLS has a record of another kind.
    Control,
}

/// One completion.
#[derive(Debug)]
pub enum Event {
    /// A listener gave a connection, or said why it could not.
    Accepted {
        /// Its number.
        listener: u32,
        /// The socket, or an errno.
        result: Result<OwnedFd, i32>,
        /// The accept stays armed.
        more: bool,
    },
    /// A connection's receive.
    Received {
        /// Whose.
        token: Token,
        /// What came.
        received: Received,
        /// The receive stays armed.
        more: bool,
    },
    /// A receive to a buffer of the connection's own ended; the buffer returns.
    Gathered {
        /// Whose.
        token: Token,
        /// What it was to come to.
        buffer: Box<GrowingBuffer>,
        /// How many bytes came behind what was there, or what came instead of any.
        result: Result<usize, Received>,
    },
    /// A send ended; its buffer returns.
    Sent {
        /// Whose.
        token: Token,
        /// Bytes sent, or a negative errno.
        result: i32,
        /// What was sent.
        output: Outgoing,
    },
    /// Another core rang.
    Bell,
    /// The tick's time has come; arm the next one.
    Tick,
    /// An alarm's time has come.
    Alarm,
    /// The watched descriptor can be read.
    Readable,
    /// Reports of errands can be read.
    Errand,
    /// A write of the log has ended.
    LogWritten {
        /// Its name.
        id: u64,
        /// Bytes written, or a negative errno.
        result: i32,
        /// What was written.
        buffer: BlockBuffer,
    },
    /// A sync of the log has ended.
    LogSynced {
        /// The segment.
        sequence: u64,
        /// 0, or a negative errno.
        result: i32,
    },
    /// The log's alarm's time has come.
    LogAlarm,
}

/// Why a ring cannot be had, with the remedy.
#[derive(Debug)]
pub struct RingError {
    /// What failed and what to change, in sentences for an operator.
    pub remedy: String,
}

impl std::fmt::Display for RingError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.remedy)
    }
}

/// `io_uring_getevents_arg`.
#[repr(C)]
struct WaitArgument {
    signals: *const libc::sigset_t,
    signals_bytes: u32,
    /// After this time one completion is enough (Linux 6.12).
    min_wait_us: u32,
    timespec: *const types::Timespec,
}

/// How long a core sleeps.
#[derive(Clone, Copy, Debug)]
pub enum Wait {
    /// Until there is something, or several things.
    Until(Patience),
    /// Until there is something, but not longer.
    AtMost(std::time::Duration),
}

/// What the kernel reads of a send of several parts.
struct SendHeader {
    header: libc::msghdr,
    /// `header` says where they are.
    _parts: Vec<libc::iovec>,
}

/// One core's ring, its receive buffers, and the send buffers in flight.
pub struct Ring {
    ring: IoUring,
    /// Where the kernel finds it without a look into the table of descriptors all threads share.
    registered: Option<RawFd>,
    /// The kernel can wait for several completions, but not for long.
    can_be_patient: bool,
    /// Descriptors of the provided buffers, shared with the kernel; never freed (see `new`).
    descriptors: *mut types::BufRingEntry,
    /// `BUFFERS_COUNT * BUFFER_BYTES` bytes; never freed.
    memory: *mut u8,
    descriptors_tail: u16,
    recycled: bool,
    /// By connection index: the one send in flight.
    sends: Vec<Outgoing>,
    /// By connection index: what the kernel reads of those of several parts when it takes them.
    headers: HashMap<u32, Box<SendHeader>>,
    /// By connection index: where its receive in flight writes to, if that is no buffer of this ring.
    gathering: HashMap<u32, Box<GrowingBuffer>>,
    /// Sends that end with the call that submits them, and have not been seen to end.
    at_once: Vec<Token>,
    tick: Box<types::Timespec>,
    alarm: Box<types::Timespec>,
    log_alarm: Box<types::Timespec>,
    /// Writes of the log under way.
    log_writes: Vec<(u64, BlockBuffer)>,
    completions: Vec<cqueue::Entry>,
    bells: u64,
}

impl Ring {
    /// A ring with its receive buffers registered.
    ///
    /// - `lockable_bytes`: what its queues may take of the memory a process may lock; smaller queues only mean more
    ///   system calls under load.
    /// - Errors name the setting that fixes them: kernel, sysctl, seccomp profile or memory limit.
    pub fn new(lockable_bytes: u64) -> Result<Self, RingError> {
        let submissions = submissions_within(lockable_bytes);
        let ring: IoUring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_submit_all()
            .setup_cqsize(submissions * COMPLETIONS_PER_SUBMISSION)
            .build(submissions)
            .map_err(|error| RingError {
                remedy: remedy("io_uring_setup", &error),
            })?;
        probe(&ring)?;
        let descriptors_bytes =
            usize::from(BUFFERS_COUNT) * std::mem::size_of::<types::BufRingEntry>();
        // The kernel holds these two areas for as long as the ring exists, and requests may outlive `Ring` for a moment
        // while the kernel tears it down. A core's ring lives as long as the process, so both are leaked on purpose.
        // SAFETY: an anonymous private mapping has no preconditions; failure is checked below.
        let descriptors = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                descriptors_bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_ANONYMOUS | libc::MAP_PRIVATE | libc::MAP_POPULATE,
                -1,
                0,
            )
        };
        if descriptors == libc::MAP_FAILED {
            return Err(RingError {
                remedy: remedy("mmap", &io::Error::last_os_error()),
            });
        }
        // Every page is written once, so that it is there: INFO counts all of them as in use from the start, and the first bytes
        // of a client find no page that is missing.
        let memory = Box::leak(vec![u8::MAX; BUFFERS_BYTES].into_boxed_slice()).as_mut_ptr();
        // SAFETY: `descriptors` is a page-aligned mapping of BUFFERS_COUNT entries that is never unmapped.
        unsafe {
            ring.submitter().register_buf_ring_with_flags(
                descriptors as u64,
                BUFFERS_COUNT,
                BUFFER_GROUP,
                0,
            )
        }
        .map_err(|error| RingError {
            remedy: remedy("registering receive buffers", &error),
        })?;
        let mut ring = Self {
            registered: register(&ring),
            can_be_patient: ring.params().is_feature_min_timeout(),
            ring,
            descriptors: descriptors.cast(),
            memory,
            descriptors_tail: 0,
            recycled: false,
            sends: Vec::new(),
            headers: HashMap::new(),
            gathering: HashMap::new(),
            at_once: Vec::new(),
            tick: Box::default(),
            alarm: Box::default(),
            log_alarm: Box::default(),
            log_writes: Vec::new(),
            completions: Vec::with_capacity(1024),
            bells: 0,
        };
        (0..BUFFERS_COUNT).for_each(|index| ring.offer(index));
        ring.publish();
        Ok(ring)
    }

    /// The descriptor other cores ring ([`Ring::ring_bell`]).
    pub fn descriptor(&self) -> RawFd {
        self.ring.as_raw_fd()
    }

    /// Accepts connections on `listener` until told otherwise.
    pub fn accept(&mut self, listener: BorrowedFd<'_>, index: u32) {
        let entry = opcode::AcceptMulti::new(types::Fd(listener.as_raw_fd()))
            .flags(libc::SOCK_CLOEXEC)
            .build()
            .user_data(KIND_ACCEPT << KIND_SHIFT | u64::from(index));
        self.push(&entry);
    }

    /// Ends the accept armed under `index`; its last completion comes as [`Event::Accepted`] without `more`.
    pub fn stop_accepting(&mut self, index: u32) {
        let entry = opcode::AsyncCancel::new(KIND_ACCEPT << KIND_SHIFT | u64::from(index))
            .build()
            .user_data(KIND_IGNORED << KIND_SHIFT);
        self.push(&entry);
    }

    /// Receives into this ring's buffers until the peer closes or buffers run out.
    pub fn receive(&mut self, socket: BorrowedFd<'_>, token: Token) {
        let entry = opcode::RecvMulti::new(types::Fd(socket.as_raw_fd()), BUFFER_GROUP)
            .build()
            .user_data(token.pack(KIND_RECEIVE));
        self.push(&entry);
    }

    /// Receives into one of this ring's buffers, once.
    pub fn receive_once(&mut self, socket: BorrowedFd<'_>, token: Token) {
        let entry = opcode::Recv::new(types::Fd(socket.as_raw_fd()), std::ptr::null_mut(), 0)
            .buf_group(BUFFER_GROUP)
            .build()
            .flags(squeue::Flags::BUFFER_SELECT)
            .user_data(token.pack(KIND_RECEIVE));
        self.push(&entry);
    }

    /// Receives into `buffer` behind what is there, once, `bytes` at most. The buffer returns with [`Event::Gathered`].
    ///
    /// - Errors: there is no memory; nothing is under way, and the buffer is gone.
    pub fn gather(
        &mut self,
        socket: BorrowedFd<'_>,
        token: Token,
        mut buffer: Box<GrowingBuffer>,
        bytes: usize,
    ) -> io::Result<()> {
        let (start, room_bytes) = buffer.room(bytes.min(GATHERED_BYTES_MAX))?;
        let length = room_bytes as u32;
        // The mapping behind `start` stays where it is: it is owned by `gathering` and untouched until its end is known.
        let entry = opcode::Recv::new(types::Fd(socket.as_raw_fd()), start.as_ptr(), length)
            .build()
            .user_data(token.pack(KIND_GATHER));
        let before = self.gathering.insert(token.index, buffer);
        assert!(
            before.is_none(),
            "one receive per connection is in flight at a time"
        );
        self.push(&entry);
        Ok(())
    }

    /// Ends a connection's receive; its last completion comes as [`Received::Stopped`] (or with bytes and no `more`).
    pub fn stop_receiving(&mut self, token: Token) {
        let kind = match self.gathering.contains_key(&token.index) {
            true => KIND_GATHER,
            false => KIND_RECEIVE,
        };
        let entry = opcode::AsyncCancel::new(token.pack(kind))
            .build()
            .user_data(KIND_IGNORED << KIND_SHIFT);
        self.push(&entry);
    }

    /// Sends all of `buffer` behind the bytes `from`, however long it takes, or the first megabyte of it. One send per connection at
    /// a time; the buffer returns with [`Event::Sent`].
    pub fn send(&mut self, socket: BorrowedFd<'_>, token: Token, output: Outgoing, from: usize) {
        let flags = libc::MSG_WAITALL;
        let entry = match output.plain() {
            Some(_) => self.hold(socket, token, (output, from), flags),
            None => self.hold_parts(socket, token, (output, from), flags),
        };
        self.push(&entry.user_data(token.pack(KIND_SEND)));
    }

    /// Sends some of `buffer`, as much as the socket takes when it takes any: the kernel's TLS knows no send of all.
    pub fn send_some(
        &mut self,
        socket: BorrowedFd<'_>,
        token: Token,
        output: Outgoing,
        from: usize,
    ) {
        debug_assert!(output.plain().is_some(), "TLS has read all of it");
        let entry = self.hold(socket, token, (output, from), 0);
        self.push(&entry.user_data(token.pack(KIND_SEND)));
    }

    /// Sends what the socket takes at once, otherwise as [`Ring::send`]; at most a megabyte. That all of it went ends no wait: the event
    /// is there after the next `enter`, whatever that waits for.
    pub fn send_at_once(&mut self, socket: BorrowedFd<'_>, token: Token, output: Outgoing) {
        debug_assert!(output.len() <= SEND_BYTES_MAX, "success is all of it");
        debug_assert!(output.plain().is_some(), "all of it is here");
        let entry = self
            .hold(
                socket,
                token,
                (output, 0),
                libc::MSG_WAITALL | libc::MSG_DONTWAIT,
            )
            .flags(squeue::Flags::SKIP_SUCCESS)
            .user_data(token.pack(KIND_SEND_AT_ONCE));
        self.push(&entry);
        self.at_once.push(token);
    }

    /// A send's entry; the ring owns its bytes from now on.
    fn hold(
        &mut self,
        socket: BorrowedFd<'_>,
        token: Token,
        (output, from): (Outgoing, usize),
        flags: libc::c_int,
    ) -> squeue::Entry {
        let output = self.keep(token, output);
        let bytes = &output.plain().unwrap_or_default()[from..];
        // The heap block behind `bytes` stays where it is: it is owned by `sends` and untouched until its end is known.
        opcode::Send::new(
            types::Fd(socket.as_raw_fd()),
            bytes.as_ptr(),
            bytes.len().min(SEND_BYTES_MAX) as u32,
        )
        .flags(flags | libc::MSG_NOSIGNAL)
        .build()
    }

    /// The same for a send of several parts.
    #[cold]
    fn hold_parts(
        &mut self,
        socket: BorrowedFd<'_>,
        token: Token,
        (output, from): (Outgoing, usize),
        flags: libc::c_int,
    ) -> squeue::Entry {
        let parts = self.keep(token, output).parts(from, SEND_BYTES_MAX);
        let parts = parts.into_iter().map(|part| libc::iovec {
            iov_base: part.as_ptr().cast_mut().cast(),
            iov_len: part.len(),
        });
        let parts: Vec<_> = parts.collect();
        // SAFETY: of this plain struct of C zeros are a value: no name, no parts, nothing beside them.
        let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
        header.msg_iov = parts.as_ptr().cast_mut();
        header.msg_iovlen = parts.len();
        let header = Box::new(SendHeader {
            header,
            _parts: parts,
        });
        // The box and the parts in it stay where they are until the end is known, as do the bytes that the parts are of, which `sends`
        // owns, or shares with the keys they are of: those are not changed while they are shared.
        let entry = opcode::SendMsg::new(types::Fd(socket.as_raw_fd()), &raw const header.header)
            .flags((flags | libc::MSG_NOSIGNAL) as u32)
            .build();
        self.headers.insert(token.index, header);
        entry
    }

    /// Keeps what a send has until its end is known.
    #[inline]
    fn keep(&mut self, token: Token, output: Outgoing) -> &Outgoing {
        let index = token.index as usize;
        if self.sends.len() <= index {
            self.sends.resize_with(index + 1, Outgoing::default);
        }
        assert!(
            self.sends[index].is_empty(),
            "one send per connection is in flight at a time"
        );
        self.sends[index] = output;
        &self.sends[index]
    }

    /// Wakes the core whose ring has this descriptor.
    pub fn ring_bell(&mut self, descriptor: RawFd) {
        let entry =
            opcode::MsgRingData::new(types::Fd(descriptor), 0, KIND_BELL << KIND_SHIFT, None)
                .build()
                .flags(squeue::Flags::SKIP_SUCCESS)
                .user_data(KIND_IGNORED << KIND_SHIFT);
        self.push(&entry);
        self.bells += 1;
    }

    /// How many bells this core has rung.
    pub fn bells(&self) -> u64 {
        self.bells
    }

    /// Asks for one [`Event::Tick`] after `tick`. One at a time: arm the next when it has come.
    pub fn arm_tick(&mut self, tick: std::time::Duration) {
        *self.tick = types::Timespec::from(tick);
        let timespec: *const types::Timespec = &*self.tick;
        let entry = opcode::Timeout::new(timespec)
            .build()
            .user_data(KIND_TICK << KIND_SHIFT);
        self.push(&entry);
    }

    /// Asks for one [`Event::Alarm`] after `wait`. At most one between two calls of [`Ring::enter`]: the kernel has taken the
    /// time by then.
    pub fn set_alarm(&mut self, wait: std::time::Duration) {
        *self.alarm = types::Timespec::from(wait);
        let timespec: *const types::Timespec = &*self.alarm;
        let entry = opcode::Timeout::new(timespec)
            .build()
            .user_data(KIND_ALARM << KIND_SHIFT);
        self.push(&entry);
    }

    /// Writes `buffer`, which belongs at `offset` of a file, from its byte `done_bytes` on, [`WRITE_BYTES_MAX`] at most, durably if
    /// wanted; it returns with [`Event::LogWritten`].
    ///
    /// - `id`: below 2^60, none other of this name under way.
    /// - `may_block`: the call that submits it could wait for the file system; one of the kernel's workers waits instead.
    pub fn write_log(
        &mut self,
        file: BorrowedFd<'_>,
        id: u64,
        buffer: BlockBuffer,
        (offset, done_bytes): (u64, usize),
        is_durable: bool,
        may_block: bool,
    ) {
        let bytes = &buffer.as_slice()[done_bytes..];
        let length = bytes.len().min(WRITE_BYTES_MAX) as u32;
        // The heap block behind `buffer` stays where it is: it is owned by `log_writes` and untouched until its end is known.
        let entry = opcode::Write::new(types::Fd(file.as_raw_fd()), bytes.as_ptr(), length)
            .offset(offset + done_bytes as u64)
            .rw_flags(if is_durable { libc::RWF_DSYNC } else { 0 })
            .build()
            .flags(if may_block {
                squeue::Flags::ASYNC
            } else {
                squeue::Flags::empty()
            })
            .user_data(KIND_LOG_WRITE << KIND_SHIFT | id & KIND_MASK);
        self.log_writes.push((id, buffer));
        self.push(&entry);
    }

    /// Has the kernel give back what is asked for next, as where it can begin no worker for it: tests.
    pub fn cancel_next(&mut self) {
        // It fails, and what is linked to it is not begun.
        let entry = opcode::Fsync::new(types::Fd(-1))
            .build()
            .flags(squeue::Flags::IO_LINK)
            .user_data(KIND_IGNORED << KIND_SHIFT);
        self.push(&entry);
    }

    /// Makes a file's data durable; answered by [`Event::LogSynced`].
    pub fn sync_log(&mut self, file: BorrowedFd<'_>, sequence: u64) {
        let entry = opcode::Fsync::new(types::Fd(file.as_raw_fd()))
            .flags(types::FsyncFlags::DATASYNC)
            .build()
            .user_data(KIND_LOG_SYNC << KIND_SHIFT | sequence & KIND_MASK);
        self.push(&entry);
    }

    /// Asks for one [`Event::LogAlarm`] after `wait`. One at a time: set the next when it has come.
    pub fn set_log_alarm(&mut self, wait: std::time::Duration) {
        *self.log_alarm = types::Timespec::from(wait);
        let timespec: *const types::Timespec = &*self.log_alarm;
        let entry = opcode::Timeout::new(timespec)
            .build()
            .user_data(KIND_LOG_ALARM << KIND_SHIFT);
        self.push(&entry);
    }

    /// Asks for one [`Event::Readable`] when `descriptor` has something to read.
    pub fn watch(&mut self, descriptor: BorrowedFd<'_>) {
        self.poll(descriptor, KIND_READABLE);
    }

    /// Asks for one [`Event::Errand`] when `descriptor` has something to read.
    pub fn watch_errands(&mut self, descriptor: BorrowedFd<'_>) {
        self.poll(descriptor, KIND_ERRAND);
    }

    fn poll(&mut self, descriptor: BorrowedFd<'_>, kind: u64) {
        let entry = opcode::PollAdd::new(types::Fd(descriptor.as_raw_fd()), libc::POLLIN as u32)
            .build()
            .user_data(kind << KIND_SHIFT);
        self.push(&entry);
    }

    /// Submits what is queued and reaps what is done; with `wait`, sleeps until there are completions, at least one.
    pub fn enter(&mut self, wait: Option<Wait>) -> io::Result<()> {
        self.publish();
        let queued = {
            let mut submission = self.ring.submission();
            submission.sync();
            submission.len()
        };
        let wanted = match wait {
            Some(Wait::Until(patience)) if self.completions.is_empty() && self.can_be_patient => {
                patience.count
            }
            Some(_) if self.completions.is_empty() => 1,
            _ => 0,
        };
        let mut flags = ENTER_GETEVENTS;
        let descriptor = match self.registered {
            Some(place) => {
                flags |= ENTER_REGISTERED_RING;
                place
            }
            None => self.descriptor(),
        };
        // Without an end of its own a wait would end with the time for several.
        let (longest, min_wait_us) = match wait {
            Some(Wait::AtMost(longest)) => (longest, 0),
            Some(Wait::Until(patience)) => (WAIT_MAX, patience.micros),
            None => (WAIT_MAX, 0),
        };
        let longest = types::Timespec::from(longest);
        let argument = WaitArgument {
            min_wait_us,
            timespec: &raw const longest,
            signals: std::ptr::null(),
            signals_bytes: 0,
        };
        let has_end = matches!(wait, Some(Wait::AtMost(_)));
        let (argument, argument_bytes) = if wanted > 1 || (has_end && wanted > 0) {
            flags |= ENTER_EXT_ARG;
            (&raw const argument, size_of::<WaitArgument>())
        } else {
            (std::ptr::null(), 0)
        };
        // SAFETY: the argument, if any, is what the flag says it is, and read in this call only; queued entries point only
        // to memory this type owns.
        let result = match unsafe {
            libc::syscall(
                libc::SYS_io_uring_enter,
                descriptor,
                queued as libc::c_uint,
                wanted,
                flags,
                argument,
                argument_bytes,
            )
        } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        };
        match result {
            Err(error)
                if matches!(
                    error.raw_os_error(),
                    Some(libc::EINTR | libc::EBUSY | libc::EAGAIN | libc::ETIME)
                ) =>
            {
                Ok(())
            }
            other => other,
        }
    }

    /// Whether there is no completion but those that [`Ring::reap`] has moved.
    pub fn is_reaped(&mut self) -> bool {
        let has_all = !self.ring.submission().cq_overflow();
        has_all && self.completions.is_empty() && self.ring.completion().is_empty()
    }

    /// Moves all completions into `events`, ends of sends first.
    pub fn reap(&mut self, events: &mut Vec<Event>) {
        let mut completions = std::mem::take(&mut self.completions);
        // Asked before the completions are taken: what the kernel holds back may be a failure.
        let is_known = {
            let submission = self.ring.submission();
            submission.is_empty() && !submission.cq_overflow()
        };
        completions.extend(self.ring.completion());
        if !self.at_once.is_empty() {
            self.end_sends_at_once(&completions, is_known, events);
        }
        for completion in completions.drain(..) {
            self.translate(&completion, events);
        }
        self.completions = completions;
    }

    /// Tells the ends of sends at once: failed by their completions, through for want of one.
    ///
    /// - `is_known`: the kernel has taken all submissions, and `completions` are all there are.
    fn end_sends_at_once(
        &mut self,
        completions: &[cqueue::Entry],
        is_known: bool,
        events: &mut Vec<Event>,
    ) {
        for completion in completions {
            if completion.user_data() >> KIND_SHIFT != KIND_SEND_AT_ONCE {
                continue;
            }
            let token = Token::unpack(completion.user_data());
            self.at_once.retain(|&other| other != token);
            let result = match completion.result() {
                // Nothing fits: the same as a part of no bytes.
                result if result == -libc::EAGAIN => 0,
                result => result,
            };
            self.end_send(token, result, events);
        }
        if is_known {
            let mut through = std::mem::take(&mut self.at_once);
            for token in through.drain(..) {
                let length = self.sends[token.index as usize].len();
                self.end_send(token, i32::try_from(length).unwrap_or(i32::MAX), events);
            }
            self.at_once = through;
        }
    }

    fn end_send(&mut self, token: Token, result: i32, events: &mut Vec<Event>) {
        let output = std::mem::take(&mut self.sends[token.index as usize]);
        if output.plain().is_none() {
            self.headers.remove(&token.index);
        }
        events.push(Event::Sent {
            token,
            result,
            output,
        });
    }

    /// The bytes of a receive buffer.
    pub fn bytes(&self, buffer: &ReceiveBuffer) -> &[u8] {
        // SAFETY: `translate` made the handle from a completion, so index < BUFFERS_COUNT, the kernel wrote `length` <=
        // BUFFER_BYTES bytes there, and it does not write again before `recycle` consumes the handle.
        unsafe {
            std::slice::from_raw_parts(
                self.memory.add(usize::from(buffer.index) * BUFFER_BYTES),
                buffer.length as usize,
            )
        }
    }

    /// Gives a receive buffer back to the kernel (published with the next `enter`).
    pub fn recycle(&mut self, buffer: ReceiveBuffer) {
        self.offer(buffer.index);
    }

    fn translate(&mut self, completion: &cqueue::Entry, events: &mut Vec<Event>) {
        let user_data = completion.user_data();
        let result = completion.result();
        let more = cqueue::more(completion.flags());
        match user_data >> KIND_SHIFT {
            KIND_RECEIVE => {
                let received = match result {
                    1.. => match cqueue::buffer_select(completion.flags()) {
                        Some(index) => Received::Bytes(ReceiveBuffer {
                            index,
                            length: result as u32,
                        }),
                        None => Received::Ended { errno: 0 },
                    },
                    _ => nothing_received(result),
                };
                events.push(Event::Received {
                    token: Token::unpack(user_data),
                    received,
                    more,
                });
            }
            KIND_GATHER => {
                let token = Token::unpack(user_data);
                if let Some(mut buffer) = self.gathering.remove(&token.index) {
                    let result = match usize::try_from(result) {
                        Ok(bytes @ 1..) => {
                            // SAFETY: the kernel has written so many bytes to the room that `gather` asked for.
                            unsafe { buffer.advance(bytes) };
                            Ok(bytes)
                        }
                        _ => Err(nothing_received(result)),
                    };
                    events.push(Event::Gathered {
                        token,
                        buffer,
                        result,
                    });
                }
            }
            KIND_SEND => self.end_send(Token::unpack(user_data), result, events),
            KIND_ACCEPT => {
                let result = if result >= 0 {
                    // SAFETY: a successful accept hands over a descriptor nobody else owns.
                    Ok(unsafe { OwnedFd::from_raw_fd(result) })
                } else {
                    Err(-result)
                };
                events.push(Event::Accepted {
                    listener: user_data as u32,
                    result,
                    more,
                });
            }
            KIND_BELL => events.push(Event::Bell),
            KIND_TICK => events.push(Event::Tick),
            KIND_ALARM => events.push(Event::Alarm),
            KIND_READABLE => events.push(Event::Readable),
            KIND_ERRAND => events.push(Event::Errand),
            KIND_LOG_WRITE => {
                let id = user_data & KIND_MASK;
                let place = self.log_writes.iter().position(|(of, _)| *of == id);
                if let Some(place) = place {
                    let (id, buffer) = self.log_writes.swap_remove(place);
                    events.push(Event::LogWritten { id, result, buffer });
                }
            }
            KIND_LOG_SYNC => events.push(Event::LogSynced {
                sequence: user_data & KIND_MASK,
                result,
            }),
            KIND_LOG_ALARM => events.push(Event::LogAlarm),
            _ => {}
        }
    }

    fn push(&mut self, entry: &squeue::Entry) {
        // SAFETY: callers build entries whose pointers are to memory this type owns until their end is known (`sends`, `headers`,
        // `gathering`, `log_writes`, `tick`), or that have none.
        while unsafe { self.ring.submission().push(entry) }.is_err() {
            // The queue is full: hand it to the kernel and go on. Where the kernel wants completions taken first, they
            // are kept for the next `reap`.
            if self.ring.submit().is_err() {
                let completions = self.ring.completion();
                self.completions.extend(completions);
            }
        }
    }

    fn offer(&mut self, index: u16) {
        let place = usize::from(self.descriptors_tail & (BUFFERS_COUNT - 1));
        // SAFETY: place < BUFFERS_COUNT entries of the mapping; the kernel reads an entry only after `publish` moves the
        // tail past it, and this buffer is not offered twice because its handle was consumed.
        let entry = unsafe { &mut *self.descriptors.add(place) };
        // SAFETY: index < BUFFERS_COUNT, so the address stays inside the leaked area.
        entry.set_addr(unsafe { self.memory.add(usize::from(index) * BUFFER_BYTES) } as u64);
        entry.set_len(BUFFER_BYTES as u32);
        entry.set_bid(index);
        self.descriptors_tail = self.descriptors_tail.wrapping_add(1);
        self.recycled = true;
    }

    fn publish(&mut self) {
        if !std::mem::take(&mut self.recycled) {
            return;
        }
        // SAFETY: `descriptors` is the first entry of the registered ring; the tail field lies inside it, is 2-aligned,
        // and the kernel only reads it, so an atomic store is the agreed way to write it.
        let tail = unsafe { &*types::BufRingEntry::tail(self.descriptors).cast::<AtomicU16>() };
        tail.store(self.descriptors_tail, Ordering::Release);
    }
}

/// What a receive that brought no byte was: `result` is 0 or a negative errno.
fn nothing_received(result: i32) -> Received {
    match -result {
        libc::ENOBUFS | libc::ECANCELED => Received::Stopped,
        libc::EIO => Received::Control,
        errno => Received::Ended { errno },
    }
}

/// Registers a ring with this thread, the only one that enters it. Without, it only costs a little more.
fn register(ring: &IoUring) -> Option<RawFd> {
    #[repr(C)]
    struct Update {
        offset: u32,
        reserved: u32,
        data: u64,
    }
    let mut update = Update {
        offset: u32::MAX,
        reserved: 0,
        data: ring.as_raw_fd() as u64,
    };
    // SAFETY: the argument is one `io_uring_rsrc_update`, which the kernel reads, and writes its place to, in this call.
    let registered = unsafe {
        libc::syscall(
            libc::SYS_io_uring_register,
            ring.as_raw_fd(),
            REGISTER_RING_FDS,
            &raw mut update,
            1,
        )
    };
    (registered == 1).then_some(update.offset as RawFd)
}

/// The largest queues that fit: a submission takes 64 + 4 bytes, a completion 16.
fn submissions_within(lockable_bytes: u64) -> u32 {
    let bytes = |count: u32| u64::from(count) * (68 + 16 * u64::from(COMPLETIONS_PER_SUBMISSION));
    let mut submissions = SUBMISSIONS_MAX;
    while submissions > SUBMISSIONS_MIN && bytes(submissions) > lockable_bytes {
        submissions /= 2;
    }
    submissions
}

impl Drop for Ring {
    fn drop(&mut self) {
        // Closing the ring only begins to cancel its requests; until the kernel is through, it may read these.
        std::mem::forget(std::mem::take(&mut self.sends));
        std::mem::forget(std::mem::take(&mut self.headers));
        std::mem::forget(std::mem::take(&mut self.gathering));
        std::mem::forget(std::mem::take(&mut self.log_writes));
    }
}

/// Whether a ring can be had at all, before anybody depends on one.
///
/// - Errors: as those of [`Ring::new`].
pub fn try_out() -> Result<(), RingError> {
    let mut ring = IoUring::new(SUBMISSIONS_MIN).map_err(|error| RingError {
        remedy: remedy("io_uring_setup", &error),
    })?;
    probe(&ring)?;
    // SAFETY: the operation has no buffers.
    let pushed = unsafe { ring.submission().push(&opcode::Nop::new().build()) };
    let entered = match pushed {
        Ok(()) => ring.submit_and_wait(1).map(|_| ()),
        Err(_) => Ok(()),
    };
    entered.map_err(|error| RingError {
        remedy: remedy("io_uring_enter", &error),
    })
}

/// What must be there: the operations and features the loop is built on.
fn probe(ring: &IoUring) -> Result<(), RingError> {
    let mut probe = io_uring::Probe::new();
    ring.submitter()
        .register_probe(&mut probe)
        .map_err(|error| RingError {
            remedy: remedy("io_uring probe", &error),
        })?;
    let needed = [
        ("accept", opcode::AcceptMulti::CODE),
        ("recv", opcode::RecvMulti::CODE),
        ("send", opcode::Send::CODE),
        ("sendmsg", opcode::SendMsg::CODE),
        ("timeout", opcode::Timeout::CODE),
        ("async cancel", opcode::AsyncCancel::CODE),
        ("msg_ring", opcode::MsgRingData::CODE),
        ("write", opcode::Write::CODE),
        ("fsync", opcode::Fsync::CODE),
    ];
    for (name, code) in needed {
        if !probe.is_supported(code) {
            return Err(RingError {
                remedy: format!(
                    "this kernel's io_uring lacks the operation '{name}'; rondo needs Linux 6.1 or later"
                ),
            });
        }
    }
    if !ring.params().is_feature_ext_arg() || !ring.params().is_feature_nodrop() {
        return Err(RingError {
            remedy: "this kernel's io_uring is too old; rondo needs Linux 6.1 or later".into(),
        });
    }
    Ok(())
}

/// The setting that fixes `error`.
fn remedy(step: &str, error: &io::Error) -> String {
    let cause = match error.raw_os_error() {
        Some(libc::ENOSYS) => {
            "this kernel has no io_uring (or a sandbox hides it): run Linux 6.1 or later, built with CONFIG_IO_URING"
        }
        Some(libc::EPERM | libc::EACCES) => {
            "io_uring is forbidden here: set `sysctl kernel.io_uring_disabled=0`, and in a container use a seccomp \
             profile that allows io_uring_setup, io_uring_enter and io_uring_register"
        }
        Some(libc::ENOMEM) => {
            "not enough lockable memory: raise RLIMIT_MEMLOCK (`ulimit -l`, systemd LimitMEMLOCK=)"
        }
        Some(libc::EINVAL) => "this kernel's io_uring is too old: rondo needs Linux 6.1 or later",
        Some(libc::EMFILE | libc::ENFILE) => {
            "too many open files: raise RLIMIT_NOFILE (`ulimit -n`)"
        }
        _ => "rondo needs io_uring of Linux 6.1 or later",
    };
    format!("{step} failed: {error}; {cause}")
}
