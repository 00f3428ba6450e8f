//! Match of a URI with a URI template (RFC 6570), as resource templates have them. Must not know resources.
//!
//! The match is a lenient one, since servers expand templates by rules of their own: an expression stands for any text that its operator may
//! make, and names and modifiers of variables mean nothing.

/// Part of a template.
enum Part<'a> {
    Literal(&'a [u8]),
    /// `{x}`: at least one character without `/`, `?` or `#`.
    Simple,
    /// `{+x}`: any text, also an empty one.
    Reserved,
    /// An expression that is empty or begins with this character: `{#x}`, `{.x}`, `{/x}`, `{;x}`, `{?x}`, `{&x}`.
    Prefixed(u8),
}

fn is_segment(byte: u8) -> bool {
    !matches!(byte, b'/' | b'?' | b'#')
}

/// Returns whether the byte may stand in what an expression with this operator makes, after its first character.
fn may_follow(operator: u8, byte: u8) -> bool {
    match operator {
        b'#' => true,
        b'?' | b'&' => byte != b'#',
        b'/' => byte == b'/' || is_segment(byte),
        _ => is_segment(byte),
    }
}

/// Reads a template; `None` for one with braces that do not match.
fn parts(template: &str) -> Option<Vec<Part<'_>>> {
    let (mut parts, mut rest) = (Vec::new(), template);
    while !rest.is_empty() {
        let Some((literal, behind)) = rest.split_once('{') else {
            parts.push(Part::Literal(rest.as_bytes()));
            break;
        };
        if !literal.is_empty() {
            parts.push(Part::Literal(literal.as_bytes()));
        }
        let (expression, after) = behind.split_once('}')?;
        parts.push(match expression.bytes().next()? {
            b'+' => Part::Reserved,
            operator @ (b'#' | b'.' | b'/' | b';' | b'?' | b'&') => Part::Prefixed(operator),
            _ => Part::Simple,
        });
        rest = after;
    }
    Some(parts)
}

/// Returns whether the template can be expanded to the URI. A template that is none matches nothing. Takes time in proportion to the product
/// of both lengths.
pub fn matches(template: &str, uri: &str) -> bool {
    let Some(parts) = parts(template) else { return false };
    let uri = uri.as_bytes();
    // Places in the URI that the parts so far may end at.
    let mut ends = vec![false; uri.len() + 1];
    ends[0] = true;
    for part in &parts {
        ends = step(part, uri, &ends);
    }
    ends.last().copied().unwrap_or(false)
}

fn step(part: &Part<'_>, uri: &[u8], before: &[bool]) -> Vec<bool> {
    let mut after = vec![false; before.len()];
    match part {
        Part::Literal(text) => {
            for at in before.iter().enumerate().filter_map(|(at, reached)| reached.then_some(at)) {
                if uri[at..].starts_with(text) {
                    after[at + text.len()] = true;
                }
            }
        }
        Part::Simple => {
            for (at, byte) in uri.iter().enumerate() {
                after[at + 1] = (before[at] || after[at]) && is_segment(*byte);
            }
        }
        Part::Reserved => {
            after.copy_from_slice(before);
            for at in 0..uri.len() {
                after[at + 1] |= after[at];
            }
        }
        Part::Prefixed(operator) => {
            for (at, byte) in uri.iter().enumerate() {
                after[at + 1] = before[at] && byte == operator || after[at] && may_follow(*operator, *byte);
            }
            after.iter_mut().zip(before).for_each(|(after, before)| *after |= before);
        }
    }
    after
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_stand_for_what_their_operators_make() {
        for (template, uri, expected) in [
            ("test://template/{id}/data", "test://template/123/data", true),
            ("test://template/{id}/data", "test://template//data", false),
            ("test://template/{id}/data", "test://template/1/2/data", false),
            ("test://template/{id}/data", "test://template/1/data/more", false),
            ("file:///{+path}", "file:///a/b/c.txt", true),
            ("file:///{path}", "file:///a/b", false),
            ("db://{table}/{id}", "db://users/7", true),
            ("db://{table}/{id}{?fields}", "db://users/7?fields=a,b", true),
            ("db://{table}/{id}{?fields}", "db://users/7", true),
            ("x:{a}{/b*}", "x:1/2/3", true),
            ("x:{a}{/b*}", "x:1", true),
            ("x:{a}{#f}", "x:1#top/of?it", true),
            ("x:{a}.{b}", "x:1.2.3", true),
            ("x:{a}{.b}", "x:1.json", true),
            ("x:y", "x:y", true),
            ("x:y", "x:yz", false),
            ("x:{y", "x:1", false),
            ("x:{}", "x:1", false),
            ("", "", true),
            ("{a}", "ü", true),
        ] {
            assert_eq!(matches(template, uri), expected, "{template} {uri}");
        }
    }

    #[test]
    fn a_template_of_many_expressions_does_not_take_long() {
        let template = "{a}{b}".repeat(200);
        assert!(matches(&template, &"x".repeat(2000)));
        assert!(!matches(&template, &format!("{}/", "x".repeat(2000))));
    }
}
