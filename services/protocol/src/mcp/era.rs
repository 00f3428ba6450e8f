//! MCP versions and the two eras that they belong to. Must not know HTTP or the link.
//!
//! Specification 2026-07-28, "Versioning and Compatibility": *legacy* versions open with `initialize`,
//! *modern* ones carry their metadata on every request.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::{Deserialize, Serialize};

/// Era of MCP that a peer speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Era {
    /// 2024-11-05 to 2025-11-25: `initialize`, sessions.
    Legacy,
    /// 2026-07-28: stateless, `server/discover`, metadata on each request.
    Modern,
}

/// Published version of MCP, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Version {
    /// First published version (HTTP+SSE transport).
    #[serde(rename = "2024-11-05")]
    V2024_11_05,
    /// Streamable HTTP; the only version with batches; assumed where a legacy client names none.
    #[serde(rename = "2025-03-26")]
    V2025_03_26,
    /// Version header, elicitation, structured results.
    #[serde(rename = "2025-06-18")]
    V2025_06_18,
    /// Last legacy version: priming event, polling, tasks.
    #[serde(rename = "2025-11-25")]
    V2025_11_25,
    /// First modern version.
    #[serde(rename = "2026-07-28")]
    V2026_07_28,
}

impl Version {
    /// Every version that the relay speaks, newest first, as `supported` and `supportedVersions` list them.
    pub const ALL: [Self; 5] =
        [Self::V2026_07_28, Self::V2025_11_25, Self::V2025_06_18, Self::V2025_03_26, Self::V2024_11_05];

    /// Newest version that opens with `initialize`.
    pub const NEWEST_LEGACY: Self = Self::V2025_11_25;

    /// Newest version of all.
    pub const NEWEST: Self = Self::V2026_07_28;

    /// Version of a legacy client that names none (2025-11-25, Transports, "Protocol Version Header").
    pub const UNNAMED: Self = Self::V2025_03_26;

    /// Reads a version from a header or message; `None` for one that the relay does not speak.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|v| v.as_str() == text)
    }

    /// Returns the date that names the version.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V2024_11_05 => "2024-11-05",
            Self::V2025_03_26 => "2025-03-26",
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
            Self::V2026_07_28 => "2026-07-28",
        }
    }

    /// Returns the era that the version belongs to.
    pub fn era(self) -> Era {
        if self >= Self::V2026_07_28 { Era::Modern } else { Era::Legacy }
    }
}

/// Name of the extension of tasks (SEP-2663), of the modern era only.
pub const TASKS: &str = "io.modelcontextprotocol/tasks";

/// Returns whether a text may name the extension of tasks.
pub fn may_name_tasks(json: &[u8]) -> bool {
    static FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(TASKS));
    FINDER.find(json).is_some()
}

/// Keys of the modern per-request metadata (2026-07-28, Overview, "Per-request protocol fields").
pub mod meta {
    /// Required on each modern request.
    pub const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
    /// Optional on each modern request.
    pub const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
    /// Required on each modern request.
    pub const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
    /// Optional on each modern request.
    pub const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
    /// On results.
    pub const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_serde_and_order_agree() {
        for version in Version::ALL {
            assert_eq!(Version::parse(version.as_str()), Some(version));
            assert_eq!(serde_json::to_string(&version).unwrap(), format!("{:?}", version.as_str()));
        }
        assert!(Version::ALL.is_sorted_by(|a, b| a > b));
        assert_eq!(Version::parse("1900-01-01"), None);
        assert_eq!(Version::NEWEST_LEGACY.era(), Era::Legacy);
        assert_eq!(Version::NEWEST.era(), Era::Modern);
    }
}
