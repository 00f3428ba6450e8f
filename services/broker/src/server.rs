//! The authorization server: its state, and which part answers which path. Must not know how the parts work.

use std::sync::Arc;

use bytes::Bytes;
use hyper::{Method, Response};
use runtime::follow::ReloadSignal;
use runtime::secret::SessionKeys;

use crate::attempts::Attempts;
use crate::once::Once;
use crate::passwords::Passwords;
use crate::request::BrokerRequest;
use crate::revocations::Revocations;
use crate::rotation::Rotation;
use crate::seal::Vault;
use crate::settings::BrokerSettings;
use crate::users::UserStore;
use crate::{metadata, reply};

/// The authorization server. Cheap to share behind an [`Arc`].
pub struct Broker {
    pub(crate) settings: BrokerSettings,
    pub(crate) vault: Vault,
    pub(crate) users: Arc<UserStore>,
    pub(crate) passwords: Passwords,
    pub(crate) attempts: Attempts,
    /// Codes that were redeemed at this process.
    pub(crate) codes: Once<[u8; 16]>,
    /// One-time passwords that were used at this process: the user's name and the step.
    pub(crate) steps: Once<(String, u64)>,
    pub(crate) rotation: Rotation,
    pub(crate) revocations: Revocations,
}

impl Broker {
    /// Creates a broker whose records are sealed with keys that are derived from these.
    pub fn new(settings: BrokerSettings, keys: &SessionKeys, users: Arc<UserStore>) -> Self {
        let revocations = Revocations::new(settings.revocations.clone());
        Self {
            vault: Vault::new(keys),
            users,
            passwords: Passwords::default(),
            attempts: Attempts::default(),
            codes: Once::default(),
            steps: Once::default(),
            rotation: Rotation::default(),
            revocations,
            settings,
        }
    }

    /// Replaces the keys that records are sealed with.
    pub fn replace_keys(&self, keys: &SessionKeys) {
        self.vault.replace(keys);
    }

    /// Returns the settings.
    pub fn settings(&self) -> &BrokerSettings {
        &self.settings
    }

    /// Returns whether a path is one of the broker's.
    pub fn takes(&self, path: &str) -> bool {
        Endpoint::of(path).is_some()
    }

    /// Answers a request of a path that the broker takes. Dropping the future ends the work, a hash that was begun excepted.
    pub async fn answer(&self, request: BrokerRequest) -> Response<Bytes> {
        let Some(endpoint) = Endpoint::of(request.path()) else { return reply::not_found() };
        match (endpoint, &request.method) {
            (
                Endpoint::Login | Endpoint::Consent | Endpoint::Authorize | Endpoint::Callback,
                &Method::OPTIONS,
            ) => reply::method_not_allowed(endpoint.methods()),
            (_, &Method::OPTIONS) => reply::preflight(),
            (Endpoint::Resource, &Method::GET | &Method::HEAD) => metadata::resource(&self.settings),
            (Endpoint::Metadata, &Method::GET | &Method::HEAD) => metadata::document(&self.settings),
            (Endpoint::Keys, &Method::GET | &Method::HEAD) => metadata::keys(),
            (Endpoint::Authorize, &Method::GET) => self.authorize(&request).await,
            (Endpoint::Login, &Method::POST) => self.login(&request).await,
            (Endpoint::Consent, &Method::POST) => self.consent(&request).await,
            (Endpoint::Callback, &Method::GET) => self.callback(&request).await,
            (Endpoint::Register, &Method::POST) => self.register(&request),
            (Endpoint::Token, &Method::POST) => self.token(&request),
            (Endpoint::Revoke, &Method::POST) => self.revoke(&request),
            _ => reply::method_not_allowed(endpoint.methods()),
        }
    }

    /// Returns the value of `WWW-Authenticate` for a request without a valid token (RFC 9728, 5.1; RFC 6750, 3). `error` where it showed
    /// one; `scopes` are those that it needs, none: the default ones.
    pub fn challenge(&self, error: Option<&str>, scopes: &[String]) -> String {
        let metadata = metadata::resource_url(&self.settings);
        let fits = |scope: &&String| {
            scope.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
        };
        let scopes = if scopes.is_empty() { &self.settings.default_scopes } else { scopes };
        let scope = scopes.iter().filter(fits).cloned().collect::<Vec<_>>().join(" ");
        let error = error.map(|error| format!(", error=\"{error}\"")).unwrap_or_default();
        format!("Bearer resource_metadata=\"{metadata}\", scope=\"{scope}\"{error}")
    }

    /// Follows the files of users and revocations until the future is dropped.
    pub async fn follow(&self, reload: ReloadSignal) {
        tokio::join!(self.users.follow(reload.clone()), self.revocations.follow(reload));
    }
}

impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Broker").field("issuer", &self.settings.url.issuer()).finish_non_exhaustive()
    }
}

/// What a path of the broker is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Endpoint {
    Resource,
    Metadata,
    Keys,
    Authorize,
    Login,
    Consent,
    Callback,
    Register,
    Token,
    Revoke,
}

impl Endpoint {
    fn of(path: &str) -> Option<Self> {
        Some(match path {
            "/oauth/authorize" => Self::Authorize,
            "/oauth/login" => Self::Login,
            "/oauth/consent" => Self::Consent,
            "/oauth/callback" => Self::Callback,
            "/oauth/register" => Self::Register,
            "/oauth/token" => Self::Token,
            "/oauth/revoke" => Self::Revoke,
            "/oauth/keys" => Self::Keys,
            path if metadata::is_resource_path(path) => Self::Resource,
            path if metadata::is_path(path) => Self::Metadata,
            _ => return None,
        })
    }

    fn methods(self) -> &'static str {
        match self {
            Self::Resource | Self::Metadata | Self::Keys => "GET, HEAD, OPTIONS",
            Self::Authorize | Self::Callback => "GET",
            Self::Login | Self::Consent => "POST",
            Self::Register | Self::Token | Self::Revoke => "POST, OPTIONS",
        }
    }
}
