//! XADD and XTRIM: entries are appended at one end and trimmed at the other.
//!
//! Promises  words are checked before anything is created or changed.
//! Not here  what is deleted by id: `stream_delete.rs`.
//! Tests     tests/transcripts/stream.txt, stream_trim.txt, stream_references.txt.

use super::CommandError;
use super::row::*;
use super::stream_idempotent::{Request, first_note};
use super::stream_words::{NewId, id, reply_id};
use super::table::{Arity, Call, Command, Effect, Group, Run};
use super::word::integer;
use crate::ds::stream::{References, Refusal, StreamId, Threshold, Trim, Trimmed, Words};
use crate::keyspace::Classes;
use crate::keyspace::StreamValue;
use crate::resp::args::OwnedArgs;
use crate::resp::{Args, Reply};

/// A trim without a limit of its own looks at so many nodes at most.
const TRIM_NODES_MAX: i64 = 100;
/// And at so many entries, where nodes may have any number of them; and never at more than this.
const TRIM_ENTRIES: (i64, i64) = (10_000, 1_000_000);

/// What XADD and XTRIM are asked.
struct Options<'a> {
    creates: bool,
    trim: Option<Trim>,
    references: References,
    request: Option<Request<'a>>,
}

impl<'a> Options<'a> {
    /// Reads the words from word 2 on; returns where they end: at XADD's id, or at the end.
    fn parse(
        args: &Args<'a>,
        is_add: bool,
        node_entries_max: u64,
        replays: bool,
    ) -> Result<(Self, usize), CommandError> {
        let mut parser = Parser::new(replays);
        let mut index = 2;
        while index < args.len() {
            match parser.take(args, index, is_add)? {
                0 if is_add => break,
                0 => return Err(CommandError::Syntax),
                taken => index += taken,
            }
        }
        if is_add && index < args.len() {
            // Whatever it is, it must be an id before anything else is looked at.
            let id = NewId::parse(args.get(index))?;
            if let Some(request) = parser.request.as_ref().filter(|_| !replays) {
                request.check_id(id)?;
            }
        }
        Ok((parser.finish(is_add, node_entries_max)?, index))
    }
}

struct Parser<'a> {
    creates: bool,
    threshold: Option<Threshold>,
    is_approximate: bool,
    limit: Option<i64>,
    references: Option<References>,
    request: Option<Request<'a>>,
    /// It is from a log.
    replays: bool,
}

impl<'a> Parser<'a> {
    fn new(replays: bool) -> Self {
        Self {
            replays,
            creates: true,
            threshold: None,
            is_approximate: false,
            limit: None,
            references: None,
            request: None,
        }
    }

    /// Takes the option at `index`; returns how many words it has, 0 where there is none.
    fn take(&mut self, args: &Args<'a>, index: usize, is_add: bool) -> Result<usize, CommandError> {
        let word = args.get(index);
        let more = args.len() - index - 1;
        if word == b"*" && is_add {
            return Ok(0);
        }
        let is_length = word.eq_ignore_ascii_case(b"MAXLEN");
        if more > 0 && (is_length || word.eq_ignore_ascii_case(b"MINID")) {
            return self.take_threshold(args, index, is_length);
        }
        if more > 0 && word.eq_ignore_ascii_case(b"LIMIT") {
            let limit = integer(args.get(index + 1))?;
            if limit < 0 {
                return Err("ERR The LIMIT argument must be >= 0.".into());
            }
            self.limit = Some(limit);
            return Ok(2);
        }
        // A second one is none, but in logs of earlier builds: there the last one counts.
        if let Some(references) = references(word)
            && (self.references.is_none() || self.replays)
        {
            self.references = Some(references);
            return Ok(1);
        }
        if is_add && word.eq_ignore_ascii_case(b"NOMKSTREAM") {
            self.creates = false;
            return Ok(1);
        }
        if is_add {
            return Request::take(&mut self.request, args, index);
        }
        Ok(0)
    }

    fn take_threshold(
        &mut self,
        args: &Args<'_>,
        index: usize,
        is_length: bool,
    ) -> Result<usize, CommandError> {
        if self.threshold.is_some() {
            return Err(
                "ERR syntax error, MAXLEN and MINID options at the same time are not compatible"
                    .into(),
            );
        }
        let operator = args.get(index + 1);
        let has_operator = index + 2 < args.len() && (operator == b"~" || operator == b"=");
        self.is_approximate = has_operator && operator == b"~";
        let at = index + 1 + usize::from(has_operator);
        self.threshold = Some(if is_length {
            let length = integer(args.get(at))?;
            match u64::try_from(length) {
                Ok(length) => Threshold::Length(length),
                Err(_) => return Err("ERR The MAXLEN argument must be >= 0.".into()),
            }
        } else {
            Threshold::Id(id(args.get(at), 0)?)
        });
        Ok(at + 1 - index)
    }

    fn finish(self, is_add: bool, node_entries_max: u64) -> Result<Options<'a>, CommandError> {
        let Some(threshold) = self.threshold else {
            if self.limit.is_some_and(|limit| limit > 0) {
                return Err(
                    "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy"
                        .into(),
                );
            }
            if !is_add {
                return Err(
                    "ERR syntax error, XTRIM must be called with a trimming strategy".into(),
                );
            }
            if self.limit.is_some() {
                return Err(LIMIT_NEEDS_APPROXIMATION.into());
            }
            return Ok(Options {
                creates: self.creates,
                trim: None,
                references: self.references.unwrap_or(References::Keep),
                request: self.request,
            });
        };
        let limit = match self.limit {
            Some(_) if !self.is_approximate => return Err(LIMIT_NEEDS_APPROXIMATION.into()),
            Some(limit) => limit,
            None if self.is_approximate => {
                let node_entries_max = i64::try_from(node_entries_max).unwrap_or(i64::MAX);
                match node_entries_max.saturating_mul(TRIM_NODES_MAX) {
                    0 => TRIM_ENTRIES.0,
                    limit => limit.min(TRIM_ENTRIES.1),
                }
            }
            None => 0,
        };
        Ok(Options {
            creates: self.creates,
            trim: Some(Trim {
                threshold,
                is_approximate: self.is_approximate,
                limit: limit as u64,
            }),
            references: self.references.unwrap_or(References::Keep),
            request: self.request,
        })
    }
}

impl Options<'_> {
    /// What goes depends on nodes, and so on options that may be others when it is run again.
    fn depends_on_nodes(&self) -> bool {
        let is_by_nodes =
            |trim: &Trim| trim.is_approximate || self.references == References::Acknowledged;
        self.trim.as_ref().is_some_and(is_by_nodes)
    }
}

/// XADD's words as they are logged.
///
/// - `left_out`: options that are not among them.
/// - `id`: what the entry has got, where that is to be there: whether a request is known depends on options, which may be others when
///   it is run again.
fn logged_words(
    args: &Args<'_>,
    id_at: usize,
    left_out: &[&[u8]],
    id: Option<StreamId>,
) -> OwnedArgs {
    let mut words: OwnedArgs = [b"XADD", args.get(1)].into_iter().collect();
    let mut parser = Parser::new(false);
    let mut index = 2;
    while index < id_at {
        let taken = parser.take(args, index, true).unwrap_or(0).max(1);
        let word = args.get(index);
        if !(left_out.iter()).any(|name| word.eq_ignore_ascii_case(name)) {
            (index..index + taken).for_each(|at| words.push(args.get(at)));
        }
        index += taken;
    }
    match id {
        Some(id) => words.push(id.text(&mut [0; 41])),
        None => words.push(args.get(id_at)),
    }
    args.iter_from(id_at + 1).for_each(|word| words.push(word));
    words
}

/// Options about trimming.
const TRIM: [&[u8]; 3] = [b"MAXLEN", b"MINID", b"LIMIT"];
/// Options about requests of producers.
const REQUEST: [&[u8]; 2] = [b"IDMP", b"IDMPAUTO"];

/// The command that leaves what a trim has left, whatever nodes there are: as many of the newest entries, or of those up to the
/// last that went only what is not acknowledged.
fn exact_trim(key: &[u8], trimmed: Trimmed, length: u64, references: References) -> OwnedArgs {
    let length = length.to_string();
    let least = match references {
        References::Acknowledged => trimmed.last.and_then(StreamId::next),
        References::Keep | References::Delete => None,
    };
    let mut text = [0; 41];
    let (strategy, threshold) = match least {
        Some(least) => (&b"MINID"[..], least.text(&mut text)),
        None => (&b"MAXLEN"[..], length.as_bytes()),
    };
    let words = [b"XTRIM", key, strategy, b"=", threshold];
    let references: Option<&[u8]> = match references {
        References::Keep => None,
        References::Delete => Some(b"DELREF"),
        References::Acknowledged => Some(b"ACKED"),
    };
    words.into_iter().chain(references).collect()
}

const LIMIT_NEEDS_APPROXIMATION: &str =
    "ERR syntax error, LIMIT cannot be used without the special ~ option";

/// What becomes of groups' references to deleted entries, where a word says so.
pub fn references(word: &[u8]) -> Option<References> {
    match word {
        _ if word.eq_ignore_ascii_case(b"KEEPREF") => Some(References::Keep),
        _ if word.eq_ignore_ascii_case(b"DELREF") => Some(References::Delete),
        _ if word.eq_ignore_ascii_case(b"ACKED") => Some(References::Acknowledged),
        _ => None,
    }
}

/// Words of an entry within a request.
struct Fields<'a> {
    args: Args<'a>,
    from: usize,
}

impl<'a> Words<'a> for Fields<'a> {
    #[inline]
    fn pairs_count(&self) -> usize {
        (self.args.len() - self.from) / 2
    }

    #[inline]
    fn word(&self, index: usize) -> &'a [u8] {
        self.args.get(self.from + index)
    }
}

/// `XADD key [options] id field value [field value ...]` replies with the id the entry got.
fn xadd(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let limits = call.keys.limits();
    let (limits, producer_limits) = (limits.stream_node(), limits.of_producers());
    let replays = call.keys.replays();
    let (options, id_at) = Options::parse(args, true, limits.entries_max, replays)?;
    let fields = Fields {
        args: *args,
        from: id_at + 1,
    };
    if args.len() < fields.from + 2 || !(args.len() - fields.from).is_multiple_of(2) {
        return Err(CommandError::Arity("xadd"));
    }
    let new_id = NewId::parse(args.get(id_at))?;
    if new_id == NewId::Given(StreamId::MIN) {
        return Err("ERR The ID specified in XADD must be greater than 0-0".into());
    }
    let now_ms = call.keys.now_ms();
    let key = call.keys.key(args.get(1));
    let no_touch = call.caller.no_touch;
    let mut held = if options.creates {
        call.keys
            .write_or_create::<StreamValue>(call.db, &key, no_touch)?
    } else {
        match call.keys.write::<StreamValue>(call.db, &key, no_touch)? {
            Some(held) => held,
            None => {
                reply.null();
                return Ok(Effect::NONE);
            }
        }
    };
    let stream = held.get_mut();
    let mark = options.request.map(|request| request.mark(&fields));
    // What a log has was added.
    let may_be_known = !replays;
    if let (Some(request), Some(mark), true) = (options.request, &mark, may_be_known) {
        let producers = stream.producers();
        let known = producers.and_then(|it| it.find(request.producer(), mark, now_ms as u64));
        if let Some(id) = known {
            stream.producers_mut(producer_limits).duplicates += 1;
            reply_id(id, reply);
            return Ok(Effect::NONE);
        }
    }
    if stream.log.last_id == StreamId::MAX {
        return Err(
            "ERR The stream has exhausted the last possible ID, unable to add more items".into(),
        );
    }
    let id = new_id.resolve(stream.log.last_id, now_ms);
    let appended = match id {
        Some(id) => stream.log.append(id, &fields, limits).map(|()| id),
        None => Err(Refusal::NotAbove),
    };
    match appended {
        Ok(id) => reply_id(id, reply),
        Err(Refusal::NotAbove) => {
            return Err(
                "ERR The ID specified in XADD is equal or smaller than the target stream top item"
                    .into(),
            );
        }
        Err(Refusal::TooLarge) => return Err("ERR Elements are too large to be stored".into()),
    }
    let mut first_request = None;
    if let (Some(request), Some(mark), Ok(id)) = (options.request, &mark, appended) {
        let is_first = stream.producers().is_none();
        let producers = stream.producers_mut(producer_limits);
        producers.note(request.producer(), mark, id, now_ms as u64);
        first_request = is_first.then_some((request, mark, id));
    }
    let trimmed = (options.trim).map(|trim| stream.trim(trim, options.references));
    let length = stream.log.len();
    let by_nodes = trimmed.filter(|_| options.depends_on_nodes());
    if call.is_logged
        && (by_nodes.is_some() || options.request.is_some())
        && let Ok(id) = appended
    {
        let id = options.request.map(|_| id);
        let mut left_out = match by_nodes {
            Some(_) => TRIM.to_vec(),
            None => Vec::new(),
        };
        // The stream keeps the limits that options gave it by then, whatever they say when the log is run.
        let noted = first_request.map(|(request, mark, id)| {
            left_out.extend(REQUEST);
            first_note(key.bytes, producer_limits, request.producer(), mark, id)
        });
        let added = logged_words(args, id_at, &left_out, id);
        let trim = by_nodes.filter(|trimmed| trimmed.count > 0);
        let trim = trim.map(|trimmed| exact_trim(key.bytes, trimmed, length, options.references));
        let commands = std::iter::once(added).chain(trim);
        call.log_instead(commands.chain(noted.into_iter().flatten()).collect());
    }
    call.tell(Classes::STREAM, "xadd", key.bytes);
    if trimmed.is_some_and(|trimmed| trimmed.count > 0) {
        call.tell(Classes::STREAM, "xtrim", key.bytes);
    }
    Ok(Effect::wrote(1))
}

/// `XTRIM key strategy` replies with how many entries went.
fn xtrim(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let limits = call.keys.limits().stream_node();
    let (options, _) = Options::parse(args, false, limits.entries_max, call.keys.replays())?;
    let key = call.keys.key(args.get(1));
    let no_touch = call.caller.no_touch;
    let found = call.keys.write::<StreamValue>(call.db, &key, no_touch)?;
    let (trimmed, length) = match (found, options.trim) {
        (Some(mut held), Some(trim)) => {
            let trimmed = held.get_mut().trim(trim, options.references);
            (Some(trimmed), held.get().log.len())
        }
        _ => (None, 0),
    };
    let count = trimmed.map_or(0, |trimmed| trimmed.count);
    if let Some(trimmed) = trimmed.filter(|_| count > 0) {
        if options.depends_on_nodes() && call.is_logged {
            let trim = exact_trim(key.bytes, trimmed, length, options.references);
            call.log_instead(vec![trim]);
        }
        call.tell(Classes::STREAM, "xtrim", key.bytes);
    }
    reply.integer(count as i64);
    Ok(Effect::wrote(count))
}

/// XADD and XTRIM.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "XADD",
        since: "5.0.0",
        group: Group::Stream,
        arity: Arity::AtLeast(5),
        flags: WRITE_GROW_FAST,
        keys: &[key_at(1, "RW", &["update"])
            .noted("UPDATE instead of INSERT because of the optional trimming feature")],
        args: "key [NOMKSTREAM]@6.2.0 [condition=[KEEPREF | DELREF | ACKED]]@8.2.0 \
            [idmp=(IDMPAUTO producer-id:string | IDMP(producer-id:string idempotent-id:string))]@8.6.0 trim=[strategy=(MAXLEN | MINID@6.2.0) operator=[equal==|approximately=~] threshold:string \
            [LIMIT count]@6.2.0] id-selector=(auto-id=* | id) data=(field value) [field value ...]",
        summary: "Appends an entry to a stream, creating the stream if the key is missing.",
        cost: "O(1) for the entry, O(N) for N entries trimmed",
        tips: &["nondeterministic_output"],
        history: &[
            ("6.2.0", "`NOMKSTREAM`, `MINID` and `LIMIT`"),
            ("7.0.0", "ids of the form `ms-*`"),
            ("8.2.0", "`KEEPREF`, `DELREF` and `ACKED`"),
            ("8.6.0", "`IDMP` and `IDMPAUTO`"),
        ],
        run: Run::Keys(xadd),
        ..ROW
    },
    Command {
        name: "XTRIM",
        since: "5.0.0",
        group: Group::Stream,
        arity: Arity::AtLeast(4),
        flags: crate::commands::Flags::WRITE,
        keys: &[key_at(1, "RW", &["delete"])],
        args: "key trim=(strategy=(MAXLEN | MINID@6.2.0) operator=[equal==|approximately=~] threshold:string \
            [LIMIT count]@6.2.0)",
        summary: "Removes entries from a stream's start, down to a length or up to an id.",
        cost: "O(N) for N entries trimmed",
        tips: &["nondeterministic_output"],
        history: &[
            ("6.2.0", "`MINID` and `LIMIT`"),
            ("8.2.0", "`KEEPREF`, `DELREF` and `ACKED`"),
        ],
        run: Run::Keys(xtrim),
        ..ROW
    },
];
