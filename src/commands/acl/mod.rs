//! Access control: who may run which command on which keys and channels.
//!
//!     rules -> User { selectors } -> check(user, entry, words) -> Ok, or Denied { reason, word }
//!
//! A user is a value that never changes: a change makes a new one, and every core takes the new set of users over
//! ([`Users`]). So a check is plain reading, and what a request was checked against is one user as a whole.
//!
//! Promises  a user with every right costs one comparison; a rule string reads back as Redis prints it.
//! Not here  which connection has which user, and how changes reach all cores: `node/acl.rs`.
//! Source    Redis's ACL rules <https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/>.
//! Tests     tests/server/acl.rs, acl_attempts.rs, acl_files.rs.

pub mod check;
pub mod file;
pub mod log;
pub mod password;
pub mod rows;
pub mod selector;
pub mod user;
pub mod users;

pub use check::{Denied, Place, REASONS_COUNT, Reason, check, refused_options};
pub use user::User;
pub use users::Users;
