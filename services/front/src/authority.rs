//! The authorization server beside the edge: it answers paths of its own, and the access tokens that it issued let clients in. Must not
//! know how it works.

use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use axum::http::{HeaderValue, Request, Response};
use bytes::Bytes;

use crate::principal::AccessToken;

/// Work of an [`Authority`].
pub type Answering<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// An authorization server on the clients' port. Clients then need a credential: a token of it, or a key.
pub trait Authority: fmt::Debug + Send + Sync + 'static {
    /// Returns whether a path is one of its own.
    fn takes(&self, path: &str) -> bool;

    /// Returns the longest body of a request that it reads, in bytes.
    fn max_body(&self) -> usize;

    /// Answers a request of such a path; `peer` is the client as far as it is known. Dropping the future ends the work.
    fn answer(self: Arc<Self>, request: Request<Bytes>, peer: Option<IpAddr>) -> Answering<Response<Bytes>>;

    /// Returns whether a text has the form of its access tokens, valid or not.
    fn is_token(&self, text: &[u8]) -> bool;

    /// Returns what an access token grants, and its end; `None`: it is not valid at present.
    fn verify(self: Arc<Self>, token: &[u8]) -> Option<Issued>;

    /// The issuer of its tokens, a URL.
    fn issuer(&self) -> &str;

    /// The scopes that clients are told of at first.
    fn default_scopes(&self) -> &[String];

    /// Returns the value of `WWW-Authenticate` for a request whose credential is not accepted, with an error of RFC 6750, or which shows
    /// none. `scopes`: those that are missing; none: those that clients are told of at first.
    fn challenge(&self, error: Option<&str>, scopes: &[String]) -> HeaderValue;
}

/// A valid access token.
#[derive(Debug)]
pub struct Issued {
    /// What it grants.
    pub token: AccessToken,
    /// Its end.
    pub end: Box<dyn TokenEnd>,
}

/// The end of a token's validity.
pub trait TokenEnd: fmt::Debug + Send {
    /// Waits for it. Cancel safe.
    fn wait(&mut self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}
