//! To which request a message belongs of which only both ends were kept. Must not know what is done about it.

/// Whose message it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// The answer to this request of ours.
    Request(u64),
    /// A notification or a request of the child.
    Nobody,
    /// It cannot be found out.
    Unknown,
}

impl Owner {
    /// To which request a message belongs of which only the ends are known. Servers write the id before the result or
    /// after it; inside strings quotes are escaped, so that neither form can be part of one.
    pub(super) fn of(head: &[u8], tail: &[u8]) -> Self {
        let text = String::from_utf8_lossy(head);
        let mut rest = text.trim_start().strip_prefix('{').unwrap_or_default();
        while let Some((key, value)) = rest.split_once(':') {
            match key.trim_matches(|c: char| c == ',' || c.is_whitespace()) {
                "\"method\"" => return Self::Nobody,
                "\"id\"" => return leading_number(value).map_or(Self::Unknown, |(id, _)| Self::Request(id)),
                "\"jsonrpc\"" => rest = value.trim_start().strip_prefix("\"2.0\"").unwrap_or_default(),
                _ => break,
            }
        }
        trailing_id(tail).map_or(Self::Unknown, Self::Request)
    }
}

/// `"id":7}` or `"id":7,"jsonrpc":"2.0"}` at the very end.
fn trailing_id(tail: &[u8]) -> Option<u64> {
    let compact: String = String::from_utf8_lossy(tail).chars().filter(|c| !c.is_whitespace()).collect();
    let (_, value) = compact.rsplit_once(r#""id":"#)?;
    let (id, rest) = leading_number(value)?;
    matches!(rest, "}" | r#","jsonrpc":"2.0"}"#).then_some(id)
}

fn leading_number(text: &str) -> Option<(u64, &str)> {
    let text = text.trim_start();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    Some((number.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_of_half_a_message_is_found_at_either_end() {
        let open = r#"{"content":[{"type":"text","text":"xxxx"#;
        assert_eq!(
            Owner::of(format!(r#"{{"jsonrpc":"2.0","id":17,"result":{open}"#).as_bytes(), b""),
            Owner::Request(17)
        );
        assert_eq!(
            Owner::of(format!(r#" {{ "id" : 3 , "result":{open}"#).as_bytes(), b""),
            Owner::Request(3)
        );
        let head = format!(r#"{{"result":{open}"#);
        assert_eq!(Owner::of(head.as_bytes(), br#"xx"}]},"jsonrpc":"2.0","id":5}"#), Owner::Request(5));
        assert_eq!(Owner::of(head.as_bytes(), br#"xx"}]}, "id": 6, "jsonrpc": "2.0"}"#), Owner::Request(6));
        assert_eq!(
            Owner::of(br#"{"jsonrpc":"2.0","method":"notifications/x","params":{"#, b""),
            Owner::Nobody
        );
    }

    #[test]
    fn what_only_looks_like_an_id_is_not_taken() {
        let head = br#"{"result":{"content":[]"#;
        for tail in [r#""id":5}}"#, r#"\"id\":5}"#, r#""id":5,"x":1}"#, r#""id":"a"}"#, "", r#""id":5"#] {
            assert_eq!(Owner::of(head, tail.as_bytes()), Owner::Unknown, "{tail}");
        }
        assert_eq!(Owner::of(b"xxxxxxxxx", b"xxxx"), Owner::Unknown);
    }
}
