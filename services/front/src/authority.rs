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

    /// Returns what an access token grants; `None`: it is not valid at present.
    fn verify(&self, token: &[u8]) -> Option<AccessToken>;

    /// Waits until a token is not valid any more. Cancel safe.
    fn ended(self: Arc<Self>, token: &[u8]) -> Answering<()>;

    /// Returns the value of `WWW-Authenticate` for a request whose token is not valid, or that shows none.
    fn challenge(&self, shown: Shown) -> HeaderValue;
}

/// Whether a request that is refused showed a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// It showed none.
    Nothing,
    /// It showed one that is not accepted.
    Credential,
}
