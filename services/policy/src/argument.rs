//! Conditions on one argument of a call. Must not know who calls.

use protocol::mcp::canonical::canonical;
use runtime::glob::{Glob, any_matches};
use serde_json::value::RawValue;

use crate::pointer::{Found, Pointer};

/// A condition on the argument at a JSON pointer.
#[derive(Clone, Debug)]
pub(crate) struct Argument {
    pub(crate) pointer: Pointer,
    pub(crate) test: Test,
}

/// The values that fulfil a condition.
#[derive(Clone, Debug)]
pub(crate) enum Test {
    /// One of these texts, numbers by their value.
    OneOf(Vec<String>),
    /// Texts that one of these patterns stands for.
    Glob(Vec<Glob>),
}

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    Yes,
    No,
    /// The value is no text, number or flag, or two readers of the message could find different values.
    Unclear,
}

impl Argument {
    /// Checks the arguments of a client's message.
    pub(crate) fn check(&self, message: &[u8]) -> Holds {
        match self.pointer.find(message) {
            Found::Absent => Holds::No,
            Found::Unclear => Holds::Unclear,
            Found::Value(value) => self.test.check(value),
        }
    }
}

impl Test {
    fn check(&self, value: &RawValue) -> Holds {
        let json = value.get();
        let text = match json.as_bytes().first() {
            Some(b'"') => serde_json::from_str::<String>(json).ok(),
            Some(b'n') => return Holds::No,
            Some(b'{' | b'[') | None => None,
            Some(_) => Some(json.to_owned()),
        };
        let Some(text) = text else { return Holds::Unclear };
        let holds = match self {
            Self::OneOf(wanted) => {
                wanted.iter().any(|wanted| *wanted == text || is_same_number(wanted, &text))
            }
            Self::Glob(globs) => any_matches(globs, &text),
        };
        if holds { Holds::Yes } else { Holds::No }
    }
}

/// Returns whether both texts are JSON numbers of one value, however they are written.
fn is_same_number(one: &str, other: &str) -> bool {
    let value = |text: &str| {
        let is_number = text.starts_with(|first: char| first == '-' || first.is_ascii_digit());
        is_number
            .then(|| RawValue::from_string(text.to_owned()).ok())
            .flatten()
            .and_then(|raw| canonical(&raw))
    };
    value(one).is_some_and(|one| Some(one) == value(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_compared_by_what_they_mean() {
        let equals = |wanted: &str| Argument {
            pointer: Pointer::parse("/x").unwrap(),
            test: Test::OneOf(vec![wanted.to_owned()]),
        };
        let globs = Argument {
            pointer: Pointer::parse("/x").unwrap(),
            test: Test::Glob(vec![Glob::new("eu-*"), Glob::new("us")]),
        };
        let check = |argument: &Argument, value: &str| {
            argument.check(format!(r#"{{"params":{{"arguments":{{"x":{value}}}}}}}"#).as_bytes())
        };
        for (wanted, value, holds) in [
            ("prod", r#""prod""#, Holds::Yes),
            ("prod", r#""pr\u006fd""#, Holds::Yes),
            ("prod", r#""Prod""#, Holds::No),
            ("prod", r#"["prod"]"#, Holds::Unclear),
            ("prod", r#"{"a":"prod"}"#, Holds::Unclear),
            ("prod", r#""\ud800""#, Holds::Unclear),
            ("prod", "null", Holds::No),
            ("5", "5", Holds::Yes),
            ("5", "5.0", Holds::Yes),
            ("5", "50e-1", Holds::Yes),
            ("5", r#""5""#, Holds::Yes),
            ("9007199254740992", "9007199254740993", Holds::No),
            ("true", "true", Holds::Yes),
        ] {
            assert_eq!(check(&equals(wanted), value), holds, "{wanted} {value}");
        }
        for (value, holds) in
            [(r#""eu-west""#, Holds::Yes), (r#""us""#, Holds::Yes), (r#""us-east""#, Holds::No)]
        {
            assert_eq!(check(&globs, value), holds, "{value}");
        }
        assert_eq!(equals("a").check(b"{}"), Holds::No);
    }
}
