//! Declared environment variables: the tables that reading, `--help` and docs/CONFIGURATION.md share.
//!
//! Knows no variable by name.

use super::Snapshot;

/// The fallback of an unset (or empty) variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// The text that is read instead.
    Value(&'static str),
    /// No value; the text describes the effect.
    Says(&'static str),
}

/// The part of the configuration that a variable belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// The choice of the mode.
    Mode,
    /// Proxy, slave and standalone server.
    Every,
    /// The proxy.
    Proxy,
    /// The slave, and the standalone server where it makes sense there.
    Slave,
    /// Variables that are passed on to a program that the slave runs.
    PassedOn,
}

/// The visibility of a variable's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrecy {
    /// The value may appear in messages and logs.
    Open,
    /// The value is a secret and is never shown.
    Secret,
}

/// What a variable's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// A setting.
    Setting,
    /// The path of a file without secrets.
    File,
    /// The path of a file that holds secrets.
    SecretFile,
}

/// The spellings of a variable's name that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    /// Upper case.
    Upper,
    /// Upper case, else lower case: variables that programs share are written in both.
    Either,
}

/// The declaration of an environment variable.
#[derive(Clone, Copy, Debug)]
pub struct Var {
    /// Name, in upper case.
    pub name: &'static str,
    /// The fallback for a missing value.
    pub fallback: Fallback,
    /// Effect, with units: one or two sentences of plain text.
    pub meaning: &'static str,
    /// Part of the configuration.
    pub group: Group,
    /// Whether the value may be shown.
    pub secrecy: Secrecy,
    /// How the name may be written.
    pub spelling: Spelling,
    /// Whether the value is the path of a file.
    pub content: Content,
}

impl Var {
    /// Declares a variable whose value may be shown.
    pub const fn new(group: Group, name: &'static str, fallback: Fallback, meaning: &'static str) -> Self {
        let (secrecy, spelling, content) = (Secrecy::Open, Spelling::Upper, Content::Setting);
        Self { name, fallback, meaning, group, secrecy, spelling, content }
    }

    /// Returns the same variable with a value that is never shown.
    #[must_use]
    pub const fn secret(self) -> Self {
        Self { secrecy: Secrecy::Secret, ..self }
    }

    /// Returns the same variable, which is read in lower case, too, where that in upper case is unset.
    #[must_use]
    pub const fn in_either_case(self) -> Self {
        Self { spelling: Spelling::Either, ..self }
    }

    /// Returns the same variable, whose value is the path of a file without secrets.
    #[must_use]
    pub const fn path(self) -> Self {
        Self { content: Content::File, ..self }
    }

    /// Returns the same variable, whose value is the path of a file that holds secrets.
    #[must_use]
    pub const fn path_of_secrets(self) -> Self {
        Self { content: Content::SecretFile, ..self }
    }

    /// Returns whether this is the variable's name in one of its spellings.
    pub fn is_named(&self, name: &str) -> bool {
        match self.spelling {
            Spelling::Upper => self.name == name,
            Spelling::Either => self.name == name || self.name.to_ascii_lowercase() == name,
        }
    }

    /// Returns the variable's value in an environment.
    pub fn value_in<'a>(&self, snapshot: &'a Snapshot) -> Option<&'a str> {
        snapshot.get(self.name).or_else(|| match self.spelling {
            Spelling::Upper => None,
            Spelling::Either => snapshot.get(&self.name.to_ascii_lowercase()),
        })
    }
}

/// A declared variable with the text that the environment has for it. Has no `Debug`: the text may be a secret.
#[derive(Clone)]
pub struct Setting {
    var: &'static Var,
    text: Option<String>,
}

impl Setting {
    /// Creates a setting of a variable and its text, `None` where it is unset.
    pub const fn new(var: &'static Var, text: Option<String>) -> Self {
        Self { var, text }
    }

    /// Returns the declaration.
    pub const fn var(&self) -> &'static Var {
        self.var
    }

    /// Returns the name, in upper case.
    pub const fn name(&self) -> &'static str {
        self.var.name
    }

    /// Returns the text that was set; `None` where the variable is unset.
    pub fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    /// Returns whether the variable was set.
    pub const fn is_set(&self) -> bool {
        self.text.is_some()
    }

    /// Returns the text that was set, otherwise the text of the fallback.
    pub fn effective(&self) -> Option<&str> {
        match (&self.text, self.var.fallback) {
            (Some(text), _) => Some(text),
            (None, Fallback::Value(text)) => Some(text),
            (None, Fallback::Says(_)) => None,
        }
    }
}
