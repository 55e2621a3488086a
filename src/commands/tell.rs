//! How handlers say what happened to a key.
//!
//! Not here  who is told: `keyspace/events.rs`.

use super::table::Call;
use crate::keyspace::Classes;

impl Call<'_> {
    /// `name` happened to a key of the selected database; call when it has.
    #[inline]
    pub fn tell(&mut self, class: Classes, name: &'static str, key: &[u8]) {
        self.keys.tell(self.db, class, name, key);
    }

    /// A key of the selected database was removed.
    #[inline]
    pub fn tell_gone(&mut self, key: &[u8]) {
        self.tell(Classes::GENERIC, "del", key);
    }

    /// Something was taken out of a key's collection, and with the last of it perhaps the key.
    #[inline]
    pub fn tell_taken(&mut self, class: Classes, name: &'static str, key: &[u8], is_gone: bool) {
        self.tell(class, name, key);
        if is_gone {
            self.tell_gone(key);
        }
    }
}
