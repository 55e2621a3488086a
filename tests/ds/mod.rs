//! Seeded models; every failure names its seed.

mod bitmap;
mod block_buffer;
mod block_size;
mod bucket;
mod field_table;
mod growing_buffer;
#[cfg(not(miri))]
mod huge_pages;
mod hyperloglog;
mod intset;
mod key_table;
mod key_table_compaction;
mod key_table_cuts;
mod key_table_walks;
mod listpack;
mod long_crc;
mod lzf;
mod purge;
mod quicklist;
mod slab;
mod slot_table;
mod sorted_set;
mod sparse_array;
mod stream;
mod stream_groups;
mod stream_producers;
mod stream_tree;
mod thin_bytes;
mod unaligned_box;

/// A small seeded generator (SplitMix64).
pub struct Random(pub u64);

impl Random {
    /// 64 random bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }
}

/// How far counts are from all being the same: chi-square against the uniform distribution.
pub fn chi_square(counts: &[u32]) -> f64 {
    let expected = f64::from(counts.iter().sum::<u32>()) / counts.len() as f64;
    let square = |count: &u32| (f64::from(*count) - expected).powi(2) / expected;
    counts.iter().map(square).sum()
}

/// The first under Miri, which is some hundred times slower, else the second.
pub fn size(miri: usize, native: usize) -> usize {
    if cfg!(miri) { miri } else { native }
}
