//! The keyed hash that places keys in tables and names them in lock tables.
//!
//! Promises  one seed per process, so a hash computed on one core is good on every other.
//! Not here  cluster slots: `base/crc16.rs`.
//! Source    crate `ahash`, keyed at start from the operating system's randomness, so clients cannot aim collisions.

use super::crc64::crc64;
use std::sync::OnceLock;

static MEMBER_HASHER: OnceLock<KeyHasher> = OnceLock::new();

/// The hasher of what is inside of values: members and fields. One for the process, so that a value may go to another
/// core as it is, and 40 bytes less for each value that is a table.
#[inline]
pub fn member_hasher() -> &'static KeyHasher {
    MEMBER_HASHER.get_or_init(KeyHasher::random)
}

/// A keyed hash function; cheap to copy, equal keys give equal hashes.
#[derive(Clone)]
pub struct KeyHasher {
    state: ahash::RandomState,
    /// Bits a hash may have; all, but for tests of collisions.
    mask: u64,
}

impl KeyHasher {
    /// Draws a key from the operating system. Call once per process and clone.
    pub fn random() -> Self {
        Self {
            state: ahash::RandomState::new(),
            mask: u64::MAX,
        }
    }

    /// A hasher that follows from a text and the build, for keys as for members: the process's own where none has been asked for yet.
    pub fn of_text(text: &str) -> Self {
        let hasher = Self::with_seed(crc64(0, text.as_bytes()));
        MEMBER_HASHER.get_or_init(|| hasher.clone());
        hasher
    }

    /// A hasher that is the same in every run: tests and benches.
    pub fn with_seed(seed: u64) -> Self {
        Self {
            state: ahash::RandomState::with_seeds(
                seed,
                seed ^ 0x9e37_79b9_7f4a_7c15,
                seed.rotate_left(17),
                !seed,
            ),
            mask: u64::MAX,
        }
    }

    /// A hasher whose hashes have no bits but those of `mask`: tests of what collisions do.
    pub fn with_seed_and_mask(seed: u64, mask: u64) -> Self {
        Self {
            mask,
            ..Self::with_seed(seed)
        }
    }

    /// 64 well-mixed bits of `key`; every bit may be used.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> u64 {
        self.state.hash_one(key) & self.mask
    }
}
