//! DEBUG HTSTATS and DEBUG HTSTATS-KEY: the shape of the main table, and of a value's.
//!
//! What a place and a chain are: `ds/table_shape.rs`. Deadlines are in the entries of the keys, so there is no table of them to
//! describe: the heading that Redis has for it stands without figures. No table is ever rehashed as a whole.
//!
//! Tests     tests/commands/debug.rs.

use super::CommandError;
use super::generic::NO_SUCH_KEY;
use super::row::*;
use super::table::{Arity, Call, Command, Effect, Flags, Group, Merge, Run, Spread};
use super::word::integer;
use crate::ds::key_table::Value;
use crate::ds::table_shape::TableShape;
use crate::resp::element::{elements, read_integer};
use crate::resp::{Args, Protocol, Reply};
use std::fmt::Write;

/// Whether the words, of which the one at `index` may say so, ask for the chains.
fn wants_chains(args: &Args<'_>, index: usize) -> bool {
    args.len() > index && args.get(index).eq_ignore_ascii_case(b"full")
}

/// `DEBUG HTSTATS db [FULL]` replies with a text; one of several shards with the figures of its table.
fn table_of_database(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let db = integer(args.get(1))?;
    let db = usize::try_from(db).ok();
    let Some(db) = db.filter(|&db| db < call.keys.databases_count()) else {
        return Err("ERR Out of range database".into());
    };
    let shape = call.keys.table_shape(db, wants_chains(args, 2));
    if call.keys.shards_count() == 1 {
        write_tables(&shape, reply);
        return Ok(Effect::NONE);
    }
    reply.array(3 + shape.chains.len());
    // Tells the joint reply's protocol.
    reply.verbatim(b"txt", b"");
    for number in [shape.places, shape.records].iter().chain(&shape.chains) {
        reply.integer(*number as i64);
    }
    Ok(Effect::NONE)
}

/// DEBUG HTSTATS's reply from those of all shards; `None` where one is another.
pub fn join_tables(parts: &[Vec<u8>]) -> Option<Vec<u8>> {
    let mut all = TableShape::default();
    let mut protocol = Protocol::Resp2;
    for part in parts {
        let mut elements = elements(part)?;
        if elements.next()?.starts_with(b"=") {
            protocol = Protocol::Resp3;
        }
        let mut numbers = elements.map(|element| read_integer(element).map(|it| it as u64));
        let (places, records) = (numbers.next()??, numbers.next()??);
        let chains = numbers.collect::<Option<Vec<u64>>>()?;
        all.add(&TableShape {
            places,
            records,
            chains,
        });
    }
    let mut out = Vec::new();
    write_tables(&all, &mut Reply::new(&mut out, protocol));
    Some(out)
}

fn write_tables(shape: &TableShape, reply: &mut Reply<'_>) {
    let mut text = String::from("[Dictionary HT]\n");
    if shape.records > 0 {
        describe(shape, &mut text);
    }
    text.push_str("[Expires HT]\n");
    reply.verbatim(b"txt", text.as_bytes());
}

/// `DEBUG HTSTATS-KEY key [FULL]` replies with a text about the value's hash table.
fn table_of_key(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let key = call.keys.key(args.get(1));
    let Some(entry) = call.keys.peek(call.db, &key) else {
        return Err(NO_SUCH_KEY.into());
    };
    let shape = match entry.value() {
        Value::Object(object) => object.table_shape(wants_chains(args, 2)),
        _ => None,
    };
    let Some(shape) = shape else {
        return Err(
            "ERR The value stored at the specified key is not represented using an hash table"
                .into(),
        );
    };
    let mut text = String::new();
    describe(&shape, &mut text);
    reply.verbatim(b"txt", text.as_bytes());
    Ok(Effect::NONE)
}

/// Redis's lines about a table.
fn describe(shape: &TableShape, text: &mut String) {
    let TableShape {
        places,
        records,
        chains,
    } = shape;
    let _ = write!(
        text,
        "Hash table 0 stats (main hash table):\n table size: {places}\n number of elements: {records}\n"
    );
    if chains.is_empty() {
        return;
    }
    let taken: u64 = chains[1..].iter().sum();
    let longest = chains.iter().rposition(|&count| count > 0).unwrap_or(0);
    let counted: u64 = (chains.iter().enumerate())
        .map(|(length, count)| length as u64 * count)
        .sum();
    let average = |sum: u64| sum as f64 / taken.max(1) as f64;
    let _ = write!(
        text,
        " different slots: {taken}\n max chain length: {longest}\n avg chain length (counted): {:.2}\n \
         avg chain length (computed): {:.2}\n Chain length distribution:\n",
        average(counted),
        average(*records),
    );
    for (length, &count) in chains.iter().enumerate().filter(|(_, count)| **count > 0) {
        let percent = count as f64 * 100.0 / *places as f64;
        let _ = writeln!(text, "   {length}: {count} ({percent:.2}%)");
    }
}

const TABLE_ROW: Command = Command {
    group: Group::Server,
    flags: Flags::ADMIN
        .or(Flags::NOSCRIPT)
        .or(Flags::LOADING)
        .or(Flags::STALE),
    arity: Arity::AtLeast(3),
    cost: "O(1), with FULL O(N) where N is the number of keys, or of elements.",
    ..ROW
};

/// Rows for the DEBUG container.
pub const DEBUG_TABLES: &[Command] = &[
    Command {
        name: "HTSTATS",
        spread: Spread::EveryShard(Merge::Tables),
        args: "db [full]",
        summary: "Tells how full a database's hash table is.",
        run: Run::Keys(table_of_database),
        ..TABLE_ROW
    },
    Command {
        name: "HTSTATS-KEY",
        keys: &[key_at(2, "RO", &[])],
        args: "key [full]",
        summary: "Tells how full a value's hash table is.",
        run: Run::Keys(table_of_key),
        ..TABLE_ROW
    },
];
