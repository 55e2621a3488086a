//! One core's io_uring: everything that core asks of the kernel, one system call a turn.
//!
//!     turn = enter (submit what was queued, wait unless there is more to do) -> reap -> events -> work -> queue more
//!
//! Promises  buffers the kernel may write or read are owned here until their end is known, so callers handle only safe
//!           values; a receive buffer is readable until it is given back; completions of a connection that is gone
//!           carry its old generation; a send of which something is left ends a wait, one that is through does not.
//! Not here  what the events mean: `node/event_loop.rs`; whether a ring can be had at all: `setup.rs`.
//! Source    `io_uring(7)`; measured before it was chosen: ARCHITECTURE, "The loop".
//! Details that cost time to find
//! - With DEFER_TASKRUN nothing completes until `io_uring_enter` is called with GETEVENTS, also when waiting for none.
//! - A multishot receive that finds no buffer ends with ENOBUFS and must be armed again, like any without MORE.
//! - A send with DONTWAIT never outlives the call that submits it. With WAITALL less than all of it is a failure, and
//!   SKIP_SUCCESS keeps a failure's completion: none, once the queue has been taken, says that all of it was sent.
#![allow(unsafe_code)]

mod buffers;
mod event;
mod setup;

pub use buffers::{BUFFERS_BYTES, ReceiveBuffer};
pub use event::{Event, Received, Token};
pub use setup::{RingError, try_out};

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use super::outgoing::Outgoing;
use super::patience::Patience;
use crate::ds::growing_buffer::GrowingBuffer;
use crate::persist::BlockBuffer;
use buffers::{BUFFER_GROUP, ReceiveBuffers};
use io_uring::{IoUring, cqueue, opcode, squeue, types};
use setup::{COMPLETIONS_PER_SUBMISSION, probe, register, remedy, submissions_within};

/// What is longer goes in parts, so that it is known how far it has got; and the kernel takes no send of 2 GiB or more.
const SEND_BYTES_MAX: usize = 1 << 20;
/// What is received at once into a buffer of a connection's own: no client takes more of a turn, or of the memory there is, before
/// that is looked at.
const GATHERED_BYTES_MAX: usize = 256 * 1024;

/// The kernel takes no more than 2 GiB less a page in one write, so nothing larger is asked of it. Tests are to meet it.
pub const WRITE_BYTES_MAX: usize = if cfg!(debug_assertions) {
    1 << 20
} else {
    1 << 30
};
// Of `io_uring_enter(2)`.
const ENTER_GETEVENTS: libc::c_uint = 1;
const ENTER_REGISTERED_RING: libc::c_uint = 1 << 4;
const ENTER_EXT_ARG: libc::c_uint = 1 << 3;

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
    buffers: ReceiveBuffers,
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
        let buffers = ReceiveBuffers::new(&ring)?;
        Ok(Self {
            registered: register(&ring),
            can_be_patient: ring.params().is_feature_min_timeout(),
            ring,
            buffers,
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
        })
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
        self.buffers.publish();
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
        self.buffers.bytes(buffer)
    }

    /// Gives a receive buffer back to the kernel (published with the next `enter`).
    pub fn recycle(&mut self, buffer: ReceiveBuffer) {
        self.buffers.recycle(buffer);
    }

    fn translate(&mut self, completion: &cqueue::Entry, events: &mut Vec<Event>) {
        let user_data = completion.user_data();
        let result = completion.result();
        let more = cqueue::more(completion.flags());
        match user_data >> KIND_SHIFT {
            KIND_RECEIVE => {
                let received = match result {
                    1.. => match ReceiveBuffer::of(completion) {
                        Some(buffer) => Received::Bytes(buffer),
                        None => Received::Ended { errno: 0 },
                    },
                    _ => Received::nothing(result),
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
                        _ => Err(Received::nothing(result)),
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
