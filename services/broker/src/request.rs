//! A request to the broker, read whole. Must not know what the paths are for.

use std::net::IpAddr;

use bytes::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, ORIGIN};
use hyper::{HeaderMap, Method, Uri};

use crate::clock::unix_now;

/// A request to the broker.
#[derive(Debug)]
pub struct BrokerRequest {
    pub(crate) method: Method,
    uri: Uri,
    headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Address of the browser or client, as far as it is known.
    pub(crate) peer: Option<IpAddr>,
    /// Arrival, in seconds since 1970.
    pub(crate) now: u64,
}

impl BrokerRequest {
    /// Takes a request's head and its body of at most [`MAX_BODY`](crate::MAX_BODY) bytes, and the client's address.
    pub fn new(request: hyper::Request<Bytes>, peer: Option<IpAddr>) -> Self {
        let (head, body) = request.into_parts();
        Self { method: head.method, uri: head.uri, headers: head.headers, body, peer, now: unix_now() }
    }

    /// The same, at another time in seconds since 1970.
    #[must_use]
    pub fn at(self, now: u64) -> Self {
        Self { now, ..self }
    }

    pub(crate) fn path(&self) -> &str {
        self.uri.path()
    }

    pub(crate) fn query(&self) -> &str {
        self.uri.query().unwrap_or_default()
    }

    /// Returns whether the body is of this media type, parameters aside.
    pub(crate) fn is_of_type(&self, wanted: &str) -> bool {
        let mut values = self.headers.get_all(CONTENT_TYPE).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return false };
        let media_type = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
        media_type.trim().eq_ignore_ascii_case(wanted)
    }

    /// Returns whether the request has credentials in its head.
    pub(crate) fn has_authorization(&self) -> bool {
        self.headers.contains_key(AUTHORIZATION)
    }

    /// Returns the cookies of this name.
    pub(crate) fn cookies<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let pairs = self.headers.get_all(COOKIE).into_iter().filter_map(|value| value.to_str().ok());
        pairs
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(move |(found, _)| *found == name)
            .map(|(_, value)| value)
    }

    /// Returns whether a browser says that a page of this origin sent the request, or says nothing.
    pub(crate) fn is_from(&self, origin: &str) -> bool {
        let mut origins = self.headers.get_all(ORIGIN).iter();
        let is_named = match (origins.next(), origins.next()) {
            (None, _) => true,
            (Some(named), None) => named.as_bytes() == origin.as_bytes(),
            (Some(_), Some(_)) => false,
        };
        let site = self.headers.get("sec-fetch-site").map(hyper::header::HeaderValue::as_bytes);
        is_named && site.is_none_or(|site| site == b"same-origin" || site == b"none")
    }
}
