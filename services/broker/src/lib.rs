//! The OAuth broker: the authorization server that MCP clients expect (OAuth 2.1; RFC 6749, 7009, 7591, 7636, 8414, 8707, 9207), for the
//! users of a file. It stores nothing: client ids, codes and tokens are sealed records, so that any replica serves any step.
//!
//! Must not know MCP, nor what serves its paths.

mod access;
mod address;
mod attempts;
mod authorize;
mod browser;
mod callback;
mod client;
mod consent;
mod documents;
mod fault;
mod form;
mod grant;
mod login;
mod metadata;
mod once;
mod pages;
mod passwords;
mod provider;
mod redirect;
mod register;
mod reply;
mod request;
mod revocations;
mod revoke;
mod rotation;
mod seal;
mod settings;
#[cfg(test)]
mod tests;
mod token;
pub mod users;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hyper::{Method, Response};
use runtime::follow::ReloadSignal;
use runtime::secret::SessionKeys;

pub use access::Access;
pub use documents::{DocumentHosts, Documents};
pub use grant::Subject;
pub use passwords::hash as hash_password;
pub use provider::{Provider, ProviderSettings};
pub use request::BrokerRequest;
pub use revocations::{Revocations, RevocationsFile};
pub use settings::{BrokerSettings, PublicUrl};

use attempts::Attempts;
use once::Once;
use passwords::Passwords;
use rotation::Rotation;
use seal::Vault;
use users::UserStore;

/// Longest body of a request that the broker reads, in bytes.
pub const MAX_BODY: usize = 64 * 1024;

/// The authorization server. Cheap to share behind an [`Arc`].
pub struct Broker {
    settings: BrokerSettings,
    vault: Vault,
    users: Arc<UserStore>,
    passwords: Passwords,
    attempts: Attempts,
    /// Codes that were redeemed at this process.
    codes: Once<[u8; 16]>,
    /// One-time passwords that were used at this process: the user's name and the step.
    steps: Once<(String, u64)>,
    rotation: Rotation,
    revocations: Arc<Revocations>,
}

impl Broker {
    /// Creates a broker whose records are sealed with keys that are derived from these.
    pub fn new(settings: BrokerSettings, keys: &SessionKeys, users: Arc<UserStore>) -> Self {
        let revocations = Arc::new(Revocations::new(settings.revocations.clone()));
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
    /// one; `scopes` are those that it needs, none: all.
    pub fn challenge(&self, error: Option<&str>, scopes: &[String]) -> String {
        let metadata = metadata::resource_url(&self.settings);
        let fits = |scope: &&String| {
            scope.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
        };
        let scopes = if scopes.is_empty() { &self.settings.scopes } else { scopes };
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

/// The time, in seconds since 1970.
fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
