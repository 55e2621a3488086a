//! Events: what happens to keys, noted for whoever asked to be told.
//!
//!     handler, expiry, eviction -> tell(class, event, key) -> the list, if the class is shown     -> keyspace notifications
//!                                                          -> who tracks the key, if anybody does -> invalidations
//!
//! Promises  a class nobody asked for costs one branch; events stand in the order they happened, each after its effect.
//! Not here  who is subscribed, and how events reach them: `node/events.rs`; who tracks: `keyspace/tracking.rs`.
//! Source    Redis documentation, "Redis keyspace notifications".
//! Tests     tests/keyspace/events.rs, tests/server/notify.rs.

use super::tracking::Tracking;
use super::value::type_name;
use super::{KEYMISS, Key, Keyspace};

/// What `notify-keyspace-events` speaks of, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Classes(u32);

#[allow(missing_docs)]
impl Classes {
    pub const NONE: Self = Self(0);
    pub const GENERIC: Self = Self(1);
    pub const STRING: Self = Self(1 << 1);
    pub const LIST: Self = Self(1 << 2);
    pub const SET: Self = Self(1 << 3);
    pub const HASH: Self = Self(1 << 4);
    pub const ZSET: Self = Self(1 << 5);
    pub const EXPIRED: Self = Self(1 << 6);
    pub const EVICTED: Self = Self(1 << 7);
    pub const STREAM: Self = Self(1 << 8);
    /// Events of modules, of which there are none.
    pub const MODULE: Self = Self(1 << 9);
    pub const ARRAY: Self = Self(1 << 10);
    pub const NEW: Self = Self(1 << 11);
    pub const KEYSPACE: Self = Self(1 << 12);
    pub const KEYEVENT: Self = Self(1 << 13);
    pub const MISS: Self = Self(1 << 14);
    pub const OVERWRITTEN: Self = Self(1 << 15);
    pub const TYPE_CHANGED: Self = Self(1 << 16);
    /// `A`: everything that happens to keys but misses, new keys, and what is told beside an event of another class.
    pub const ALL: Self = Self((1 << 11) - 1);
    /// What `A` was before there were arrays.
    const ALL_BUT_ARRAYS: Self = Self(Self::ALL.0 & !Self::ARRAY.0);
    /// What changes a key: those who track it must know.
    const CHANGES: Self = Self::ALL;

    /// In the order Redis writes them.
    const LETTERS: [(u8, Self); 17] = [
        (b'g', Self::GENERIC),
        (b'$', Self::STRING),
        (b'l', Self::LIST),
        (b's', Self::SET),
        (b'h', Self::HASH),
        (b'z', Self::ZSET),
        (b'x', Self::EXPIRED),
        (b'e', Self::EVICTED),
        (b't', Self::STREAM),
        (b'd', Self::MODULE),
        (b'a', Self::ARRAY),
        (b'n', Self::NEW),
        (b'o', Self::OVERWRITTEN),
        (b'c', Self::TYPE_CHANGED),
        (b'K', Self::KEYSPACE),
        (b'E', Self::KEYEVENT),
        (b'm', Self::MISS),
    ];

    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether it has all of these.
    #[inline]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether it has one of these.
    #[inline]
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Reads the option's letters; none where one is unknown.
    pub fn parse(text: &str) -> Option<Self> {
        let classes = text.bytes().try_fold(Self::NONE, |classes, letter| {
            if letter == b'A' {
                return Some(classes.or(Self::ALL));
            }
            let known = Self::LETTERS.iter().find(|(of, _)| *of == letter)?;
            Some(classes.or(known.1))
        })?;
        // Who names every class that Redis 8.0 has means all of them, and reads `A` from there.
        Some(match classes.has(Self::ALL_BUT_ARRAYS) {
            true => classes.or(Self::ALL),
            false => classes,
        })
    }

    /// What is shown of it: nothing where no kind of channel is named.
    fn shown(self) -> Self {
        if self.meets(Self::KEYSPACE.or(Self::KEYEVENT)) {
            self
        } else {
            Self::NONE
        }
    }
}

/// The option as CONFIG GET has it.
impl std::fmt::Display for Classes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        use std::fmt::Write;
        let is_all = self.has(Self::ALL);
        if is_all {
            f.write_char('A')?;
        }
        for (letter, class) in Self::LETTERS {
            // These are no part of `A`, but where that is written Redis leaves them out.
            const LEFT_OUT: Classes = Classes::NEW
                .or(Classes::OVERWRITTEN)
                .or(Classes::TYPE_CHANGED);
            let is_in_all = is_all && Self::ALL.or(LEFT_OUT).has(class);
            if self.has(class) && !is_in_all {
                f.write_char(char::from(letter))?;
            }
        }
        Ok(())
    }
}

/// Something that happened to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its name.
    pub name: &'static str,
    /// The key's database.
    pub db: u16,
    /// The key.
    pub key: Vec<u8>,
}

/// See [`Keyspace::lookups`].
#[derive(Clone, Copy, Debug)]
pub struct Lookups {
    keyspace_hits: u64,
    keyspace_misses: u64,
    /// Events that had been told, and not been handed over.
    events_count: usize,
}

/// Something that happened to a key that is known.
pub type Told = (Classes, &'static str);

/// What has happened and was not handed over yet.
#[derive(Default)]
pub struct Events {
    /// Classes that somebody wants to know of, for whatever reason.
    wanted: Classes,
    shown: Classes,
    /// See [`Keyspace::tell_misses`].
    hides_misses: bool,
    /// Clients track keys of this shard, or want to know of some.
    is_watchful: bool,
    list: Vec<Event>,
    /// What happens to this key is told elsewhere; what was to be told.
    held: Option<(Vec<u8>, Vec<Told>)>,
    pub(super) tracking: Tracking,
}

impl Events {
    /// Something happened to a key, and with it the key has changed.
    #[inline]
    pub(super) fn tell(&mut self, db: usize, class: Classes, name: &'static str, key: &[u8]) {
        if self.wanted.meets(class) {
            self.note(db, class, name, key);
        }
    }

    #[cold]
    fn note(&mut self, db: usize, class: Classes, name: &'static str, key: &[u8]) {
        if let Some((held, told)) = &mut self.held
            && held == key
        {
            told.push((class, name));
            return;
        }
        if self.shown.meets(class) {
            self.list.push(Event {
                name,
                db: db as u16,
                key: key.to_vec(),
            });
        }
        if self.is_watchful && Classes::CHANGES.meets(class) {
            let is_gone_by_itself = Classes::EXPIRED.or(Classes::EVICTED).meets(class);
            let is_by_itself = is_gone_by_itself || name == "hexpired";
            self.tracking.changed(key, is_by_itself);
        }
    }

    /// Whether clients that track must be told of changes.
    #[inline]
    pub(super) fn is_watchful(&self) -> bool {
        self.is_watchful
    }

    /// To be called when who tracks what, or what is shown, has changed.
    pub(super) fn settle(&mut self) {
        self.is_watchful = self.tracking.is_watchful();
        self.wanted = if self.is_watchful {
            self.shown.or(Classes::CHANGES)
        } else {
            self.shown
        };
        if self.hides_misses {
            self.wanted = Classes(self.wanted.0 & !Classes::MISS.0);
        }
        if self.held.is_some() {
            self.wanted = self.wanted.or(Classes::CHANGES);
        }
    }
}

impl Keyspace {
    /// Sets what keyspace notifications are made of.
    pub fn set_shown_events(&mut self, classes: Classes) {
        self.events.shown = classes.shown();
        self.events.settle();
    }

    /// Whether a key that is not there is an event: not while a command only looks what it will find.
    pub fn tell_misses(&mut self, tells: bool) {
        self.events.hides_misses = !tells;
        self.events.settle();
    }

    /// What lookups have counted and told so far.
    pub fn lookups(&self) -> Lookups {
        Lookups {
            keyspace_hits: self.stats.keyspace_hits,
            keyspace_misses: self.stats.keyspace_misses,
            events_count: self.events.list.len(),
        }
    }

    /// What has been looked up since `before` is looked up again, and counts then.
    pub fn take_back_lookups(&mut self, before: Lookups) {
        self.stats.keyspace_hits = before.keyspace_hits;
        self.stats.keyspace_misses = before.keyspace_misses;
        let mut index = 0;
        self.events.list.retain(|event| {
            index += 1;
            index <= before.events_count || event.name != KEYMISS
        });
    }

    /// Keeps what happens to `key` from being told here, for [`Keyspace::take_held_events`].
    pub fn hold_events_of(&mut self, key: &[u8]) {
        self.events.held = Some((key.to_vec(), Vec::new()));
        self.events.settle();
    }

    /// Ends that; what happened to the key, in order.
    pub fn take_held_events(&mut self) -> Vec<Told> {
        let held = self.events.held.take();
        self.events.settle();
        held.map_or_else(Vec::new, |(_, told)| told)
    }

    /// Something happened to a key, which is changed by it; call when it has.
    #[inline]
    pub fn tell(&mut self, db: usize, class: Classes, name: &'static str, key: &[u8]) {
        self.events.tell(db, class, name, key);
    }

    /// The type of a key that another value is about to take the place of; none where there is none, or nobody asked to be told.
    #[inline]
    pub fn replaced(&self, db: usize, key: &Key<'_>) -> Option<&'static str> {
        let wanted = Classes::OVERWRITTEN.or(Classes::TYPE_CHANGED);
        match self.events.shown.meets(wanted) {
            true => self.type_of(db, key),
            false => None,
        }
    }

    #[cold]
    fn type_of(&self, db: usize, key: &Key<'_>) -> Option<&'static str> {
        Some(type_name(&self.peek(db, key)?.value()))
    }

    /// Another value is where one of that type was.
    #[inline]
    pub fn tell_replaced(&mut self, db: usize, before: Option<&'static str>, key: &Key<'_>) {
        if let Some(before) = before {
            self.note_replaced(db, before, key);
        }
    }

    #[cold]
    fn note_replaced(&mut self, db: usize, before: &'static str, key: &Key<'_>) {
        // Its time may have come already.
        let Some(entry) = self.peek_at_any_time(db, key) else {
            return;
        };
        let now = type_name(&entry.value());
        self.tell(db, Classes::OVERWRITTEN, "overwritten", key.bytes);
        if now != before {
            self.tell(db, Classes::TYPE_CHANGED, "type_changed", key.bytes);
        }
    }

    /// Something happened to a key that leaves it as it was for those who cache it.
    #[inline]
    pub fn tell_aside(&mut self, db: usize, class: Classes, name: &'static str, key: &[u8]) {
        if self.events.shown.meets(class) {
            self.tell_shown(db, name, key);
        }
    }

    #[cold]
    fn tell_shown(&mut self, db: usize, name: &'static str, key: &[u8]) {
        self.events.list.push(Event {
            name,
            db: db as u16,
            key: key.to_vec(),
        });
    }

    /// A key has changed, and there is no event that says so.
    #[inline]
    pub fn tell_change(&mut self, key: &Key<'_>) {
        if self.events.is_watchful {
            self.events.tracking.changed(key.bytes, false);
        }
    }

    /// Whether something is to be handed over.
    #[inline]
    pub fn has_news(&self) -> bool {
        !self.events.list.is_empty() | self.events.tracking.has_news()
    }

    /// Whether some of it is for clients that track.
    pub fn has_invalidations(&self) -> bool {
        self.events.tracking.has_news()
    }

    /// Hands over what has happened, in order.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events.list)
    }
}
