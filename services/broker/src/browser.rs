//! The cookie that binds the steps of a sign-in to one browser. Must not know the steps.
//!
//! Each form carries a sealed record with the id of the browser that it was made for, so that no other page and no other browser can
//! send it.

use serde::{Deserialize, Serialize};

use crate::grant::random_text;
use crate::request::BrokerRequest;
use crate::seal::Purpose;
use crate::server::Broker;

/// How long a cookie is valid, in seconds.
const LIFETIME: u64 = 24 * 3600;

#[derive(Serialize, Deserialize)]
struct Record {
    #[serde(rename = "i")]
    id: String,
    #[serde(rename = "x")]
    expires: u64,
}

/// A browser, and the cookie that it is to be given, if it has none yet.
pub(crate) struct Browser {
    pub(crate) id: String,
    pub(crate) cookie: Option<String>,
}

impl Broker {
    /// The name of the cookie. With TLS no other host, and no page without TLS, can set it.
    pub(crate) fn cookie_name(&self) -> &'static str {
        if self.settings.url.is_secure() { "__Host-mcp-relay-browser" } else { "mcp-relay-browser" }
    }

    /// Returns the id of the browser that sent a request, if it has a valid cookie.
    pub(crate) fn known_browser(&self, request: &BrokerRequest) -> Option<String> {
        let mut records = request
            .cookies(self.cookie_name())
            .filter_map(|text| self.vault.open::<Record>(Purpose::Browser, text));
        records.find(|record| record.expires > request.now).map(|record| record.id)
    }

    /// Returns the browser that sent a request, a new one where it has no valid cookie; `None` only if the system has no random numbers.
    pub(crate) fn browser(&self, request: &BrokerRequest) -> Option<Browser> {
        if let Some(id) = self.known_browser(request) {
            return Some(Browser { id, cookie: None });
        }
        let id = random_text()?;
        let record = Record { id: id.clone(), expires: request.now.saturating_add(LIFETIME) };
        let text = self.vault.seal(Purpose::Browser, &record)?;
        let cookie = self.cookie(self.cookie_name(), &text, LIFETIME);
        Some(Browser { id, cookie: Some(cookie) })
    }

    /// Returns the value of `Set-Cookie` for a cookie that lasts so many seconds; 0 removes it.
    pub(crate) fn cookie(&self, name: &str, value: &str, lifetime: u64) -> String {
        let secure = if self.settings.url.is_secure() { "; Secure" } else { "" };
        format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={lifetime}{secure}")
    }
}
