//! Arguments that `mcp-relay doctor` and `mcp-relay diagnose` share. Must not know what is checked.

use clap::ValueEnum;

/// Mode that the doctor checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DoctorMode {
    /// A proxy's configuration
    Proxy,
    /// A slave's configuration
    Slave,
    /// The standalone server's configuration
    Standalone,
}
