//! The grant of a slave: what its code allows it, applied to what the slave announced. Must not know links.

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::link::handshake::{REVIEW_DEFAULTS, SlaveHello};
use protocol::mcp::catalog::CatalogEntry;

use super::code::CodeDigest;
use super::code_limits::CodeLimits;
use super::identity::{Identity, TrustDomain};
use super::policy::{CodePolicy, ToolDenied};
use super::provision::Provided;

/// Weight of a slave that announces none, in percent.
const DEFAULT_WEIGHT: u32 = 100;

/// Most ignored labels that are reported one by one.
const MAX_REPORTED: usize = 20;

/// What a slave says of itself in its hello.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Announced {
    pub(crate) labels: BTreeMap<String, String>,
    /// Percent; 0: not announced.
    pub(crate) weight: u32,
    /// Calls at once; 0: any number.
    pub(crate) capacity: u32,
}

impl From<&SlaveHello> for Announced {
    fn from(hello: &SlaveHello) -> Self {
        Self { labels: hello.labels.clone(), weight: hello.weight, capacity: hello.capacity }
    }
}

/// The rights of an authenticated slave. Replaced as a whole when the codes change, while its link stays up.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    /// The code that the slave presented.
    code: CodeDigest,
    policy: Arc<CodePolicy>,
    /// Digest of the certificate that the slave presented.
    certificate: Option<[u8; 32]>,
    identity: Identity,
    announced: Announced,
    /// Labels in force: those that the code forces, and the announced ones that it allows.
    pub(crate) labels: BTreeMap<String, String>,
    /// Weight in force, in percent.
    pub(crate) weight: u32,
    /// Calls at once that are in force; 0: any number.
    pub(crate) capacity: u32,
    /// What the slave announced beyond what its code allows, in words.
    pub(crate) beyond: Vec<String>,
    /// Whether the labels in force have all [`REVIEW_DEFAULTS`] that the slave announced.
    allows_defaults: bool,
}

/// The slaves with which a slave may share the calls of a tool, if their input schemas are equal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum PoolDomain {
    /// The slaves of the own trust domain.
    Own(TrustDomain),
    /// The slaves of all codes that name the tool under `provide`.
    Shared,
}

impl Grant {
    /// Grants what `policy` allows to a slave that announced this.
    pub(super) fn new(code: CodeDigest, policy: Arc<CodePolicy>, announced: Announced) -> Self {
        let labels = policy.labels.apply(&announced.labels, policy.unlisted_labels());
        let max_weight = policy.max_weight();
        let weight = if announced.weight == 0 { DEFAULT_WEIGHT } else { announced.weight }.min(max_weight);
        let capacity = match (policy.capacity, announced.capacity) {
            (None, capacity) => capacity,
            (Some(most), 0) => most,
            (Some(most), capacity) => capacity.min(most),
        };
        let mut beyond: Vec<String> = labels
            .ignored
            .iter()
            // A slave announces these by itself, so that the operator has nothing to correct.
            .filter(|(key, _)| !REVIEW_DEFAULTS.contains(&key.as_str()))
            .take(MAX_REPORTED)
            .map(|(key, value)| format!("label {key:?}={value:?} is ignored"))
            .collect();
        if labels.ignored.len() > MAX_REPORTED {
            beyond.push(format!("{} more labels are ignored", labels.ignored.len() - MAX_REPORTED));
        }
        if announced.weight > max_weight {
            beyond.push(format!("weight {} is cut to {max_weight}", announced.weight));
        }
        if capacity < announced.capacity {
            beyond.push(format!("capacity {} is cut to {capacity}", announced.capacity));
        }
        let allows_defaults = !REVIEW_DEFAULTS.iter().any(|key| labels.ignored.contains_key(*key));
        let identity = policy.identity_of(code);
        Self {
            code,
            policy,
            certificate: None,
            identity,
            announced,
            labels: labels.in_force,
            weight,
            capacity,
            beyond,
            allows_defaults,
        }
    }

    /// Returns whether the labels in force have every default project of reviews that the slave announced.
    pub(crate) fn allows_defaults(&self) -> bool {
        self.allows_defaults
    }

    /// Returns the same grant of a slave that presented a certificate with this digest.
    #[must_use]
    pub(super) fn with_certificate(self, certificate: Option<[u8; 32]>) -> Self {
        Self { certificate, ..self }
    }

    pub(super) fn certificate(&self) -> Option<[u8; 32]> {
        self.certificate
    }

    /// The grant of an unnamed code.
    #[cfg(test)]
    pub(crate) fn unrestricted(announced: Announced) -> Self {
        Self::new(CodeDigest::default(), Arc::default(), announced)
    }

    /// Returns the grant of the same slave under another policy of its code.
    pub(super) fn with_policy(&self, policy: Arc<CodePolicy>) -> Self {
        Self::new(self.code, policy, self.announced.clone()).with_certificate(self.certificate)
    }

    pub(super) fn code(&self) -> CodeDigest {
        self.code
    }

    pub(super) fn policy(&self) -> &CodePolicy {
        &self.policy
    }

    /// Checks that the slave may offer this tool with this definition.
    pub(crate) fn check_tool(&self, tool: &CatalogEntry) -> Result<(), ToolDenied> {
        self.policy.check_tool(tool)
    }

    /// Returns with whom the slave may share the calls of a tool.
    pub(crate) fn pool_domain(&self, tool: &str) -> PoolDomain {
        match (self.identity.name(), self.policy.provided(tool)) {
            (Some(_), Some(Provided::Shared)) => PoolDomain::Shared,
            _ => PoolDomain::Own(self.identity.domain()),
        }
    }

    /// Returns the limits of what the code's holders may take from the proxy.
    pub(crate) fn limits(&self) -> &CodeLimits {
        &self.policy.limits
    }

    /// Returns the identity that the code proves.
    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Returns the key id of the code: 128 bits of its digest in hex. Two codes of one name have two.
    pub(crate) fn key_id(&self) -> String {
        self.code.key_id()
    }
}

impl Default for Grant {
    /// What an unnamed code grants a slave that announces nothing; of no code.
    fn default() -> Self {
        Self::new(CodeDigest::default(), Arc::default(), Announced::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(policy: CodePolicy, weight: u32, capacity: u32) -> Grant {
        let labels = BTreeMap::from([("env".to_owned(), "production".to_owned())]);
        Grant::new(CodeDigest::default(), Arc::new(policy), Announced { labels, weight, capacity })
    }

    #[test]
    fn what_a_slave_says_of_itself_is_bounded_by_its_code() {
        let named = CodePolicy { name: Some("office".into()), ..CodePolicy::default() };
        let got = grant(named.clone(), u32::MAX, 50);
        assert_eq!((got.weight, got.capacity, got.labels.len()), (100, 50, 0));
        assert_eq!(
            got.beyond,
            [
                "label \"env\"=\"production\" is ignored".to_owned(),
                format!("weight {} is cut to 100", u32::MAX),
            ]
        );
        let bounded = CodePolicy { weight: Some(200), capacity: Some(4), ..named };
        let got = grant(bounded.clone(), 150, 50);
        assert_eq!((got.weight, got.capacity), (150, 4));
        assert!(got.beyond.contains(&"capacity 50 is cut to 4".to_owned()), "{:?}", got.beyond);
        assert_eq!(grant(bounded, 0, 0).capacity, 4, "no limit is more than any limit");
        let unnamed = grant(CodePolicy::default(), 1001, 0);
        assert_eq!((unnamed.weight, unnamed.capacity, unnamed.labels.len()), (1000, 0, 1));
        assert_eq!(grant(CodePolicy::default(), 0, 0).beyond, Vec::<String>::new());
        let lower = grant(CodePolicy { weight: Some(10), ..CodePolicy::default() }, 0, 0);
        assert_eq!((lower.weight, lower.beyond.len()), (10, 0), "a default is not an announcement");
    }
}
