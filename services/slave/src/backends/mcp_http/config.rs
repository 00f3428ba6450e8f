//! The configuration of an MCP server that is reached over HTTP. Must not know requests.

use hyper::header::HeaderName;
use runtime::secret::Secret;
use runtime::tls::ClientFiles;
use url::Url;

/// The transport that a server is spoken to with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HttpTransport {
    /// Streamable HTTP (2025-03-26 and later), in both eras.
    #[default]
    Streamable,
    /// HTTP with an endpoint for events (2024-11-05).
    Events,
}

/// The address of a server, and how it is spoken to.
#[derive(Clone, Debug)]
pub struct HttpServer {
    /// The endpoint, `http` or `https`, without credentials. May have a secret in its query.
    pub url: Url,
    /// The transport.
    pub transport: HttpTransport,
    /// Headers of each request. All values count as secrets.
    pub headers: Vec<(HeaderName, Secret)>,
    /// Authorities that are trusted, and the certificate that is presented.
    pub tls: ClientFiles,
    /// The audience of tokens that tell it who the client of a request is; `None`: it gets none.
    pub audience: Option<String>,
}

impl HttpServer {
    /// Returns whether both are the same server, spoken to in the same way.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let Self { url, transport, headers, tls, audience } = self;
        let same = |((name, value), other): (&(HeaderName, Secret), &(HeaderName, Secret))| {
            *name == other.0 && value.expose() == other.1.expose()
        };
        *url == other.url
            && *transport == other.transport
            && *tls == other.tls
            && *audience == other.audience
            && headers.len() == other.headers.len()
            && headers.iter().zip(&other.headers).all(same)
    }
}
