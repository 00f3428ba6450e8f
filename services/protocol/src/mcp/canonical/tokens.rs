//! First pass over a JSON text: canonical tokens in the order of the text, and where objects and their members stand in them. Must not
//! know in which order members come in the end.

use crate::mcp::canonical::object_order::{FlatForm, Member, ObjectSpan};
use crate::mcp::canonical::{number, string};
use crate::mcp::depth::MAX_DEPTH;

/// Array or object that is not closed yet.
enum Open {
    Array,
    Object { slot: usize, members: Vec<Member>, awaits_key: bool },
}

struct Tokens<'a> {
    text: &'a str,
    at: usize,
    flat: FlatForm,
    open: Vec<Open>,
}

/// Returns the canonical tokens of a valid JSON text. `None`: the nesting exceeds [`MAX_DEPTH`], or the text is no JSON.
pub(super) fn normalize(text: &str) -> Option<FlatForm> {
    let flat = FlatForm { text: Vec::with_capacity(text.len()), objects: Vec::new(), members: Vec::new() };
    let mut tokens = Tokens { text, at: 0, flat, open: Vec::new() };
    while let Some(byte) = text.as_bytes().get(tokens.at) {
        tokens.take(*byte)?;
    }
    tokens.open.is_empty().then_some(tokens.flat)
}

impl Tokens<'_> {
    /// Takes the token that begins with `byte`.
    fn take(&mut self, byte: u8) -> Option<()> {
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => self.at += 1,
            b'"' => self.string()?,
            b'{' | b'[' => self.open(byte)?,
            b'}' | b']' => self.close(byte)?,
            b',' => {
                self.end_member();
                self.punctuation(byte);
            }
            b':' => self.punctuation(byte),
            _ => self.scalar()?,
        }
        Some(())
    }

    fn punctuation(&mut self, byte: u8) {
        self.flat.text.push(byte);
        self.at += 1;
    }

    fn string(&mut self) -> Option<()> {
        let content = self.text.get(self.at + 1..)?;
        let length = content_length(content.as_bytes())?;
        let start = self.flat.text.len();
        self.flat.text.push(b'"');
        string::write(content.get(..length)?, &mut self.flat.text)?;
        let key_end = self.flat.text.len();
        self.flat.text.push(b'"');
        self.at += length + 2;
        if let Some(Open::Object { members, awaits_key, .. }) = self.open.last_mut()
            && std::mem::take(awaits_key)
        {
            members.push(Member { start, key_end, end: key_end });
        }
        Some(())
    }

    fn open(&mut self, byte: u8) -> Option<()> {
        if self.open.len() == MAX_DEPTH {
            return None;
        }
        if byte == b'[' {
            self.open.push(Open::Array);
        } else {
            let slot = self.flat.objects.len();
            let start = self.flat.text.len();
            self.flat.objects.push(ObjectSpan { start, end: start, members: 0..0 });
            self.open.push(Open::Object { slot, members: Vec::new(), awaits_key: true });
        }
        self.punctuation(byte);
        Some(())
    }

    fn close(&mut self, byte: u8) -> Option<()> {
        self.end_member();
        self.punctuation(byte);
        if let Open::Object { slot, mut members, .. } = self.open.pop()? {
            let first = self.flat.members.len();
            self.flat.members.append(&mut members);
            let object = self.flat.objects.get_mut(slot)?;
            object.end = self.flat.text.len();
            object.members = first..self.flat.members.len();
        }
        Some(())
    }

    /// Ends the member under way, if the innermost container is an object that has one.
    fn end_member(&mut self) {
        if let Some(Open::Object { members, awaits_key, .. }) = self.open.last_mut() {
            *awaits_key = true;
            if let Some(member) = members.last_mut() {
                member.end = self.flat.text.len();
            }
        }
    }

    fn scalar(&mut self) -> Option<()> {
        let rest = self.text.get(self.at..)?;
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        let length = rest.as_bytes().iter().take_while(|byte| is_part(byte)).count();
        let scalar = rest.get(..length).filter(|scalar| !scalar.is_empty())?;
        match scalar {
            "true" | "false" | "null" => self.flat.text.extend_from_slice(scalar.as_bytes()),
            _ => number::write(scalar, &mut self.flat.text),
        }
        self.at += length;
        Some(())
    }
}

/// Returns the number of bytes before the quote that ends a string.
fn content_length(content: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', content.get(at..)?)?;
        if content[at] == b'"' {
            return Some(at);
        }
        at += 2;
    }
}
