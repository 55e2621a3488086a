//! What the server says it is.

/// The Redis release that clients take this server for (HELLO, INFO `redis_version`): clients choose commands by it.
pub const REDIS_VERSION: &str = "8.0.6";

/// rondo's own release.
pub const RONDO_VERSION: &str = env!("CARGO_PKG_VERSION");
