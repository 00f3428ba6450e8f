//! The grant of a slave: what its code allows it, applied to the labels that the slave announced. Must not know links.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::code::CodeDigest;
use super::policy::{CodePolicy, LabelNotAllowed};

/// The rights of an authenticated slave: identity, labels and tools. Replaced as a whole when the codes change, while its link stays up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Grant {
    /// The code that the slave presented.
    code: CodeDigest,
    policy: Arc<CodePolicy>,
    /// Digest of the certificate that the slave presented.
    certificate: Option<[u8; 32]>,
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
        Ok(Self { code, policy, certificate: None, announced, labels })
    }

    /// Returns the same grant of a slave that presented a certificate with this digest.
    #[must_use]
    pub(super) fn with_certificate(self, certificate: Option<[u8; 32]>) -> Self {
        Self { certificate, ..self }
    }

    pub(super) fn certificate(&self) -> Option<[u8; 32]> {
        self.certificate
    }

    /// A grant of everything, with these labels.
    #[cfg(test)]
    pub(crate) fn unrestricted(labels: BTreeMap<String, String>) -> Self {
        Self { announced: labels.clone(), labels, ..Self::default() }
    }

    /// Returns the grant of the same slave under another policy of its code.
    pub(super) fn with_policy(&self, policy: Arc<CodePolicy>) -> Result<Self, LabelNotAllowed> {
        let grant = Self::new(self.code, policy, self.announced.clone())?;
        Ok(grant.with_certificate(self.certificate))
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

    /// Returns the identity that the code gives its holder.
    pub(crate) fn identity(&self) -> Option<&str> {
        self.policy.identity()
    }

    /// Returns the identity for log lines: `-` where the code gives none.
    pub(crate) fn identity_or_dash(&self) -> &str {
        self.identity().unwrap_or("-")
    }
}
