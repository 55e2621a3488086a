//! A row's syntax string as the tree of arguments that COMMAND DOCS describes.
//!
//! The string reads as Redis's manual writes syntax; marks on words say what cannot be guessed:
//!
//! ```text
//! key [key ...]                    one argument, once or more
//! key value [key value ...]        a block `data`, once or more
//! [NX | XX]                        optional, one of
//! (ON | OFF)                       required, one of
//! COUNT count                      an argument with a token
//! condition=[NX | XX]@2.6.12       a name for what follows, the release that brought it
//! auth=AUTH(username password)     a token before a block
//! increment:double                 a type; without one the name decides (`type_of_name`)
//! by-pattern:pattern#1             the key specification it belongs to, where counting does not say so
//! addr~ip:port                     what manuals show instead of the name
//! old-format!2.8.12                the release that deprecated it
//! ```
//!
//! Promises  any string parses to something; `tests/commands/command.rs` holds every row to what a real server says.
//! Source    COMMAND DOCS of a real server, for the names a group without a name gets.

/// How a syntax string writes the empty word, which is a token of MIGRATE.
const NOTHING: &str = "\"\"";

/// One argument.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Argument {
    /// Its name.
    pub name: String,
    /// `string`, `integer`, `double`, `key`, `pattern`, `unix-time`, `pure-token`, `oneof` or `block`.
    pub kind: &'static str,
    /// The word that stands before it, or that it is.
    pub token: Option<String>,
    /// What manuals show; the name where None.
    pub display: Option<String>,
    /// Which key specification finds it, for keys.
    pub key_spec_index: Option<usize>,
    /// The release that brought it, where later than the command.
    pub since: Option<String>,
    /// The release that deprecated it.
    pub deprecated_since: Option<String>,
    /// May be left out.
    pub is_optional: bool,
    /// May be repeated.
    pub is_multiple: bool,
    /// And its token with it, each time.
    pub repeats_token: bool,
    /// What a `oneof` chooses from, or a `block` consists of.
    pub parts: Vec<Argument>,
}

/// The arguments of a syntax string.
///
/// - `key_specs_count`: of the command; the first key argument belongs to the first specification, and so on, and keys
///   beyond belong to the last.
pub fn parse(syntax: &str, key_specs_count: usize) -> Vec<Argument> {
    let tokens = lex(syntax);
    let mut parser = Parser {
        tokens: &tokens,
        at: 0,
        keys_seen: 0,
        key_specs_count,
    };
    let arguments = parser.sequence();
    debug_assert!(parser.at == tokens.len(), "unbalanced syntax: {syntax}");
    arguments
}

/// The syntax as a manual shows it: without marks.
pub fn display(arguments: &[Argument]) -> String {
    let texts: Vec<String> = arguments.iter().map(display_one).collect();
    texts.join(" ")
}

fn display_one(argument: &Argument) -> String {
    let mut text = match argument.kind {
        "pure-token" => match argument.token.as_deref() {
            Some("") => NOTHING.to_string(),
            token => token.unwrap_or_default().to_string(),
        },
        "oneof" => {
            let parts: Vec<String> = argument.parts.iter().map(display_one).collect();
            let parts = parts.join(" | ");
            if argument.is_optional {
                parts
            } else {
                format!("<{parts}>")
            }
        }
        "block" => display(&argument.parts),
        _ => argument.display.as_ref().unwrap_or(&argument.name).clone(),
    };
    let token = (argument.token.as_ref()).filter(|_| argument.kind != "pure-token");
    if argument.is_multiple && !argument.repeats_token {
        text = format!("{text} [{text} ...]");
    }
    if let Some(token) = token {
        text = format!("{token} {text}");
    }
    if argument.repeats_token {
        text = format!("{text} [{text} ...]");
    }
    if argument.is_optional {
        text = format!("[{text}]");
    }
    text
}

/// A word, one of `[ ] ( ) |`, or marks right after a closing bracket (as a word that begins with `@` or `!`).
fn lex(syntax: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut word = String::new();
    let end = |word: &mut String, tokens: &mut Vec<String>| {
        if !word.is_empty() {
            tokens.push(std::mem::take(word));
        }
    };
    for letter in syntax.chars() {
        match letter {
            ' ' | '\n' => end(&mut word, &mut tokens),
            '[' | ']' | '(' | ')' | '|' => {
                end(&mut word, &mut tokens);
                tokens.push(letter.to_string());
            }
            letter => word.push(letter),
        }
    }
    end(&mut word, &mut tokens);
    tokens
}

struct Parser<'t> {
    tokens: &'t [String],
    at: usize,
    keys_seen: usize,
    key_specs_count: usize,
}

impl Parser<'_> {
    fn peek(&self) -> &str {
        self.tokens.get(self.at).map_or("", String::as_str)
    }

    fn next(&mut self) -> &str {
        self.at += 1;
        self.tokens.get(self.at - 1).map_or("", String::as_str)
    }

    /// Arguments up to a `|`, a closing bracket or the end.
    fn sequence(&mut self) -> Vec<Argument> {
        let mut arguments: Vec<Argument> = Vec::new();
        while !matches!(self.peek(), "" | "|" | "]" | ")") {
            if self.peek() == "..." {
                self.at += 1;
                if let Some(last) = arguments.last_mut() {
                    last.is_multiple = true;
                }
                continue;
            }
            let keys_before = self.keys_seen;
            let argument = self.argument();
            if repeats(&mut arguments, &argument) {
                self.keys_seen = keys_before;
            } else {
                arguments.push(argument);
            }
        }
        arguments
    }

    fn argument(&mut self) -> Argument {
        let mut name = String::new();
        let mut word = String::new();
        if !matches!(self.peek(), "[" | "(") {
            word = self.next().to_string();
            if let Some((before, after)) = word.clone().split_once('=') {
                name = before.to_string();
                word = after.to_string();
            }
        }
        let mut argument = if word.is_empty() {
            self.group()
        } else if is_token(&word) {
            self.token(&word)
        } else {
            self.operand(&word)
        };
        if !name.is_empty() {
            argument.name = name;
        }
        argument
    }

    /// `[...]` or `(...)`, with the marks after it.
    fn group(&mut self) -> Argument {
        let is_optional = self.next() == "[";
        let mut choices = vec![self.sequence()];
        while self.peek() == "|" {
            self.at += 1;
            choices.push(self.sequence());
        }
        self.at += 1;
        let mut argument = if choices.len() == 1 {
            block_of(choices.remove(0))
        } else {
            let parts: Vec<Argument> = choices.into_iter().map(block_of).collect();
            Argument {
                name: name_of_choice(&parts).to_string(),
                kind: "oneof",
                parts,
                ..Argument::default()
            }
        };
        argument.is_optional |= is_optional;
        self.marks(&mut argument);
        argument
    }

    /// A token, alone or before what it introduces.
    fn token(&mut self, word: &str) -> Argument {
        let (word, marks) = split_marks(word);
        let token = if word == NOTHING { "" } else { word }.to_string();
        let next = self.peek().to_string();
        let introduces = marks.is_empty()
            && (next == "(" || !next.is_empty() && !is_punctuation(&next) && !is_token(&next))
            && !next.contains('=');
        let mut argument = if !introduces {
            Argument {
                name: token.to_ascii_lowercase(),
                kind: "pure-token",
                ..Argument::default()
            }
        } else if next == "(" {
            self.group()
        } else {
            self.at += 1;
            self.operand(&next)
        };
        argument.token = Some(token);
        apply_marks(&mut argument, marks);
        argument
    }

    fn operand(&mut self, word: &str) -> Argument {
        let (word, marks) = split_marks(word);
        let (word, display) = match word.split_once('~') {
            Some((word, display)) => (word, Some(display.to_string())),
            None => (word, None),
        };
        let (word, key_spec_index) = match word.split_once('#') {
            Some((word, index)) => (word, index.parse().ok()),
            None => (word, None),
        };
        let (name, kind) = match word.split_once(':') {
            Some((name, kind)) => (name, known_type(kind)),
            None => (word, type_of_name(word)),
        };
        let mut argument = Argument {
            name: name.to_string(),
            kind,
            display,
            key_spec_index,
            ..Argument::default()
        };
        if kind == "key" && key_spec_index.is_none() && self.key_specs_count > 0 {
            argument.key_spec_index = Some(self.keys_seen.min(self.key_specs_count - 1));
            self.keys_seen += 1;
        }
        apply_marks(&mut argument, marks);
        argument
    }

    /// Marks that stand alone after a bracket.
    fn marks(&mut self, argument: &mut Argument) {
        if self.peek().starts_with(['@', '!']) {
            let marks = self.next().to_string();
            apply_marks(argument, &marks);
        }
    }
}

/// Whether `again`, an optional repetition of the last arguments, was folded into them.
fn repeats(arguments: &mut Vec<Argument>, again: &Argument) -> bool {
    if !again.is_optional {
        return false;
    }
    if again.kind != "block" || again.token.is_some() {
        return match arguments.last_mut() {
            Some(last)
                if again.is_multiple && last.name == again.name && last.kind == again.kind =>
            {
                last.is_multiple = true;
                last.repeats_token = again.token.is_some();
                true
            }
            _ => false,
        };
    }
    let is_repetition = again.parts.last().is_some_and(|last| last.is_multiple);
    let Some(start) = arguments.len().checked_sub(again.parts.len()) else {
        return false;
    };
    let same = arguments[start..]
        .iter()
        .zip(&again.parts)
        .all(|(before, after)| before.name == after.name && before.kind == after.kind);
    if !same || !is_repetition {
        return false;
    }
    let parts = arguments.split_off(start);
    arguments.push(Argument {
        name: "data".to_string(),
        kind: "block",
        is_multiple: true,
        parts,
        ..Argument::default()
    });
    true
}

/// One argument as itself, several as a block.
fn block_of(mut parts: Vec<Argument>) -> Argument {
    if parts.len() == 1 {
        return parts.remove(0);
    }
    let names: Vec<&str> = parts.iter().map(|part| part.name.as_str()).collect();
    Argument {
        name: names.join("-"),
        kind: "block",
        parts,
        ..Argument::default()
    }
}

/// The name of a choice that was given none: Redis names alike choices alike.
fn name_of_choice(parts: &[Argument]) -> &'static str {
    let has = |token: &str| {
        parts
            .iter()
            .any(|part| part.token.as_deref() == Some(token))
    };
    if has("EX") || has("PX") {
        "expiration"
    } else if has("NX") || has("XX") || has("IFEQ") {
        "condition"
    } else if has("ASYNC") {
        "flush-type"
    } else if has("ON") {
        "enabled"
    } else {
        "choice"
    }
}

fn is_punctuation(token: &str) -> bool {
    matches!(token, "[" | "]" | "(" | ")" | "|" | "...") || token.starts_with(['@', '!'])
}

/// Upper-case words and signs stand for themselves.
fn is_token(word: &str) -> bool {
    word == NOTHING
        || matches!(word, "=" | "~" | "*" | "$")
        || word.starts_with(|letter: char| letter.is_ascii_uppercase())
}

fn split_marks(word: &str) -> (&str, &str) {
    match word.find(['@', '!']) {
        Some(at) => word.split_at(at),
        None => (word, ""),
    }
}

fn apply_marks(argument: &mut Argument, marks: &str) {
    let mut rest = marks;
    while let Some(kind) = rest.chars().next() {
        let end = rest[1..].find(['@', '!']).map_or(rest.len(), |at| at + 1);
        let release = Some(rest[1..end].to_string());
        if kind == '@' {
            argument.since = release;
        } else {
            argument.deprecated_since = release;
        }
        rest = &rest[end..];
    }
}

fn known_type(kind: &str) -> &'static str {
    match kind {
        "integer" => "integer",
        "double" => "double",
        "key" => "key",
        "pattern" => "pattern",
        "unix-time" => "unix-time",
        _ => "string",
    }
}

/// What an argument of that name is, where nothing else is said.
fn type_of_name(name: &str) -> &'static str {
    match name {
        "key" | "key1" | "key2" | "newkey" | "source" | "destination" => "key",
        "pattern" => "pattern",
        "unix-time-seconds" | "unix-time-milliseconds" => "unix-time",
        "seconds" | "milliseconds" | "increment" | "decrement" | "offset" | "start" | "end"
        | "count" | "index" | "index1" | "index2" | "cursor" | "db" | "destination-db"
        | "timeout" | "min-match-len" | "client-id" | "numkeys" | "port" | "limit"
        | "lowerbound" | "upperbound" => "integer",
        _ => "string",
    }
}
