//! The properties of one call that rules match on, read from the client's message only when a rule asks for them. Must
//! not know rules.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use front::calls::{CallContext, HeaderMap};
use serde_json::value::RawValue;

use super::pointer::member;

/// The client of a call, as rules tell clients apart.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ClientIdentity<'a> {
    /// The key that was presented.
    Key {
        /// Digest of the key's name, or of the key where it has none.
        identity: [u8; 32],
        /// SHA-256 digest of the key.
        digest: [u8; 32],
    },
    /// A name of the section `clients:`, for explanations.
    Named(&'a str),
    /// No key was presented.
    Anonymous,
}

impl ClientIdentity<'_> {
    /// Returns the identity of a call's client.
    pub(crate) fn of(context: &CallContext<'_>) -> Self {
        context
            .key()
            .map_or(Self::Anonymous, |key| Self::Key { identity: key.identity(), digest: key.digest() })
    }
}

/// One call as rules see it. The message is parsed when a rule asks for the arguments, and only once.
pub(crate) struct MatchInput<'a> {
    pub(super) client: ClientIdentity<'a>,
    pub(super) headers: &'a HeaderMap,
    /// Decoded `Mcp-Param-*` headers of a modern client: names in lower case, without the prefix.
    pub(super) params: &'a BTreeMap<String, String>,
    message: &'a [u8],
    arguments: OnceCell<Option<&'a RawValue>>,
}

impl<'a> MatchInput<'a> {
    /// `message` is the client's whole JSON-RPC request.
    pub(crate) fn new(
        client: ClientIdentity<'a>,
        headers: &'a HeaderMap,
        params: &'a BTreeMap<String, String>,
        message: &'a [u8],
    ) -> Self {
        Self { client, headers, params, message, arguments: OnceCell::new() }
    }

    /// Returns the raw text of `params.arguments`.
    pub(super) fn arguments(&self) -> Option<&'a RawValue> {
        *self.arguments.get_or_init(|| {
            let message = std::str::from_utf8(self.message).ok()?;
            member(member(message, "params")?.get(), "arguments")
        })
    }
}
