//! Parameters and results of the handlers of HTTP requests. Must not know messages.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::{HeaderMap, Response};
use protocol::mcp::failure::Failure;

use super::era::detect::era_by_header;
use super::response::Refusal;
use super::response_body::ResponseBody;
use crate::calls::CallContext;
use crate::client::Client;
use crate::edge::Edge;
use crate::principal::{Credential, Principal};

/// HTTP request from an accepted origin and sender.
pub(crate) struct RequestContext<'a, C> {
    pub(crate) edge: &'a Arc<Edge<C>>,
    pub(crate) headers: &'a HeaderMap,
    /// Key of the sender.
    pub(crate) credential: Credential,
    /// Identity that the key stands for.
    pub(crate) principal: Principal,
    /// Address of the client, where it is known.
    pub(crate) peer: Option<IpAddr>,
}

impl<C> RequestContext<'_, C> {
    /// Returns the part of the request that calls are dispatched by.
    pub(crate) fn call_context(&self) -> CallContext<'_> {
        CallContext {
            principal: self.principal,
            credential: &self.credential,
            headers: self.headers,
            peer: self.peer,
        }
    }

    /// Returns the client as limits count it.
    pub(crate) fn client(&self) -> Option<Client> {
        Client::of(self.call_context().counted_principal(), self.peer)
    }

    /// Returns a refusal for a request whose id is not known, or that has none.
    pub(crate) fn refusal(&self, failure: Failure) -> Refusal {
        Refusal { failure, era: era_by_header(self.headers), id: None }
    }
}

/// Response of a handler, or the refusal to make one of.
pub(crate) type HandlerResult<S> = Result<Response<ResponseBody<S>>, Refusal>;

/// Component that counts a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CountedBy {
    /// The edge, under this label, since it answered the request itself.
    Edge(&'static str),
    /// The implementation of `Calls`, since the request became a call.
    Calls,
}

/// Result of handling one request, with the component that counts it.
pub(crate) struct Handled<S> {
    pub(crate) result: HandlerResult<S>,
    pub(crate) counted_by: CountedBy,
}

impl<S> Handled<S> {
    /// Result of a request that the edge answered itself. `label` comes from a bounded set.
    pub(crate) fn by_edge(label: &'static str, result: HandlerResult<S>) -> Self {
        Self { result, counted_by: CountedBy::Edge(label) }
    }

    /// Result of a request that became a call.
    pub(crate) fn by_calls(result: HandlerResult<S>) -> Self {
        Self { result, counted_by: CountedBy::Calls }
    }
}
