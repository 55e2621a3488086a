//! What moves elements from list to list, LMOVE, RPOPLPUSH and LMOVEM, and LMPOP, which pops from the first list there is.
//!
//! Promises  the destination's type is known before anything is popped.
//! Not here  two lists on two shards: `router/programs/list_move.rs`, which reads the words with [`ListMove`].
//! Source    LMOVEM: Redis 8.10 documentation.
//! Tests     tests/transcripts/list_move.txt, lmpop.txt, lmovem.txt.

use super::CommandError;
use super::list::{count, pop_event, pop_some, push_event, reply_element};
use super::row::*;
use super::table::{
    Arity, Begin, Call, Command, Effect, Find, Flags, Group, KeyAccess, KeySpec, Program, Run,
    Spread,
};
use crate::keyspace::Classes;
use crate::keyspace::list::{Element, End, List};
use crate::resp::{Args, Reply};

/// An end by its name.
pub fn end(word: &[u8]) -> Result<End, CommandError> {
    if word.eq_ignore_ascii_case(b"LEFT") {
        Ok(End::Front)
    } else if word.eq_ignore_ascii_case(b"RIGHT") {
        Ok(End::Back)
    } else {
        Err(CommandError::Syntax)
    }
}

/// What the words of a command say that moves elements from the list at word 1 to the list at word 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListMove {
    /// Where elements are popped.
    pub from: End,
    /// Where they are pushed.
    pub to: End,
    /// How many.
    pub count: usize,
    /// Fewer are none.
    pub is_exact: bool,
    /// They keep their order, in place of going one by one.
    pub is_bulk: bool,
    /// The reply is an array, in the order the destination has; else an element.
    pub is_array: bool,
}

impl ListMove {
    /// RPOPLPUSH.
    pub const RPOPLPUSH: Self = Self {
        from: End::Back,
        to: End::Front,
        count: 1,
        is_exact: false,
        is_bulk: false,
        is_array: false,
    };

    /// `LMOVE source destination LEFT|RIGHT LEFT|RIGHT`.
    pub fn lmove(args: &Args<'_>) -> Result<Self, CommandError> {
        Ok(Self {
            from: end(args.get(3))?,
            to: end(args.get(4))?,
            ..Self::RPOPLPUSH
        })
    }

    /// `LMOVEM source destination LEFT|RIGHT LEFT|RIGHT [COUNT count|EXACTLY exactly OBO|BULK]`; `rest` is the first word
    /// of the option.
    pub fn lmovem(args: &Args<'_>, rest: usize) -> Result<Self, CommandError> {
        let mut words = Self {
            is_array: true,
            ..Self::lmove(args)?
        };
        if args.len() == rest {
            return Ok(words);
        }
        if args.len() != rest + 3 {
            return Err(CommandError::Syntax);
        }
        words.is_exact = args.is(rest, "EXACTLY");
        if !words.is_exact && !args.is(rest, "COUNT") {
            return Err(CommandError::Syntax);
        }
        words.count = match count(args.get(rest + 1), COUNT_ZERO)? {
            0 => return Err(COUNT_ZERO.into()),
            count => count,
        };
        words.is_bulk = args.is(rest + 2, "BULK");
        if !words.is_bulk && !args.is(rest + 2, "OBO") {
            return Err(CommandError::Syntax);
        }
        Ok(words)
    }

    /// What the words of LMOVE, RPOPLPUSH or LMOVEM say, or of their waiting kin, whose timeout changes nothing here.
    pub fn parse(name: &str, args: &Args<'_>) -> Result<Self, CommandError> {
        match name {
            "LMOVE" | "BLMOVE" => Self::lmove(args),
            "LMOVEM" => Self::lmovem(args, 5),
            "BLMOVEM" => Self::lmovem(args, 6),
            _ => Ok(Self::RPOPLPUSH),
        }
    }

    /// How many elements of a source of this length move.
    pub fn count_of(&self, source_len: usize) -> usize {
        if self.is_exact && source_len < self.count {
            0
        } else {
            self.count.min(source_len)
        }
    }

    /// Whether elements that are read in the source's order are pushed from the last to the first.
    pub fn is_last_pushed_first(&self) -> bool {
        if self.is_bulk {
            self.to == End::Front
        } else {
            self.from == End::Back
        }
    }

    /// Whether the reply has elements, read in the source's order, from the last to the first.
    pub fn is_reply_turned(&self) -> bool {
        // One by one: turned on the way out, and turned again on the way in.
        !self.is_bulk && (self.from == self.to)
    }

    /// The reply where nothing moves.
    pub fn reply_nothing(&self, reply: &mut Reply<'_>) {
        match self.is_array {
            false => reply.null(),
            true => reply.null_array(),
        }
    }

    /// The reply with the elements that moved, in the source's order.
    pub fn reply_moved<B: AsRef<[u8]>>(&self, elements: &[B], reply: &mut Reply<'_>) {
        if self.is_array {
            reply.array(elements.len());
        }
        let count = elements.len();
        for index in 0..count {
            let index = if self.is_reply_turned() {
                count - 1 - index
            } else {
                index
            };
            reply.bulk(elements[index].as_ref());
        }
    }
}

const COUNT_ZERO: &str = "ERR count should be greater than 0";

/// Moves elements as `words` say and replies; the two keys may be one.
pub fn move_elements(
    call: &mut Call<'_>,
    args: &Args<'_>,
    words: &ListMove,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let limits = call.keys.limits();
    let (db, no_touch) = (call.db, call.caller.no_touch);
    let source = call.keys.key(args.get(1));
    let destination = call.keys.key(args.get(2));
    let count = match call.keys.write::<List>(db, &source, no_touch)? {
        Some(held) => words.count_of(held.get().len()),
        None => 0,
    };
    if count == 0 {
        words.reply_nothing(reply);
        return Ok(Effect::NONE);
    }
    let has_destination = call
        .keys
        .write::<List>(db, &destination, no_touch)?
        .is_some();
    let Some(mut held) = call.keys.write::<List>(db, &source, true)? else {
        words.reply_nothing(reply);
        return Ok(Effect::NONE);
    };
    let list = held.get_mut();
    let first = match words.from {
        End::Front => 0,
        End::Back => list.len() - count,
    };
    let mut elements: Vec<Vec<u8>> = Vec::with_capacity(count);
    list.visit_some(first, count, End::Front, |element| {
        elements.push(element.to_vec());
    });
    let push = |list: &mut List| {
        list.expect(elements.iter().map(Vec::len).sum(), count, &limits);
        let mut push = |element: &Vec<u8>| list.push(words.to, Element::Str(element));
        if words.is_last_pushed_first() {
            elements.iter().rev().for_each(&mut push);
        } else {
            elements.iter().for_each(&mut push);
        }
    };
    let is_one_list = source.bytes == destination.bytes;
    let is_turned = is_one_list && count == 1;
    let rest = if is_turned {
        list.turn(words.from, words.to, Element::Str(&elements[0]), &limits);
        None
    } else if count == 1 {
        list.pop(words.from, &limits);
        None
    } else {
        list.remove_range(first, count, &limits)
    };
    let mut is_gone = false;
    if is_one_list {
        if !is_turned {
            push(list);
        }
    } else {
        is_gone = held.remove_if_empty();
        if has_destination {
            if let Some(mut held) = call.keys.write::<List>(db, &destination, true)? {
                push(held.get_mut());
            }
        } else {
            let mut list = List::default();
            push(&mut list);
            call.keys.replace(db, &destination, list);
        }
    }
    if let Some(rest) = rest {
        call.keys.discard(db, rest);
    }
    call.tell(Classes::LIST, push_event(words.to), destination.bytes);
    let event = pop_event(words.from);
    call.tell_taken(Classes::LIST, event, source.bytes, is_gone);
    words.reply_moved(&elements, reply);
    Ok(Effect::wrote(count as u64))
}

/// `LMOVE source destination LEFT|RIGHT LEFT|RIGHT` replies with the element it moved, or null.
fn lmove(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    move_elements(call, args, &ListMove::lmove(args)?, reply)
}

fn rpoplpush(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    move_elements(call, args, &ListMove::RPOPLPUSH, reply)
}

/// `LMOVEM source destination LEFT|RIGHT LEFT|RIGHT [COUNT count|EXACTLY exactly OBO|BULK]` replies with an array of the
/// elements it moved, as they stand at the destination; null where there are none, or not EXACTLY as many.
fn lmovem(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    move_elements(call, args, &ListMove::lmovem(args, 5)?, reply)
}

/// What LMPOP's words say, and BLMPOP's after its timeout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListPop {
    /// The first key's word.
    pub first_key: usize,
    /// How many keys there are.
    pub keys_count: usize,
    /// Where elements are popped.
    pub from: End,
    /// How many at most.
    pub count: usize,
}

impl ListPop {
    /// Reads the words from the one on that counts the keys.
    pub fn parse(args: &Args<'_>, at: usize) -> Result<Self, CommandError> {
        const KEYS_ZERO: &str = "ERR numkeys should be greater than 0";
        let keys_count = match count(args.get(at), KEYS_ZERO)? {
            0 => return Err(KEYS_ZERO.into()),
            count => count,
        };
        let end_at = keys_count.saturating_add(at + 1);
        if end_at >= args.len() {
            return Err(CommandError::Syntax);
        }
        let from = end(args.get(end_at))?;
        let pop_count = match args.len() - end_at {
            1 => 1,
            _ if !args.is(end_at + 1, "COUNT") => return Err(CommandError::Syntax),
            2 => return Err(CommandError::Syntax),
            _ => match count(args.get(end_at + 2), COUNT_ZERO)? {
                0 => return Err(COUNT_ZERO.into()),
                // What follows is found out last, as Redis does.
                _ if args.len() > end_at + 3 => return Err(CommandError::Syntax),
                count => count,
            },
        };
        Ok(Self {
            first_key: at + 1,
            keys_count,
            from,
            count: pop_count,
        })
    }
}

/// Pops from the first key of `words` that exists and replies with its name and the elements; nothing is written and
/// nothing comes back where there is none.
pub fn pop_from_first(
    call: &mut Call<'_>,
    args: &Args<'_>,
    words: &ListPop,
    reply: &mut Reply<'_>,
) -> Result<Option<Effect>, CommandError> {
    let limits = call.keys.limits();
    for word in args.iter_from(words.first_key).take(words.keys_count) {
        let key = call.keys.key(word);
        let found = call.keys.write::<List>(call.db, &key, call.caller.no_touch);
        let Some(mut held) = found? else {
            continue;
        };
        reply.array(2);
        reply.bulk(word);
        let (popped_count, rest) =
            pop_some(held.get_mut(), words.from, words.count, &limits, reply);
        let is_gone = held.remove_if_empty();
        if let Some(rest) = rest {
            call.keys.discard(call.db, rest);
        }
        call.tell_taken(Classes::LIST, pop_event(words.from), word, is_gone);
        return Ok(Some(Effect::wrote(popped_count as u64)));
    }
    Ok(None)
}

/// Pops one element from the first key that exists, of the words `keys`, and replies with its name and the element;
/// nothing is written and nothing comes back where there is none.
pub fn pop_one_from_first(
    call: &mut Call<'_>,
    args: &Args<'_>,
    keys: std::ops::Range<usize>,
    from: End,
    reply: &mut Reply<'_>,
) -> Result<Option<Effect>, CommandError> {
    let limits = call.keys.limits();
    for word in args.iter_from(keys.start).take(keys.len()) {
        let key = call.keys.key(word);
        let found = call.keys.write::<List>(call.db, &key, call.caller.no_touch);
        let Some(mut held) = found? else {
            continue;
        };
        let list = held.get_mut();
        reply.array(2);
        reply.bulk(word);
        match list.peek(from) {
            Some(element) => reply_element(element, reply),
            None => reply.null(),
        }
        list.pop(from, &limits);
        let is_gone = held.remove_if_empty();
        call.tell_taken(Classes::LIST, pop_event(from), word, is_gone);
        return Ok(Some(Effect::wrote(1)));
    }
    Ok(None)
}

/// `LMPOP numkeys key [key ...] LEFT|RIGHT [COUNT count]` replies with a key and the elements popped from it, or null.
fn lmpop(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let words = ListPop::parse(args, 1)?;
    let popped = pop_from_first(call, args, &words, reply)?;
    Ok(popped.unwrap_or_else(|| {
        reply.null_array();
        Effect::NONE
    }))
}

/// The keys of what moves elements from one list to another.
pub const MOVED_KEYS: &[KeySpec] = &[
    key_at(1, "RW", &["access", "delete"]),
    key_at(2, "RW", &["insert"]),
];

/// Lists, several at a time.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "LMOVE",
        since: "6.2.0",
        group: Group::List,
        arity: Arity::Exactly(5),
        flags: WRITE_GROW,
        keys: MOVED_KEYS,
        spread: Spread::Gather(Program::ListMove),
        args: "source:key destination:key wherefrom=(LEFT | RIGHT) whereto=(LEFT | RIGHT)",
        summary: "Moves an element from an end of one list to an end of another and replies with it.",
        run: Run::Keys(lmove),
        ..ROW
    },
    Command {
        name: "RPOPLPUSH",
        since: "1.2.0",
        group: Group::List,
        arity: Arity::Exactly(3),
        flags: WRITE_GROW,
        keys: MOVED_KEYS,
        spread: Spread::Gather(Program::ListMove),
        args: "source:key destination:key",
        summary: "Moves the last element of one list before the first of another and replies with it.",
        deprecated: Some(("6.2.0", "`LMOVE` with the `RIGHT` and `LEFT` arguments")),
        run: Run::Keys(rpoplpush),
        ..ROW
    },
    Command {
        name: "LMOVEM",
        since: "8.10.0",
        group: Group::List,
        arity: Arity::AtLeast(5),
        flags: WRITE_GROW,
        keys: MOVED_KEYS,
        spread: Spread::Gather(Program::ListMove),
        args: "source:key destination:key wherefrom=(LEFT | RIGHT) whereto=(LEFT | RIGHT) \
               how-many=[selector=(COUNT count | EXACTLY exactly:integer) ordering=(OBO | BULK)]",
        summary: "Moves up to or exactly so many elements from an end of one list to an end of another and replies with them.",
        cost: "O(N) where N is the number of elements moved.",
        run: Run::Keys(lmovem),
        ..ROW
    },
    Command {
        name: "LMPOP",
        since: "7.0.0",
        group: Group::List,
        arity: Arity::AtLeast(4),
        flags: Flags::WRITE.or(Flags::MOVABLE_KEYS),
        keys: &[KeySpec {
            access: KeyAccess {
                mode: "RW",
                flags: &["access", "delete"],
            },
            begin: Begin::Index(1),
            find: Find::KeyNum {
                at: 0,
                first: 1,
                step: 1,
            },
            notes: "",
        }],
        spread: Spread::Gather(Program::FirstExisting),
        args: "numkeys key [key ...] where=(LEFT | RIGHT) [COUNT count]",
        summary: "Removes elements from an end of the first list that exists and replies with them.",
        cost: "O(N+M) where N is the number of keys and M the number of elements in the reply.",
        run: Run::Keys(lmpop),
        ..ROW
    },
];
