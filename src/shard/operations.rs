//! Operations: the parts of transactions, each one step on this shard.

use std::collections::HashMap;

use super::waiters::{Asks, Change};
use super::{CutMade, Request, Shard, Waited};
use crate::commands::Entry;
use crate::commands::lcs::NOT_STRINGS;
use crate::commands::sort::{Lead, leads};
use crate::commands::stream_read;
use crate::commands::table::{Call, Caller, Logged, Patience};
use crate::ds::key_table::{EntryMut, Value};
use crate::keyspace::hash::Found;
use crate::keyspace::rdb::{self, NoPayload};
use crate::keyspace::value::type_name;
use crate::keyspace::{Classes, Moved, Object};
use crate::resp::args::OwnedArgs;
use crate::resp::element::is_null;
use crate::resp::{Args, Reply};
use crate::router::calls::SlowCall;
use crate::router::errand::Dumped;
use crate::router::packed::Step;
use crate::router::{Operation, Output};

/// What most parts of replies fit in.
const REPLY_BYTES: usize = 128;

impl Shard {
    /// Runs one operation. Errors of whole commands are replies; whoever joins the replies counts the failure.
    pub(super) fn operate(&mut self, operation: Operation) -> Output {
        // COPY names a database that only the shards can check.
        let db = operation.db();
        if usize::from(db) >= self.keys.databases_count() {
            return Output::Error("ERR DB index is out of range".into());
        }
        // Its locks may have come from what was done here alone.
        let before = self.waiters.set_change(Change::OfSeveral);
        let output = self.operate_counted(db, operation);
        self.waiters.set_change(before);
        output
    }

    fn operate_counted(&mut self, db: u16, operation: Operation) -> Output {
        if matches!(operation, Operation::Block { .. }) {
            // Each of its commands is counted.
            return self.operate_within_memory(db, operation);
        }
        let began_ns = (self.stopwatch)();
        let output = self.operate_within_memory(db, operation);
        let took_ns = (self.stopwatch)().saturating_sub(began_ns);
        self.figures.add_part(took_ns);
        output
    }

    fn operate_within_memory(&mut self, db: u16, operation: Operation) -> Output {
        if !self.memory.is_limited {
            return self.carry_out(operation);
        }
        // Whoever coordinates has seen that it may run: what is let through on one shard must run on all.
        self.make_room_for_part(db, operation.incoming_bytes());
        let output = self.carry_out(operation);
        self.settle_memory(db);
        output
    }

    fn carry_out(&mut self, operation: Operation) -> Output {
        match operation {
            Operation::Command {
                entry,
                db,
                caller,
                args,
            } => {
                let mut reply = Vec::with_capacity(REPLY_BYTES);
                let before = caller.is_look.then(|| self.keys.begin_again(None));
                // The error is in the reply; the coordinator's core counts it once, not every shard.
                let _ = self.call(
                    entry,
                    db,
                    caller,
                    Patience::Never,
                    &args.as_args(),
                    &mut reply,
                );
                if let Some(before) = before {
                    self.keys.end_again(before);
                }
                Output::Reply(reply)
            }
            Operation::Serve {
                waiter,
                entry,
                db,
                caller,
                args,
            } => {
                let command = Operation::Command {
                    entry,
                    db,
                    caller,
                    args,
                };
                let output = self.carry_out(command);
                if !matches!(&output, Output::Reply(reply) if is_null(reply)) {
                    // Nobody is to find it ahead of them until its coordinator says so.
                    self.waiters.end(waiter);
                }
                output
            }
            Operation::Enlist {
                entry,
                db,
                caller,
                args,
                ticket,
                asks,
                is_part,
            } => {
                let request = Request {
                    entry,
                    db,
                    caller,
                    origin: ticket.origin,
                };
                if asks {
                    self.enter(&request, args, &ticket, false, Asks::Always);
                    return Output::Waiting { timeout_ms: None };
                }
                let mut reply = Vec::new();
                let way = match is_part {
                    true => (Patience::Entering, Asks::of_part(entry)),
                    false => (Patience::First, Asks::Never),
                };
                // Before a part is entered, the command has been run under the same locks.
                let before = is_part.then(|| self.keys.begin_again(None));
                let args = args.as_args();
                let waited = self.execute_or_enter(&request, &args, &ticket, way, &mut reply);
                if let Some(before) = before {
                    self.keys.end_again(before);
                }
                match waited {
                    Waited::No | Waited::Refused | Waited::Reads => Output::Reply(reply),
                    Waited::Yes(timeout_ms) => Output::Waiting { timeout_ms },
                }
            }
            // Whoever has it carried out has seen to the time.
            Operation::AsOf { operation, .. } => self.carry_out(*operation),
            Operation::Leave { id } => {
                self.forget_waiter(id);
                Output::Count(0)
            }
            Operation::Take { db, key, caller } => {
                let key = self.keys.key(&key);
                self.note_writer(caller);
                self.waiters.mark((db, key.hash));
                let value = self.keys.take_value(usize::from(db), &key);
                if value.is_some() {
                    self.log_removed(db, key.bytes);
                    self.watches.touch((db, key.hash));
                    // Its new place is where this is told.
                    self.keys.tell_change(&key);
                }
                Output::Value(value)
            }
            Operation::Clone { db, key, caller } => {
                let (db, no_touch) = (usize::from(db), caller.no_touch);
                let key = self.keys.key(&key);
                if self.is_alone && self.keys.begin_copying(db, &[key], None) {
                    self.keys.lookup_read(db, &key, no_touch);
                    return Output::Value(None);
                }
                Output::Value(self.keys.clone_value(db, &key, no_touch))
            }
            Operation::CheckStreams {
                db,
                caller,
                is_group,
                counts,
                waiter,
                args,
            } => {
                let (db, no_touch) = (usize::from(db), caller.no_touch);
                let kept = waiter.map(|id| self.waiters.words_of(id));
                let now_ms = self.keys.now_ms();
                let Some(args) = kept.unwrap_or(Some(&args)) else {
                    return Output::Streams { now_ms, ids: None };
                };
                let args = args.as_args();
                let before = (!counts).then(|| self.keys.begin_again(None));
                let checked = stream_read::check(&mut self.keys, db, no_touch, is_group, &args);
                if let Some(before) = before {
                    self.keys.end_again(before);
                }
                match checked {
                    Ok(ids) => Output::Streams {
                        now_ms,
                        ids: Some(ids),
                    },
                    Err((place, error)) => Output::ErrorAt(place, error),
                }
            }
            Operation::Lend {
                db,
                caller,
                keys,
                bytes_max,
            } => {
                let keys = keys.as_args();
                let weight = || self.keys.weight(usize::from(db), keys.iter_from(0));
                match bytes_max.map(|max| (weight(), max)) {
                    Some((bytes, max)) if bytes > max => Output::Heavy(bytes),
                    _ => {
                        self.note_lent(&keys, caller);
                        if self.is_alone && self.begin_lending(usize::from(db), &keys) {
                            return Output::Values(Vec::new());
                        }
                        Output::Values(self.lend(usize::from(db), &keys))
                    }
                }
            }
            Operation::Visit {
                entry,
                db,
                caller,
                args,
                guests,
            } => {
                let mut reply = Vec::with_capacity(REPLY_BYTES);
                self.keys.receive_guests(usize::from(db), guests);
                // As for `Command`: the coordinator's core counts an error.
                let _ = self.call(
                    entry,
                    db,
                    caller,
                    Patience::Never,
                    &args.as_args(),
                    &mut reply,
                );
                self.keys.dismiss_guests();
                Output::Reply(reply)
            }
            Operation::Make {
                entry,
                db,
                caller,
                args,
                guests,
                destination,
            } => self.make((entry, db, caller), &args.as_args(), guests, &destination),
            Operation::Keep {
                db,
                key,
                value,
                events,
                caller,
            } => {
                let key = self.keys.key(&key);
                self.note_writer(caller);
                let before = self.keys.replaced(usize::from(db), &key);
                self.keys.keep_value(usize::from(db), &key, value);
                self.changes_count += 1;
                self.waiters.mark((db, key.hash));
                self.log_value(db, key.bytes);
                self.watches.touch((db, key.hash));
                self.keys.tell_replaced(usize::from(db), before, &key);
                for (class, name) in events {
                    self.keys.tell(usize::from(db), class, name, key.bytes);
                }
                Output::Count(1)
            }
            Operation::SortLeads {
                db,
                args,
                is_read_only,
            } => {
                let (db, args) = (usize::from(db), args.as_args());
                Output::Leads(leads(&mut self.keys, db, &args, is_read_only))
            }
            Operation::LendParts { db, leads } => {
                Output::Values(self.lend_parts(usize::from(db), leads))
            }
            Operation::Cut {
                compresses,
                is_base,
            } => {
                let lsn = if is_base { self.cut_log() } else { None };
                self.cut = Some(CutMade {
                    sizes: self.keys.cut(compresses),
                    changes: self.changes_count,
                    is_base,
                    lsn: lsn.unwrap_or(0),
                });
                Output::Count(self.changes_count)
            }
            Operation::Dump { db, keys } => match self.dump(usize::from(db), &keys.as_args()) {
                Ok(dumps) => Output::Dumps(dumps),
                Err(refused) => Output::Error(refused.into()),
            },
            Operation::Put {
                db,
                key,
                value,
                replace,
                events,
                caller,
            } => {
                let key = self.keys.key(&key);
                self.note_writer(caller);
                let before = self.keys.replaced(usize::from(db), &key);
                let is_put = self.keys.put_anew(usize::from(db), &key, value, replace);
                self.changes_count += u64::from(is_put);
                self.waiters.mark((db, key.hash));
                if is_put {
                    self.log_value(db, key.bytes);
                    self.watches.touch((db, key.hash));
                    for (name, key) in events {
                        self.keys
                            .tell(usize::from(db), Classes::GENERIC, name, &key);
                    }
                    self.keys.tell_replaced(usize::from(db), before, &key);
                }
                Output::Count(u64::from(is_put))
            }
            Operation::WhichExist { db, keys, waiter } => {
                self.which_exist(db, &keys.as_args(), waiter)
            }
            Operation::Exists { db, keys } => {
                Output::Count(self.exist_count(usize::from(db), &keys.as_args()))
            }
            Operation::ReadString { db, key, caller } => {
                if caller.tracks {
                    let keys = OwnedArgs::from_iter([key.as_slice()]);
                    self.note_lent(&keys.as_args(), caller);
                }
                self.read_string(usize::from(db), &key, caller.no_touch)
            }
            Operation::Block {
                commands,
                db,
                caller,
                watch,
            } => {
                if watch.is_some_and(|id| self.has_changed(id)) {
                    return Output::Count(1);
                }
                let mut reply = Vec::with_capacity(REPLY_BYTES);
                let mut stamp = (self.stopwatch)();
                let ran = |shard: &mut Self, step: &Step<'_>, reply_bytes: usize| {
                    let now = (shard.stopwatch)();
                    let took_ns = now.saturating_sub(stamp);
                    stamp = now;
                    shard.record(step.entry.index, took_ns);
                    if took_ns >= shard.slow_ns || reply_bytes as u64 >= shard.large_bytes {
                        let call = SlowCall::new(step.entry, took_ns, reply_bytes, &step.args);
                        shard.slow_calls.push(call);
                    }
                };
                let id = self.id;
                let own = commands.iter().filter(|(home, _)| *home == id);
                let own = own.map(|(_, queued)| queued.step());
                self.run_block(own, db, caller, &mut reply, ran);
                Output::Reply(reply)
            }
            Operation::Watch { watch, db, keys } => {
                self.watch(&watch, db, &keys.as_args());
                Output::Count(0)
            }
            Operation::Log { record, holds } => self.log_transaction(&record, &holds),
            Operation::HasChanged { id } => Output::Count(u64::from(self.has_changed(id))),
            Operation::Length { db } => Output::Count(self.keys.keys_count(usize::from(db)) as u64),
        }
    }

    /// Runs a command for another shard's key: what it stores is handed over, and nothing else comes of it here.
    fn make(
        &mut self,
        (entry, db, caller): (&'static Entry, u16, Caller),
        args: &Args<'_>,
        guests: Vec<(Vec<u8>, Moved)>,
        destination: &[u8],
    ) -> Output {
        let mut bytes = Vec::with_capacity(REPLY_BYTES);
        let mut reply = Reply::new(&mut bytes, caller.protocol);
        self.keys.receive_guests(usize::from(db), guests);
        self.keys.hold_events_of(destination);
        let mut call = Call {
            keys: &mut self.keys,
            db: usize::from(db),
            caller: &caller,
            patience: Patience::Never,
            is_alone: self.is_alone,
            is_logged: false,
            aside: &mut self.aside,
        };
        let result = match entry.command.run.on_keys() {
            Some(handler) => handler(&mut call, &entry.handler_args(args), &mut reply),
            None => Err("ERR command cannot run on several shards".into()),
        };
        let has_failed = result.is_err();
        if let Err(error) = result {
            reply.truncate(0);
            reply.error_bytes(&error.line());
        }
        let destination = self.keys.key(destination);
        let made = self.keys.take_value(usize::from(db), &destination);
        let events = self.keys.take_held_events();
        self.keys.dismiss_guests();
        if self.logging.is_some() {
            // What it read is revealed, and what has expired meanwhile is gone.
            self.log_call(entry, db, args, None, &Logged::Off);
        }
        Output::Made {
            reply: bytes,
            has_failed,
            value: made.map(|moved| moved.value).filter(|_| !has_failed),
            events,
        }
    }

    fn lend(&self, db: usize, keys: &Args<'_>) -> Vec<(Vec<u8>, Moved)> {
        let lend = |key: &[u8]| Some((key.to_vec(), self.keys.lend(db, &self.keys.key(key))?));
        keys.iter_from(0).filter_map(lend).collect()
    }

    /// Begins to copy what is lent, where that takes many turns.
    fn begin_lending(&mut self, db: usize, keys: &Args<'_>) -> bool {
        let keys: Vec<_> = keys.iter_from(0).map(|key| self.keys.key(key)).collect();
        self.keys.begin_copying(db, &keys, None)
    }

    fn which_exist(&self, db: u16, keys: &Args<'_>, waiter: Option<u64>) -> Output {
        let wanted = waiter.and_then(|id| self.waiters.wanted_by(id));
        let mut has_wanted = false;
        let exists = |key: &[u8]| {
            let key = self.keys.key(key);
            let Some(found) = self.keys.peek(usize::from(db), &key) else {
                return false;
            };
            let has = type_name(&found.value());
            if waiter.is_some_and(|id| self.waiters.has_before((db, key.hash), id, has)) {
                return false;
            }
            has_wanted |= wanted == Some(has);
            true
        };
        let exist = keys.iter_from(0).map(exists).collect();
        Output::Which { exist, has_wanted }
    }

    fn lend_parts(&mut self, db: usize, leads: Vec<Lead>) -> Vec<(Vec<u8>, Moved)> {
        let mut values = Vec::new();
        // The fields of one hash must come together: guests with one name are one.
        let mut fields: Vec<(Vec<u8>, Vec<Vec<u8>>)> = Vec::new();
        let mut places: HashMap<Vec<u8>, usize> = HashMap::new();
        for lead in leads {
            let place = *places.entry(lead.key.clone()).or_insert_with(|| {
                fields.push((lead.key, Vec::new()));
                fields.len() - 1
            });
            fields[place].1.extend(lead.field);
        }
        for (key, fields) in fields {
            self.expire_dead(db, &key, &fields);
            let moved = self.keys.lend_fields(db, &self.keys.key(&key), &fields);
            values.extend(moved.map(|moved| (key, moved)));
        }
        values
    }

    /// Removes those of a hash's fields that are past their deadline.
    fn expire_dead(&mut self, db: usize, key: &[u8], fields: &[Vec<u8>]) {
        let now_ms = self.keys.now_ms();
        let key = self.keys.key(key);
        let has_dead = match self.keys.peek(db, &key).map(|entry| entry.value()) {
            Some(Value::Object(Object::Hash(hash))) => {
                let is_dead = |field: &Vec<u8>| hash.find(field, now_ms) == Found::Dead;
                fields.iter().any(is_dead)
            }
            _ => false,
        };
        if has_dead {
            let fields = fields.iter().map(Vec::as_slice);
            self.keys.expire_named_fields(db, &key, fields);
        }
    }

    fn dump(&mut self, db: usize, keys: &Args<'_>) -> Result<Vec<Dumped>, NoPayload> {
        let now_ms = self.keys.now_ms();
        let compresses = self.keys.compresses_dumps();
        let mut dumps = Vec::new();
        for word in keys.iter_from(0) {
            let key = self.keys.key(word);
            let Some(entry) = self.keys.lookup_read(db, &key, false) else {
                continue;
            };
            let left_ms = |at_ms: i64| (at_ms - now_ms).max(1);
            dumps.push(Dumped {
                key: word.to_vec(),
                payload: rdb::dump(&entry.value(), compresses)?,
                ttl_ms: entry.deadline_ms().map_or(0, left_ms),
            });
        }
        Ok(dumps)
    }

    fn exist_count(&self, db: usize, keys: &Args<'_>) -> u64 {
        let exists = |key: &&[u8]| self.keys.peek(db, &self.keys.key(key)).is_some();
        keys.iter_from(0).filter(exists).count() as u64
    }

    fn read_string(&mut self, db: usize, key: &[u8], no_touch: bool) -> Output {
        let bytes_max = self.keys.value_bytes_max();
        let key = self.keys.key(key);
        let found = self.keys.lookup_read(db, &key, no_touch);
        let text = match found.map(EntryMut::into_value) {
            None => None,
            Some(Value::Int(number)) => Some(number.to_string().into_bytes()),
            Some(Value::Str { bytes, .. }) => Some(bytes.to_vec()),
            Some(Value::Object(_)) => return Output::Error(NOT_STRINGS.into()),
        };
        Output::Text { text, bytes_max }
    }
}
