//! One server, plainly: a map, and what each command does to it.

use std::collections::BTreeMap;

use rondo::resp::Args;
use rondo::resp::args::OwnedArgs;

use super::collections::{Value, wrong_type};
use super::workload::{Operation, Script};
use rondo::resp::element::elements;

/// Both databases: (database, key) to value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Model {
    pub keys: BTreeMap<(u16, Vec<u8>), Value>,
    /// By client: what it watches, and what that was.
    watched: BTreeMap<usize, Vec<Watched>>,
    /// Who waits, in order of arrival: its place in the history, with which command, and for what keys.
    pub waiting: Vec<(usize, Wish)>,
}

/// What a client waits for.
pub type Wish = (Wanted, Vec<(u16, Vec<u8>)>);

/// What may be at a key that a client waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Wanted {
    List,
    Zset,
    Stream,
}

/// A key and its value.
type Watched = ((u16, Vec<u8>), Option<Value>);

/// What a reply must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// These bytes.
    Reply(Vec<u8>),
    /// An array of these elements in any order, each once.
    InAnyOrder(Vec<Vec<u8>>),
    /// One of these.
    OneOf(Vec<Vec<u8>>),
    /// An array of these.
    Each(Vec<Expected>),
    /// No reply is right.
    Impossible,
}

pub fn integer(number: usize) -> Expected {
    Expected::Reply(format!(":{number}\r\n").into_bytes())
}

fn ok() -> Expected {
    Expected::Reply(b"+OK\r\n".to_vec())
}

pub fn error(text: &str) -> Expected {
    Expected::Reply(format!("-{text}\r\n").into_bytes())
}

pub fn bulk(value: Option<&Vec<u8>>) -> Vec<u8> {
    match value {
        None => b"$-1\r\n".to_vec(),
        Some(value) => {
            let mut reply = format!("${}\r\n", value.len()).into_bytes();
            reply.extend_from_slice(value);
            reply.extend_from_slice(b"\r\n");
            reply
        }
    }
}

impl Model {
    /// Does what `operation` of `client` does, and says what its reply is; of what may be refused, as `reply` says.
    pub fn apply(&mut self, client: usize, operation: &Operation, reply: &[u8]) -> Expected {
        let db = operation.db;
        if operation.is_watch() {
            let watched = self.watched.entry(client).or_default();
            for key in operation.args.as_args().iter_from(1) {
                let place = (db, key.to_vec());
                let value = self.keys.get(&place).cloned();
                watched.push((place, value));
            }
            return ok();
        }
        if operation.is_exec() {
            return self.exec(client, operation, reply);
        }
        self.run_any(db, &operation.args.as_args(), reply)
    }

    /// A command, or a script: then each of its lines, where `reply` says what those before it found.
    fn run_any(&mut self, db: u16, args: &Args<'_>, reply: &[u8]) -> Expected {
        if !args.is(0, "EVAL") {
            return self.run(db, args);
        }
        let script = Script::parse(args);
        let found: Vec<&[u8]> = elements(reply).map_or(Vec::new(), Iterator::collect);
        if found.len() != script.lines.len() {
            return Expected::Impossible;
        }
        let mut before: &[u8] = b"";
        let mut run = |(index, found)| {
            let line = script.line(index, before);
            before = found;
            self.run(db, &line.as_args())
        };
        Expected::Each(found.into_iter().enumerate().map(&mut run).collect())
    }

    /// A block that watches may always be refused: a key may have been set to what it was. If it runs, nothing has changed.
    fn exec(&mut self, client: usize, operation: &Operation, reply: &[u8]) -> Expected {
        if let Some(watched) = self.watched.remove(&client) {
            if reply == b"*-1\r\n" {
                return Expected::Reply(reply.to_vec());
            }
            let is_same = |(place, value): &Watched| self.keys.get(place) == value.as_ref();
            if !watched.iter().all(is_same) {
                return Expected::Impossible;
            }
        }
        let mut db = operation.db;
        let mut found = elements(reply);
        let mut run = |args: &OwnedArgs| {
            let args = args.as_args();
            let found = found.as_mut().and_then(Iterator::next);
            if args.is(0, "PING") {
                return Expected::Reply(b"+PONG\r\n".to_vec());
            }
            if args.is(0, "SELECT") {
                db = u16::from(args.is(1, "1"));
                return ok();
            }
            self.run_any(db, &args, found.unwrap_or_default())
        };
        Expected::Each(operation.block.iter().map(&mut run).collect())
    }

    fn run(&mut self, db: u16, args: &Args<'_>) -> Expected {
        if let Some(expected) = self.run_on_collections(db, args) {
            return expected;
        }
        let at = |index: usize| (db, args.get(index).to_vec());
        let name = String::from_utf8_lossy(args.get(0)).into_owned();
        match name.as_str() {
            "GET" => match self.keys.get(&at(1)) {
                None => Expected::Reply(bulk(None)),
                Some(Value::String(value)) => Expected::Reply(bulk(Some(value))),
                Some(_) => wrong_type(),
            },
            "SET" => {
                self.keys.insert(at(1), Value::String(at(2).1));
                ok()
            }
            "GETSET" => {
                let old = match self.keys.get(&at(1)) {
                    None => bulk(None),
                    Some(Value::String(value)) => bulk(Some(value)),
                    Some(_) => return wrong_type(),
                };
                self.keys.insert(at(1), Value::String(at(2).1));
                Expected::Reply(old)
            }
            "INCR" => {
                let zero = || Value::String(b"0".to_vec());
                let Value::String(value) = self.keys.entry(at(1)).or_insert_with(zero) else {
                    return wrong_type();
                };
                // Redis takes an integer only as it would write it: no zeros before it.
                let number: i64 = match String::from_utf8_lossy(value).parse::<i64>() {
                    Ok(number) if number.to_string().as_bytes() == *value => number,
                    _ => return error("ERR value is not an integer or out of range"),
                };
                if number == i64::MAX {
                    return error("ERR increment or decrement would overflow");
                }
                *value = (number + 1).to_string().into_bytes();
                Expected::Reply(format!(":{}\r\n", number + 1).into_bytes())
            }
            "APPEND" => {
                let nothing = || Value::String(Vec::new());
                let Value::String(value) = self.keys.entry(at(1)).or_insert_with(nothing) else {
                    return wrong_type();
                };
                value.extend_from_slice(args.get(2));
                integer(value.len())
            }
            "DEL" => {
                let is_there = |index: &usize| self.keys.remove(&at(*index)).is_some();
                integer((1..args.len()).filter(is_there).count())
            }
            "EXISTS" => {
                let is_there = |index: &usize| self.keys.contains_key(&at(*index));
                integer((1..args.len()).filter(is_there).count())
            }
            "MSET" => {
                self.set_pairs(db, args);
                ok()
            }
            "MSETNX" => {
                let is_there = |index: usize| self.keys.contains_key(&at(index));
                if (1..args.len()).step_by(2).any(is_there) {
                    return integer(0);
                }
                self.set_pairs(db, args);
                integer(1)
            }
            "MSETEX" => {
                let count: usize = at(1).1[0].into();
                let end = 2 + 2 * (count - usize::from(b'0'));
                let there_count = (2..end)
                    .step_by(2)
                    .filter(|index| self.keys.contains_key(&at(*index)))
                    .count();
                let is_met = match args.iter_from(end).next() {
                    Some(b"NX") => there_count == 0,
                    Some(_) => there_count * 2 == end - 2,
                    None => true,
                };
                if !is_met {
                    return integer(0);
                }
                for index in (2..end).step_by(2) {
                    self.keys.insert(at(index), Value::String(at(index + 1).1));
                }
                integer(1)
            }
            "MGET" => {
                let mut reply = format!("*{}\r\n", args.len() - 1).into_bytes();
                for index in 1..args.len() {
                    reply.extend(match self.keys.get(&at(index)) {
                        Some(Value::String(value)) => bulk(Some(value)),
                        _ => bulk(None),
                    });
                }
                Expected::Reply(reply)
            }
            "RENAME" => match self.keys.remove(&at(1)) {
                None => error("ERR no such key"),
                Some(value) => {
                    self.keys.insert(at(2), value);
                    ok()
                }
            },
            "RENAMENX" => {
                if !self.keys.contains_key(&at(1)) {
                    return error("ERR no such key");
                }
                if self.keys.contains_key(&at(2)) {
                    return integer(0);
                }
                let value = self.keys.remove(&at(1)).expect("it was there");
                self.keys.insert(at(2), value);
                integer(1)
            }
            "COPY" => self.copy(db, args),
            "MOVE" => {
                let into: u16 = String::from_utf8_lossy(args.get(2))
                    .parse()
                    .expect("a digit");
                if into == db {
                    return error("ERR source and destination objects are the same");
                }
                let to = (into, args.get(1).to_vec());
                if self.keys.contains_key(&to) {
                    return integer(0);
                }
                match self.keys.remove(&at(1)) {
                    None => integer(0),
                    Some(value) => {
                        self.keys.insert(to, value);
                        integer(1)
                    }
                }
            }
            "DBSIZE" => integer(self.names(db).len()),
            "KEYS" => {
                let names = self.names(db);
                Expected::InAnyOrder(names.into_iter().map(|name| bulk(Some(name))).collect())
            }
            "RANDOMKEY" => {
                let names = self.names(db);
                if names.is_empty() {
                    return Expected::Reply(bulk(None));
                }
                Expected::OneOf(names.into_iter().map(|name| bulk(Some(name))).collect())
            }
            "SWAPDB" => {
                let old = std::mem::take(&mut self.keys);
                self.keys = old
                    .into_iter()
                    .map(|((db, key), value)| ((1 - db, key), value))
                    .collect();
                ok()
            }
            "FLUSHALL" => {
                self.keys.clear();
                ok()
            }
            "FLUSHDB" => {
                self.keys.retain(|(of, _), _| *of != db);
                ok()
            }
            _ => panic!("the model does not know {name}"),
        }
    }

    fn copy(&mut self, db: u16, args: &Args<'_>) -> Expected {
        let words: Vec<&[u8]> = args.iter_from(3).collect();
        let into = match words.first() {
            Some(&b"DB") => u16::from(words[1] == b"1"),
            _ => db,
        };
        let replace = words.last() == Some(&b"REPLACE".as_slice());
        let (from, to) = ((db, args.get(1).to_vec()), (into, args.get(2).to_vec()));
        if from == to {
            return error("ERR source and destination objects are the same");
        }
        let Some(value) = self.keys.get(&from).cloned() else {
            return integer(0);
        };
        if self.keys.contains_key(&to) && !replace {
            return integer(0);
        }
        self.keys.insert(to, value);
        integer(1)
    }

    fn set_pairs(&mut self, db: u16, args: &Args<'_>) {
        for index in (1..args.len()).step_by(2) {
            let key = (db, args.get(index).to_vec());
            let value = Value::String(args.get(index + 1).to_vec());
            self.keys.insert(key, value);
        }
    }

    fn names(&self, db: u16) -> Vec<&Vec<u8>> {
        let here = self.keys.keys().filter(|(of, _)| *of == db);
        here.map(|(_, name)| name).collect()
    }
}
