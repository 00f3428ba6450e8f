//! The grant of a slave: what its code allows it, applied to the labels that the slave announced. Must not know links.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::code::CodeDigest;
use super::code_limits::CodeLimits;
use super::identity::Identity;
use super::policy::{CodePolicy, LabelNotAllowed};

/// The rights of an authenticated slave: identity, labels and tools. Replaced as a whole when the codes change, while its link stays up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Grant {
    /// The code that the slave presented.
    code: CodeDigest,
    policy: Arc<CodePolicy>,
    identity: Identity,
    /// Labels as the slave announced them.
    announced: BTreeMap<String, String>,
    /// Labels in force: the announced ones and those that the code forces.
    pub(crate) labels: BTreeMap<String, String>,
}

impl Grant {
    /// Grants what `policy` allows to a slave that announced these labels. Fails where a label is not allowed.
    pub(super) fn new(
        code: CodeDigest,
        policy: Arc<CodePolicy>,
        announced: BTreeMap<String, String>,
    ) -> Result<Self, LabelNotAllowed> {
        let labels = policy.labels(&announced)?;
        let identity = policy.identity_of(code);
        Ok(Self { code, policy, identity, announced, labels })
    }

    /// A grant of everything, with these labels.
    #[cfg(test)]
    pub(crate) fn unrestricted(labels: BTreeMap<String, String>) -> Self {
        Self { announced: labels.clone(), labels, ..Self::default() }
    }

    /// Returns the grant of the same slave under another policy of its code.
    pub(super) fn with_policy(&self, policy: Arc<CodePolicy>) -> Result<Self, LabelNotAllowed> {
        Self::new(self.code, policy, self.announced.clone())
    }

    pub(super) fn code(&self) -> CodeDigest {
        self.code
    }

    pub(super) fn policy(&self) -> &CodePolicy {
        &self.policy
    }

    /// Returns whether the slave may offer a tool with this name.
    pub(crate) fn allows_tool(&self, name: &str) -> bool {
        self.policy.allows_tool(name)
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
