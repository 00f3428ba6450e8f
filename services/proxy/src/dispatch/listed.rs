//! What the API says of tools' names: who owns each, and why some are not shown as their slaves wrote them. Must not know pools.

use protocol::mcp::kind::Kind;
use serde::Serialize;

use super::offer::Offer;
use super::ownership::{Collision, Reason};

/// A tool as clients see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Listed {
    /// The clients' name.
    pub(crate) name: String,
    /// The slaves' own name.
    pub(crate) own_name: String,
    /// Identity of the provider whose texts are shown: name of its code, or key id.
    pub(crate) owner: String,
    /// Slave whose texts are shown.
    pub(crate) slave: String,
    /// Number of slaves that share the calls.
    pub(crate) slaves: usize,
}

/// A name under which slaves offer different tools, or that is promised to somebody else.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Conflict {
    pub(crate) kind: &'static str,
    /// The slaves' own name.
    pub(crate) name: String,
    /// `differs`, `exclusive` or `taken`.
    pub(crate) reason: &'static str,
    /// Name of the code that provides the tool exclusively.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) exclusive: Option<String>,
    /// The names to be called.
    pub(crate) shown: Vec<String>,
    /// The slaves whose tool is not shown at all.
    pub(crate) left_out: Vec<Provider>,
}

/// A slave and who it is by proof.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Provider {
    pub(crate) slave: String,
    /// Name of its code, or key id.
    pub(crate) identity: String,
}

impl Conflict {
    /// Describes a collision of the offers under this name.
    pub(super) fn new(kind: Kind, name: &str, collision: &Collision, offers: &[Offer<'_>]) -> Self {
        let (reason, exclusive) = match &collision.reason {
            Reason::Differs => ("differs", None),
            Reason::Exclusive(code) => ("exclusive", Some(code.clone())),
            Reason::Taken => ("taken", None),
        };
        let provider = |number: &usize| {
            let offer = offers.get(*number)?;
            Some(Provider { slave: offer.slave.to_owned(), identity: offer.identity.to_string() })
        };
        let left_out = collision.left_out.iter().filter_map(provider).collect();
        let (name, shown) = (name.to_owned(), collision.shown.clone());
        Self { kind: kind.as_str(), name, reason, exclusive, shown, left_out }
    }

    /// Explains why the name is not called as its slaves wrote it.
    pub(super) fn explain(&self) -> String {
        let name = &self.name;
        let why = match (self.reason, &self.exclusive) {
            ("taken", _) => return format!("{name} is another {}'s shown name", self.kind),
            (_, Some(code)) => format!("only slaves of the code {code:?} offer {name}"),
            _ => format!("{name}: slaves offer different {}s under this name", self.kind),
        };
        if self.shown.is_empty() {
            format!("{why}, and TOOL_CONFLICT=refuse lists none")
        } else {
            format!("{why}; use {}", self.shown.join(" or "))
        }
    }
}
