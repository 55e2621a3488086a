//! HyperLogLogs, which are strings: PFADD, PFCOUNT, PFMERGE, PFDEBUG, PFSELFTEST.
//!
//! Promises  an addition that changes nothing copies nothing; one to a dense one is made in place; a string that is no
//!           HyperLogLog, or a corrupt one, is refused and left as it was.
//! Not here  registers, runs and the estimate: `ds/hyperloglog/`.
//! Tests     tests/transcripts/hyperloglog.txt.

use super::CommandError;
use super::row::*;
use super::table::{Arity, Call, Command, Effect, Flags, Group, Program, Run, Spread};
use crate::base::rng::Rng;
use crate::ds::hyperloglog::{
    self as hll, Corrupt, Encoding, REGISTERS_COUNT, Registers, Sketch, place,
};
use crate::ds::key_table::{EntryMut, NewValue, Value};
use crate::keyspace::Classes;
use crate::keyspace::Object;
use crate::resp::{Args, Reply};

const NOT_ONE: &str = "WRONGTYPE Key is not a valid HyperLogLog string value.";

impl From<Corrupt> for CommandError {
    fn from(_: Corrupt) -> Self {
        "INVALIDOBJ Corrupted HLL object detected".into()
    }
}

/// The string of a HyperLogLog, and how it is held.
fn sketch_bytes<'v>(value: &Value<'v, Object>) -> Result<(&'v [u8], Encoding), CommandError> {
    match value {
        Value::Str { bytes, .. } => match hll::encoding(bytes) {
            Some(encoding) => Ok((bytes, encoding)),
            None => Err(NOT_ONE.into()),
        },
        Value::Int(_) => Err(NOT_ONE.into()),
        Value::Object(_) => Err(CommandError::WrongType),
    }
}

fn text(bytes: &[u8]) -> NewValue<'_, Object> {
    NewValue::Str { bytes, raw: true }
}

/// Stores a changed one where it was.
fn put_back(entry: &mut EntryMut<'_, Object>, size: usize, bytes: &[u8]) {
    if bytes.len() >= size {
        entry.string_mut(bytes.len()).copy_from_slice(bytes);
    } else {
        entry.set_value(text(bytes));
    }
}

/// `PFADD key [element ...]` replies 1 if the key was created or a register rose.
fn pfadd(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let sparse_max = call.keys.limits().hll_sparse_max_bytes;
    let key = call.keys.key(args.get(1));
    let places = args.iter_from(2).map(place);
    let Some(mut entry) = call.keys.lookup_write(call.db, &key, call.caller.no_touch) else {
        let mut sketch = Sketch::new(hll::empty(), sparse_max).ok_or(Corrupt)?;
        let mut changes = 1;
        for (index, count) in places {
            changes += u64::from(sketch.raise(index, count)?);
        }
        sketch.make_stale();
        call.keys
            .insert(call.db, &key, text(sketch.as_bytes()), None);
        call.tell(Classes::STRING, "pfadd", key.bytes);
        reply.integer(1);
        return Ok(Effect::wrote(changes));
    };
    let value = entry.value();
    let (bytes, encoding) = sketch_bytes(&value)?;
    let size = bytes.len();
    // Most additions change nothing: that is found out without a copy.
    let mut places = places.peekable();
    let mut first = None;
    while let Some(&(index, count)) = places.peek() {
        first = hll::lower(bytes, index, count)?;
        if first.is_some() {
            break;
        }
        places.next();
    }
    let Some(first) = first else {
        reply.integer(0);
        return Ok(Effect::NONE);
    };
    let mut changes = 0;
    match encoding {
        Encoding::Dense => {
            let bytes = entry.string_mut(0);
            for (index, count) in places {
                changes += u64::from(hll::raise_dense(bytes, index, count));
            }
            hll::make_stale(bytes);
        }
        Encoding::Sparse => {
            let mut sketch = Sketch::copied(bytes, first, sparse_max).ok_or(Corrupt)?;
            for (index, count) in places {
                changes += u64::from(sketch.raise(index, count)?);
            }
            put_back(&mut entry, size, sketch.as_bytes());
        }
    }
    call.tell(Classes::STRING, "pfadd", key.bytes);
    reply.integer(1);
    Ok(Effect::wrote(changes))
}

/// `PFCOUNT key [key ...]` replies with the cardinality of one, which is remembered in it, or of several together.
fn pfcount(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    if args.len() > 2 {
        let (registers, _) = union(call, args)?;
        reply.integer(registers.cardinality() as i64);
        return Ok(Effect::NONE);
    }
    let key = call.keys.key(args.get(1));
    let Some(mut entry) = call.keys.lookup_read(call.db, &key, call.caller.no_touch) else {
        reply.integer(0);
        return Ok(Effect::NONE);
    };
    let value = entry.value();
    let (bytes, _) = sketch_bytes(&value)?;
    if let Some(cardinality) = hll::cached_cardinality(bytes) {
        reply.integer(cardinality as i64);
        return Ok(Effect::NONE);
    }
    let cardinality = hll::cardinality(bytes)?;
    hll::cache_cardinality(entry.string_mut(0), cardinality);
    call.keys.tell_change(&key);
    reply.integer(cardinality as i64);
    Ok(Effect::wrote(1))
}

/// The registers of all keys together, and whether one of them is dense.
fn union(call: &mut Call<'_>, args: &Args<'_>) -> Result<(Registers, bool), CommandError> {
    let mut registers = Registers::default();
    let mut has_dense = false;
    for word in args.iter_from(1) {
        let key = call.keys.key(word);
        let found = call.keys.lookup_read(call.db, &key, call.caller.no_touch);
        let Some(entry) = found else { continue };
        let (bytes, encoding) = sketch_bytes(&entry.value())?;
        registers.raise_to(bytes)?;
        has_dense |= encoding == Encoding::Dense;
    }
    Ok((registers, has_dense))
}

/// `PFMERGE destkey [sourcekey ...]` replies OK; the destination is one of the sources.
fn pfmerge(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let (registers, has_dense) = union(call, args)?;
    let sparse_max = call.keys.limits().hll_sparse_max_bytes;
    let key = call.keys.key(args.get(1));
    let mut found = call.keys.lookup_write(call.db, &key, call.caller.no_touch);
    let before = match &mut found {
        Some(entry) => {
            let (bytes, encoding) = sketch_bytes(&entry.value())?;
            let before = (encoding == Encoding::Sparse).then(|| bytes.to_vec());
            let Some(before) = before else {
                hll::set_registers(entry.string_mut(0), &registers);
                call.tell(Classes::STRING, "pfadd", key.bytes);
                reply.ok();
                return Ok(Effect::wrote(1));
            };
            before
        }
        None => hll::empty(),
    };
    let size = before.len();
    let mut sketch = Sketch::new(before, sparse_max).ok_or(Corrupt)?;
    if has_dense {
        sketch.set_dense(&registers);
    } else {
        sketch.raise_all(&registers)?;
    }
    sketch.make_stale();
    match found {
        Some(mut entry) => put_back(&mut entry, size, sketch.as_bytes()),
        None => {
            call.keys
                .insert(call.db, &key, text(sketch.as_bytes()), None);
        }
    }
    call.tell(Classes::STRING, "pfadd", key.bytes);
    reply.ok();
    Ok(Effect::wrote(1))
}

/// `PFDEBUG subcommand key`.
fn pfdebug(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    if args.is(1, "SIMD") {
        // There is one way to merge here, so there is nothing to switch.
        if args.is(2, "ON") {
            reply.simple("enabled");
        } else if args.is(2, "OFF") {
            reply.simple("disabled");
        } else {
            return Err("ERR Argument must be ON or OFF".into());
        }
        return Ok(Effect::NONE);
    }
    let sparse_max = call.keys.limits().hll_sparse_max_bytes;
    let key = call.keys.key(args.get(2));
    let Some(mut entry) = call.keys.lookup_write(call.db, &key, call.caller.no_touch) else {
        return Err("ERR The specified key does not exist".into());
    };
    let value = entry.value();
    let (bytes, encoding) = sketch_bytes(&value)?;
    let size = bytes.len();
    if args.is(1, "ENCODING") {
        reply.simple(match encoding {
            Encoding::Dense => "dense",
            Encoding::Sparse => "sparse",
        });
        return Ok(Effect::NONE);
    }
    if args.is(1, "DECODE") {
        if encoding == Encoding::Dense {
            return Err("ERR HLL encoding is not sparse".into());
        }
        reply.bulk(hll::text(bytes).as_bytes());
        return Ok(Effect::NONE);
    }
    let is_getreg = args.is(1, "GETREG");
    if !is_getreg && !args.is(1, "TODENSE") {
        return Err(CommandError::quoting(
            "ERR Unknown PFDEBUG subcommand '",
            args.get(1),
            "'",
        ));
    }
    let mut registers = Registers::default();
    registers.raise_to(bytes)?;
    let was_sparse = encoding == Encoding::Sparse;
    if was_sparse {
        let mut sketch = Sketch::new(bytes.to_vec(), sparse_max).ok_or(Corrupt)?;
        sketch.set_dense(&registers);
        put_back(&mut entry, size, sketch.as_bytes());
    }
    if is_getreg {
        reply.array(REGISTERS_COUNT);
        registers
            .iter()
            .for_each(|register| reply.integer(i64::from(register)));
    } else {
        reply.integer(i64::from(was_sparse));
    }
    Ok(Effect::wrote(u64::from(was_sparse)))
}

/// Strings that PFSELFTEST adds: a hundredth of what Redis adds, so that other clients of the core do not notice.
const TESTED_COUNT: u64 = 100_000;

/// `PFSELFTEST` replies OK if sparse and dense agree and estimates are near the truth.
fn pfselftest(
    call: &mut Call<'_>,
    _: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let sparse_max = call.keys.limits().hll_sparse_max_bytes;
    let mut sparse = Sketch::new(hll::empty(), sparse_max).ok_or(Corrupt)?;
    let mut dense = Sketch::new(hll::empty(), sparse_max).ok_or(Corrupt)?;
    dense.make_dense()?;
    let seed = Rng::with_seed(call.keys.now_ms() as u64).next_u64();
    let error = 1.04 / (REGISTERS_COUNT as f64).sqrt();
    let mut checkpoint = 1;
    for number in 1..=TESTED_COUNT {
        let (index, count) = place(&(number ^ seed).to_le_bytes());
        sparse.raise(index, count)?;
        dense.raise(index, count)?;
        if number != checkpoint {
            continue;
        }
        let cardinality = hll::cardinality(dense.as_bytes())?;
        if cardinality != hll::cardinality(sparse.as_bytes())? {
            return Err("ERR TESTFAILED dense/sparse disagree".into());
        }
        let off = cardinality.abs_diff(number);
        // Ten strings meet in a register now and then.
        let off_max = match number {
            10 => 1,
            _ => (error * 6.0 * number as f64).ceil() as u64,
        };
        if off > off_max {
            return Err(format!("ERR TESTFAILED Too big error. card:{number} abserr:{off}").into());
        }
        checkpoint *= 10;
    }
    reply.ok();
    Ok(Effect::NONE)
}

/// HyperLogLogs.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "PFADD",
        since: "2.8.9",
        group: Group::HyperLogLog,
        arity: Arity::AtLeast(2),
        flags: WRITE_GROW_FAST,
        keys: &[key_at(1, "RW", &["insert"])],
        args: "key [element [element ...]]",
        summary: "Adds elements to a HyperLogLog, creating it if the key is missing.",
        cost: "O(1) for each element.",
        run: Run::Keys(pfadd),
        ..ROW
    },
    Command {
        name: "PFCOUNT",
        since: "2.8.9",
        group: Group::HyperLogLog,
        arity: Arity::AtLeast(2),
        flags: Flags::READONLY.or(Flags::MAY_REPLICATE),
        keys: &[keys_to(1, -1, 1, "RW", &["access"]).noted(
            "RW because it may change the internal representation of the key, and propagate to replicas",
        )],
        spread: Spread::Gather(Program::Bring),
        args: "key [key ...]",
        summary: "Estimates how many different elements one or several HyperLogLogs have seen.",
        cost: "O(1) for one key, which remembers its cardinality; O(N) where N is the number of keys for several.",
        run: Run::Keys(pfcount),
        ..ROW
    },
    Command {
        name: "PFMERGE",
        since: "2.8.9",
        group: Group::HyperLogLog,
        arity: Arity::AtLeast(2),
        flags: WRITE_GROW,
        keys: &[
            key_at(1, "RW", &["access", "insert"]),
            keys_to(2, -1, 1, "RO", &["access"]),
        ],
        spread: Spread::Gather(Program::Bring),
        args: "destkey:key [sourcekey:key [sourcekey:key ...]]",
        summary: "Merges HyperLogLogs into one key.",
        cost: "O(N) where N is the number of HyperLogLogs.",
        run: Run::Keys(pfmerge),
        ..ROW
    },
    Command {
        name: "PFDEBUG",
        is_system: true,
        since: "2.8.9",
        group: Group::HyperLogLog,
        arity: Arity::Exactly(3),
        flags: WRITE_GROW.or(Flags::ADMIN),
        keys: &[key_at(2, "RW", &["access"])],
        args: "subcommand key",
        summary: "Shows the inside of a HyperLogLog.",
        cost: "O(1): a HyperLogLog is small.",
        run: Run::Keys(pfdebug),
        ..ROW
    },
    Command {
        name: "PFSELFTEST",
        is_system: true,
        since: "2.8.9",
        group: Group::HyperLogLog,
        flags: Flags::ADMIN,
        summary: "Tests that HyperLogLogs count well.",
        cost: "O(1), some ten milliseconds.",
        run: Run::Keys(pfselftest),
        ..ROW
    },
];
