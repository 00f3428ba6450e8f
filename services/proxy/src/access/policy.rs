//! The policy of a code: name, labels, tools and bounds that it gives its holder, and its time of validity. Must not know the code
//! itself.

use std::sync::Arc;

use protocol::mcp::catalog::CatalogEntry;
use runtime::glob::Glob;
use time::OffsetDateTime;

use super::code::{CodeDigest, InvalidCode};
use super::code_limits::CodeLimits;
use super::identity::Identity;
use super::labels::{LabelRules, Unlisted};
use super::provision::{Provided, Provision};

/// Largest weight of a slave whose code has a name and whose entry sets none, in percent.
const NAMED_WEIGHT: u32 = 100;

/// Largest weight of a slave whose code has no name, in percent.
const UNNAMED_WEIGHT: u32 = 1000;

/// The rights that a code gives its holder. The default allows every tool and label at any time and gives no name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CodePolicy {
    /// `name` of the entry.
    pub(super) name: Option<Arc<str>>,
    pub(super) labels: LabelRules,
    /// Tools that the slave may offer. `None`: any.
    pub(super) tools: Option<Vec<Glob>>,
    /// Limits of what its holders may take from the proxy.
    pub(super) limits: CodeLimits,
    /// Tools that the code provides together with other codes, or alone.
    pub(super) provide: Vec<Provision>,
    /// Largest weight in percent.
    pub(super) weight: Option<u32>,
    /// Largest number of calls at once.
    pub(super) capacity: Option<u32>,
    /// Digests of the certificates one of which the slave must present. `None`: any, or none at all.
    pub(super) certificates: Option<Vec<[u8; 32]>>,
    pub(super) not_before: Option<OffsetDateTime>,
    pub(super) not_after: Option<OffsetDateTime>,
}

/// Why a tool of a slave is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ToolDenied {
    /// `tools` of the code's entry does not name it.
    NotAllowed,
    /// Its definition is not one of those that the code's entry pins.
    OtherDefinition,
}

impl ToolDenied {
    /// All reasons.
    pub(crate) const ALL: [Self; 2] = [Self::NotAllowed, Self::OtherDefinition];

    /// All reasons, as values of a label.
    pub(crate) const LABELS: [&'static str; 2] = [Self::NotAllowed.label(), Self::OtherDefinition.label()];

    /// Returns the stable name of the reason.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::NotAllowed => "not_allowed",
            Self::OtherDefinition => "other_definition",
        }
    }
}

/// A slave presented no certificate that its code names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the slave's code needs a client certificate that was not presented")]
pub(crate) struct CertificateNotAllowed;

impl CodePolicy {
    /// Returns whether the code names certificates.
    pub(crate) fn needs_certificate(&self) -> bool {
        self.certificates.is_some()
    }

    /// Checks the digest of the certificate that the slave presented.
    pub(super) fn check_certificate(&self, presented: Option<[u8; 32]>) -> Result<(), CertificateNotAllowed> {
        match &self.certificates {
            Some(named) if !presented.is_some_and(|digest| named.contains(&digest)) => {
                Err(CertificateNotAllowed)
            }
            _ => Ok(()),
        }
    }

    /// Returns the name of the code, which logs and metrics show.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Returns the identity of whoever presents the code with this digest.
    pub(super) fn identity_of(&self, code: CodeDigest) -> Identity {
        self.name.as_ref().map_or(Identity::Unnamed(code), |name| Identity::Named(Arc::clone(name)))
    }

    /// Returns the time from which on the code is not valid any more.
    pub(crate) fn not_after(&self) -> Option<OffsetDateTime> {
        self.not_after
    }

    /// Returns whether the code becomes valid or expires after `before` and no later than `now`.
    pub(crate) fn changes_between(&self, before: OffsetDateTime, now: OffsetDateTime) -> bool {
        [self.not_before, self.not_after].into_iter().flatten().any(|change| before < change && change <= now)
    }

    /// Checks that the code is valid at `now`.
    pub(super) fn check_validity(&self, now: OffsetDateTime) -> Result<(), InvalidCode> {
        match (self.not_before, self.not_after) {
            (Some(from), _) if now < from => Err(InvalidCode::NotYetValid(from)),
            (_, Some(end)) if now >= end => Err(InvalidCode::Expired(end)),
            _ => Ok(()),
        }
    }

    /// Returns what holds for labels where the entry has no list of allowed ones.
    pub(super) fn unlisted_labels(&self) -> Unlisted {
        if self.name.is_some() { Unlisted::Ignored } else { Unlisted::Allowed }
    }

    /// Returns the largest weight that the slave may have, in percent.
    pub(super) fn max_weight(&self) -> u32 {
        self.weight.unwrap_or(if self.name.is_some() { NAMED_WEIGHT } else { UNNAMED_WEIGHT })
    }

    /// Checks that the slave may offer this tool with this definition.
    pub(super) fn check_tool(&self, tool: &CatalogEntry) -> Result<(), ToolDenied> {
        if self.tools.as_ref().is_some_and(|tools| !tools.iter().any(|pattern| pattern.matches(&tool.name))) {
            return Err(ToolDenied::NotAllowed);
        }
        let pins: Vec<_> = self.provisions(&tool.name).flat_map(|item| &item.digests).collect();
        let is_pinned = pins.is_empty() || tool.digest.is_some_and(|digest| pins.contains(&&digest));
        if is_pinned { Ok(()) } else { Err(ToolDenied::OtherDefinition) }
    }

    /// Returns how the code provides a tool. `None`: `provide` does not name it.
    pub(super) fn provided(&self, tool: &str) -> Option<Provided> {
        let mut items = self.provisions(tool).peekable();
        items.peek()?;
        let exclusive = items.any(|item| item.provided == Provided::Exclusive);
        Some(if exclusive { Provided::Exclusive } else { Provided::Shared })
    }

    fn provisions(&self, tool: &str) -> impl Iterator<Item = &Provision> {
        self.provide.iter().filter(move |item| item.tool.matches(tool))
    }
}

#[cfg(test)]
mod tests {
    use protocol::mcp::catalog::Catalog;

    use super::*;

    fn tool(definition: &str) -> CatalogEntry {
        let mut catalog = Catalog::decode(format!("{{\"tools\":[{definition}]}}").as_bytes()).unwrap();
        CatalogEntry::clone(&catalog.tools.remove(0))
    }

    #[test]
    fn a_named_certificate_must_be_presented() {
        let policy = CodePolicy { certificates: Some(vec![[1; 32], [2; 32]]), ..CodePolicy::default() };
        for (presented, allowed) in
            [(None, false), (Some([1; 32]), true), (Some([2; 32]), true), (Some([3; 32]), false)]
        {
            assert_eq!(policy.check_certificate(presented).is_ok(), allowed, "{presented:?}");
        }
        assert!(CodePolicy::default().check_certificate(None).is_ok());
    }

    #[test]
    fn tools_are_allowed_by_name_or_prefix() {
        let tools = Some(vec![Glob::new("echo"), Glob::new("git_*")]);
        let policy = CodePolicy { tools, ..CodePolicy::default() };
        for (name, allowed) in [("echo", true), ("echo2", false), ("git_log", true), ("git", false)] {
            let checked = policy.check_tool(&tool(&format!("{{\"name\":\"{name}\"}}")));
            assert_eq!(checked, allowed.then_some(()).ok_or(ToolDenied::NotAllowed), "{name}");
        }
        assert_eq!(CodePolicy::default().check_tool(&tool("{\"name\":\"anything\"}")), Ok(()));
    }

    #[test]
    fn a_pinned_tool_is_allowed_with_one_of_its_definitions_only() {
        let (pinned, changed) =
            (tool(r#"{"name":"t","description":"a"}"#), tool(r#"{"name":"t","description":"b"}"#));
        let item = |digests| Provision { tool: Glob::new("t"), provided: Provided::Shared, digests };
        let policy = |provide| CodePolicy { provide, ..CodePolicy::default() };
        let one = policy(vec![item(vec![pinned.digest.unwrap()])]);
        assert_eq!(
            one.check_tool(&tool(r#"{"description":"a", "name":"t"}"#)),
            Ok(()),
            "another order of members"
        );
        assert_eq!(one.check_tool(&changed), Err(ToolDenied::OtherDefinition));
        let unreadable = tool(r#"{"name":"t","description":"a","description":"a"}"#);
        assert_eq!(one.check_tool(&unreadable), Err(ToolDenied::OtherDefinition));
        assert_eq!(one.check_tool(&tool(r#"{"name":"u"}"#)), Ok(()));
        let both = policy(vec![item(vec![pinned.digest.unwrap()]), item(vec![changed.digest.unwrap()])]);
        assert_eq!((both.check_tool(&pinned), both.check_tool(&changed)), (Ok(()), Ok(())));
        assert_eq!(policy(vec![item(Vec::new())]).check_tool(&unreadable), Ok(()));
    }

    #[test]
    fn weights_are_bounded_by_the_kind_of_the_code_unless_the_entry_says_otherwise() {
        let named = CodePolicy { name: Some("office".into()), ..CodePolicy::default() };
        assert_eq!((named.max_weight(), CodePolicy::default().max_weight()), (100, 1000));
        assert_eq!(CodePolicy { weight: Some(250), ..named }.max_weight(), 250);
    }
}
