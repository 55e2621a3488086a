//! The loop of a core: one ring, one system call a turn.
//!
//!     enter the ring -> events -> parse and execute in place -> drain the mesh -> queue sends -> flush batches
//!
//! Promises  one system call a turn; requests run in the receive buffer they arrived in; a core sleeps only when no
//!           peer has anything for it, and leaves only when every core may.
//! Not here  the ring itself: `node/ring/`. What the events set going: `node/intake.rs`, `node/lifecycle.rs`. Sends: `node/sending.rs`.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::connection::Blocked;
use super::core::{Core, RingWork};
use super::disk::Haste;
use super::listeners::Change;
use super::load_ahead::GROUP_COUNT;
use super::look_out::LookOut;
use super::mesh::GATE_LOG_BEHIND;
use super::patience::Patience;
use super::process;
use super::ring::{Event, Received, Ring, Token, Wait};
use super::snapshot::Pace;
use super::stopping::Signals;
use crate::ds::growing_buffer::GrowingBuffer;
use crate::ds::spare_mappings;
use crate::shard::CycleBudget;

/// At the end of the process a client that takes so long for what was sent at once, a megabyte at most, is not waited for.
const UNREAD_MS_MAX: i64 = 3000;
/// What expiry and freeing may take of a turn when a tick's budget was not enough: about 25 µs beside a turn's requests.
const TURN_BUDGET: CycleBudget = CycleBudget {
    expire_steps: 1024,
    garbage_steps: 512,
};
/// Memory of large requests that the cores keep for the next ones, all together, but no core less than the second.
const SPARE_BYTES_MAX: [usize; 2] = [64 << 20, 8 << 20];
/// How long a core sleeps that waits for the thread for files.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// A core with its ring: the loop.
pub struct CoreLoop {
    pub(super) ring: Ring,
    pub(super) core: Core,
    events: Vec<Event>,
    /// Expiry or freeing has more to do than a tick's budget.
    more_cycle: bool,
    /// Messages are held back, for so long at most.
    pub(super) hold: Option<Duration>,
    /// An alarm is set to see what others have done for a snapshot or a load.
    looks_soon: bool,
    /// Something came in the last turn.
    is_busy: bool,
    look_out: LookOut,
    /// There is a processor for each core: while one looks out, the others go on.
    may_look_out: bool,
    /// Listeners whose accept failed, armed again at the next tick.
    silent_listeners: Vec<u32>,
    /// What has come for connections and waits for memory.
    pub(super) put_off: Vec<Event>,
    /// Readable when a signal has come; core 0 only.
    signals: Option<Signals>,
}

impl CoreLoop {
    /// Binds a core to its ring.
    pub fn new(core: Core, ring: Ring, signals: Option<Signals>) -> Self {
        let board = core.mesh.board();
        board.set_ring(usize::from(core.id), ring.descriptor());
        let cores_count = board.cores.len();
        let has_own = process::pinned_cpu().is_some();
        let may_look_out =
            cores_count > 1 && (has_own || process::allowed_cpus().len() >= cores_count);
        Self {
            ring,
            core,
            events: Vec::with_capacity(1024),
            more_cycle: false,
            hold: None,
            looks_soon: false,
            is_busy: false,
            look_out: LookOut::default(),
            may_look_out,
            silent_listeners: Vec::new(),
            put_off: Vec::new(),
            signals,
        }
    }

    /// Serves until told to stop. The root future of the core's executor.
    pub async fn run(mut self) {
        let [of_all, of_one] = SPARE_BYTES_MAX;
        spare_mappings::keep((of_all / self.core.mesh.cores_count()).max(of_one));
        self.change_accepts();
        if let Some(signals) = &self.signals {
            self.ring.watch(signals.as_fd());
        }
        self.ring.arm_tick(self.core.options.tick());
        let mut again = true;
        loop {
            let holds = self.hold.is_some() || self.core.pushed.is_empty();
            let wait = !again && holds && self.core.is_idle() && self.core.mesh.may_sleep();
            if wait && self.core.has_more_for_disk() {
                self.go_on_or_write();
            } else {
                self.enter(wait.then(|| self.end_of_wait()));
            }
            if wait {
                self.core.mesh.wake();
            }
            again = self.turn() || self.looks_out();
            if self.core.stopping && self.is_drained() {
                return;
            }
        }
    }

    /// Whether another turn should follow, to look out for other cores.
    #[inline]
    fn looks_out(&mut self) -> bool {
        let is_in_midst = self.may_look_out && self.core.is_in_midst();
        if !is_in_midst && !self.look_out.is_on() {
            return false;
        }
        let clock = &self.core.clock;
        let now_ns = clock.delta_as_nanos(0, clock.raw());
        self.look_out.goes_on(is_in_midst, self.is_busy, now_ns)
    }

    /// What ends a sleep.
    fn end_of_wait(&self) -> Wait {
        match self.hold {
            Some(hold) => Wait::AtMost(hold),
            None if self.core.awaits_log() => Wait::Until(Patience::NONE),
            None => Wait::Until(self.core.patience),
        }
    }

    /// Takes in what has come; where nothing has, what was logged is written before the core sleeps.
    #[inline(never)]
    fn go_on_or_write(&mut self) {
        self.enter(None);
        if self.ring.is_reaped() {
            self.core.read_clock();
            self.pump_disk(Haste::Idle);
            // What has become durable may let replies go.
            let wait = self.core.is_idle();
            self.enter(wait.then(|| self.end_of_wait()));
        }
    }

    /// Submits what is queued and takes in what is done.
    fn enter(&mut self, wait: Option<Wait>) {
        if let Err(error) = self.ring.enter(wait) {
            // Nothing can be served without the ring: say so and stop before anything is answered wrongly.
            tracing::error!(core = self.core.id, %error, "io_uring_enter failed");
            std::process::exit(1);
        }
    }

    /// The snapshot's part of a turn. What the turn has answered leaves first.
    ///
    /// - `busy`: it may have answered something.
    fn walk_cut(&mut self, busy: bool) -> Pace {
        if !self.core.has_cut_to_walk() {
            return Pace::Rest;
        }
        if busy {
            self.enter(None);
        }
        self.core.walk_cut()
    }

    /// Active defragmentation's part of a turn. What the turn has answered leaves first.
    ///
    /// - `busy`: it may have answered something.
    fn compact(&mut self, busy: bool) -> Pace {
        if self.core.may_compact() {
            if busy {
                self.enter(None);
            }
            self.core.compact();
        }
        match self.core.compacts() {
            true => Pace::Soon,
            false => Pace::Rest,
        }
    }

    /// One turn; whether another should follow without waiting.
    fn turn(&mut self) -> bool {
        let begin = self.core.clock.raw();
        self.core.turn_stamp = begin;
        self.core.resumed_ticks = 0;
        let commands_before = self.core.commands_count;
        self.core.read_clock();
        let board = self.core.mesh.board();
        self.core.gate = board.gate.load(Ordering::Acquire);
        if board.logs_behind_count.load(Ordering::Relaxed) > 0 {
            self.core.gate |= GATE_LOG_BEHIND;
        }
        let mut events = std::mem::take(&mut self.events);
        self.ring.reap(&mut events);
        let mut busy = !events.is_empty();
        let yielding_count = self.core.yielding.len();
        if !self.put_off.is_empty() {
            let put_off = std::mem::take(&mut self.put_off);
            put_off.into_iter().for_each(|event| self.take(event));
        }
        let mut coming = events.drain(..);
        while !coming.as_slice().is_empty() {
            let count = coming.len().min(GROUP_COUNT);
            if count > 1 {
                self.load_ahead(&coming.as_slice()[..count]);
            }
            let group = coming.by_ref().take(count);
            group.for_each(|event| self.take(event));
        }
        drop(coming);
        self.events = events;
        busy |= self.core.drain_mesh() > 0;
        let reads_on = self.core.read_on();
        self.core.want_pieces();
        self.core.keep_to_lease();
        if self.more_cycle {
            self.cycle(TURN_BUDGET);
        }
        let mut walks = [
            Pace::Rest,
            Pace::Rest,
            self.core.walk_load(),
            self.core.poll_saving(),
            self.core.poll_filings(),
            Pace::Rest,
        ];
        self.core.limit_tracking();
        self.core.settle();
        let runs_on = self.core.run_slow_scripts();
        self.core.turn_away();
        self.core.time_out();
        self.core.shard.retry_waiters();
        self.core.resume_congested();
        self.core.resume_yielding(yielding_count);
        let is_leaving = self.core.go_on_leaving();
        self.core.settle();
        walks[5] = self.core.go_on_copying();
        if !self.core.monitors.is_empty() {
            self.core.show_monitors();
        }
        self.core.release_withheld();
        self.core.end_silence();
        self.core.tell_changed();
        self.pump_disk(Haste::Busy);
        // Before others hear of what has changed it.
        self.core.tell_changes();
        // A peer works while this core sends.
        self.flush_mesh();
        self.flush_output();
        // What could not be sent counts: nobody is to see more in use than may be.
        self.core.evict_clients();
        self.core.keep_to_lease();
        self.core.settle();
        self.more_cycle |= self.core.take_more_to_win();
        self.core.tell_used();
        self.do_ring_work();
        self.change_accepts();
        self.flush_mesh();
        walks[0] = self.walk_cut(busy);
        walks[1] = self.compact(busy);
        if let Some(wait) = self.core.next_alarm() {
            self.ring.set_alarm(wait);
        }
        if walks.contains(&Pace::Soon) && !walks.contains(&Pace::On) && !self.looks_soon {
            self.looks_soon = true;
            self.ring.set_alarm(LOOK_AGAIN);
        }
        let lists_on = self.core.go_on_listing();
        self.core.tell_of_errors_given_up();
        let has_slept = !self.core.sleeps.is_empty() && self.core.sleep_as_told();
        // A turn that only looked whether there is more is no cycle to whoever counts them.
        self.core.counters.turns += u64::from(busy);
        self.is_busy = busy;
        let end = self.core.clock.raw();
        let turn_ns = self.core.clock.delta_as_nanos(begin, end);
        let commands = self.core.commands_count.wrapping_sub(commands_before);
        let counters = &mut self.core.counters;
        counters.turns_ns += turn_ns;
        counters.turn_ns_max = counters.turn_ns_max.max(turn_ns);
        counters.turn_commands_max = counters.turn_commands_max.max(commands);
        // A link that is still full has all its batches out: the peer rings when one comes back.
        let may_resume = !self.core.congested.is_empty()
            && !self.core.mesh.is_congested()
            && !self.core.keeps_writes_waiting();
        // A peer that is at work answers soon: looking once more is cheaper for both than its bell.
        let awaits_peer = busy && self.core.mesh.awaits_answers();
        // What another core is about to decide for a waiting client comes as no event.
        let must_retry = self.core.shard.must_retry_waiters();
        let walks_on = walks.contains(&Pace::On);
        let waits_for_room = self.core.waits_for_room();
        walks_on
            || waits_for_room
            || reads_on
            || self.more_cycle
            || runs_on
            || is_leaving
            || lists_on
            || has_slept
            || may_resume
            || !self.core.yielding.is_empty()
            || self.core.has_batches()
            || awaits_peer
            || must_retry
            || self.core.has_changed_to_tell()
    }

    /// Starts loading what the requests among these events will look at.
    #[inline]
    fn load_ahead(&mut self, events: &[Event]) {
        let ring = &self.ring;
        self.core
            .load_ahead(events.iter().filter_map(|event| match event {
                Event::Received {
                    token,
                    received: Received::Bytes(buffer),
                    ..
                } => Some((*token, ring.bytes(buffer))),
                _ => None,
            }));
    }

    #[inline]
    fn take(&mut self, event: Event) {
        match self.waits_for_room(&event) {
            true => self.put_off.push(event),
            false => self.event(event),
        }
    }

    /// Whether what has come for a connection waits: for memory, or behind what does.
    #[inline]
    fn waits_for_room(&mut self, event: &Event) -> bool {
        let (Event::Received { token, .. } | Event::Gathered { token, .. }) = event else {
            return false;
        };
        // Of receives that are armed once there is one at a time.
        let is_behind =
            |event: &Event| matches!(event, Event::Received { token: of, .. } if of == token);
        !self.put_off.is_empty() && self.put_off.iter().any(is_behind)
            || self.core.must_wait_to_feed(*token)
    }

    /// Has the disk go on with the log, where there is one.
    fn pump_disk(&mut self, haste: Haste) {
        if !self.core.has_log() {
            return self.core.pump_disk(&mut self.ring, haste);
        }
        let before = self.core.clock.raw();
        self.core.pump_disk(&mut self.ring, haste);
        let took_ns = (self.core.clock).delta_as_nanos(before, self.core.clock.raw());
        self.core.counters.log_ns += took_ns;
    }

    /// Arms the accept of a listener that is still there.
    fn accept(&mut self, listener: u32) {
        if let Some(socket) = self.core.listeners.fd(listener) {
            self.ring.accept(socket, listener);
        }
    }

    /// Accepts wherever the listeners are by now.
    fn change_accepts(&mut self) {
        if !self.core.listeners.have_changed() || self.core.keeps_callers_waiting() {
            return;
        }
        for change in self.core.listeners.take_changes() {
            match change {
                Change::Arm(listener) => self.accept(listener),
                Change::Disarm(listener) => self.ring.stop_accepting(listener),
            }
        }
    }

    fn cycle(&mut self, budget: CycleBudget) {
        let before = self.core.clock.raw();
        let rests = self.core.refusal_by_disk().is_some() || self.core.keeps_writes_waiting();
        self.core.shard.rest_claims(rests);
        self.more_cycle = self.core.shard.cycle(budget);
        let after = self.core.clock.raw();
        let took_ns = self.core.clock.delta_as_nanos(before, after);
        self.core.counters.cycle_ns += took_ns;
        self.core.note_event("expire-cycle", took_ns);
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Received {
                token,
                received,
                more,
            } => {
                if let Some(connection) = self.core.connections.get_mut(token) {
                    connection.receiving = more;
                } else {
                    if let Received::Bytes(buffer) = received {
                        self.ring.recycle(buffer);
                    }
                    return;
                }
                match received {
                    Received::Bytes(buffer) => {
                        self.core.counters.reads += 1;
                        self.core.on_bytes(token, self.ring.bytes(&buffer));
                        self.ring.recycle(buffer);
                        if !more {
                            self.core.ring_work.push(RingWork::Receive(token));
                            self.core.finish_move(token);
                        }
                    }
                    other => self.nothing_came(token, &other),
                }
                self.core.settle();
                self.core.release(token);
            }
            Event::Gathered {
                token,
                buffer,
                result,
            } => self.gathered(token, buffer, result),
            Event::Sent {
                token,
                result,
                output,
            } => self.sent(token, result, output),
            Event::Accepted {
                listener,
                result,
                more,
            } => {
                let failed = result.is_err();
                let is_gone = self.core.listeners.fd(listener).is_none();
                match result {
                    Ok(socket) if !self.core.stopping => self.core.accepted(socket, listener),
                    Ok(_) => {}
                    Err(_) if is_gone => {}
                    Err(errno) => {
                        let error = std::io::Error::from_raw_os_error(errno);
                        tracing::warn!(%error, "accept failed");
                    }
                }
                if !more && !is_gone && !self.core.stopping {
                    if failed {
                        // Out of descriptors, most likely: trying again at once would only spin.
                        self.silent_listeners.push(listener);
                    } else {
                        self.accept(listener);
                    }
                }
            }
            Event::Tick => {
                let before = self.core.clock.raw();
                let has_cycle = self.core.tick();
                self.core.shard.tell_log_size();
                for listener in std::mem::take(&mut self.silent_listeners) {
                    self.accept(listener);
                }
                if has_cycle {
                    let budget = self.core.options.cycle_budget();
                    self.cycle(budget);
                }
                let took_ns = (self.core.clock).delta_as_nanos(before, self.core.clock.raw());
                self.core.counters.ticks_ns += took_ns;
                self.core.counters.cycles_over_budget += u64::from(self.more_cycle);
                self.ring.arm_tick(self.core.options.tick());
            }
            Event::Alarm => {
                self.looks_soon = false;
                self.core.alarm_came();
            }
            Event::Errand => self.core.errands_came(),
            Event::LogWritten { id, result, buffer } => {
                self.core.log_written(id, buffer, result);
            }
            Event::LogSynced { sequence, result } => self.core.log_synced(sequence, result),
            Event::LogAlarm => self.core.log_alarm_came(),
            Event::Readable => {
                // A shutdown that cannot save is none: the next signal is watched for as well.
                if let Some(signals) = &self.signals {
                    while let Some(is_int) = signals.take() {
                        self.core.signal_came(is_int);
                    }
                    self.ring.watch(signals.as_fd());
                }
            }
            Event::Bell => {}
        }
    }

    /// More of a large request has come to its buffer, or the receive ended without.
    fn gathered(
        &mut self,
        token: Token,
        buffer: Box<GrowingBuffer>,
        result: Result<usize, Received>,
    ) {
        let Some(connection) = self.core.connections.get_mut(token) else {
            return;
        };
        connection.receiving = false;
        match result {
            Ok(bytes_count) => {
                self.core.counters.reads += 1;
                self.core.on_gathered(token, buffer, bytes_count);
                self.core.ring_work.push(RingWork::Receive(token));
                self.core.finish_move(token);
            }
            Err(received) => {
                connection.take_large_back(buffer);
                self.nothing_came(token, &received);
            }
        }
        self.core.settle();
        self.core.release(token);
    }

    /// A receive has ended without bytes.
    fn nothing_came(&mut self, token: Token, received: &Received) {
        match received {
            Received::Bytes(_) | Received::Stopped => {
                self.core.ring_work.push(RingWork::Receive(token));
                self.core.finish_move(token);
            }
            Received::Ended { errno } => self.core.input_ended(token, *errno),
            Received::Control => self.core.control_came(token),
        }
    }

    /// Arms a connection's receive: of what is most likely to come next.
    fn receive(&mut self, token: Token) {
        let Some(connection) = self.core.connections.get_mut(token) else {
            return;
        };
        connection.receiving = true;
        if let Some(buffer) = connection.lend_large() {
            // Who lists the clients waits for what is there already.
            self.core.listings.note_growth();
            let (socket, bytes) = (connection.fd(), connection.large_needed);
            if self.ring.gather(socket, token, buffer, bytes).is_err() {
                connection.receiving = false;
                self.core.refuse_gathering(token);
            }
        } else if connection.session.is_stranger {
            // All that has come would be received at once, before any of it is looked at.
            self.ring.receive_once(connection.fd(), token);
        } else if connection.receives_once > 0 {
            connection.receives_once -= 1;
            self.ring.receive_once(connection.fd(), token);
        } else {
            self.ring.receive(connection.fd(), token);
        }
    }

    /// Hands over what there is for other cores.
    fn flush_mesh(&mut self) {
        let ring = &mut self.ring;
        self.core
            .mesh
            .flush(|descriptor| ring.ring_bell(descriptor));
    }

    fn do_ring_work(&mut self) {
        for work in std::mem::take(&mut self.core.ring_work) {
            match work {
                RingWork::Receive(token) => {
                    let Some(connection) = self.core.connections.get_mut(token) else {
                        continue;
                    };
                    let moving = connection.blocked == Some(Blocked::Moving);
                    if connection.closed
                        || connection.receiving
                        || moving
                        || connection.stop_receiving
                    {
                        continue;
                    }
                    self.receive(token);
                }
                RingWork::WatchErrands => {
                    if let Some(descriptor) = self.core.errands.descriptor() {
                        self.ring.watch_errands(descriptor);
                    }
                }
                RingWork::StopReceiving(token) => {
                    let armed = self.core.connections.get_mut(token);
                    if armed.is_some_and(|connection| connection.receiving) {
                        self.ring.stop_receiving(token);
                    } else {
                        // Nothing will say that it has stopped.
                        self.core.finish_move(token);
                    }
                }
            }
        }
    }

    /// Whether a stopping core has nothing left to do.
    fn is_drained(&mut self) -> bool {
        let core = &mut self.core;
        let late = core.ending.is_overdue();
        let (now_ms, since_ms) = (core.now_ms, core.stopping_since_ms);
        let tokens: Vec<Token> = core.connections.tokens().collect();
        for token in tokens {
            let Some(connection) = core.connections.get_mut(token) else {
                continue;
            };
            let has_said_all = connection.is_drained()
                && connection.holding.is_none()
                && connection.blocked != Some(Blocked::UntilReply)
                && connection.blocked != Some(Blocked::OnDisks);
            let quiet = has_said_all && connection.output.is_empty() && !connection.sending;
            let unread_ms = now_ms - connection.sending_since_ms.max(since_ms);
            let is_unread = connection.sending && unread_ms >= UNREAD_MS_MAX;
            let gives_up = late || has_said_all && is_unread;
            if gives_up && !quiet && !connection.closed {
                tracing::warn!(
                    client = connection.session.id,
                    "closed: the end did not wait longer for this client to read"
                );
            }
            if quiet || gives_up {
                core.close(token);
            }
        }
        // A client may have gone in the middle of a transaction, which is to be whole all the same.
        let is_quiet = core.connections.is_empty() && !core.has_transactions();
        let may_end = late || is_quiet;
        let done = may_end && core.may_log_end();
        // Peers may still need this shard: leave together.
        if done {
            core.ending.arrive(core.id);
        } else if may_end {
            self.pump_disk(Haste::Final);
        }
        done && self.core.ending.all_arrived()
    }
}
