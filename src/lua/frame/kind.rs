//! The types of Lua's values.

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No value at all: an argument that was not given.
    None,
    /// `nil`.
    Nil,
    /// `true` or `false`.
    Boolean,
    /// A bare pointer, equal to those with the same address.
    Light,
    /// A double.
    Number,
    /// Bytes.
    String,
    /// A table.
    Table,
    /// A function of either kind.
    Function,
    /// A block of memory with a metatable.
    Userdata,
    /// One of Lua's own coroutines.
    Thread,
}

impl Kind {
    /// Lua's word for it, as in its messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "no value",
            Self::Nil => "nil",
            Self::Boolean => "boolean",
            Self::Light | Self::Userdata => "userdata",
            Self::Number => "number",
            Self::String => "string",
            Self::Table => "table",
            Self::Function => "function",
            Self::Thread => "thread",
        }
    }
}
