//! The identity of a caller. Must not know where a key stands in a request.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use policy::Requester;
use protocol::link::identity::Identity;
use runtime::keys::Key;
use runtime::tls::ClientCertificate;
use sha2::{Digest, Sha256};

/// A caller by proof: a digest of issuer and subject of a token, of the name of the presented key, of the key itself where it has no name, or
/// [`Self::ANYONE`] where no key was presented.
///
/// Session ids are bound to the principal: a stolen token is of no use to the holder of another key, and a key that
/// replaces another of the same name keeps the sessions. Each kind of identity is digested with a prefix of its own
/// ([`Key::identity_of_name`]).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Principal([u8; 32]);

impl Principal {
    /// Every caller without a key.
    pub const ANYONE: Self = Self([0; 32]);

    /// The holder of a key.
    pub fn of(key: &Key) -> Self {
        Self(key.identity())
    }

    /// The holder of a token: its issuer and subject.
    pub fn of_identity(identity: &Identity) -> Self {
        let issuer = identity.issuer.as_deref().unwrap_or_default();
        let digest = Sha256::new()
            .chain_update(b"mcp-relay identity 1\0token:")
            .chain_update((issuer.len() as u64).to_be_bytes())
            .chain_update(issuer.as_bytes())
            .chain_update(identity.subject.as_bytes());
        Self(digest.finalize().into())
    }

    /// The same, who has shown a certificate with these names as well; where nothing else was shown, the certificate alone.
    fn with_certificate(self, names: &[String]) -> Self {
        let start = Sha256::new().chain_update(b"mcp-relay identity 1\0certificate:").chain_update(self.0);
        let digest = names.iter().fold(start, |digest, name| {
            digest.chain_update((name.len() as u64).to_be_bytes()).chain_update(name.as_bytes())
        });
        Self(digest.finalize().into())
    }

    /// The digest that stands for the caller; zeros for [`Self::ANYONE`].
    pub fn digest(&self) -> [u8; 32] {
        self.0
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Principal([redacted])")
    }
}

/// Access token that was found valid.
#[derive(Debug)]
pub struct AccessToken {
    /// Who its bearer is.
    pub identity: Identity,
    /// What its bearer may do, as its issuer says.
    pub scopes: Vec<String>,
    /// Seconds since 1970 from which on it is not valid.
    pub expires: u64,
}

impl From<&runtime::tokens::AccessToken> for AccessToken {
    fn from(token: &runtime::tokens::AccessToken) -> Self {
        let holder = token.identity();
        let identity = Identity {
            issuer: Some(holder.issuer.clone()),
            subject: holder.subject.clone(),
            name: holder.name.clone(),
            groups: holder.groups.clone(),
            certificate: Vec::new(),
        };
        Self { identity, scopes: holder.scopes.clone(), expires: token.end().unwrap_or(u64::MAX) }
    }
}

/// The sender of a request that was let in.
#[derive(Clone, Debug, Default)]
pub struct Credential {
    /// The key that was presented; `None` where none is asked for.
    pub key: Option<Arc<Key>>,
    /// The access token that was presented.
    pub token: Option<Arc<AccessToken>>,
    /// The certificate that was shown on the connection.
    pub certificate: Option<Arc<ClientCertificate>>,
}

impl Credential {
    /// A sender of whom no credential was asked.
    pub const ANONYMOUS: Self = Self { key: None, token: None, certificate: None };

    /// Returns the id of the key for the audit stream; `None` where no key was asked for.
    pub fn key_id(&self) -> Option<String> {
        self.key.as_deref().map(|key| key.id().to_owned())
    }

    /// The holder of a key.
    pub fn of_key(key: Arc<Key>) -> Self {
        Self { key: Some(key), ..Self::default() }
    }

    /// The holder of a token.
    pub fn of_token(token: AccessToken) -> Self {
        Self { token: Some(Arc::new(token)), ..Self::default() }
    }

    /// Returns the names in the certificate; empty without one.
    fn certificate_names(&self) -> &[String] {
        self.certificate.as_deref().map_or(&[], ClientCertificate::names)
    }

    /// Returns the sender as rules of the policy see it.
    pub fn requester(&self) -> Requester<'_> {
        let key = self.key.as_deref();
        let mut requester = Requester {
            key: key.map(|key| Cow::Borrowed(key.name().unwrap_or(key.id()))),
            groups: key.map(Key::groups).unwrap_or_default().into(),
            certificate: self.certificate_names().into(),
            ..Requester::default()
        };
        if let Some(token) = self.token.as_deref() {
            let Identity { issuer, subject, groups, .. } = &token.identity;
            requester.issuer = issuer.as_deref().map(Cow::Borrowed);
            requester.subject = Some(Cow::Borrowed(subject));
            requester.groups = groups.as_slice().into();
            requester.scopes = token.scopes.as_slice().into();
        }
        requester
    }

    /// Returns the identity that sessions and calls belong to.
    pub fn principal(&self) -> Principal {
        let shown = self.shown();
        match &self.certificate {
            Some(certificate) => shown.with_certificate(certificate.names()),
            None => shown,
        }
    }

    /// The holder of the token or key.
    fn shown(&self) -> Principal {
        match (&self.token, &self.key) {
            (Some(token), _) => Principal::of_identity(&token.identity),
            (None, Some(key)) => Principal::of(key),
            (None, None) => Principal::ANYONE,
        }
    }

    /// Returns the identity whose use limits count: that of the token or key, else that of the certificate. A client that shows a
    /// certificate beside its key, or another one, is no further client.
    pub fn counted_principal(&self) -> Principal {
        let has_text = self.token.is_some() || self.key.is_some();
        if has_text { self.shown() } else { self.principal() }
    }

    /// Returns who the sender is. `None`: nobody proved it, or the key has no name.
    pub fn identity(&self) -> Option<Box<Identity>> {
        let certificate = self.certificate_names();
        let by_text = match (&self.token, &self.key) {
            (Some(token), _) => Some(token.identity.clone()),
            (None, Some(key)) => key.name().map(|name| Identity {
                subject: name.to_owned(),
                groups: key.groups().to_vec(),
                ..Identity::default()
            }),
            (None, None) => None,
        };
        match by_text {
            Some(identity) => Some(Box::new(Identity { certificate: certificate.to_vec(), ..identity })),
            None => Identity::of_certificate(certificate).map(Box::new),
        }
    }

    /// Returns who the sender is where it has shown nothing but a certificate.
    pub fn identity_by_certificate(&self) -> Option<Identity> {
        let is_alone = self.key.is_none() && self.token.is_none();
        Identity::of_certificate(self.certificate_names()).filter(|_| is_alone)
    }

    /// Returns what the sender's token lets it do; empty for keys.
    pub fn scopes(&self) -> &[String] {
        self.token.as_deref().map_or(&[], |token| &token.scopes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_one_name_are_one_principal_and_nothing_secret_is_formatted() {
        let named = |key: &str, name: &str| Principal::of(&Key::of(key).named(name));
        assert_eq!(named("hush1", "ci"), named("hush2", "ci"));
        assert_ne!(named("hush1", "ci"), named("hush1", "cd"));
        assert_ne!(Principal::of(&Key::of("hush1")), Principal::of(&Key::of("hush2")));
        assert_ne!(Principal::of(&Key::of("hush1")), named("hush1", "ci"));
        assert_eq!(format!("{:?}", named("hush1", "ci")), "Principal([redacted])");
        let credential = Credential::of_key(Arc::new(Key::of("hush1")));
        assert!(!format!("{credential:?}").contains("hush"));
        assert_eq!(Credential::ANONYMOUS.principal(), Principal::ANYONE);
    }

    #[test]
    fn issuer_and_subject_of_a_token_are_the_principal_whatever_name_and_groups_say() {
        let identity = |issuer: &str, subject: &str| Identity {
            issuer: Some(issuer.to_owned()),
            subject: subject.to_owned(),
            ..Identity::default()
        };
        let of = |identity: &Identity| Principal::of_identity(identity);
        let ada = identity("https://id", "ada");
        let renamed = Identity { name: Some("A".into()), groups: vec!["g".into()], ..ada.clone() };
        assert_eq!(of(&ada), of(&renamed));
        assert_ne!(of(&ada), of(&identity("https://id", "bob")));
        assert_ne!(of(&ada), of(&identity("https://idada", "")));
        assert_ne!(of(&identity("", "ci")), Principal::of(&Key::of("k").named("ci")));
        let token = AccessToken { identity: ada.clone(), scopes: vec!["s".into()], expires: 0 };
        let credential = Credential::of_token(token);
        assert_eq!((credential.principal(), credential.scopes()), (of(&ada), &["s".to_owned()][..]));
    }

    #[test]
    fn a_key_with_a_name_is_an_identity_and_one_without_is_none() {
        let of = |key: Key| Credential::of_key(Arc::new(key)).identity();
        assert_eq!(of(Key::of("hush")), None);
        let named = of(Key::of("hush").named("ci").grouped(vec!["dev".into()])).unwrap();
        assert_eq!((named.subject.as_str(), &named.groups[..]), ("ci", &["dev".to_owned()][..]));
    }
}
