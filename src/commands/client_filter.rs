//! Which clients CLIENT LIST and CLIENT KILL mean: every filter of Redis 8 and of Valkey 9.
//!
//! Promises  filters combine with AND; what was not given matches everyone.
//! Not here  the rows they are compared with, and the comparison: `node/clients.rs`.
//! Tests     tests/commands/client.rs.

use super::CommandError;
use super::acl::Users;
use crate::base::number::parse_i64;
use crate::resp::Args;

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

    /// The filters of `LIST [filter ...]`, the subcommand's own word being word 0.
    pub fn parse_list(
        args: &Args<'_>,
        databases: u16,
        users: &Users,
    ) -> Result<ClientFilter, CommandError> {
        Self::parse(
            args,
            databases,
            users,
            "ERR Invalid client ID",
            i64::MIN,
            false,
        )
    }

    /// The filters of `KILL filter ...`; the asker is spared unless SKIPME says no.
    pub fn parse_kill(
        args: &Args<'_>,
        databases: u16,
        users: &Users,
    ) -> Result<ClientFilter, CommandError> {
        Self::parse(args, databases, users, BAD_ID, 1, true)
    }

    fn parse(
        args: &Args<'_>,
        databases: u16,
        users: &Users,
        bad_id: &'static str,
        id_min: i64,
        skip_me: bool,
    ) -> Result<ClientFilter, CommandError> {
        let mut filter = ClientFilter {
            skip_me,
            ..ClientFilter::default()
        };
        let mut at = 1;
        while at < args.len() {
            if at + 1 >= args.len() {
                return Err(CommandError::Syntax);
            }
            let word = args.get(at).to_ascii_uppercase();
            let value = args.get(at + 1);
            at += 2;
            match word.as_slice() {
                b"ID" | b"NOT-ID" => {
                    let mut ids = Vec::new();
                    let mut next = Some(value);
                    // One number must follow; more may, up to the next word that is none.
                    while let Some(text) = next {
                        let Some(id) = parse_i64(text) else {
                            if ids.is_empty() {
                                return Err(bad_id.into());
                            }
                            break;
                        };
                        if id < id_min {
                            return Err(bad_id.into());
                        }
                        if !ids.is_empty() {
                            at += 1;
                        }
                        ids.push(u64::try_from(id).unwrap_or(0));
                        next = (at < args.len()).then(|| args.get(at));
                    }
                    let place = if word[0] == b'I' {
                        &mut filter.ids
                    } else {
                        &mut filter.not_ids
                    };
                    place.get_or_insert_default().extend(ids);
                }
                b"TYPE" => filter.kind = Some(parse_kind(value)?),
                b"NOT-TYPE" => filter.not_kind = Some(parse_kind(value)?),
                b"USER" => filter.user = Some(parse_user(value, users)?),
                b"NOT-USER" => filter.not_user = Some(parse_user(value, users)?),
                b"ADDR" => filter.addr = Some(value.to_vec()),
                b"NOT-ADDR" => filter.not_addr = Some(value.to_vec()),
                b"LADDR" => filter.laddr = Some(value.to_vec()),
                b"NOT-LADDR" => filter.not_laddr = Some(value.to_vec()),
                b"SKIPME" => {
                    filter.skip_me = match value.to_ascii_lowercase().as_slice() {
                        b"yes" => true,
                        b"no" => false,
                        _ => return Err(CommandError::Syntax),
                    }
                }
                b"MAXAGE" => filter.age_s_min = Some(parse_seconds(value, "maxage")?),
                b"IDLE" => filter.idle_s_min = Some(parse_seconds(value, "idle")?),
                b"FLAGS" => {
                    filter.flags = Some(parse_letters(value, FLAG_LETTERS, "flags", "provided")?)
                }
                b"NOT-FLAGS" => {
                    filter.not_flags =
                        Some(parse_letters(value, FLAG_LETTERS, "flags", "NOT-FLAGS")?);
                }
                b"CAPA" => {
                    filter.capa = Some(parse_letters(value, CAPA_LETTERS, "capa", "provided")?)
                }
                b"NOT-CAPA" => {
                    filter.not_capa = Some(parse_letters(value, CAPA_LETTERS, "capa", "NOT-CAPA")?);
                }
                b"NAME" => filter.name = Some(value.to_vec()),
                b"NOT-NAME" => filter.not_name = Some(value.to_vec()),
                b"LIB-NAME" => filter.lib_name = Some(value.to_vec()),
                b"NOT-LIB-NAME" => filter.not_lib_name = Some(value.to_vec()),
                b"LIB-VER" => filter.lib_ver = Some(value.to_vec()),
                b"NOT-LIB-VER" => filter.not_lib_ver = Some(value.to_vec()),
                b"DB" => filter.db = Some(parse_db(value, databases, "DB")?),
                b"NOT-DB" => filter.not_db = Some(parse_db(value, databases, "NOT-DB")?),
                b"IP" => filter.ip = Some(value.to_vec()),
                b"NOT-IP" => filter.not_ip = Some(value.to_vec()),
                _ => return Err(CommandError::Syntax),
            }
        }
        Ok(filter)
    }
}

const BAD_ID: &str = "ERR client-id should be greater than 0";

/// Letters that CLIENT LIST's flags may have.
const FLAG_LETTERS: &[u8] = b"ABCIMNOPRSTUbcdeirtux";

/// Letters of CLIENT CAPA's capabilities.
const CAPA_LETTERS: &[u8] = b"r";

fn parse_kind(word: &[u8]) -> Result<ClientKind, CommandError> {
    ClientKind::parse(word)
        .ok_or_else(|| CommandError::quoting("ERR Unknown client type '", word, "'"))
}

fn parse_user(word: &[u8], users: &Users) -> Result<Vec<u8>, CommandError> {
    if users.get(word).is_some() {
        return Ok(word.to_vec());
    }
    Err(CommandError::quoting("ERR No such user '", word, "'"))
}

fn parse_seconds(word: &[u8], name: &str) -> Result<i64, CommandError> {
    match parse_i64(word) {
        Some(seconds) if seconds > 0 => Ok(seconds),
        Some(_) => Err(format!("ERR {name} should be greater than 0").into()),
        None => Err(format!("ERR {name} is not an integer or out of range").into()),
    }
}

fn parse_letters(
    word: &[u8],
    known: &[u8],
    what: &str,
    filter: &str,
) -> Result<Vec<u8>, CommandError> {
    if word.iter().all(|letter| known.contains(letter)) {
        return Ok(word.to_vec());
    }
    let before = format!("ERR Unknown {what} found in the {filter} filter: ");
    Err(CommandError::quoting(&before, word, ""))
}

fn parse_db(word: &[u8], databases: u16, name: &str) -> Result<u16, CommandError> {
    let db = parse_i64(word)
        .filter(|db| i32::try_from(*db).is_ok())
        .ok_or_else(|| format!("ERR {name} is not an integer or out of range"))?;
    if !(0..i64::from(databases)).contains(&db) {
        let last = databases - 1;
        return Err(format!("ERR {name} number should be between 0 and {last}").into());
    }
    Ok(db as u16)
}
