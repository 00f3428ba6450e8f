//! Finding the request that a truncated message belongs to. Must not know what is done about it.

/// The request that a message belongs to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum MessageOwner {
    /// The message answers this request of ours.
    Request(u64),
    /// The message is a notification or a request of the child.
    NoRequest,
    /// The owner cannot be determined from the ends of the message.
    Unknown,
}

impl MessageOwner {
    /// Returns the owner of a message of which only the ends are known. Servers write the id before the result or after
    /// it; inside strings quotes are escaped, so that neither form can be part of one.
    pub(super) fn find(head: &[u8], tail: &[u8]) -> Self {
        let text = String::from_utf8_lossy(head);
        let mut rest = text.trim_start().strip_prefix('{').unwrap_or_default();
        while let Some((key, value)) = rest.split_once(':') {
            match key.trim_matches(|c: char| c == ',' || c.is_whitespace()) {
                "\"method\"" => return Self::NoRequest,
                "\"id\"" => return leading_number(value).map_or(Self::Unknown, |(id, _)| Self::Request(id)),
                "\"jsonrpc\"" => rest = value.trim_start().strip_prefix("\"2.0\"").unwrap_or_default(),
                _ => break,
            }
        }
        trailing_id(tail).map_or(Self::Unknown, Self::Request)
    }
}

/// Returns 7 for a tail that ends with `"id":7}` or `"id":7,"jsonrpc":"2.0"}`.
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
    fn the_id_is_found_at_either_end_of_a_truncated_message() {
        let open = r#"{"content":[{"type":"text","text":"xxxx"#;
        assert_eq!(
            MessageOwner::find(format!(r#"{{"jsonrpc":"2.0","id":17,"result":{open}"#).as_bytes(), b""),
            MessageOwner::Request(17)
        );
        assert_eq!(
            MessageOwner::find(format!(r#" {{ "id" : 3 , "result":{open}"#).as_bytes(), b""),
            MessageOwner::Request(3)
        );
        let head = format!(r#"{{"result":{open}"#);
        assert_eq!(
            MessageOwner::find(head.as_bytes(), br#"xx"}]},"jsonrpc":"2.0","id":5}"#),
            MessageOwner::Request(5)
        );
        assert_eq!(
            MessageOwner::find(head.as_bytes(), br#"xx"}]}, "id": 6, "jsonrpc": "2.0"}"#),
            MessageOwner::Request(6)
        );
        assert_eq!(
            MessageOwner::find(br#"{"jsonrpc":"2.0","method":"notifications/x","params":{"#, b""),
            MessageOwner::NoRequest
        );
    }

    #[test]
    fn text_that_only_looks_like_an_id_is_not_taken() {
        let head = br#"{"result":{"content":[]"#;
        for tail in [r#""id":5}}"#, r#"\"id\":5}"#, r#""id":5,"x":1}"#, r#""id":"a"}"#, "", r#""id":5"#] {
            assert_eq!(MessageOwner::find(head, tail.as_bytes()), MessageOwner::Unknown, "{tail}");
        }
        assert_eq!(MessageOwner::find(b"xxxxxxxxx", b"xxxx"), MessageOwner::Unknown);
    }
}
