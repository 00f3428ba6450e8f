//! The codes in force while the proxy runs: authorizes slaves, and reviews grants after the codes changed. Must not know
//! sockets, links or slaves.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use runtime::secret::SecretSet;
use time::OffsetDateTime;

use super::code::InvalidCode;
use super::codes::Codes;
use super::file::CodesFile;
use super::grant::{Announced, Grant};
use super::policy::CertificateNotAllowed;

/// A file of codes whose changes are followed.
pub(crate) struct CodesSource {
    /// `SLAVE_CODES_FILE`.
    pub(crate) path: PathBuf,
    /// The codes at the start, with the file's bytes.
    pub(crate) read: (CodesFile, Vec<u8>),
}

/// Why a slave is not authorized.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccessDenied {
    /// The code is unknown, expired or not valid yet.
    #[error("{0}")]
    Code(InvalidCode),
    /// The slave presented no certificate that its code names.
    #[error("{0}")]
    Certificate(#[from] CertificateNotAllowed),
}

/// The result of comparing an earlier grant with the codes in force.
#[derive(Debug)]
pub(crate) enum Review {
    /// The grant stands as it is.
    Unchanged,
    /// The code allows something else now.
    Changed(Box<Grant>),
    /// The code exists no more.
    Removed,
    /// The code has expired, or its validity was moved into the future.
    Expired,
    /// The code names other certificates than the slave's.
    CertificateNotAllowed,
}

/// The codes in force.
pub(crate) struct CodeStore {
    listed: SecretSet,
    current: ArcSwap<Codes>,
}

impl CodeStore {
    /// A store of the `listed` codes (`SLAVE_CODES`), which never change, and those of the file as it is now.
    pub(crate) fn new(listed: SecretSet, file: Option<&CodesFile>) -> Arc<Self> {
        let current = ArcSwap::from_pointee(Codes::new(&listed, file));
        Arc::new(Self { listed, current })
    }

    /// Returns the codes in force.
    pub(crate) fn current(&self) -> Arc<Codes> {
        self.current.load_full()
    }

    /// Replaces the codes of the file, and returns the number of all codes.
    pub(crate) fn replace_file(&self, file: &CodesFile) -> usize {
        let codes = Codes::new(&self.listed, Some(file));
        let count = codes.len();
        self.current.store(Arc::new(codes));
        count
    }

    /// Returns the grant of a slave that presents this code and a certificate with this digest, and says this of itself.
    pub(crate) fn authorize(
        &self,
        code: &str,
        certificate: Option<[u8; 32]>,
        announced: Announced,
    ) -> Result<Grant, AccessDenied> {
        let (digest, policy) =
            self.current.load().find(code, OffsetDateTime::now_utc()).map_err(AccessDenied::Code)?;
        policy.check_certificate(certificate)?;
        Ok(Grant::new(digest, policy, announced).with_certificate(certificate))
    }

    /// Compares a grant with the codes in force.
    pub(crate) fn review(&self, grant: &Grant) -> Review {
        match self.current.load().policy(grant.code(), OffsetDateTime::now_utc()) {
            Ok(policy) if *policy == *grant.policy() => Review::Unchanged,
            Ok(policy) if policy.check_certificate(grant.certificate()).is_err() => {
                Review::CertificateNotAllowed
            }
            Ok(policy) => Review::Changed(Box::new(grant.with_policy(policy))),
            Err(InvalidCode::Unknown) => Review::Removed,
            Err(InvalidCode::NotYetValid(_) | InvalidCode::Expired(_)) => Review::Expired,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(yaml: &str) -> CodesFile {
        CodesFile::parse(yaml).unwrap()
    }

    #[test]
    fn a_review_tells_what_a_changed_file_means_for_a_grant() {
        let store = CodeStore::new(SecretSet::default(), Some(&file("- {code: a, name: x}")));
        let labels = [("region".to_owned(), "eu".to_owned())].into();
        let grant =
            store.authorize("a", Some([0x11; 32]), Announced { labels, ..Announced::default() }).unwrap();
        assert!(
            grant.labels.is_empty() && grant.beyond.len() == 1,
            "a named code allows the labels that it lists"
        );
        assert!(matches!(store.review(&grant), Review::Unchanged));
        store.replace_file(&file("- {code: a, name: y}"));
        assert!(
            matches!(store.review(&grant), Review::Changed(grant) if grant.identity().name() == Some("y"))
        );
        store.replace_file(&file("- {code: a, labels: {allow: {}}}"));
        assert!(matches!(store.review(&grant), Review::Changed(grant) if grant.labels.is_empty()));
        let named = |digit: &str| file(&format!("- {{code: a, certificate: 'sha256:{}'}}", digit.repeat(64)));
        store.replace_file(&named("1"));
        assert!(matches!(store.review(&grant), Review::Changed(_)));
        assert!(store.authorize("a", Some([0x11; 32]), Announced::default()).is_ok());
        for other in [None, Some([0x22; 32])] {
            let denied = store.authorize("a", other, Announced::default());
            assert!(matches!(denied, Err(AccessDenied::Certificate(_))), "{other:?}");
        }
        store.replace_file(&named("2"));
        assert!(matches!(store.review(&grant), Review::CertificateNotAllowed));
        store.replace_file(&file("- {code: a, not_after: '2020-01-01T00:00:00Z'}"));
        assert!(matches!(store.review(&grant), Review::Expired));
        assert_eq!(store.replace_file(&file("- {code: b}")), 1);
        assert!(matches!(store.review(&grant), Review::Removed));
        assert!(matches!(
            store.authorize("a", None, Announced::default()),
            Err(AccessDenied::Code(InvalidCode::Unknown))
        ));
    }
}
