//! Lists, sets, sorted sets, hashes and streams of the model.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rondo::resp::Args;
use rondo::resp::args::OwnedArgs;

use super::cluster::NOW_MS;
use super::model::{Expected, Model, Wanted, Wish, bulk, error, integer};
use super::workload::{ALL, Operation};

/// What a key holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Value {
    String(Vec<u8>),
    List(VecDeque<Vec<u8>>),
    Set(BTreeSet<Vec<u8>>),
    /// Member to score; members in order.
    Zset(BTreeMap<Vec<u8>, i64>),
    Hash(BTreeMap<Vec<u8>, Vec<u8>>),
    /// The last number within the millisecond of all ids, and each entry's number and value.
    Stream(i64, Vec<(i64, Vec<u8>)>),
}

pub fn wrong_type() -> Expected {
    error("WRONGTYPE Operation against a key holding the wrong kind of value")
}

/// An array of strings.
fn strings<'s>(strings: impl IntoIterator<Item = &'s Vec<u8>>) -> Vec<u8> {
    array(strings.into_iter().map(|string| bulk(Some(string))))
}

fn array(elements: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    let elements: Vec<Vec<u8>> = elements.into_iter().collect();
    let mut reply = format!("*{}\r\n", elements.len()).into_bytes();
    elements.iter().for_each(|element| reply.extend(element));
    reply
}

/// The value of a kind at a key, made where there is nothing, or WRONGTYPE for all.
macro_rules! held {
    ($model:ident, $place:expr, $kind:ident, $empty:expr) => {
        match $model
            .keys
            .entry($place)
            .or_insert_with(|| Value::$kind($empty))
        {
            Value::$kind(held) => held,
            _ => return Some(wrong_type()),
        }
    };
}

/// The value of a kind at a key, if there is one, or WRONGTYPE for all.
macro_rules! found {
    ($model:ident, $place:expr, $kind:ident) => {
        match $model.keys.get_mut($place) {
            None => None,
            Some(Value::$kind(held)) => Some(held),
            Some(_) => return Some(wrong_type()),
        }
    };
}

type Place = (u16, Vec<u8>);

impl Model {
    /// What a command on collections does, if it is one.
    pub fn run_on_collections(&mut self, db: u16, args: &Args<'_>) -> Option<Expected> {
        let at = |index: usize| (db, args.get(index).to_vec());
        let name = String::from_utf8_lossy(args.get(0)).into_owned();
        let reply = match name.as_str() {
            "LPUSH" | "RPUSH" => {
                let list = held!(self, at(1), List, VecDeque::new());
                for element in args.iter_from(2) {
                    match name.as_str() {
                        "LPUSH" => list.push_front(element.to_vec()),
                        _ => list.push_back(element.to_vec()),
                    }
                }
                integer(list.len())
            }
            "LPOP" | "RPOP" => {
                let list = found!(self, &at(1), List);
                let element = list.and_then(|list| pop(list, name == "LPOP"));
                self.drop_empty(&at(1));
                Expected::Reply(bulk(element.as_ref()))
            }
            "LRANGE" => {
                let list = found!(self, &at(1), List).cloned().unwrap_or_default();
                Expected::Reply(strings(&list))
            }
            "LMOVE" => {
                let (from, to) = (at(1), at(2));
                let Some(list) = found!(self, &from, List) else {
                    return Some(Expected::Reply(bulk(None)));
                };
                let list = list.clone();
                let _ = found!(self, &to, List);
                let mut list = list;
                let element = pop(&mut list, args.is(3, "LEFT")).expect("no list is empty");
                self.keys.insert(from.clone(), Value::List(list));
                let target = held!(self, to, List, VecDeque::new());
                match args.is(4, "LEFT") {
                    true => target.push_front(element.clone()),
                    false => target.push_back(element.clone()),
                }
                self.drop_empty(&from);
                Expected::Reply(bulk(Some(&element)))
            }
            "BLPOP" | "BRPOP" | "BZPOPMIN" | "BLMOVE" => {
                return self.take_first(&sources(db, args), args);
            }
            "ZPOPMIN" => {
                let popped = found!(self, &at(1), Zset).and_then(pop_least);
                self.drop_empty(&at(1));
                let words = popped.map(|(member, score)| [member, score.to_string().into_bytes()]);
                Expected::Reply(strings(words.iter().flatten()))
            }
            "LMPOP" => {
                for key in [at(2), at(3)] {
                    let Some(list) = found!(self, &key, List) else {
                        continue;
                    };
                    let popped: Vec<_> = (0..2)
                        .map_while(|_| pop(list, args.is(4, "LEFT")))
                        .collect();
                    self.drop_empty(&key);
                    let reply = array([bulk(Some(&key.1)), strings(&popped)]);
                    return Some(Expected::Reply(reply));
                }
                Expected::Reply(b"*-1\r\n".to_vec())
            }
            "SADD" => {
                let set = held!(self, at(1), Set, BTreeSet::new());
                integer(
                    args.iter_from(2)
                        .filter(|it| set.insert(it.to_vec()))
                        .count(),
                )
            }
            "SREM" => {
                let count = found!(self, &at(1), Set).map_or(0, |set| {
                    args.iter_from(2).filter(|it| set.remove(*it)).count()
                });
                self.drop_empty(&at(1));
                integer(count)
            }
            "SMOVE" => {
                let (from, to, member) = (at(1), at(2), args.get(3).to_vec());
                let Some(source) = found!(self, &from, Set) else {
                    return Some(integer(0));
                };
                let has = source.contains(&member);
                let _ = found!(self, &to, Set);
                if !has || from == to {
                    return Some(integer(usize::from(has)));
                }
                held!(self, from.clone(), Set, BTreeSet::new()).remove(&member);
                held!(self, to, Set, BTreeSet::new()).insert(member);
                self.drop_empty(&from);
                integer(1)
            }
            "SINTER" | "SUNION" | "SDIFF" => match self.sets(db, args, 1) {
                None => wrong_type(),
                Some(sets) => {
                    let members = combined(&name, sets);
                    let bulks = members.iter().map(|member| bulk(Some(member)));
                    Expected::InAnyOrder(bulks.collect())
                }
            },
            "SINTERSTORE" | "SUNIONSTORE" | "SDIFFSTORE" => match self.sets(db, args, 2) {
                None => wrong_type(),
                Some(sets) => {
                    let members = combined(name.trim_end_matches("STORE"), sets);
                    let count = members.len();
                    self.keys.insert(at(1), Value::Set(members));
                    self.drop_empty(&at(1));
                    integer(count)
                }
            },
            "ZADD" => {
                let zset = held!(self, at(1), Zset, BTreeMap::new());
                let is_new = zset.insert(at(3).1, number(args.get(2))).is_none();
                integer(usize::from(is_new))
            }
            "ZRANGE" => {
                let zset = found!(self, &at(1), Zset).cloned().unwrap_or_default();
                let mut pairs: Vec<(i64, Vec<u8>)> = zset
                    .into_iter()
                    .map(|(member, score)| (score, member))
                    .collect();
                pairs.sort();
                let words = pairs
                    .into_iter()
                    .flat_map(|(score, member)| [member, score.to_string().into_bytes()]);
                Expected::Reply(strings(&words.collect::<Vec<_>>()))
            }
            "ZUNIONSTORE" | "ZINTERSTORE" => {
                let mut sets: Vec<BTreeMap<Vec<u8>, i64>> = Vec::new();
                for index in [3, 4] {
                    sets.push(match self.keys.get(&at(index)) {
                        None => BTreeMap::new(),
                        Some(Value::Zset(zset)) => zset.clone(),
                        Some(Value::Set(set)) => set.iter().map(|it| (it.clone(), 1)).collect(),
                        Some(_) => return Some(wrong_type()),
                    });
                }
                let (mut result, other) = (sets[0].clone(), &sets[1]);
                if name == "ZINTERSTORE" {
                    result.retain(|member, _| other.contains_key(member));
                }
                for (member, score) in other {
                    match result.get_mut(member) {
                        Some(sum) => *sum += score,
                        None if name == "ZUNIONSTORE" => {
                            result.insert(member.clone(), *score);
                        }
                        None => {}
                    }
                }
                let count = result.len();
                self.keys.insert(at(1), Value::Zset(result));
                self.drop_empty(&at(1));
                integer(count)
            }
            "HSET" => {
                let hash = held!(self, at(1), Hash, BTreeMap::new());
                integer(usize::from(hash.insert(at(2).1, at(3).1).is_none()))
            }
            "HGET" => {
                let value = found!(self, &at(1), Hash).and_then(|hash| hash.get(args.get(2)));
                Expected::Reply(bulk(value))
            }
            "HDEL" => {
                let had =
                    found!(self, &at(1), Hash).is_some_and(|it| it.remove(args.get(2)).is_some());
                self.drop_empty(&at(1));
                integer(usize::from(had))
            }
            "XADD" => {
                let place = at(1);
                let (last, entries) = match self
                    .keys
                    .entry(place)
                    .or_insert_with(|| Value::Stream(-1, Vec::new()))
                {
                    Value::Stream(last, entries) => (last, entries),
                    _ => return Some(wrong_type()),
                };
                *last += 1;
                entries.push((*last, at(4).1));
                Expected::Reply(bulk(Some(&id(*last))))
            }
            "XREAD" => {
                // XREAD [BLOCK 0] STREAMS one other 0 0
                let keys_at = if args.len() > 6 { 4 } else { 2 };
                let mut streams = Vec::new();
                for key in [at(keys_at), at(keys_at + 1)] {
                    match self.keys.get(&key) {
                        Some(Value::Stream(..)) | None => streams.extend(self.stream(&key)),
                        Some(_) => return Some(wrong_type()),
                    }
                }
                match streams.is_empty() {
                    true => Expected::Reply(b"*-1\r\n".to_vec()),
                    false => Expected::Reply(array(streams)),
                }
            }
            _ => return None,
        };
        Some(reply)
    }

    /// What XREAD replies of one stream that has entries.
    fn stream(&self, key: &Place) -> Option<Vec<u8>> {
        let Some(Value::Stream(_, entries)) = self.keys.get(key) else {
            return None;
        };
        let entries = entries.iter().map(|(number, value)| {
            let fields = strings(&[b"f".to_vec(), value.clone()]);
            array([bulk(Some(&id(*number))), fields])
        });
        (entries.len() > 0).then(|| array([bulk(Some(&key.1)), array(entries)]))
    }

    /// What has been added to a stream, and to others at once.
    fn marks(&self, key: &Place) -> Vec<&Vec<u8>> {
        let Some(Value::Stream(_, entries)) = self.keys.get(key) else {
            return Vec::new();
        };
        let values = entries.iter().map(|(_, value)| value);
        values
            .filter(|value| value.starts_with(ALL.as_bytes()))
            .collect()
    }

    /// A client begins to wait: possible where there is nothing for it.
    pub fn arrive(&mut self, index: usize, operation: &Operation) -> bool {
        let args = operation.args.as_args();
        let keys = sources(operation.db, &args);
        let is_free = keys.iter().all(|key| !self.keys.contains_key(key));
        let wanted = match args.get(0) {
            b"BZPOPMIN" => Wanted::Zset,
            b"XREAD" => Wanted::Stream,
            _ => Wanted::List,
        };
        self.waiting.push((index, (wanted, keys)));
        is_free
    }

    /// It stops waiting: with nothing, or with what it takes from the first of its keys that there is, for which nobody
    /// waits who came before it.
    pub fn end_wait(&mut self, index: usize, operation: &Operation, reply: &[u8]) -> Expected {
        let turn = self.waiting.iter().position(|(other, _)| *other == index);
        let turn = turn.expect("it has arrived");
        let (_, (wanted, keys)) = self.waiting.remove(turn);
        if reply == b"*-1\r\n" {
            return Expected::Reply(reply.to_vec());
        }
        if wanted == Wanted::Stream {
            let is_other = |key: &Place| match self.keys.get(key) {
                None | Some(Value::Stream(..)) => false,
                Some(_) => true,
            };
            if reply.starts_with(b"-WRONGTYPE") && keys.iter().any(is_other) {
                return wrong_type();
            }
            // Readers take nothing, so they are served where entries came, with the streams there, unless what came to them came to
            // others as well.
            let streams: Vec<Vec<u8>> = keys.iter().filter_map(|key| self.stream(key)).collect();
            let has_more = |own: &Place| {
                let marks = self.marks(own);
                let others = keys.iter().filter(|key| *key != own);
                let mut marks_of_others = others.flat_map(|key| self.marks(key));
                marks_of_others.any(|mark| marks.contains(&mark))
            };
            let whole = keys.iter().filter(|key| !has_more(key));
            let mut replies: Vec<_> = (whole.filter_map(|key| self.stream(key)))
                .map(|it| array([it]))
                .collect();
            replies.push(array(streams));
            return Expected::OneOf(replies);
        }
        let args = operation.args.as_args();
        let is_wanted = |key: &Place| match self.keys.get(key) {
            Some(Value::List(_)) => wanted == Wanted::List,
            Some(Value::Zset(_)) => wanted == Wanted::Zset,
            _ => false,
        };
        // Of what others wait for who came before, nothing is there for it: they may take it at any time from now on, as Redis
        // does at once. Without that a key of theirs would stand in the way of the next one.
        let is_behind = |key: &Place| {
            let is_ahead =
                |(_, (wish, keys)): &(usize, Wish)| *wish == wanted && keys.contains(key);
            self.waiting[..turn].iter().any(is_ahead)
        };
        let is_free = |key: &Place| is_wanted(key) && !is_behind(key);
        let Some(place) = keys.iter().position(is_free) else {
            return Expected::Impossible;
        };
        // The command runs again: what has another type and comes before is seen, where it is looked at.
        let is_other = |key: &Place| self.keys.contains_key(key) && !is_wanted(key);
        if reply.starts_with(b"-WRONGTYPE") && keys[..place].iter().any(is_other) {
            return wrong_type();
        }
        let key = keys[place].clone();
        self.take_first(&[key], &args)
            .unwrap_or(Expected::Impossible)
    }

    /// What a command that may wait takes from the first of its keys that there is.
    fn take_first(&mut self, keys: &[Place], args: &Args<'_>) -> Option<Expected> {
        for key in keys {
            if args.is(0, "BZPOPMIN") {
                let Some(zset) = found!(self, key, Zset) else {
                    continue;
                };
                let (member, score) = pop_least(zset).expect("no set is empty");
                self.drop_empty(key);
                let words = [key.1.clone(), member, score.to_string().into_bytes()];
                return Some(Expected::Reply(strings(&words)));
            }
            let Some(list) = found!(self, key, List) else {
                continue;
            };
            if args.is(0, "BLMOVE") {
                let words = (0..5).map(|index| {
                    if index == 0 {
                        b"LMOVE"
                    } else {
                        args.get(index)
                    }
                });
                let words: OwnedArgs = words.collect();
                return self.run_on_collections(key.0, &words.as_args());
            }
            let element = pop(list, args.is(0, "BLPOP")).expect("no list is empty");
            self.drop_empty(key);
            return Some(Expected::Reply(strings(&[key.1.clone(), element])));
        }
        Some(Expected::Reply(b"*-1\r\n".to_vec()))
    }

    /// The sets of keys, in order; none if one is something else.
    fn sets(&self, db: u16, args: &Args<'_>, first: usize) -> Option<Vec<BTreeSet<Vec<u8>>>> {
        let set = |key: &[u8]| match self.keys.get(&(db, key.to_vec())) {
            None => Some(BTreeSet::new()),
            Some(Value::Set(set)) => Some(set.clone()),
            Some(_) => None,
        };
        args.iter_from(first).map(set).collect()
    }

    /// A key goes with its last element.
    fn drop_empty(&mut self, place: &Place) {
        let is_empty = self.keys.get(place).is_some_and(|value| match value {
            Value::List(list) => list.is_empty(),
            Value::Set(set) => set.is_empty(),
            Value::Zset(zset) => zset.is_empty(),
            Value::Hash(hash) => hash.is_empty(),
            Value::String(_) | Value::Stream(..) => false,
        });
        if is_empty {
            self.keys.remove(place);
        }
    }
}

/// The keys that a command may take from.
fn sources(db: u16, args: &Args<'_>) -> Vec<Place> {
    let keys = match args.get(0) {
        b"BLMOVE" => 1..2,
        b"XREAD" => 4..6,
        _ => 1..args.len() - 1,
    };
    keys.map(|index| (db, args.get(index).to_vec())).collect()
}

fn pop_least(zset: &mut BTreeMap<Vec<u8>, i64>) -> Option<(Vec<u8>, i64)> {
    let least = zset
        .iter()
        .min_by_key(|(member, score)| (**score, (*member).clone()));
    let member = least?.0.clone();
    zset.remove_entry(&member)
}

fn pop(list: &mut VecDeque<Vec<u8>>, from_left: bool) -> Option<Vec<u8>> {
    match from_left {
        true => list.pop_front(),
        false => list.pop_back(),
    }
}

fn combined(name: &str, sets: Vec<BTreeSet<Vec<u8>>>) -> BTreeSet<Vec<u8>> {
    let both = |one: BTreeSet<Vec<u8>>, other: BTreeSet<Vec<u8>>| match name {
        "SINTER" => &one & &other,
        "SUNION" => &one | &other,
        _ => &one - &other,
    };
    sets.into_iter().reduce(both).unwrap_or_default()
}

fn number(word: &[u8]) -> i64 {
    String::from_utf8_lossy(word).parse().expect("a number")
}

/// Time stands still, so ids differ in their second number only.
fn id(number: i64) -> Vec<u8> {
    format!("{NOW_MS}-{number}").into_bytes()
}
