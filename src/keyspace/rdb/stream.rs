//! Streams: their nodes as they are, then what the stream and its groups remember.
//!
//!     nodes   count, then: id (16 bytes, big-endian), listpack
//!     stream  length, last id, first id, greatest deleted id, entries added            the last five since 2
//!     groups  count, then: name, last id, entries read (since 2), pending, consumers
//!             pending    count, then: id, when u64, how often
//!             consumers  count, then: name, seen u64, active u64 (since 3), count of ids, ids
//!             nobody's   count of ids, ids in the order of their release           since 5
//!     producers  seconds and marks that are remembered, count, then: name, count, then: mark, id;
//!             entries added with marks, duplicates                                 since 4
//!             where nothing has been sent, seconds in five bytes say that somebody has set these
//!
//! Promises  the oldest type that has all of it is written; what is read has no pending entry without a place for its consumer, and no
//!           entry out of order.
//! Source    4: what Redis 8.6.3 writes. 5, of Redis 8.8: descriptions of its format; no server wrote what is tested.
//! Tests     tests/keyspace/rdb_stream.rs.

use super::wire::{Malformed, Reader, Writer};
use crate::ds::stream::{Group, Mark, Pending, Producers, StreamId, Tree};
use crate::keyspace::{EncodingLimits, StreamValue};

/// The bytes that say a stream follows, in the order they came to be.
pub(super) mod kind {
    pub const STREAM: u8 = 15;
    pub const STREAM_2: u8 = 19;
    pub const STREAM_3: u8 = 21;
    pub const STREAM_4: u8 = 26;
    pub const STREAM_5: u8 = 27;
}

/// What stands for an unknown number of entries read.
const UNKNOWN: u64 = u64::MAX;

/// Writes type and value; returns the version that has that type.
pub(super) fn write(stream: &StreamValue, out: &mut Writer) -> u16 {
    // Redis below 8.6 has no type for producers, and below 8.8 none for pending entries that are nobody's (XNACK): streams without
    // are written as it reads them.
    let mut groups = stream.groups();
    let has_released = groups.any(|(_, group)| group.released_count() > 0);
    let kind = match stream.producers() {
        _ if has_released => kind::STREAM_5,
        None => kind::STREAM_3,
        Some(_) => kind::STREAM_4,
    };
    out.kind(kind);
    let log = &stream.log;
    out.length(log.nodes_count() as u64);
    log.visit_nodes(|id, node| {
        out.string(&id.to_bytes());
        out.string(node);
    });
    out.length(log.len());
    for id in [log.last_id, log.first_id(), log.max_deleted_id] {
        write_id(id, out);
    }
    out.length(log.entries_added);
    out.length(stream.groups_count() as u64);
    for (name, group) in stream.groups() {
        out.string(name);
        write_id(group.last_id, out);
        out.length(group.entries_read.unwrap_or(UNKNOWN));
        write_group(kind, group, out);
    }
    if kind == kind::STREAM_3 {
        return super::VERSION;
    }
    match stream.producers() {
        Some(producers) => write_producers(producers, producers.is_unused(), out),
        None => write_producers(&Producers::default(), false, out),
    }
    super::VERSION_MAX
}

fn write_producers(producers: &Producers, are_set_only: bool, out: &mut Writer) {
    match u32::try_from(producers.duration_s()) {
        // Redis 8.6 and later write the usual limits of every stream, in as few bytes as they need, and read these all the same.
        Ok(duration_s) if are_set_only => out.wide_length(duration_s),
        _ => out.length(producers.duration_s()),
    }
    out.length(producers.marks_max() as u64);
    out.length(producers.producers_count() as u64);
    for (name, count, marks) in producers.iter() {
        out.string(name);
        out.length(count as u64);
        for (mark, id) in marks {
            out.string(mark);
            write_id(id, out);
        }
    }
    out.length(producers.added);
    out.length(producers.duplicates);
}

fn write_group(kind: u8, group: &Group, out: &mut Writer) {
    out.length(group.pending_from(StreamId::MIN).count() as u64);
    for (id, pending) in group.pending_from(StreamId::MIN) {
        out.raw(&id.to_bytes());
        out.raw(&pending.delivered_at_ms.to_le_bytes());
        out.length(pending.deliveries);
    }
    out.length(group.consumers_count() as u64);
    for (number, consumer) in group.consumers() {
        out.string(consumer.name());
        out.raw(&consumer.seen_at_ms.to_le_bytes());
        out.raw(&consumer.active_at_ms.unwrap_or(-1).to_le_bytes());
        out.length(consumer.pending_count() as u64);
        for (id, _) in group.pending_of(number, StreamId::MIN) {
            out.raw(&id.to_bytes());
        }
    }
    if kind == kind::STREAM_5 {
        let released = group.released();
        out.length(released.len() as u64);
        for id in released {
            out.raw(&id.to_bytes());
        }
    }
}

fn write_id(id: StreamId, out: &mut Writer) {
    out.length(id.ms);
    out.length(id.seq);
}

pub(super) fn read(
    kind: u8,
    from: &mut Reader<'_>,
    limits: &EncodingLimits,
) -> Result<StreamValue, Malformed> {
    let mut stream = StreamValue::default();
    for _ in 0..from.length()? {
        let id = from.string()?;
        let id = StreamId::from_bytes(id.as_ref().try_into().map_err(|_| Malformed)?);
        if !stream.log.push_node(id, &from.string()?) {
            return Err(Malformed);
        }
    }
    if from.length()? != stream.log.len() {
        return Err(Malformed);
    }
    let last_id = read_id(from)?;
    stream.log.set_last_id(last_id);
    if stream
        .log
        .last_living()
        .is_some_and(|last| last > stream.log.last_id)
    {
        return Err(Malformed);
    }
    if kind == kind::STREAM {
        stream.log.entries_added = stream.log.len();
    } else {
        read_id(from)?; // The first id is that of the first entry.
        stream.log.max_deleted_id = read_id(from)?;
        stream.log.entries_added = from.length()?;
    }
    for _ in 0..from.length()? {
        let name = from.string()?;
        let last_id = read_id(from)?;
        let entries_read = match kind {
            kind::STREAM => stream.log.added_until(last_id),
            _ => Some(from.length()?).filter(|read| *read != UNKNOWN),
        };
        let mut group = Group::new(last_id, entries_read);
        read_group(kind, &mut group, from)?;
        if !stream.add_group(&name, group) {
            return Err(Malformed);
        }
    }
    if kind >= kind::STREAM_4 {
        read_producers(kind, &mut stream, from, limits)?;
    }
    Ok(stream)
}

/// - `usual`: the limits of a stream that is told nothing else.
fn read_producers(
    kind: u8,
    stream: &mut StreamValue,
    from: &mut Reader<'_>,
    usual: &EncodingLimits,
) -> Result<(), Malformed> {
    let are_set = from.is_wide_next();
    let (duration_s, marks_max) = (from.length()?, from.length()?);
    if !Producers::DURATIONS_S.contains(&duration_s) || !Producers::MARKS.contains(&marks_max) {
        return Err(Malformed);
    }
    let limits = (duration_s, marks_max as usize);
    let mut producers = Producers::default();
    // Those are written where the stream has no producers, and the type is for something else.
    let are_none =
        kind == kind::STREAM_5 && limits == (producers.duration_s(), producers.marks_max());
    let has_own_limits = usual.of_producers() != limits && !are_none;
    producers.limit(limits.0, limits.1);
    for _ in 0..from.count()? {
        let name = from.string()?;
        let count = from.count()?;
        if count as u64 > marks_max {
            return Err(Malformed);
        }
        let mut marks = Vec::with_capacity(count);
        for _ in 0..count {
            let mark = Mark::from(from.string()?.as_ref());
            // It may be above the stream's last: XSETID takes that back where the entries have gone.
            marks.push((mark, read_id(from)?));
        }
        // A producer without marks is one that has been silent.
        if !marks.is_empty() && !producers.restore(&name, &marks) {
            return Err(Malformed);
        }
    }
    producers.added = from.length()?;
    producers.duplicates = from.length()?;
    // Newer servers write the usual limits of streams that have no producers.
    if are_set || has_own_limits || !producers.is_unused() {
        *stream.producers_mut(limits) = producers;
    }
    Ok(())
}

fn read_group(kind: u8, group: &mut Group, from: &mut Reader<'_>) -> Result<(), Malformed> {
    // Until it is told whose they are.
    let mut pending: Tree<StreamId, Pending> = Tree::new();
    for _ in 0..from.length()? {
        let id = StreamId::from_bytes(from.array()?);
        let of_nobody = Pending {
            delivered_at_ms: from.u64()? as i64,
            deliveries: from.length()?,
            consumer: None,
        };
        if pending.insert(id, of_nobody).is_some() {
            return Err(Malformed);
        }
    }
    for _ in 0..from.length()? {
        let name = from.string()?;
        let seen_at_ms = from.u64()? as i64;
        let number = group.add_consumer(&name, seen_at_ms).ok_or(Malformed)?;
        let active_at_ms = match kind {
            kind::STREAM | kind::STREAM_2 => seen_at_ms,
            _ => from.u64()? as i64,
        };
        if active_at_ms != -1 {
            group.activate(number, active_at_ms);
        }
        for _ in 0..from.length()? {
            let id = StreamId::from_bytes(from.array()?);
            let of_nobody = pending.remove(&id).ok_or(Malformed)?;
            let consumer = Some(number);
            group.assign(
                id,
                Pending {
                    consumer,
                    ..of_nobody
                },
            );
        }
    }
    let released_count = match kind {
        kind::STREAM_5 => from.length()?,
        _ => 0,
    };
    for _ in 0..released_count {
        let id = StreamId::from_bytes(from.array()?);
        let of_nobody = pending.remove(&id).ok_or(Malformed)?;
        group.assign(id, of_nobody); // In this order.
    }
    match pending.is_empty() {
        true => Ok(()),
        false => Err(Malformed),
    }
}

fn read_id(from: &mut Reader<'_>) -> Result<StreamId, Malformed> {
    Ok(StreamId::new(from.length()?, from.length()?))
}
