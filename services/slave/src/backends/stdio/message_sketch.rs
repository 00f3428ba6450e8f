//! Lenient, incremental scanner of a message that need not be JSON: finds the id of the request that the message answers, and what is
//! wrong with it. Must not know what is done about it.
//!
//! The scanner keeps a few bytes whatever the message's length, and takes it in any pieces. It follows strings and brackets only, so
//! that an id inside a result is never taken for the message's own. Bytes that are not UTF-8, control characters in strings, words that
//! JSON does not have and the text's early end do not disturb it.

use super::line_fault::LineFault;

/// Ids that are kept of one message, or of all messages of an array.
const MAX_IDS: usize = 16;

/// Bytes of a word or key that are kept: longer ones are of no interest.
const MAX_WORD: usize = 24;

/// The requests that a message belongs to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum MessageOwner {
    /// Answers to these requests of ours.
    Requests(Vec<u64>),
    /// A notification or a request of the child, or text that is no message.
    NoRequest,
    /// An answer whose request is not known.
    Unknown,
}

/// Members of a message that matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Member {
    Id,
    Method,
    Payload,
    Version,
    Other,
}

impl Member {
    fn of(key: &[u8]) -> Self {
        match key {
            b"id" => Self::Id,
            b"method" => Self::Method,
            b"result" | b"error" => Self::Payload,
            b"jsonrpc" => Self::Version,
            _ => Self::Other,
        }
    }
}

/// What has been seen of the message under way.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// A bit for each member.
    members: u8,
    /// Whether the value of an id was read.
    id: bool,
}

impl Seen {
    fn has(self, member: Member) -> bool {
        self.members & 1 << member as u8 != 0
    }

    /// Adds a member, and returns whether it was there before.
    fn add(&mut self, member: Member) -> bool {
        let before = self.has(member);
        self.members |= 1 << member as u8;
        before
    }
}

/// The sketch of one line, or of several that belong together.
#[derive(Debug, Default)]
pub(super) struct MessageSketch {
    /// Brackets that are open; those outside tell where members of messages stand.
    depth: u32,
    outer: [u8; 2],
    /// The quote that ends the string under way.
    quote: Option<u8>,
    escaped: bool,
    /// The string or word under way, as far as it is of interest.
    word: Vec<u8>,
    /// Whether a bare word is under way.
    bare: bool,
    /// The member whose value comes next; `None` where a key is expected.
    member: Option<Member>,
    seen: Seen,
    /// Whether any message of an array was an answer.
    any_answer: bool,
    ids: Vec<u64>,
    /// The number of ids before the message under way.
    ids_before: usize,
    fault: Option<LineFault>,
}

impl MessageSketch {
    /// Takes the next piece.
    pub(super) fn feed(&mut self, piece: &[u8]) {
        let mut rest = piece;
        while let Some(&byte) = rest.first() {
            if self.quote.is_some() {
                let taken = self.string(rest);
                rest = rest.get(taken..).unwrap_or_default();
            } else {
                self.token(byte);
                rest = rest.get(1..).unwrap_or_default();
            }
        }
    }

    /// Returns the requests that the message belongs to, as far as it has come.
    pub(super) fn owner(&self) -> MessageOwner {
        if !self.ids.is_empty() {
            MessageOwner::Requests(self.ids.clone())
        } else if self.any_answer || self.is_answer() {
            MessageOwner::Unknown
        } else {
            MessageOwner::NoRequest
        }
    }

    /// Returns whether the message is not over.
    pub(super) fn is_open(&self) -> bool {
        self.depth > 0
    }

    /// Returns what is wrong with the message; `Syntax` where that is not known more precisely.
    pub(super) fn fault(&self) -> LineFault {
        let end =
            if self.is_open() || self.quote.is_some() { LineFault::Truncated } else { LineFault::Syntax };
        self.fault.unwrap_or(end)
    }

    fn is_answer(&self) -> bool {
        let seen = |member| self.seen.has(member);
        !seen(Member::Method) && (seen(Member::Payload) || seen(Member::Version))
    }

    /// Whether the scanner is among the members of a message: in an object, or in an object in an array.
    fn in_message(&self) -> bool {
        match (self.depth, self.outer) {
            (1, [first, _]) => first == b'{',
            (2, outer) => outer == *b"[{",
            _ => false,
        }
    }

    /// Takes bytes of a string, and returns their number.
    fn string(&mut self, rest: &[u8]) -> usize {
        let quote = self.quote.unwrap_or(b'"');
        if std::mem::take(&mut self.escaped) {
            // An escape makes the text another one than those that matter.
            self.keep(b"\\\\");
            return 1;
        }
        let length = memchr::memchr2(quote, b'\\', rest).unwrap_or(rest.len());
        let text = rest.get(..length).unwrap_or_default();
        if self.fault.is_none() && text.iter().any(|byte| *byte < b' ') {
            self.fault = Some(LineFault::ControlCharacter);
        }
        self.keep(text);
        match rest.get(length) {
            Some(b'\\') => self.escaped = true,
            Some(_) => self.end_string(),
            None => return length,
        }
        length + 1
    }

    fn keep(&mut self, text: &[u8]) {
        let room = (MAX_WORD + 1).saturating_sub(self.word.len());
        self.word.extend_from_slice(text.get(..room).unwrap_or(text));
    }

    fn end_string(&mut self) {
        self.quote = None;
        if !self.in_message() {
            return;
        }
        match self.member {
            None => {
                let member = Member::of(&self.word);
                self.begin_member(member);
            }
            Some(Member::Id) => self.end_id(),
            Some(_) => {}
        }
    }

    fn begin_member(&mut self, member: Member) {
        self.member = Some(member);
        let is_repeated = self.seen.add(member) && !matches!(member, Member::Version | Member::Other);
        if is_repeated && self.fault.is_none() {
            self.fault = Some(LineFault::DuplicateMember);
        }
        if member == Member::Method {
            // The id is one of the child's own.
            self.ids.truncate(self.ids_before);
        }
    }

    /// Takes a byte outside of strings.
    fn token(&mut self, byte: u8) {
        match byte {
            b'"' | b'\'' => {
                self.end_bare();
                if byte == b'\'' {
                    self.fault.get_or_insert(LineFault::Syntax);
                }
                self.quote = Some(byte);
                self.word.clear();
            }
            b'{' | b'[' => self.open(byte),
            b'}' | b']' => self.close(),
            b',' => {
                self.end_bare();
                if self.in_message() {
                    self.member = None;
                }
            }
            b':' | b' ' | b'\t' | b'\r' | b'\n' => self.end_bare(),
            _ => {
                if !std::mem::replace(&mut self.bare, true) {
                    self.word.clear();
                }
                self.keep(&[byte]);
            }
        }
    }

    fn open(&mut self, byte: u8) {
        self.end_bare();
        if let Some(outer) = self.outer.get_mut(self.depth as usize) {
            *outer = byte;
        }
        self.depth = self.depth.saturating_add(1);
        if self.in_message() {
            self.member = None;
            self.seen = Seen::default();
            self.ids_before = self.ids.len();
        }
    }

    fn close(&mut self) {
        self.end_bare();
        if self.in_message() {
            self.any_answer |= self.is_answer();
        }
        self.depth = self.depth.saturating_sub(1);
    }

    /// Ends a bare word: a number, or what is none.
    fn end_bare(&mut self) {
        if !std::mem::take(&mut self.bare) {
            return;
        }
        if self.in_message() && self.member == Some(Member::Id) {
            self.end_id();
        }
        if self.fault.is_none() && self.depth > 0 {
            self.fault = fault_of(&self.word);
        }
    }

    /// Takes the word as an id. Once the payload has begun, only where the message had none before: behind a broken payload anything
    /// may look like a member.
    fn end_id(&mut self) {
        let Some(id) = std::str::from_utf8(&self.word).ok().and_then(number) else { return };
        let counts = !self.seen.has(Member::Payload) || !self.seen.id;
        if counts && !self.seen.has(Member::Method) && !self.ids.contains(&id) && self.ids.len() < MAX_IDS {
            self.ids.push(id);
        }
        self.seen.id = true;
    }
}

/// Returns what is wrong with a bare word.
fn fault_of(word: &[u8]) -> Option<LineFault> {
    let text = String::from_utf8_lossy(word);
    match text.trim_start_matches(['-', '+']) {
        "NaN" | "nan" | "Infinity" | "inf" | "Inf" => Some(LineFault::NotANumber),
        "true" | "false" | "null" => None,
        number if number.starts_with(|c: char| c.is_ascii_digit()) => None,
        _ => Some(LineFault::Syntax),
    }
}

/// Returns the number of a request from its text: `7`, or `7.0` as some languages write it.
pub(super) fn number(text: &str) -> Option<u64> {
    const MAX_EXACT: f64 = 9_007_199_254_740_992.0;
    if text.len() > MAX_WORD || !text.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().or_else(|| {
        let value: f64 = text.parse().ok()?;
        let whole = value.fract() == 0.0 && (0.0..MAX_EXACT).contains(&value);
        // Exact: whole and below 2^53.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        whole.then_some(value as u64)
    })
}

#[cfg(test)]
mod tests;
