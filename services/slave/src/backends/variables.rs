//! References to variables in texts of the configuration: `${NAME}`, `${NAME:-default}`, `${env:NAME}`. Must not know whose texts.

/// A text with its references replaced.
#[derive(Debug, Default)]
pub(super) struct Filled {
    /// The text.
    pub(super) text: String,
    /// Names and values of the variables that were filled in.
    pub(super) used: Vec<(String, String)>,
    /// Names of those that are not set and have no default.
    pub(super) missing: Vec<String>,
}

/// Replaces references to variables by their values; `variable` returns that of a name.
pub(super) fn fill(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Filled {
    let mut filled = Filled { text: String::with_capacity(text.len()), ..Filled::default() };
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((reference, behind)) = after.split_once('}') else { break };
        filled.text.push_str(before);
        rest = behind;
        if reference.starts_with(|c: char| c.is_ascii_digit()) {
            // An argument of a shell's script.
            filled.text.push_str(&format!("${{{reference}}}"));
            continue;
        }
        let reference = reference.strip_prefix("env:").unwrap_or(reference);
        let (name, default) =
            reference.split_once(":-").map_or((reference, None), |(name, d)| (name, Some(d)));
        match variable(name).filter(|value| !value.is_empty() || default.is_none()) {
            Some(value) => {
                filled.text.push_str(&value);
                filled.used.push((name.to_owned(), value));
            }
            None => match default {
                Some(default) => filled.text.push_str(default),
                None => filled.missing.push(name.to_owned()),
            },
        }
    }
    filled.text.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_replaced_and_what_is_missing_is_named() {
        let variable = |name: &str| match name {
            "A" => Some("a${B}".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        for (text, expected, missing) in [
            ("x${A}y${env:A}", "xa${B}ya${B}", ""),
            ("${NO:-d}${EMPTY:-e}${EMPTY}", "de", ""),
            ("${NO}-${A:-d}", "-a${B}", "NO"),
            ("${1} ${2:-c} $A ${", "${1} ${2:-c} $A ${", ""),
            ("${input:x}", "", "input:x"),
        ] {
            let filled = fill(text, &variable);
            let missed = filled.missing.join(",");
            assert_eq!((filled.text.as_str(), missed.as_str()), (expected, missing), "{text}");
        }
    }
}
