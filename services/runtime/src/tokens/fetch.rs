//! Requests to issuers: bounded in time and size, without redirects. Must not know what is asked.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::Request;
use hyper::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, WWW_AUTHENTICATE,
};
use tokio::sync::OnceCell;
use url::Url;

use crate::http_client::{ClientSettings, HttpClient, Protocols};
use crate::outbound::OutboundRules;
use crate::tls::ClientFiles;

/// Longest time of one request, the connection included.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of an answer.
const MAX_ANSWER: usize = 512 * 1024;

/// Why an issuer gave no answer, in words that may be logged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// No answer that could be read.
    #[error("{0}")]
    NoAnswer(String),
    /// An answer with another status than 200.
    #[error("status {0}")]
    Status(u16),
    /// An answer that leads elsewhere, which is not followed.
    #[error("status {status}, a redirect to {to}, which is not followed")]
    Redirect {
        /// Status.
        status: u16,
        /// Where it leads, without query.
        to: String,
    },
}

/// What a URL answers, whatever its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Status.
    pub status: u16,
    /// `WWW-Authenticate`.
    pub challenge: Option<String>,
    /// Where a redirect leads.
    pub location: Option<String>,
    /// Body.
    pub body: Bytes,
}

/// A client of one issuer. Its TLS is set up at the first request, so that a process that asks nobody needs no trusted roots.
#[derive(Debug)]
pub struct Fetcher {
    ca: Option<PathBuf>,
    ways: OutboundRules,
    client: OnceCell<HttpClient>,
}

impl Fetcher {
    /// Returns a client that trusts the authorities of the file `ca`, else the system's, and goes out by these ways.
    pub fn new(ca: Option<PathBuf>, ways: OutboundRules) -> Self {
        Self { ca, ways, client: OnceCell::new() }
    }

    /// Gets the JSON at a URL. Cancel safe.
    ///
    /// # Errors
    /// There is no answer with status 200 within ten seconds.
    pub async fn get(&self, url: &Url) -> Result<Bytes, FetchError> {
        let request = Request::get(url.as_str()).header(ACCEPT, "application/json");
        self.send(request.body(Full::default())).await
    }

    /// Posts a form with Basic authentication; `authorization` is the header's value. Cancel safe.
    ///
    /// # Errors
    /// As of [`Self::get`].
    pub(super) async fn post(
        &self,
        url: &Url,
        authorization: HeaderValue,
        form: String,
    ) -> Result<Bytes, FetchError> {
        let request = Request::post(url.as_str())
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(AUTHORIZATION, authorization);
        self.send(request.body(Full::from(form))).await
    }

    /// Asks a URL and returns what it answers, whatever its status. Cancel safe.
    ///
    /// # Errors
    /// There is no answer within ten seconds.
    pub async fn probe(&self, url: &Url) -> Result<Probe, FetchError> {
        let request = Request::get(url.as_str()).header(ACCEPT, "application/json, text/event-stream");
        self.answer(request.body(Full::default())).await
    }

    async fn send(&self, request: hyper::http::Result<Request<Full<Bytes>>>) -> Result<Bytes, FetchError> {
        let Probe { status, location, body, .. } = self.answer(request).await?;
        match (status, location) {
            (200, _) => Ok(body),
            (300..=399, to) => {
                let to = to.unwrap_or_default();
                let to = to.split(['?', '#']).next().unwrap_or_default().chars().take(200).collect();
                Err(FetchError::Redirect { status, to })
            }
            _ => Err(FetchError::Status(status)),
        }
    }

    async fn answer(&self, request: hyper::http::Result<Request<Full<Bytes>>>) -> Result<Probe, FetchError> {
        let request = request.map_err(|_| FetchError::NoAnswer("the URL cannot be asked for".to_owned()))?;
        let exchange = async {
            let response = self.client().await?.send(request).await;
            let (head, body) =
                response.map_err(|error| FetchError::NoAnswer(error.to_string()))?.into_parts();
            let text = |name: HeaderName| {
                head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
            };
            let (challenge, location) = (text(WWW_AUTHENTICATE), text(LOCATION));
            let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(|_| {
                FetchError::NoAnswer(format!("the answer broke off, or is larger than {MAX_ANSWER} bytes"))
            })?;
            Ok(Probe { status: head.status.as_u16(), challenge, location, body: body.to_bytes() })
        };
        let late = || FetchError::NoAnswer(format!("no answer within {} s", TIMEOUT.as_secs()));
        tokio::time::timeout(TIMEOUT, exchange).await.unwrap_or_else(|_| Err(late()))
    }

    async fn client(&self) -> Result<&HttpClient, FetchError> {
        let extra_roots = self.ways.extra_roots().map(Path::to_owned);
        let files = ClientFiles { roots: self.ca.clone(), extra_roots, identity: None };
        let load = async || {
            let loading = tokio::task::spawn_blocking(move || files.load());
            let tls = loading.await.map_err(|_| FetchError::NoAnswer("TLS was not set up".to_owned()))?;
            let tls = tls.map_err(|error| FetchError::NoAnswer(error.to_string()))?;
            let roots = "ca_file in the issuer's entry of AUTH_ISSUERS";
            let ways = self.ways.clone();
            Ok(HttpClient::new(ClientSettings {
                tls: Some(tls),
                roots,
                identity: None,
                protocols: Protocols::Both,
                ways,
            }))
        };
        self.client.get_or_try_init(load).await
    }
}
