//! Look-up of one argument by a JSON pointer (RFC 6901) that leaves nothing to guess: where two readers of the text could find different
//! values, none is found. Must not know rules.

use protocol::mcp::members::ExactMembers;
use serde_json::value::RawValue;

/// JSON pointer into the arguments of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pointer(Vec<String>);

/// What stands where a pointer points.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Found<'a> {
    Absent,
    Value(&'a RawValue),
    /// A member on the way stands twice, or the text cannot be read.
    Unclear,
}

impl Pointer {
    /// Parses `/a/0/b`, in which `~1` stands for `/` and `~0` for `~`. The empty pointer is refused.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let tokens = text.strip_prefix('/')?.split('/').map(unescape).collect::<Option<_>>()?;
        Some(Self(tokens))
    }

    /// Returns what stands there in the arguments of a client's message.
    pub(crate) fn find<'a>(&self, message: &'a [u8]) -> Found<'a> {
        let Ok(message) = serde_json::from_slice::<&RawValue>(message) else { return Found::Unclear };
        let path = ["params", "arguments"].into_iter().chain(self.0.iter().map(String::as_str));
        let mut value = message;
        for token in path {
            match step(value, token) {
                Found::Value(next) => value = next,
                end => return end,
            }
        }
        Found::Value(value)
    }
}

fn step<'a>(value: &'a RawValue, token: &str) -> Found<'a> {
    match value.get().as_bytes().first() {
        Some(b'{') => {
            let members = ExactMembers::of(value);
            let mut named = members.0.iter().filter(|(name, _)| name == token.as_bytes());
            match (named.next(), named.next()) {
                (Some((_, value)), None) => Found::Value(value),
                (Some(_), Some(_)) => Found::Unclear,
                (None, _) if members.0.is_empty() && value.get().contains(':') => Found::Unclear,
                (None, _) => Found::Absent,
            }
        }
        Some(b'[') => {
            let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(value.get()) else {
                return Found::Unclear;
            };
            let is_index = token == "0" || !token.starts_with('0');
            let index = token.parse::<usize>().ok().filter(|_| is_index && !token.starts_with('+'));
            index.and_then(|index| items.get(index)).map_or(Found::Absent, |item| Found::Value(item))
        }
        _ => Found::Absent,
    }
}

fn unescape(token: &str) -> Option<String> {
    let mut pieces = token.split('~');
    let mut plain = pieces.next()?.to_owned();
    for piece in pieces {
        let (sign, rest) = match piece.as_bytes().first()? {
            b'0' => ('~', &piece[1..]),
            b'1' => ('/', &piece[1..]),
            _ => return None,
        };
        plain.push(sign);
        plain.push_str(rest);
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(pointer: &str, arguments: &str) -> String {
        let message = format!(r#"{{"params":{{"arguments":{arguments}}}}}"#);
        match Pointer::parse(pointer).unwrap().find(message.as_bytes()) {
            Found::Absent => "absent".into(),
            Found::Value(value) => value.get().to_owned(),
            Found::Unclear => "unclear".into(),
        }
    }

    #[test]
    fn a_value_is_found_only_where_all_readers_find_the_same() {
        for (pointer, arguments, found) in [
            ("/env", r#"{"env":"a"}"#, r#""a""#),
            ("/env", r#"{"e\u006ev":"a"}"#, r#""a""#),
            ("/env", r#"{"env":"a","env":"b"}"#, "unclear"),
            ("/env", r#"{"env":"a","e\u006ev":"b"}"#, "unclear"),
            ("/a/env", r#"{"a":{"env":1},"a":{}}"#, "unclear"),
            ("/a/0/b", r#"{"a":[{"b":[1]}]}"#, "[1]"),
            ("/a/00", r#"{"a":[1]}"#, "absent"),
            ("/a/+0", r#"{"a":[1]}"#, "absent"),
            ("/a~1b", r#"{"a/b":1e400}"#, "1e400"),
            ("/env", "{}", "absent"),
            ("/env", "null", "absent"),
            ("/env", r#""env""#, "absent"),
            ("/ok", r#"{"\ud800":1,"ok":2}"#, "2"),
        ] {
            assert_eq!(find(pointer, arguments), found, "{pointer} {arguments}");
        }
        assert!(matches!(Pointer::parse("/a").unwrap().find(b"{"), Found::Unclear));
        let twice = br#"{"params":{"arguments":{},"arguments":{"a":1}}}"#;
        assert!(matches!(Pointer::parse("/a").unwrap().find(twice), Found::Unclear));
        for error in ["", "a", "/~", "/~2"] {
            assert_eq!(Pointer::parse(error), None, "{error}");
        }
    }
}
