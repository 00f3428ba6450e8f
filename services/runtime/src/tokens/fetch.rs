//! Requests to issuers: bounded in time and size, without redirects. Must not know what is asked.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, LOCATION};
use hyper::{Request, StatusCode};
use tokio::sync::OnceCell;
use url::Url;

use crate::http_client::{ClientSettings, HttpClient, Proxies};
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

/// A client of one issuer. Its TLS is set up at the first request, so that a process that asks nobody needs no trusted roots.
#[derive(Debug)]
pub struct Fetcher {
    ca: Option<PathBuf>,
    client: OnceCell<HttpClient>,
}

impl Fetcher {
    /// Returns a client that trusts the authorities of the file `ca`, else the system's.
    pub fn new(ca: Option<PathBuf>) -> Self {
        Self { ca, client: OnceCell::new() }
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

    async fn send(&self, request: hyper::http::Result<Request<Full<Bytes>>>) -> Result<Bytes, FetchError> {
        let request = request.map_err(|_| FetchError::NoAnswer("the URL cannot be asked for".to_owned()))?;
        tokio::time::timeout(TIMEOUT, self.exchange(request)).await.unwrap_or_else(|_| {
            Err(FetchError::NoAnswer(format!("no answer within {} s", TIMEOUT.as_secs())))
        })
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Bytes, FetchError> {
        let response = self.client().await?.send(request).await;
        let response = response.map_err(|error| FetchError::NoAnswer(error.to_string()))?;
        let status = response.status();
        if status.is_redirection() {
            let to = response.headers().get(LOCATION).and_then(|to| to.to_str().ok()).unwrap_or_default();
            let to = to.split(['?', '#']).next().unwrap_or_default().chars().take(200).collect();
            return Err(FetchError::Redirect { status: status.as_u16(), to });
        }
        if status != StatusCode::OK {
            return Err(FetchError::Status(status.as_u16()));
        }
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
        let unread =
            || FetchError::NoAnswer(format!("the answer broke off, or is larger than {MAX_ANSWER} bytes"));
        Ok(body.map_err(|_| unread())?.to_bytes())
    }

    async fn client(&self) -> Result<&HttpClient, FetchError> {
        let files = ClientFiles { roots: self.ca.clone(), identity: None };
        let load = async || {
            let loading = tokio::task::spawn_blocking(move || files.load());
            let tls = loading.await.map_err(|_| FetchError::NoAnswer("TLS was not set up".to_owned()))?;
            let tls = tls.map_err(|error| FetchError::NoAnswer(error.to_string()))?;
            let roots = "ca_file in the issuer's entry of AUTH_ISSUERS";
            Ok(HttpClient::new(ClientSettings { tls, roots, proxies: Proxies::from_env() }))
        };
        self.client.get_or_try_init(load).await
    }
}
