//! One script under way: what it waits for, what it is told, how it ends.

use super::convert::{self, push_error};
use super::engine::{ScriptId, Slot, World};
use super::json::Options;
use super::{Frame, Thrown};
use crate::lua::{Ended, Kind, Outcome};
use crate::resp::{Args, OwnedArgs, Protocol, Reply};
use std::rc::Rc;

/// A buffer that grew beyond this is not kept for the next script.
const BUFFER_KEPT_BYTES: usize = 64 << 10;

/// Under what circumstances a script runs.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    /// What the client speaks: the reply is written in it.
    pub protocol: Protocol,
    /// Instructions between two [`Step::Slow`].
    pub instructions_per_look: u32,
}

impl Default for Context {
    /// RESP2; a look at the clock every 100,000 instructions, as in Redis: a millisecond or so.
    fn default() -> Self {
        Self {
            protocol: Protocol::Resp2,
            instructions_per_look: 100_000,
        }
    }
}

/// What the caller says to a script that waits.
#[derive(Clone, Copy, Debug)]
pub enum Answer<'a> {
    /// Start it; or go on, after [`Step::Slow`] and [`Step::Log`].
    Begin,
    /// The command's whole reply, in [`Run::protocol`]'s form.
    Reply(&'a [u8]),
    /// As `Reply`, with the bytes in [`Run::reply_buffer`].
    Buffered,
    /// The command did not run. `-CODE text`, or a text that gets `ERR`.
    Error(&'a [u8]),
    /// To [`Step::AclCheck`]: whether the user may.
    Allowed(bool),
    /// End it with the error of `SCRIPT KILL`; nothing it does can prevent that.
    Kill,
}

/// What a script wants, or has become.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Run the command in [`Run::words`] and answer with its reply in `protocol`, or with an error.
    Call {
        /// What `redis.setresp` chose for replies to the script.
        protocol: Protocol,
    },
    /// Say whether the user may run the command in [`Run::words`]; an error if there is none of that name.
    AclCheck,
    /// Write [`Run::log_text`] to the log; then `Begin`. Levels are 0 (debug) to 3 (warning).
    Log(u8),
    /// It has run for [`Context::instructions_per_look`] without asking for anything: `Begin` or `Kill`.
    Slow,
    /// It is over; the reply, in the client's protocol.
    Done(Vec<u8>),
}

/// What of a script is at hand in its native functions.
pub(crate) struct Data {
    pub(super) world: Option<Rc<World>>,
    /// For replies to the script.
    pub(super) protocol: Protocol,
    pub(super) words: OwnedArgs,
    /// The reply to a command, or an error's text; for `Step::Log` what to write.
    pub(super) text: Vec<u8>,
    pub(super) wish: Wish,
    pub(super) told: Told,
    pub(super) is_killed: bool,
    pub(super) json: Options,
    /// What the error of a kill says.
    pub(super) kill_text: &'static str,
    /// While a library is loaded: what it has registered.
    pub(super) loading: Option<Vec<super::functions::Registered>>,
}

const KILLED: &str = "Script killed by user with SCRIPT KILL...";

impl Default for Data {
    fn default() -> Self {
        Self {
            world: None,
            protocol: Protocol::Resp2,
            words: OwnedArgs::new(),
            text: Vec::new(),
            wish: Wish::Nothing,
            told: Told::Begin,
            is_killed: false,
            json: Options::default(),
            kill_text: KILLED,
            loading: None,
        }
    }
}

/// Why a script is suspended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Nothing,
    Call,
    AclCheck,
    Log(u8),
    Slow,
}

/// What a script is told when it goes on; texts are in `Data::text`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Begin,
    Reply,
    Error,
    Allowed(bool),
    Kill,
}

/// A script that was started and is not over. Dropping one ends it as `Kill` does.
pub struct Run {
    slot: Option<Slot>,
    world: Rc<World>,
    name: RunName,
    protocol: Protocol,
    has_counted: bool,
    /// What `cjson` had been told when it began.
    json_before: Options,
    is_dropped: bool,
}

/// What a run is called in its errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunName {
    /// A script, by its digest.
    Script(ScriptId),
    /// A function.
    Function(Box<[u8]>),
}

impl RunName {
    /// As errors and FUNCTION STATS say it.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Script(id) => id.as_bytes(),
            Self::Function(name) => name,
        }
    }
}

impl Run {
    pub(super) fn new(slot: Slot, world: Rc<World>, name: RunName, protocol: Protocol) -> Self {
        Self {
            json_before: slot.thread.data_ref().json,
            slot: Some(slot),
            world,
            name,
            protocol,
            has_counted: false,
            is_dropped: false,
        }
    }

    /// Lets the script go on with an answer, until it wants something or is over.
    ///
    /// The first answer is `Begin`; after [`Step::Done`] there is none to give.
    pub fn resume(&mut self, answer: Answer<'_>) -> Step {
        let slot = self.slot.as_mut().expect("a script that is not over");
        let data = slot.thread.data();
        let mut keep = |bytes: &[u8]| {
            data.text.clear();
            data.text.extend_from_slice(bytes);
        };
        data.told = match answer {
            Answer::Begin => Told::Begin,
            Answer::Reply(bytes) => {
                keep(bytes);
                Told::Reply
            }
            Answer::Buffered => Told::Reply,
            Answer::Error(text) => {
                keep(text);
                Told::Error
            }
            Answer::Allowed(may) => Told::Allowed(may),
            Answer::Kill => {
                data.is_killed = true;
                Told::Kill
            }
        };
        match slot.thread.resume() {
            Outcome::Suspended => {
                let data = slot.thread.data();
                match data.wish {
                    Wish::Call => Step::Call {
                        protocol: data.protocol,
                    },
                    Wish::AclCheck => Step::AclCheck,
                    Wish::Log(level) => Step::Log(level),
                    Wish::Slow => Step::Slow,
                    Wish::Nothing => unreachable!("suspended for nothing"),
                }
            }
            Outcome::Ended(ended) => Step::Done(self.finish(ended)),
        }
    }

    /// The words of the command it wants to be run or judged.
    pub fn words(&self) -> Args<'_> {
        self.data().words.as_args()
    }

    /// What it wants to be written to the log.
    pub fn log_text(&self) -> &[u8] {
        &self.data().text
    }

    /// The form of the replies it wants.
    pub fn protocol(&self) -> Protocol {
        self.data().protocol
    }

    /// Where a command's reply may be written, for [`Answer::Buffered`]; empty.
    pub fn reply_buffer(&mut self) -> &mut Vec<u8> {
        let slot = self.slot.as_mut().expect("a script that is not over");
        let text = &mut slot.thread.data().text;
        text.clear();
        text
    }

    /// The script's digest, or the function's name.
    pub fn name(&self) -> &RunName {
        &self.name
    }

    /// Once it is over: its reply is the error of a command that it called, whose statistics have counted it.
    pub fn has_counted(&self) -> bool {
        self.has_counted
    }

    fn data(&self) -> &Data {
        self.slot
            .as_ref()
            .expect("a script that is not over")
            .thread
            .data_ref()
    }

    /// The reply of a script that is over; its slot is free for the next.
    fn finish(&mut self, ended: Ended) -> Vec<u8> {
        let mut slot = self.slot.take().expect("a script that is not over");
        let mut out = Vec::new();
        let mut reply = Reply::new(&mut out, self.protocol);
        let script_protocol = slot.thread.data().protocol;
        let json = slot.thread.data().json;
        if json != self.json_before && !self.is_dropped {
            self.world.change_settings(&self.json_before, &json);
        }
        self.has_counted = slot.thread.with(|frame| {
            if frame.kind(-1) != Kind::Table {
                return false;
            }
            frame.push_field(-1, convert::COUNTED);
            let has_counted = frame.kind(-1) == Kind::Boolean && frame.truth(-1);
            frame.pop(1);
            has_counted
        });
        slot.thread.with(|frame| match ended {
            Ended::Returned => convert::write_value(frame, &mut reply, script_protocol),
            Ended::Failed | Ended::OutOfMemory => write_error(frame, &mut reply, &self.name),
        });
        self.world.put_back(slot, ended);
        out
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.is_dropped = true;
        while self.slot.is_some() {
            // A killed script raises at once whatever it wants, so this ends.
            if let Some(slot) = &mut self.slot
                && !slot.thread.is_running()
            {
                self.slot = None;
                return;
            }
            self.resume(Answer::Kill);
        }
    }
}

impl Data {
    /// As for a script that begins.
    pub(super) fn reset(&mut self, world: &Rc<World>) {
        self.world = Some(Rc::clone(world));
        self.protocol = Protocol::Resp2;
        self.wish = Wish::Nothing;
        self.told = Told::Begin;
        self.is_killed = false;
        self.json = world.settings();
        self.kill_text = KILLED;
        self.loading = None;
    }

    /// As for a script that is over: what has grown large is given back.
    pub(super) fn rest(&mut self) {
        self.world = None;
        if self.text.capacity() > BUFFER_KEPT_BYTES {
            self.text = Vec::new();
        }
        if self.words.heap_bytes() > BUFFER_KEPT_BYTES {
            self.words = OwnedArgs::new();
        }
    }
}

/// The count hook: the caller's turn; after a kill, the error, from now on at every instruction.
pub(super) fn tick(frame: &mut Frame<'_>) -> Result<(), Thrown> {
    if !frame.data().is_killed {
        frame.data().wish = Wish::Slow;
        frame.suspend();
    }
    check_killed(frame)
}

/// Raises the error of `SCRIPT KILL` if the script was killed.
///
/// What catches it with `pcall` gets to its next instruction and no further.
pub(super) fn check_killed(frame: &mut Frame<'_>) -> Result<(), Thrown> {
    if !frame.data().is_killed {
        return Ok(());
    }
    frame.set_hook(1);
    let text = frame.data().kill_text;
    push_error(frame, text.as_bytes());
    Err(frame.throw())
}

/// The error handler of every script: the error becomes a table that says where it happened.
pub(super) fn describe_error(frame: &mut Frame<'_>) -> Result<usize, Thrown> {
    let mut place = frame.place(1);
    if place.as_ref().is_some_and(|place| place.is_native) {
        // Where a function such as redis.call was called is of more use than where it is.
        place = frame.place(2);
    }
    if frame.kind(1) != Kind::Table {
        let text = match frame.kind(1) {
            Kind::Boolean if frame.truth(1) => b"true".to_vec(),
            Kind::Boolean => b"false".to_vec(),
            kind => frame
                .with_text(1, <[u8]>::to_vec)
                .unwrap_or_else(|| frame.pointer_text(1, kind.name())),
        };
        frame.push_table(0, 4);
        frame.push_bytes(&[b"ERR ", &text[..]].concat());
        frame.set_field(-2, b"err");
    } else {
        frame.push_copy(1);
    }
    if let Some(place) = place
        && !frame.is_sealed(-1)
    {
        frame.push_bytes(&place.source);
        frame.set_field(-2, b"source");
        frame.push_number(f64::from(place.line));
        frame.set_field(-2, b"line");
    }
    Ok(1)
}

/// Writes the error on top of the stack, takes it off.
fn write_error(frame: &mut Frame<'_>, reply: &mut Reply<'_>, name: &RunName) {
    if frame.kind(-1) != Kind::Table {
        const TEXT_BYTES_MAX: usize = 100;
        let text = frame.with_text(-1, |text| convert::until_zero(text).to_vec());
        let mut text = text.unwrap_or_else(|| b"execution failure".to_vec());
        text.truncate(TEXT_BYTES_MAX);
        let text = [
            b"ERR Error running script ",
            name.as_bytes(),
            b", ",
            &text[..],
        ]
        .concat();
        reply.error_bytes(&text);
        frame.pop(1);
        return;
    }
    let field = |frame: &mut Frame<'_>, name: &[u8]| {
        frame.push_field(-1, name);
        let text = frame.with_text(-1, |text| convert::until_zero(text).to_vec());
        frame.pop(1);
        text
    };
    let mut text = field(frame, b"err").unwrap_or_else(|| b"ERR unknown error".to_vec());
    if let (Some(source), Some(line)) = (field(frame, b"source"), field(frame, b"line")) {
        text.extend_from_slice(b" script: ");
        text.extend_from_slice(name.as_bytes());
        text.extend_from_slice(b", on ");
        text.extend_from_slice(&source);
        text.push(b':');
        text.extend_from_slice(&line);
        text.push(b'.');
    }
    reply.error_bytes(&text);
    frame.pop(1);
}
