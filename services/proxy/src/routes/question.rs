//! What a rule may ask about a call, read from the client's message only when it is asked. Must not know rules.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use front::Principal;
use front::calls::HeaderMap;
use serde_json::value::RawValue;

use super::pointer::member;

/// Who calls.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Who<'a> {
    /// By the SHA-256 digest of the key that was shown.
    Key([u8; 32]),
    /// By a name of the file: for explanations.
    Named(&'a str),
    /// Nobody in particular.
    Anyone,
}

impl Who<'_> {
    /// Whoever showed a key, or none.
    pub(crate) fn of(who: Principal) -> Self {
        if who == Principal::ANYONE { Self::Anyone } else { Self::Key(who.digest()) }
    }
}

/// One call, as rules see it. Nothing is parsed before it is asked for, and then once.
pub(crate) struct Question<'a> {
    pub(super) who: Who<'a>,
    pub(super) headers: &'a HeaderMap,
    /// Modern: decoded `Mcp-Param-*` headers, lower case, without the prefix.
    pub(super) params: &'a BTreeMap<String, String>,
    message: &'a [u8],
    arguments: OnceCell<Option<&'a RawValue>>,
}

impl<'a> Question<'a> {
    /// `message` is the client's whole JSON-RPC request.
    pub(crate) fn new(
        who: Who<'a>,
        (headers, params): (&'a HeaderMap, &'a BTreeMap<String, String>),
        message: &'a [u8],
    ) -> Self {
        Self { who, headers, params, message, arguments: OnceCell::new() }
    }

    /// `params.arguments`, as it stands.
    pub(super) fn arguments(&self) -> Option<&'a RawValue> {
        *self.arguments.get_or_init(|| {
            let message = std::str::from_utf8(self.message).ok()?;
            member(member(message, "params")?.get(), "arguments")
        })
    }
}
