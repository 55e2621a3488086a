//! Which clients CLIENT LIST and CLIENT KILL mean: every filter of Redis 8 and of Valkey 9.
//!
//! Promises  filters combine with AND; what was not given matches everyone.
//! Not here  the rows they are compared with, and the comparison: `node/clients.rs`.

/// What kind of client a connection is (TYPE).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientKind {
    /// Sends commands.
    #[default]
    Normal,
    /// The link to this server's primary.
    Primary,
    /// A replica of this server.
    Replica,
    /// Subscribed to something.
    PubSub,
}

impl ClientKind {
    /// The kind of that name in any case; `slave` and `master` are the old names.
    pub fn parse(word: &[u8]) -> Option<ClientKind> {
        match word.to_ascii_lowercase().as_slice() {
            b"normal" => Some(Self::Normal),
            b"master" | b"primary" => Some(Self::Primary),
            b"slave" | b"replica" => Some(Self::Replica),
            b"pubsub" => Some(Self::PubSub),
            _ => None,
        }
    }
}

/// A question about clients. `not_` fields are the NOT- forms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct ClientFilter {
    /// One of these ids.
    pub ids: Option<Vec<u64>>,
    pub not_ids: Option<Vec<u64>>,
    pub kind: Option<ClientKind>,
    pub not_kind: Option<ClientKind>,
    pub user: Option<Vec<u8>>,
    pub not_user: Option<Vec<u8>>,
    /// `ip:port` of the client.
    pub addr: Option<Vec<u8>>,
    pub not_addr: Option<Vec<u8>>,
    /// `ip:port` the client connected to.
    pub laddr: Option<Vec<u8>>,
    pub not_laddr: Option<Vec<u8>>,
    /// Not the client that asks.
    pub skip_me: bool,
    /// Connected for at least this many seconds.
    pub age_s_min: Option<i64>,
    /// Silent for at least this many seconds.
    pub idle_s_min: Option<i64>,
    /// All of these flag letters.
    pub flags: Option<Vec<u8>>,
    pub not_flags: Option<Vec<u8>>,
    pub name: Option<Vec<u8>>,
    pub not_name: Option<Vec<u8>>,
    pub lib_name: Option<Vec<u8>>,
    pub not_lib_name: Option<Vec<u8>>,
    pub lib_ver: Option<Vec<u8>>,
    pub not_lib_ver: Option<Vec<u8>>,
    pub db: Option<u16>,
    pub not_db: Option<u16>,
    /// All of these capability letters.
    pub capa: Option<Vec<u8>>,
    pub not_capa: Option<Vec<u8>>,
    /// The address without its port.
    pub ip: Option<Vec<u8>>,
    pub not_ip: Option<Vec<u8>>,
}

impl ClientFilter {
    /// The client whose address is `address` (CLIENT KILL's old form).
    pub fn by_address(address: &[u8]) -> Self {
        Self {
            addr: Some(address.to_vec()),
            ..Self::default()
        }
    }
}
