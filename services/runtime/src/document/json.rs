//! Values of a YAML file as JSON, for formats that have JSON in them. Must not know these formats.

use super::node::{Kind, Node};

/// Appends the value as JSON, in one line.
pub(super) fn write(kind: &Kind, out: &mut String) {
    match kind {
        Kind::Null => out.push_str("null"),
        Kind::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Kind::Number(number) => out.push_str(&number.to_string()),
        Kind::Text(text) => write_text(text, out),
        Kind::List(items) => {
            out.push('[');
            for (n, item) in items.iter().enumerate() {
                separate(n, out);
                write(&item.kind, out);
            }
            out.push(']');
        }
        Kind::Map(entries) => {
            out.push('{');
            for (n, (key, Node { kind, .. })) in entries.iter().enumerate() {
                separate(n, out);
                write_text(key, out);
                out.push(':');
                write(kind, out);
            }
            out.push('}');
        }
    }
}

fn separate(n: usize, out: &mut String) {
    if n > 0 {
        out.push(',');
    }
}

fn write_text(text: &str, out: &mut String) {
    out.push_str(&serde_json::Value::from(text).to_string());
}

#[cfg(test)]
mod tests {
    use crate::document::{Document, Rendered};

    #[test]
    fn values_keep_their_types_their_order_and_their_digits() {
        for (yaml, json) in [
            ("b: 1\na: 9007199254740993\n", r#"{"b":1,"a":9007199254740993}"#),
            ("- -3\n- 1.5\n- 18446744073709551615\n- 1e3\n", "[-3,1.5,18446744073709551615,1000.0]"),
            ("- true\n- null\n- 'true'\n- \"a\\n\\\"b\"\n- |\n  c\n", r#"[true,null,"true","a\n\"b","c\n"]"#),
            ("{\"type\": \"object\", \"x\": [{}, []]}", r#"{"type":"object","x":[{},[]]}"#),
        ] {
            let document = Document::parse(yaml, Rendered::Open).unwrap();
            assert_eq!(
                document.read(Rendered::Open, |root: &crate::document::Cursor<'_>| root.to_json()).unwrap(),
                json,
                "{yaml}"
            );
        }
    }
}
