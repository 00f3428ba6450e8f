//! Which program this is, in words: for `--version` and bundles of `mcp-relay diagnose`.

use std::env::consts::{ARCH, OS};
use std::fmt::Write;

use protocol::link::handshake::VERSIONS;
use protocol::mcp::era::Version;
use runtime::build_info::{PROFILE, REVISION, VERSION};

/// What the program was built with that not every build has.
const FEATURES: &[&str] = &[
    "tls (rustls, aws-lc-rs)",
    "traces (OTLP over gRPC and HTTP)",
    if cfg!(target_os = "linux") { "confinement (Landlock)" } else { "no confinement of backends" },
];

/// Returns version, revision, profile and platform on one line.
pub(crate) fn short() -> String {
    format!("{VERSION} (revision {REVISION}, {PROFILE}, {ARCH} {OS})")
}

/// Returns the same, and what the program can, a line each.
pub(crate) fn long() -> String {
    let list = |items: Vec<String>| items.join(", ");
    let mut text = short();
    let rows = [
        ("features", FEATURES.join(", ")),
        ("MCP", list(Version::ALL.iter().map(|version| version.as_str().to_owned()).collect())),
        ("link", list(VERSIONS.iter().map(|version| format!("version {version}")).collect())),
    ];
    for (name, value) in rows {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n{:10}{value}", format!("{name}:"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_begin_with_the_version_and_name_the_revision() {
        assert!(short().starts_with(&format!("{VERSION} (revision ")) && !short().contains('\n'));
        let long = long();
        assert!(long.starts_with(&short()), "{long}");
        for line in ["\nfeatures: tls", "\nMCP:      2024-11-05, ", "\nlink:     version "] {
            assert!(long.contains(line), "{line}: {long}");
        }
    }
}
