//! The one integration test binary; its modules mirror `src`.

/// Data structures against plain models of the standard library.
mod ds;
