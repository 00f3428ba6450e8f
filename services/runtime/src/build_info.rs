//! Which program this is: what its build was told. Must not know who shows it.

/// Version of the workspace.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Source revision: `MCP_RELAY_REVISION` of the build, else `unknown`.
pub const REVISION: &str = match option_env!("MCP_RELAY_REVISION") {
    Some(revision) if !revision.is_empty() => revision,
    _ => "unknown",
};

/// Build profile.
pub const PROFILE: &str = if cfg!(debug_assertions) { "debug" } else { "release" };
