//! All users there are, as one value.
//!
//! A change makes new ones of what it changes and leaves the rest shared, so that taking over a set of users is taking over
//! one pointer, and a change among 50,000 users costs little more than one among ten.
//!
//! Promises  there is always a user `default`; users are in the order of their names.
//! Not here  how a change reaches every core: `node/acl.rs`.

use std::cmp::Ordering;
use std::sync::Arc;

use super::file::read_file;
use super::selector::has_spaces;
use super::user::{DEFAULT_NAME, DEFAULT_SERIAL, User};
use crate::base::shared_list::SharedList;
use crate::commands::CommandError;

/// See the module.
#[derive(Clone, Debug)]
pub struct Users {
    by_name: SharedList<Arc<User>>,
    by_serial: SharedList<Arc<User>>,
    /// The one called `default`, at hand.
    default: Arc<User>,
    /// What the next new user is told apart by.
    next_serial: u32,
}

impl Default for Users {
    fn default() -> Self {
        let mut users = Self::none(&Arc::new(User::default()), DEFAULT_SERIAL);
        users.put(User::default());
        users
    }
}

/// Users are in the order of their names.
fn named(name: &[u8]) -> impl Fn(&Arc<User>) -> Ordering {
    move |user| user.name().cmp(name)
}

/// And of their serials.
fn numbered(serial: u32) -> impl Fn(&Arc<User>) -> Ordering {
    move |user| user.serial.cmp(&serial)
}

impl Users {
    /// The user of that name.
    pub fn get(&self, name: &[u8]) -> Option<&Arc<User>> {
        self.by_name.get(named(name))
    }

    /// The same user as it is now, changed perhaps; none where it was deleted.
    pub fn as_now(&self, user: &User) -> Option<&Arc<User>> {
        self.get(user.name()).filter(|now| now.is_same_as(user))
    }

    /// The user of that serial, if it is still there.
    pub fn by_serial(&self, serial: u32) -> Option<&Arc<User>> {
        self.by_serial.get(numbered(serial))
    }

    /// The user of whoever has not said otherwise.
    pub fn default_user(&self) -> &Arc<User> {
        &self.default
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<User>> {
        self.by_name.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Never: there is always `default`.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// The user of that name, if this is one of its passwords. An unknown name costs as much as a wrong password.
    pub fn authenticate(&self, name: &[u8], password: &[u8]) -> Option<&Arc<User>> {
        let user = self.get(name);
        let admits = user.unwrap_or(&self.default).admits(password);
        user.filter(|_| admits)
    }

    /// Makes or changes a user (ACL SETUSER).
    ///
    /// Errors: Redis's text; nothing has changed.
    pub fn set(
        &mut self,
        name: &[u8],
        rules: &[&[u8]],
        all_channels: bool,
    ) -> Result<(), CommandError> {
        if has_spaces(name) {
            return Err("ERR Usernames can't contain spaces or null characters".into());
        }
        let user = match self.get(name) {
            Some(user) => user.with(rules, all_channels)?,
            None => User::new(name, self.next_serial, all_channels).with(rules, all_channels)?,
        };
        self.put(user);
        Ok(())
    }

    /// Puts a user in the place of the one of its name.
    pub fn put(&mut self, user: User) {
        self.next_serial = self.next_serial.max(user.serial + 1);
        let user = Arc::new(user);
        if user.name() == DEFAULT_NAME {
            self.default = user.clone();
        }
        let serial = user.serial;
        self.by_serial.insert(user.clone(), numbered(serial));
        (self.by_name).insert(user.clone(), named(user.name()));
    }

    /// What `requirepass` says of the user `default`.
    pub fn set_default_password(&mut self, password: &[u8]) {
        let mut user = (*self.default).clone();
        user.set_only_password(password);
        self.put(user);
    }

    /// Removes users; how many there were.
    ///
    /// Errors: `default` is among them; nothing has changed.
    pub fn delete(&mut self, names: &[Vec<u8>]) -> Result<usize, CommandError> {
        if names.iter().any(|name| name == DEFAULT_NAME) {
            return Err("ERR The 'default' user cannot be removed".into());
        }
        let mut count = 0;
        for name in names {
            if let Some(user) = self.by_name.remove(named(name)) {
                self.by_serial.remove(numbered(user.serial));
                count += 1;
            }
        }
        Ok(count)
    }

    /// The users a file describes, those that were there before under their names being the same users.
    ///
    /// - `path`: the file's name, for errors.
    /// - Errors: all that is wrong with the file, in Redis's words.
    pub fn from_file(&self, path: &str, text: &[u8], all_channels: bool) -> Result<Self, Vec<u8>> {
        let mut fresh = Self::none(&self.default, self.next_serial);
        for mut user in read_file(path, text, all_channels)? {
            user.serial = match self.get(user.name()) {
                Some(known) => known.serial,
                None => fresh.next_serial,
            };
            fresh.put(user);
        }
        if fresh.get(DEFAULT_NAME).is_none() {
            fresh.put(User::default());
        }
        Ok(fresh)
    }

    /// Nobody yet: `default` is to be put among them, this one or another.
    fn none(default: &Arc<User>, next_serial: u32) -> Self {
        Self {
            by_name: SharedList::default(),
            by_serial: SharedList::default(),
            default: default.clone(),
            next_serial,
        }
    }

    /// A line for each user: what ACL SAVE writes and `from_file` reads.
    pub fn to_file(&self) -> Vec<u8> {
        let mut text = Vec::new();
        for user in self.iter() {
            text.extend(user.describe());
            text.push(b'\n');
        }
        text
    }
}
