//! The client's mistakes: one variant, one text, Redis's own.

use std::borrow::Cow;

use crate::keyspace::WrongType;
use crate::keyspace::rdb::NoPayload;

/// Why a command was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandError {
    /// The key holds another type.
    WrongType,
    /// The words do not form this command.
    Syntax,
    /// A word that must be an integer is none, or does not fit 64 bits.
    NotInteger,
    /// A word that must be a float is none.
    NotFloat,
    /// Wrong number of words, for the command or `container|subcommand` named.
    Arity(&'static str),
    /// Any other text, with its code first: `ERR no such key`.
    Text(Cow<'static, str>),
    /// A text that repeats a client's word, which may be no UTF-8.
    Quoting(Vec<u8>),
}

impl CommandError {
    /// A text that repeats a client's word between `before` and `after`, up to its first NUL as Redis does.
    #[cold]
    pub fn quoting(before: &str, word: &[u8], after: &str) -> Self {
        let word = word.split(|&byte| byte == 0).next().unwrap_or_default();
        Self::Quoting([before.as_bytes(), word, after.as_bytes()].concat())
    }

    /// The line after the `-`, without the line end.
    pub fn line(&self) -> Cow<'static, [u8]> {
        match self {
            Self::Quoting(bytes) => Cow::Owned(bytes.clone()),
            _ => match self.text() {
                Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
                Cow::Owned(text) => Cow::Owned(text.into_bytes()),
            },
        }
    }

    /// The same as text; what is no UTF-8 becomes U+FFFD.
    pub fn text(&self) -> Cow<'static, str> {
        match self {
            Self::WrongType => {
                "WRONGTYPE Operation against a key holding the wrong kind of value".into()
            }
            Self::Syntax => "ERR syntax error".into(),
            Self::NotInteger => "ERR value is not an integer or out of range".into(),
            Self::NotFloat => "ERR value is not a valid float".into(),
            Self::Arity(name) => {
                format!("ERR wrong number of arguments for '{name}' command").into()
            }
            Self::Text(text) => text.clone(),
            Self::Quoting(bytes) => String::from_utf8_lossy(bytes).into_owned().into(),
        }
    }
}

impl From<WrongType> for CommandError {
    fn from(_: WrongType) -> Self {
        Self::WrongType
    }
}

impl From<NoPayload> for CommandError {
    fn from(_: NoPayload) -> Self {
        "ERR arrays cannot be dumped: RDB versions 11 and 12 have no type for them".into()
    }
}

impl From<&'static str> for CommandError {
    fn from(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for CommandError {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}
