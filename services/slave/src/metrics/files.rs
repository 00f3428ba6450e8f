//! Counts files of the configuration that were read again, and records them in the audit stream. Must not know their content.

use metrics::{counter, gauge};
use runtime::audit;

use super::table::{CONFIG_RELOADS, REFUSED};

/// A file of the configuration that is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConfigFile {
    /// `SLAVE_BACKENDS`.
    Backends,
    /// `SLAVE_TOOLS`.
    Tools,
    /// `SLAVE_CODE_FILE`.
    Code,
    /// `SLAVE_POLICY`.
    Policy,
    /// `IDENTITY_KEY_FILE`.
    IdentityKeys,
    /// A file of client, operator or session keys, by its label.
    Keys(&'static str),
}

impl ConfigFile {
    fn label(self) -> &'static str {
        match self {
            Self::Backends => "backends",
            Self::Tools => "tools",
            Self::Code => "code",
            Self::Policy => "policy",
            Self::IdentityKeys => "identity_keys",
            Self::Keys(label) => label,
        }
    }

    fn record(self, outcome: &'static str) {
        let file = self.label();
        counter!(CONFIG_RELOADS, "file" => file, "outcome" => outcome).increment(1);
        audit::record_reload(file, outcome);
    }

    /// Counts a reload whose content is in use now.
    pub(crate) fn record_reload(self) {
        self.record("ok");
    }

    /// Counts a reload whose content cannot be used.
    pub(crate) fn record_failed_reload(self) {
        self.record("failed");
    }
}

/// Sets the number of entries of a file that cannot be used.
pub(crate) fn set_refused(file: ConfigFile, entries: usize) {
    gauge!(REFUSED, "file" => file.label()).set(entries as f64);
}
