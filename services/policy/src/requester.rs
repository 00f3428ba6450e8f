//! The identity of a client, as rules tell clients apart. Must not know how it was proven.

use std::borrow::Cow;

use protocol::link::identity::Identity;

/// A client by what was proven of it. The default is a client that has shown nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Requester<'a> {
    /// Name of the key; id of one without a name.
    pub key: Option<Cow<'a, str>>,
    /// Issuer of the token.
    pub issuer: Option<Cow<'a, str>>,
    /// Subject of the token, unique at its issuer.
    pub subject: Option<Cow<'a, str>>,
    /// Groups.
    pub groups: Cow<'a, [String]>,
    /// Scopes of the token.
    pub scopes: Cow<'a, [String]>,
    /// Names in the client's certificate.
    pub certificate: Cow<'a, [String]>,
}

impl Requester<'_> {
    /// Returns the client of a call by what its header says of it.
    pub fn of(identity: &Identity) -> Requester<'_> {
        let Identity { issuer, subject, groups, certificate, .. } = identity;
        let certified = Requester {
            groups: groups.as_slice().into(),
            certificate: certificate.as_slice().into(),
            ..Requester::default()
        };
        let subject = Cow::Borrowed(subject.as_str());
        match issuer.as_deref() {
            _ if identity.is_by_certificate() => certified,
            None => Requester { key: Some(subject), ..certified },
            Some(issuer) => {
                Requester { issuer: Some(Cow::Borrowed(issuer)), subject: Some(subject), ..certified }
            }
        }
    }

    /// Returns whether anything was proven.
    pub fn is_authenticated(&self) -> bool {
        self.key.is_some() || self.subject.is_some() || !self.certificate.is_empty()
    }

    /// Returns the same identity with texts of its own.
    pub fn into_owned(self) -> Requester<'static> {
        let own = |text: Option<Cow<'_, str>>| text.map(|text| Cow::Owned(text.into_owned()));
        Requester {
            key: own(self.key),
            issuer: own(self.issuer),
            subject: own(self.subject),
            groups: Cow::Owned(self.groups.into_owned()),
            scopes: Cow::Owned(self.scopes.into_owned()),
            certificate: Cow::Owned(self.certificate.into_owned()),
        }
    }
}
