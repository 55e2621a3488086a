//! Shared bytes: a part of a whole that several hold, and that the last of them may take for its own.
//!
//! Promises  no byte is copied; whoever is the only one left gets the whole back as what it was made of.
//! Tests     tests/base/shared_bytes.rs.

use std::any::Any;
use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

/// What bytes may be a part of.
pub trait Whole: AsRef<[u8]> + Send + Sync + 'static {
    /// The same, for whoever knows its type.
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
}

impl<T: AsRef<[u8]> + Send + Sync + 'static> Whole for T {
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}

/// A part of something that others may hold as well.
#[derive(Clone)]
pub struct SharedBytes {
    whole: Arc<dyn Whole>,
    /// Where they begin in it.
    start: u32,
    /// How many they are.
    length: u32,
}

const _: () = assert!(size_of::<SharedBytes>() == 24);

impl SharedBytes {
    /// All of `whole`, which is below 4 GiB.
    pub fn new(whole: impl Whole) -> Self {
        let length = u32::try_from(whole.as_ref().len());
        Self {
            whole: Arc::new(whole),
            start: 0,
            length: length.expect("it is below 4 GiB"),
        }
    }

    /// A copy.
    pub fn copy_of(bytes: &[u8]) -> Self {
        Self::new(super::long_copy::copy_of(bytes))
    }

    /// The bytes `part` of these, without a copy.
    ///
    /// # Panics
    /// There are fewer.
    pub fn slice(&self, part: Range<usize>) -> Self {
        let is_inside = part.start <= part.end && part.end <= self.range().len();
        assert!(is_inside, "a part is inside");
        Self {
            whole: Arc::clone(&self.whole),
            start: self.start + part.start as u32,
            length: part.len() as u32,
        }
    }

    /// The whole, and which part of it these bytes are, where it is a `T` and nobody else holds any of it; else they come back.
    pub fn try_own<T: Whole>(self) -> Result<(T, Range<usize>), Self> {
        if Arc::strong_count(&self.whole) > 1 || !self.is_of::<T>() {
            return Err(self);
        }
        let range = self.range();
        let whole = self.whole.into_any().downcast::<T>().ok();
        let whole = whole.and_then(Arc::into_inner);
        Ok((whole.expect("it is a T, and held here alone"), range))
    }

    /// A clone of the whole, and which part of it these bytes are, where it is a `T`.
    pub fn clone_whole<T: Whole + Clone>(&self) -> Option<(T, Range<usize>)> {
        let whole = Arc::clone(&self.whole).into_any().downcast::<T>().ok()?;
        Some((T::clone(&whole), self.range()))
    }

    fn range(&self) -> Range<usize> {
        self.start as usize..(self.start + self.length) as usize
    }

    fn is_of<T: Whole>(&self) -> bool {
        let whole = Arc::clone(&self.whole).into_any();
        whole.is::<T>()
    }
}

impl Deref for SharedBytes {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &(*self.whole).as_ref()[self.range()]
    }
}

impl AsRef<[u8]> for SharedBytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for SharedBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} shared bytes", self.len())
    }
}
