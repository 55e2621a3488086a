//! DEBUG DIGEST and DEBUG DIGEST-VALUE: one text for what a value, or all of them, hold, however they are encoded.
//!
//!     mix(d, x) = SHA-1(d ^ SHA-1(x))        where order counts
//!     add(d, x) = d ^ SHA-1(x)               where it does not: members, fields, keys
//!
//! Promises  the texts that Redis gives for the same data; arrays, whose text is recorded nowhere, have one of our own.
//! Tests     tests/transcripts/debug_digest.txt.

use super::CommandError;
use super::row::*;
use super::table::{Arity, Call, Command, Effect, Flags, Group, Merge, Run, Spread};
use crate::base::number::{F64_TEXT_BYTES_MAX, write_f64, write_i64};
use crate::base::sha1::sha1;
use crate::ds::key_table::{EntryRef, Value};
use crate::ds::listpack::Element;
use crate::ds::quicklist::End;
use crate::ds::stream::StreamId;
use crate::keyspace::Object;
use crate::resp::element::{elements, read_bulk};
use crate::resp::{Args, Protocol, Reply};
use std::ops::ControlFlow;

#[derive(Clone, Copy, Default)]
struct Digest([u8; 20]);

impl Digest {
    fn add(&mut self, bytes: &[u8]) {
        self.xor(&sha1(bytes));
    }

    fn mix(&mut self, bytes: &[u8]) {
        self.add(bytes);
        self.0 = sha1(&self.0);
    }

    fn mix_element(&mut self, element: Element<'_>) {
        self.mix(element.text(&mut [0; 20]));
    }

    fn xor(&mut self, other: &[u8; 20]) {
        for (byte, other) in self.0.iter_mut().zip(other) {
            *byte ^= other;
        }
    }

    /// Mixes in a value: its type's number, what it holds, and whether it dies.
    fn mix_value(&mut self, entry: EntryRef<'_, Object>) {
        let mut digits = [0; 20];
        let mut string = |bytes: &[u8]| {
            self.mix(&0u32.to_be_bytes());
            self.mix(bytes);
        };
        match entry.value() {
            Value::Int(number) => string(write_i64(&mut digits, number)),
            Value::Str { bytes, .. } => string(bytes),
            Value::Object(object) => self.mix_object(object),
        }
        if entry.deadline_ms().is_some() {
            self.add(b"!!expire!!");
        }
    }

    fn mix_object(&mut self, object: &Object) {
        let kind: u32 = match object.type_name() {
            "list" => 1,
            "set" => 2,
            "zset" => 3,
            "hash" => 4,
            "array" => 8,
            _ => 6,
        };
        self.mix(&kind.to_be_bytes());
        if let Object::List(list) = object {
            list.visit(0, End::Front, |element| {
                self.mix_element(element);
                ControlFlow::Continue(())
            });
        }
        if let Object::Set(set) = object {
            set.each(|member| self.add(member.text(&mut [0; 20])));
        }
        if let Object::Zset(set) = object {
            for (member, score) in set.iter() {
                let mut own = Self::default();
                own.mix_element(member);
                own.mix(write_f64(&mut [0; F64_TEXT_BYTES_MAX], score));
                self.add(&own.0);
            }
        }
        if let Object::Hash(hash) = object {
            hash.walk(|field, value| {
                let mut own = Self::default();
                own.mix_element(field);
                own.mix_element(value.value);
                if value.deadline_ms.is_some() {
                    own.add(b"!!hexpire!!");
                }
                self.add(&own.0);
            });
        }
        if let Object::Array(array) = object {
            array.places().visit(0, u64::MAX, |place, element| {
                self.mix(place.to_string().as_bytes());
                self.mix_element(element);
                ControlFlow::Continue(())
            });
        }
        if let Object::Stream(stream) = object {
            for entry in stream.log.range(StreamId::MIN, StreamId::MAX) {
                self.mix(format!("{}.{}", entry.id.ms, entry.id.seq).as_bytes());
                for (field, value) in entry.fields() {
                    self.mix_element(field);
                    self.mix_element(value);
                }
            }
        }
    }

    fn text(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// `DEBUG DIGEST-VALUE key [key ...]` replies with a digest for each, of zeros for a missing key.
fn digest_value(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    reply.array(args.len() - 1);
    for word in args.iter_from(1) {
        let mut digest = Digest::default();
        let key = call.keys.key(word);
        if let Some(entry) = call.keys.peek(call.db, &key) {
            digest.mix_value(entry);
        }
        reply.simple(&digest.text());
    }
    Ok(Effect::NONE)
}

/// `DEBUG DIGEST` replies with the digest of all databases; one of several shards with what its keys add to each.
fn digest(
    call: &mut Call<'_>,
    _: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let databases_count = call.keys.databases_count();
    let mut shares = vec![None; databases_count];
    for (db, share) in shares.iter_mut().enumerate() {
        let mut position = 0;
        loop {
            position = call.keys.scan(db, position, &mut |entry| {
                let mut own = Digest::default();
                own.mix(entry.key());
                own.mix_value(entry);
                share.get_or_insert_with(Digest::default).add(&own.0);
            });
            if position == 0 {
                break;
            }
        }
    }
    if call.keys.shards_count() == 1 {
        reply.simple(&joined(&shares).text());
        return Ok(Effect::NONE);
    }
    reply.array(databases_count);
    for share in shares {
        reply.bulk(share.as_ref().map_or(b"", |share| &share.0));
    }
    Ok(Effect::NONE)
}

/// The digest of all databases from those of each; empty ones have none.
fn joined(shares: &[Option<Digest>]) -> Digest {
    let mut all = Digest::default();
    for (db, share) in shares.iter().enumerate() {
        if let Some(share) = share {
            all.mix(&(db as u32).to_be_bytes());
            all.xor(&share.0);
        }
    }
    all
}

/// DEBUG DIGEST's reply from those of all shards; `None` where one is another.
pub fn join_digests(parts: &[Vec<u8>]) -> Option<Vec<u8>> {
    let mut shares: Vec<Option<Digest>> = Vec::new();
    for part in parts {
        for (db, element) in elements(part)?.enumerate() {
            if shares.len() <= db {
                shares.push(None);
            }
            let share = read_bulk(element)?;
            if !share.is_empty() {
                let share = share.try_into().ok()?;
                shares[db].get_or_insert_with(Digest::default).xor(share);
            }
        }
    }
    let mut out = Vec::new();
    Reply::new(&mut out, Protocol::Resp2).simple(&joined(&shares).text());
    Some(out)
}

/// What both have in common; COMMAND shows none of DEBUG's subcommands.
const DIGEST_ROW: Command = Command {
    group: Group::Server,
    flags: Flags::ADMIN
        .or(Flags::NOSCRIPT)
        .or(Flags::LOADING)
        .or(Flags::STALE),
    cost: "O(N) where N is how much there is.",
    ..ROW
};

/// Rows for the DEBUG container.
pub const DEBUG_DIGESTS: &[Command] = &[
    Command {
        name: "DIGEST",
        arity: Arity::Exactly(2),
        spread: Spread::EveryShard(Merge::Digests),
        summary: "Replies with a digest of everything.",
        run: Run::Keys(digest),
        ..DIGEST_ROW
    },
    Command {
        name: "DIGEST-VALUE",
        arity: Arity::AtLeast(3),
        keys: &[keys_to(2, -1, 1, "RO", &[])],
        spread: Spread::Split(Merge::Interleave),
        args: "key [key ...]",
        summary: "Replies with digests of values.",
        run: Run::Keys(digest_value),
        ..DIGEST_ROW
    },
];
