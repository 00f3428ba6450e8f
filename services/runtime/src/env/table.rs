//! What one variable is: the declaration that reading, `--help` and docs/CONFIGURATION.md share.

/// What holds when a variable is unset (or empty).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// This text is read in its place.
    Value(&'static str),
    /// Nothing is read; the text says what happens then.
    Says(&'static str),
}

/// Which part of the configuration a variable belongs to.
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
    /// Its name.
    pub name: &'static str,
    /// Without a value.
    pub fallback: Fallback,
    /// What it does, with units; one sentence or two, plain text.
    pub meaning: &'static str,
    /// Where it belongs.
    pub group: Group,
    /// Whether its value may be shown.
    pub secrecy: Secrecy,
}

impl Var {
    /// A variable whose value may be shown.
    pub const fn new(group: Group, name: &'static str, fallback: Fallback, meaning: &'static str) -> Self {
        Self { name, fallback, meaning, group, secrecy: Secrecy::Open }
    }

    /// The same, but its value is never shown.
    #[must_use]
    pub const fn secret(self) -> Self {
        Self { secrecy: Secrecy::Secret, ..self }
    }
}
