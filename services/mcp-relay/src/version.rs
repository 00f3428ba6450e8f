//! Which program this is, in words: for `--version` and bundles of `mcp-relay diagnose`.

use std::env::consts::{ARCH, OS};
use std::sync::LazyLock;

use protocol::link::handshake::VERSIONS;
use protocol::mcp::era::Version;
use runtime::build_info::{PROFILE, REVISION, VERSION};

/// What the program was built with that not every build has.
const FEATURES: &[&str] = &[
    "tls (rustls, aws-lc-rs)",
    "traces (OTLP over gRPC and HTTP)",
    if cfg!(target_os = "linux") { "confinement (Landlock)" } else { "no confinement of backends" },
];

/// Version, revision, profile and platform on one line.
static SHORT: LazyLock<String> =
    LazyLock::new(|| format!("{VERSION} (revision {REVISION}, {PROFILE}, {ARCH} {OS})"));

static LONG: LazyLock<String> = LazyLock::new(|| {
    let mcp: Vec<&str> = Version::ALL.iter().map(|version| version.as_str()).collect();
    let link: Vec<String> = VERSIONS.iter().map(|version| format!("version {version}")).collect();
    format!(
        "{}\nfeatures: {}\nMCP:      {}\nlink:     {}",
        *SHORT,
        FEATURES.join(", "),
        mcp.join(", "),
        link.join(", ")
    )
});

/// Returns version, revision, profile and platform on one line.
pub(crate) fn short() -> &'static str {
    &SHORT
}

/// Returns the same, and what the program can, a line each.
pub(crate) fn long() -> &'static str {
    &LONG
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_begin_with_the_version_and_name_the_revision() {
        assert!(short().starts_with(&format!("{VERSION} (revision ")) && !short().contains('\n'));
        let long = long();
        assert!(long.starts_with(short()), "{long}");
        for line in ["\nfeatures: tls", "\nMCP:      2026-07-28, ", "\nlink:     version "] {
            assert!(long.contains(line), "{line}: {long}");
        }
    }
}
