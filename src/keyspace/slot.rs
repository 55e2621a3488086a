//! Which cluster slot a key belongs to, and which shard owns a slot.
//!
//! Promises  keys that share a hash tag `{...}` share a slot; slots are dealt to shards in contiguous ranges.
//! Source    Redis cluster specification: CRC16 (XMODEM) of the key or its hash tag, modulo 16,384.

use crate::base::crc16::crc16;

/// Cluster slots there are.
pub const SLOTS_COUNT: u16 = 16_384;

/// The slot of `key`: CRC16 of the part between the first `{` and the next `}` where that is not empty, else of it all.
#[inline]
pub fn slot_of(key: &[u8]) -> u16 {
    crc16(hash_tag(key)) & (SLOTS_COUNT - 1)
}

fn hash_tag(key: &[u8]) -> &[u8] {
    let Some(open) = key.iter().position(|&byte| byte == b'{') else {
        return key;
    };
    match key[open + 1..].iter().position(|&byte| byte == b'}') {
        Some(length) if length > 0 => &key[open + 1..open + 1 + length],
        _ => key,
    }
}

/// Slots to shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotMap {
    shards_count: u16,
}

impl SlotMap {
    /// Deals the slots to `shards_count` shards, 1 to 1,024.
    pub fn new(shards_count: u16) -> Self {
        assert!((1..=1024).contains(&shards_count), "1 to 1,024 shards");
        Self { shards_count }
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
            self.shard_of_slot(slot_of(key))
        }
    }
}
