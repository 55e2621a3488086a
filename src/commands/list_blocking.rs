//! Lists that are waited for: BLPOP and its relatives.
//!
//! Promises  words are checked before keys are looked at; a destination of another type is an error whenever it is met, a
//!           source of another type at first, and later before one that has something.
//! Not here  waiting itself: `commands/blocking.rs`.
//! Source    BLMOVEM: Redis 8.10 documentation.
//! Tests     tests/transcripts/list_blocking.txt, tests/server/blocking.rs.

use super::CommandError;
use super::blocking::timeout_of_seconds;
use super::list_move::{
    ListMove, ListPop, MOVED_KEYS, move_elements, pop_from_first, pop_one_from_first,
};
use super::row::*;
use super::table::{
    Arity, Begin, Call, Command, Effect, Find, Flags, Group, KeyAccess, KeySpec, Patience, Program,
    Run, Spread,
};
use crate::keyspace::list::{End, List};
use crate::resp::{Args, Reply};

/// `BLPOP key [key ...] timeout`, from either end: the name of the first list there is and its element.
fn pop(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    from: End,
) -> Result<Effect, CommandError> {
    let last = args.len() - 1;
    let timeout_ms = timeout_of_seconds(args.get(last), call.keys.now_ms())?;
    let popped = pop_one_from_first(call, args, 1..last, from, reply)?;
    Ok(popped.unwrap_or_else(|| call.wait_for(timeout_ms, reply)))
}

fn blpop(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    pop(call, args, reply, End::Front)
}

fn brpop(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    pop(call, args, reply, End::Back)
}

/// `BLMPOP timeout numkeys key [key ...] LEFT|RIGHT [COUNT count]`.
fn blmpop(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let words = ListPop::parse(args, 2)?;
    let timeout_ms = timeout_of_seconds(args.get(1), call.keys.now_ms())?;
    let popped = pop_from_first(call, args, &words, reply)?;
    Ok(popped.unwrap_or_else(|| call.wait_for(timeout_ms, reply)))
}

/// Moves elements, or waits until the source has enough.
fn move_or_wait(
    call: &mut Call<'_>,
    args: &Args<'_>,
    words: &ListMove,
    timeout: &[u8],
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let timeout_ms = timeout_of_seconds(timeout, call.keys.now_ms())?;
    let key = call.keys.key(args.get(1));
    let found = call.keys.write::<List>(call.db, &key, true);
    let has_enough = found?.is_some_and(|held| words.count_of(held.get().len()) > 0);
    if has_enough {
        return move_elements(call, args, words, reply);
    }
    if call.patience == Patience::Denied {
        // It answers as LMOVE or LMOVEM does; one whose time is up gets a null array.
        words.reply_nothing(reply);
        return Ok(Effect::NONE);
    }
    Ok(call.wait_for(timeout_ms, reply))
}

/// `BLMOVE source destination LEFT|RIGHT LEFT|RIGHT timeout`.
fn blmove(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let words = ListMove::lmove(args)?;
    move_or_wait(call, args, &words, args.get(5), reply)
}

fn brpoplpush(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    move_or_wait(call, args, &ListMove::RPOPLPUSH, args.get(3), reply)
}

/// `BLMOVEM source destination LEFT|RIGHT LEFT|RIGHT timeout [COUNT count|EXACTLY exactly OBO|BULK]`.
fn blmovem(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let words = ListMove::lmovem(args, 6)?;
    move_or_wait(call, args, &words, args.get(5), reply)
}

/// The keys of BLPOP and its like: all words but the last.
pub const KEYS_BEFORE_TIMEOUT: &[KeySpec] = &[keys_to(1, -2, 1, "RW", &["access", "delete"])];

/// The keys of BLMPOP and its like: their number stands at word 2.
pub const NUMBERED_AFTER_TIMEOUT: &[KeySpec] = &[KeySpec {
    access: KeyAccess {
        mode: "RW",
        flags: &["access", "delete"],
    },
    begin: Begin::Index(2),
    find: Find::KeyNum {
        at: 0,
        first: 1,
        step: 1,
    },
    notes: "",
}];

const WAITS: Flags = Flags::WRITE.or(Flags::BLOCKING);

/// The rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "BLPOP",
        since: "2.0.0",
        group: Group::List,
        arity: Arity::AtLeast(3),
        flags: WAITS,
        keys: KEYS_BEFORE_TIMEOUT,
        spread: Spread::Gather(Program::FirstExisting),
        args: "key [key ...] timeout:double",
        summary: "Takes the first element of the first list that has one, waiting for it if none has.",
        cost: "O(N) where N is the number of keys.",
        history: &[("6.0.0", "The timeout may be a fraction.")],
        run: Run::Waits(blpop),
        ..ROW
    },
    Command {
        name: "BRPOP",
        since: "2.0.0",
        group: Group::List,
        arity: Arity::AtLeast(3),
        flags: WAITS,
        keys: KEYS_BEFORE_TIMEOUT,
        spread: Spread::Gather(Program::FirstExisting),
        args: "key [key ...] timeout:double",
        summary: "Takes the last element of the first list that has one, waiting for it if none has.",
        cost: "O(N) where N is the number of keys.",
        history: &[("6.0.0", "The timeout may be a fraction.")],
        run: Run::Waits(brpop),
        ..ROW
    },
    Command {
        name: "BLMPOP",
        since: "7.0.0",
        group: Group::List,
        arity: Arity::AtLeast(5),
        flags: WAITS.or(Flags::MOVABLE_KEYS),
        keys: NUMBERED_AFTER_TIMEOUT,
        spread: Spread::Gather(Program::FirstExisting),
        args: "timeout:double numkeys:integer key [key ...] where=(LEFT | RIGHT) [COUNT count:integer]",
        summary: "Takes elements from an end of the first list that has some, waiting for one if none has.",
        cost: "O(N+M) where N is the number of keys and M of the elements taken.",
        run: Run::Waits(blmpop),
        ..ROW
    },
    Command {
        name: "BLMOVE",
        since: "6.2.0",
        group: Group::List,
        arity: Arity::Exactly(6),
        flags: WAITS.or(Flags::DENYOOM),
        keys: MOVED_KEYS,
        spread: Spread::Gather(Program::ListMove),
        args: "source:key destination:key wherefrom=(LEFT | RIGHT) whereto=(LEFT | RIGHT) timeout:double",
        summary: "Moves an element from an end of one list to an end of another, waiting for it if there is none.",
        run: Run::Waits(blmove),
        ..ROW
    },
    Command {
        name: "BRPOPLPUSH",
        since: "2.2.0",
        group: Group::List,
        arity: Arity::Exactly(4),
        flags: WAITS.or(Flags::DENYOOM),
        keys: MOVED_KEYS,
        spread: Spread::Gather(Program::ListMove),
        args: "source:key destination:key timeout:double",
        summary: "Moves the last element of one list before the first of another, waiting for it if there is none.",
        deprecated: Some(("6.2.0", "`BLMOVE` with the `RIGHT` and `LEFT` arguments")),
        history: &[("6.0.0", "The timeout may be a fraction.")],
        run: Run::Waits(brpoplpush),
        ..ROW
    },
    Command {
        name: "BLMOVEM",
        since: "8.10.0",
        group: Group::List,
        arity: Arity::AtLeast(6),
        flags: WAITS.or(Flags::DENYOOM),
        keys: MOVED_KEYS,
        spread: Spread::Gather(Program::ListMove),
        args: "source:key destination:key wherefrom=(LEFT | RIGHT) whereto=(LEFT | RIGHT) timeout:double \
               how-many=[selector=(COUNT count | EXACTLY exactly:integer) ordering=(OBO | BULK)]",
        summary: "Moves up to or exactly so many elements from one list to another, waiting while there are not enough.",
        cost: "O(N) where N is the number of elements moved.",
        run: Run::Waits(blmovem),
        ..ROW
    },
];
