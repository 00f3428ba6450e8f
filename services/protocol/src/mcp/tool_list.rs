//! The array of `tools/list`, built from definitions. Must not know where the definitions come from.

use bytes::Bytes;

/// Returns the JSON array of these definitions, in their order and without line breaks, so that it can be sent as an SSE event.
/// Line breaks stand only between tokens of JSON, where a space means the same.
pub fn tool_list<'a>(definitions: impl IntoIterator<Item = &'a str>) -> Bytes {
    let mut out = vec![b'['];
    for definition in definitions {
        if out.len() > 1 {
            out.push(b',');
        }
        out.extend(definition.bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }));
    }
    out.push(b']');
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_stand_in_order_on_one_line() {
        assert_eq!(tool_list([]), "[]");
        assert_eq!(
            tool_list(["{\"name\":\n\"a\"}", "{\"name\":\"ü\"}"]),
            "[{\"name\": \"a\"},{\"name\":\"ü\"}]"
        );
    }
}
