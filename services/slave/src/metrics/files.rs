//! Counts what was read again while the slave ran. Must not know what the files say.

use metrics::{Counter, counter};

use super::table::CONFIG_RELOADS;

/// A file of the configuration that is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConfigFile {
    /// `SLAVE_BACKENDS`.
    Backends,
    /// `SLAVE_CODE_FILE`.
    Code,
}

impl ConfigFile {
    fn series(self, outcome: &'static str) -> Counter {
        let file = match self {
            Self::Backends => "backends",
            Self::Code => "code",
        };
        counter!(CONFIG_RELOADS, "file" => file, "outcome" => outcome)
    }

    /// It was read again, and what it says counts.
    pub(crate) fn reloaded(self) {
        self.series("ok").increment(1);
    }

    /// It was read again and cannot be used.
    pub(crate) fn unusable(self) {
        self.series("failed").increment(1);
    }
}
