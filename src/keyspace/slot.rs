//! Which cluster slot a key belongs to, and which shard owns a slot.
//!
//! Promises  keys that share a hash tag `{...}` share a slot; slots are dealt to shards in contiguous ranges; keys of one group
//!           share a shard.
//! Source    Redis cluster specification: CRC16 (XMODEM) of the key or its hash tag, modulo 16,384.

use super::KeyGroups;
use crate::base::crc16::crc16;

/// Cluster slots there are.
pub const SLOTS_COUNT: u16 = 16_384;
/// Shards there may be.
pub const SHARDS_MAX: u16 = 1024;

/// The slot of `key`: CRC16 of the part between the first `{` and the next `}` where that is not empty, else of it all.
#[inline]
pub fn slot_of(key: &[u8]) -> u16 {
    slot(hash_tag(key).unwrap_or(key))
}

#[inline]
fn slot(part: &[u8]) -> u16 {
    crc16(part) & (SLOTS_COUNT - 1)
}

#[inline]
fn hash_tag(key: &[u8]) -> Option<&[u8]> {
    if has_brace(key) { tag_of(key) } else { None }
}

/// Whether there is a `{`, eight bytes a step.
#[inline]
fn has_brace(key: &[u8]) -> bool {
    let Some(last) = key.last_chunk::<8>() else {
        return key.contains(&b'{');
    };
    // The last eight bytes overlap those before.
    let (eights, _) = key.as_chunks::<8>();
    eights.iter().chain([last]).any(|eight| {
        let others = u64::from_ne_bytes(*eight) ^ u64::from_ne_bytes([b'{'; 8]);
        // A byte that is zero borrows from its highest bit; a borrow beyond it needs one that is zero.
        others.wrapping_sub(0x0101_0101_0101_0101) & !others & 0x8080_8080_8080_8080 != 0
    })
}

#[cold]
fn tag_of(key: &[u8]) -> Option<&[u8]> {
    let open = key.iter().position(|&byte| byte == b'{')?;
    let rest = &key[open + 1..];
    let length = rest.iter().position(|&byte| byte == b'}')?;
    (length > 0).then(|| &rest[..length])
}

/// Slots to shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotMap {
    shards_count: u16,
    groups: KeyGroups,
}

impl SlotMap {
    /// Deals the slots to `shards_count` shards, 1 to 1,024.
    pub fn new(shards_count: u16) -> Self {
        assert!(
            (1..=SHARDS_MAX).contains(&shards_count),
            "1 to 1,024 shards"
        );
        Self {
            shards_count,
            groups: KeyGroups::NONE,
        }
    }

    /// The same, with keys that live together; on one shard all do, and nothing has to be dealt anew for it.
    pub fn with_groups(self, groups: KeyGroups) -> Self {
        match self.shards_count {
            1 => self,
            _ => Self { groups, ..self },
        }
    }

    /// Which keys live together.
    pub fn groups(&self) -> KeyGroups {
        self.groups
    }

    /// How many shards there are.
    #[inline]
    pub fn shards_count(&self) -> u16 {
        self.shards_count
    }

    /// The shard that owns `slot`.
    #[inline]
    pub fn shard_of_slot(&self, slot: u16) -> u16 {
        ((u32::from(slot) * u32::from(self.shards_count)) >> 14) as u16
    }

    /// The shard that owns `key`; with one shard the key is not looked at.
    #[inline]
    pub fn shard_of(&self, key: &[u8]) -> u16 {
        if self.shards_count == 1 {
            0
        } else {
            let part = hash_tag(key).unwrap_or_else(|| self.groups.part_of(key));
            self.shard_of_slot(slot(part))
        }
    }
}
