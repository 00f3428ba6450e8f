//! What is known of a message from its outermost members: which there are, and whether those that identify it are right. Must not know
//! pieces.

use std::ops::Range;

use crate::mcp::call_message::kinds::{CALL_REQUESTS, CallEvent};
use crate::mcp::call_message::members::{
    Member, NOT_OF_A_NOTIFICATION, NOT_OF_A_REQUEST, folds_to, is_disguised, is_integer,
};
use crate::mcp::call_message::rules::{CallRules, MessageFault, MessageShape};
use crate::mcp::call_message::token::TokenMatch;
use crate::mcp::era::Era;
use crate::mcp::scan::{Observer, ValueKind};

/// Longest key or value that is compared with a known one, in bytes.
const MAX_TEXT: usize = 128;

/// Text of a key or value, as far as it can be a known one.
#[derive(Debug)]
struct Text {
    bytes: [u8; MAX_TEXT],
    /// Beyond [`MAX_TEXT`]: the text is none of the known ones.
    length: usize,
}

impl Text {
    fn push(&mut self, part: &[u8]) {
        let end = self.length.saturating_add(part.len());
        if let Some(free) = self.bytes.get_mut(self.length..end) {
            free.copy_from_slice(part);
        }
        self.length = end;
    }

    /// Returns the text; empty if it is too long.
    fn get(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// What is known of a message.
#[derive(Debug)]
pub(super) struct Facts {
    shape: MessageShape,
    outermost: Option<ValueKind>,
    /// Bits of the members seen.
    seen: u16,
    /// A member that the check looks at stands twice, for readers that regard case or for others.
    repeated: bool,
    /// Member under way, and the form of its value.
    member: Member,
    kind: Option<ValueKind>,
    text: Text,
    /// Bits of the members whose values are what they have to be.
    right: u16,
    method: Option<&'static CallEvent>,
    /// The key under way in `params` is `progressToken`.
    at_token: bool,
    token: TokenMatch,
}

impl Facts {
    pub(super) const fn new(shape: MessageShape) -> Self {
        Self {
            shape,
            outermost: None,
            seen: 0,
            repeated: false,
            member: Member::Other,
            kind: None,
            text: Text { bytes: [0; MAX_TEXT], length: 0 },
            right: 0,
            method: None,
            at_token: false,
            token: TokenMatch::NONE,
        }
    }

    pub(super) fn shape(&self) -> MessageShape {
        self.shape
    }

    fn has(&self, member: Member) -> bool {
        self.seen & member.bit() != 0
    }

    fn is_right(&self, member: Member) -> bool {
        self.right & member.bit() != 0
    }

    /// Returns what is wrong already, whatever follows.
    pub(super) fn early_fault(&self, rules: CallRules<'_>) -> Option<MessageFault> {
        let era = rules.era;
        let is_object = self.outermost.is_none_or(|kind| kind == ValueKind::Object);
        match self.shape {
            MessageShape::Result => (!is_object).then_some(MessageFault::NotAResult),
            MessageShape::Error => (!is_object || self.repeated).then_some(MessageFault::NotAnError),
            MessageShape::Request => {
                let may_ask = rules.label.is_some() && era == Era::Legacy;
                (!may_ask || !is_object || self.repeated || self.seen & NOT_OF_A_REQUEST != 0)
                    .then_some(MessageFault::NotARequest)
            }
            MessageShape::Event => {
                if !is_object || self.repeated || self.seen & NOT_OF_A_NOTIFICATION != 0 {
                    return Some(MessageFault::NotANotification);
                }
                let method_ended = self.has(Member::Method) && self.member != Member::Method;
                (method_ended && !self.method_is_right(era)).then_some(MessageFault::Method)
            }
        }
    }

    fn method_is_right(&self, era: Era) -> bool {
        self.method.is_some_and(|method| method.is_for(era))
    }

    /// Returns what is wrong with the whole message.
    pub(super) fn fault(&self, rules: CallRules<'_>) -> Option<MessageFault> {
        let era = rules.era;
        if let Some(fault) = self.early_fault(rules) {
            return Some(fault);
        }
        let lacks = |members: &[Member]| !members.iter().all(|member| self.is_right(*member));
        match self.shape {
            MessageShape::Result => None,
            MessageShape::Error => {
                lacks(&[Member::Code, Member::Message]).then_some(MessageFault::NotAnError)
            }
            MessageShape::Request => {
                let wrong_params = self.has(Member::Params) && !self.is_right(Member::Params);
                (lacks(&[Member::Jsonrpc, Member::Id, Member::Method]) || wrong_params)
                    .then_some(MessageFault::NotARequest)
            }
            MessageShape::Event if lacks(&[Member::Jsonrpc]) || !self.has(Member::Method) => {
                Some(MessageFault::NotANotification)
            }
            MessageShape::Event if !self.method_is_right(era) => Some(MessageFault::Method),
            MessageShape::Event if lacks(&[Member::Params]) && self.has(Member::Params) => {
                Some(MessageFault::NotANotification)
            }
            MessageShape::Event => {
                let needs_token = self.method.is_some_and(|method| method.progress);
                (needs_token && !self.is_right(Member::Token)).then_some(MessageFault::ProgressToken)
            }
        }
    }

    fn end_member(&mut self, rules: CallRules<'_>) {
        let text = self.text.get();
        let is_request = self.shape == MessageShape::Request;
        let is_right = match self.member {
            Member::Jsonrpc => self.kind == Some(ValueKind::String) && text == b"2.0",
            Member::Method if is_request => {
                let is_known = CALL_REQUESTS.iter().any(|method| method.as_bytes() == text);
                is_known && self.kind == Some(ValueKind::String)
            }
            Member::Id if is_request => {
                let own = |label: &str| text.len() > label.len() && text.starts_with(label.as_bytes());
                self.kind == Some(ValueKind::String) && rules.label.is_some_and(own)
            }
            Member::Method => {
                self.method = CallEvent::find(text).filter(|_| self.kind == Some(ValueKind::String));
                self.method.is_some()
            }
            Member::Params => self.kind == Some(ValueKind::Object),
            Member::Message => self.kind == Some(ValueKind::String),
            Member::Code => self.kind == Some(ValueKind::Number) && is_integer(text),
            Member::Id | Member::Result | Member::Error | Member::Token | Member::Other => false,
        };
        if is_right {
            self.right |= self.member.bit();
        }
        self.member = Member::Other;
    }
}

/// Observer that collects the facts.
pub(super) struct Watch<'a> {
    pub(super) facts: &'a mut Facts,
    pub(super) rules: CallRules<'a>,
}

impl Observer for Watch<'_> {
    fn watches(&self, depth: usize) -> bool {
        match self.facts.shape {
            MessageShape::Result => depth == 0,
            MessageShape::Error | MessageShape::Request => depth <= 1,
            MessageShape::Event => depth <= 1 || depth == 2 && self.facts.member == Member::Params,
        }
    }

    fn begin(&mut self, depth: usize, kind: ValueKind, _: usize) {
        let facts = &mut *self.facts;
        facts.text.length = 0;
        match depth {
            0 => facts.outermost = Some(kind),
            1 => facts.kind = Some(kind),
            _ if facts.at_token => facts.token = TokenMatch::begin(kind, self.rules.token),
            _ => {}
        }
    }

    fn text(&mut self, part: &[u8]) {
        if self.facts.at_token {
            self.facts.token.text(part, self.rules.token);
        } else {
            self.facts.text.push(part);
        }
    }

    fn end_key(&mut self, depth: usize, _: Range<usize>) {
        let facts = &mut *self.facts;
        if depth == 1 {
            facts.member = Member::of(facts.text.get());
            facts.repeated |= if facts.member == Member::Other {
                matches!(facts.shape, MessageShape::Event | MessageShape::Request)
                    && is_disguised(facts.text.get())
            } else {
                facts.has(facts.member)
            };
            facts.seen |= facts.member.bit();
        } else if facts.text.get() == b"progressToken" {
            facts.repeated |= facts.has(Member::Token);
            facts.seen |= Member::Token.bit();
            facts.at_token = true;
        } else {
            facts.repeated |= folds_to(facts.text.get(), b"progresstoken");
        }
        facts.text.length = 0;
    }

    fn end_value(&mut self, depth: usize, _: usize) {
        let facts = &mut *self.facts;
        match depth {
            0 => {}
            1 => facts.end_member(self.rules),
            _ if facts.at_token => {
                if facts.token.is_whole(self.rules.token) {
                    facts.right |= Member::Token.bit();
                }
                facts.at_token = false;
            }
            _ => {}
        }
        facts.text.length = 0;
    }
}
