//! The progress token of a call, decoded for comparison. Must not know notifications.

use std::ops::Range;

use crate::mcp::envelope::{self, Message};
use crate::mcp::scan::{Observer, Scanner, ValueKind};

/// Progress token that a client gave with its request: a string or a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgressToken {
    is_string: bool,
    /// Decoded text of a string; a number as it stands.
    text: Box<[u8]>,
}

impl ProgressToken {
    /// Reads the token out of a client's whole JSON-RPC request; `None` if it has none.
    pub fn of_request(message: &[u8]) -> Option<Self> {
        let Ok(Message::Request { params, .. }) = envelope::parse(message) else { return None };
        Self::parse(params.meta?.progress_token?.get())
    }

    /// Reads the token's JSON; `None` if it is neither a string nor a number.
    pub fn parse(json: &str) -> Option<Self> {
        let (mut scanner, mut collector) = (Scanner::new(), Collector::default());
        scanner.feed(json.as_bytes(), &mut collector).ok()?;
        scanner.finish(&mut collector).ok()?;
        let is_string = match collector.kind? {
            ValueKind::String => true,
            ValueKind::Number => false,
            ValueKind::Object | ValueKind::Array | ValueKind::Literal => return None,
        };
        Some(Self { is_string, text: collector.text.into() })
    }
}

/// Observer of the outermost value only.
#[derive(Default)]
struct Collector {
    kind: Option<ValueKind>,
    text: Vec<u8>,
}

impl Observer for Collector {
    fn watches(&self, depth: usize) -> bool {
        depth == 0
    }
    fn begin(&mut self, _: usize, kind: ValueKind, _: usize) {
        self.kind = Some(kind);
    }
    fn text(&mut self, part: &[u8]) {
        self.text.extend_from_slice(part);
    }
    fn end_key(&mut self, _: usize, _: Range<usize>) {}
    fn end_value(&mut self, _: usize, _: usize) {}
}

/// Comparison of a value that comes in pieces with a token.
#[derive(Debug)]
pub(super) struct TokenMatch {
    /// Bytes that are equal so far; `None`: the value differs.
    equal: Option<usize>,
}

impl TokenMatch {
    /// A comparison with nothing, which no value passes.
    pub(super) const NONE: Self = Self { equal: None };

    pub(super) fn begin(kind: ValueKind, token: Option<&ProgressToken>) -> Self {
        let wanted = token.map(|token| if token.is_string { ValueKind::String } else { ValueKind::Number });
        Self { equal: (wanted == Some(kind)).then_some(0) }
    }

    pub(super) fn text(&mut self, part: &[u8], token: Option<&ProgressToken>) {
        let rest = self.equal.zip(token).and_then(|(equal, token)| token.text.get(equal..));
        self.equal = match (self.equal, rest) {
            (Some(equal), Some(rest)) if rest.starts_with(part) => Some(equal + part.len()),
            _ => None,
        };
    }

    /// Returns whether the whole value equals the token.
    pub(super) fn is_whole(&self, token: Option<&ProgressToken>) -> bool {
        self.equal.is_some() && self.equal == token.map(|token| token.text.len())
    }
}
