//! Declared environment variables: the tables that reading, `--help` and docs/CONFIGURATION.md share.
//!
//! Knows no variable by name.

/// The value that stands in for an unset (or empty) variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// This text is read instead.
    Value(&'static str),
    /// Nothing is read; the text says what happens then.
    Says(&'static str),
}

/// The part of the configuration that a variable belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Chooses the mode.
    Mode,
    /// Proxy, slave and standalone server.
    Every,
    /// The proxy.
    Proxy,
    /// The slave, and the standalone server where it makes sense there.
    Slave,
    /// Handed on to a program that the slave runs.
    PassedOn,
}

/// Whether a value may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrecy {
    /// In messages and logs.
    Open,
    /// Never anywhere.
    Secret,
}

/// One environment variable.
#[derive(Clone, Copy, Debug)]
pub struct Var {
    /// Name, in upper case.
    pub name: &'static str,
    /// Stands in for a missing value.
    pub fallback: Fallback,
    /// Effect, with units: one or two sentences of plain text.
    pub meaning: &'static str,
    /// Part of the configuration.
    pub group: Group,
    /// Whether the value may be shown.
    pub secrecy: Secrecy,
}

impl Var {
    /// A variable whose value may be shown.
    pub const fn new(group: Group, name: &'static str, fallback: Fallback, meaning: &'static str) -> Self {
        Self { name, fallback, meaning, group, secrecy: Secrecy::Open }
    }

    /// The same variable with a value that is never shown.
    #[must_use]
    pub const fn secret(self) -> Self {
        Self { secrecy: Secrecy::Secret, ..self }
    }
}

/// A declared variable with the text that the environment has for it. Has no `Debug`: the text may be a secret.
#[derive(Clone)]
pub struct Setting {
    var: &'static Var,
    text: Option<String>,
}

impl Setting {
    /// A variable and its text, `None` where it is unset.
    pub const fn new(var: &'static Var, text: Option<String>) -> Self {
        Self { var, text }
    }

    /// The declaration.
    pub const fn var(&self) -> &'static Var {
        self.var
    }

    /// The name, in upper case.
    pub const fn name(&self) -> &'static str {
        self.var.name
    }

    /// The text that was set; `None` where the variable is unset.
    pub fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    /// Whether the variable has a text of its own.
    pub const fn is_set(&self) -> bool {
        self.text.is_some()
    }

    /// The text that counts: the one that was set, else the fallback's.
    pub fn effective(&self) -> Option<&str> {
        match (&self.text, self.var.fallback) {
            (Some(text), _) => Some(text),
            (None, Fallback::Value(text)) => Some(text),
            (None, Fallback::Says(_)) => None,
        }
    }
}
