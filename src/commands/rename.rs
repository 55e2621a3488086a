//! `rename-command`: what clients call commands.
//!
//! Promises  a name names one command; what access rules, figures and logs call a command does not change.
//! Not here  looking names up: `commands/table.rs`.
//! Tests     tests/server/acl_files.rs.

use std::collections::BTreeMap;

use super::table::Command;

/// Commands that clients call by another name, or may not call at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Renames {
    /// The command's own name to what it is called, both in upper case.
    called: BTreeMap<&'static str, Option<&'static str>>,
}

impl Renames {
    /// Renames the command that is called `from` now; without a name nobody may call it.
    ///
    /// Errors: Redis's words; nothing has changed.
    pub fn rename(&mut self, from: &str, to: &str) -> Result<(), String> {
        let from = from.to_ascii_uppercase();
        let to = to.to_ascii_uppercase();
        let command = commands().find(|command| self.name_of(command.name) == Some(&from));
        let command = command.ok_or("No such command in rename-command")?;
        let is_taken = |other: &Command| self.name_of(other.name) == Some(&to);
        if commands().any(|other| other.name != command.name && is_taken(other)) {
            return Err("Target command name already exists".to_string());
        }
        let called = (!to.is_empty()).then(|| &*to.leak());
        self.called.insert(command.name, called);
        Ok(())
    }

    /// What clients call a command.
    pub fn name_of(&self, command: &'static str) -> Option<&'static str> {
        self.called.get(command).copied().unwrap_or(Some(command))
    }

    /// Whether every command has its own name.
    pub fn is_empty(&self) -> bool {
        self.called.is_empty()
    }
}

fn commands() -> impl Iterator<Item = &'static Command> {
    super::FAMILIES.iter().copied().flatten()
}
