//! The reader of a tool call's arguments, for the tools of this program itself.
//!
//! Models send arguments loosely: a number as a string, an empty string or `null` for "not given", `"GitLab"` for
//! `gitlab`. What is unambiguous is taken. What is not is told in words for the model: the argument, what came, what is
//! expected, an example; all problems at once. Must not know tools.

use std::fmt;
use std::ops::RangeInclusive;

use protocol::mcp::json_text;
use protocol::mcp::members::Members;
use serde::de::{Deserializer, Visitor};
use serde_json::value::RawValue;

/// Characters of a value that an error shows.
const MAX_SHOWN_CHARS: usize = 60;

/// Names that an error shows of the arguments that came.
const MAX_SHOWN_NAMES: usize = 12;

/// An argument as errors describe it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Argument {
    pub(super) name: &'static str,
    /// What it must be, to be read after "must be".
    pub(super) expected: &'static str,
    /// A right value, as JSON.
    pub(super) example: &'static str,
}

/// The value of an argument; an absent one is `Null`.
#[derive(Debug, PartialEq)]
pub(super) enum Value<'a> {
    Null,
    Bool(bool),
    /// The number as it was written.
    Number(&'a str),
    Text(String),
    /// An array or an object, as JSON.
    Other(&'a str),
}

/// The reason why arguments cannot be used, for the model that made the call.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("Invalid arguments: {}", .0.join("; "))]
pub(super) struct ArgumentProblems(Vec<String>);

/// The arguments of one call, and the problems found so far.
#[derive(Debug)]
pub(super) struct ArgumentReader<'a> {
    members: Vec<(String, &'a RawValue)>,
    problems: Vec<String>,
}

impl<'a> ArgumentReader<'a> {
    /// Reads a JSON object. Fails for other JSON: no argument can be found in it.
    pub(super) fn new(json: &'a [u8]) -> Result<Self, ArgumentProblems> {
        let object = json_text::read::<Option<Members<'_>>>(json);
        let Ok(members) = object.map(Option::unwrap_or_default) else {
            let came = shown(&String::from_utf8_lossy(json));
            let text = format!("\"arguments\" is {came}, but must be a JSON object of arguments by name");
            return Err(ArgumentProblems(vec![text]));
        };
        let mut reader = Self { members: members.0, problems: Vec::new() };
        reader.check_names();
        Ok(reader)
    }

    /// Two values of one name are refused: programs on the way may have looked at the other one.
    fn check_names(&mut self) {
        let mut names: Vec<&str> = self.members.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        let mut twice: Vec<String> = Vec::new();
        for pair in names.windows(2) {
            if let [name, next] = pair
                && name == next
            {
                twice.push(format!("{} is given more than once", shown(&quoted(name))));
            }
        }
        twice.dedup();
        self.problems.append(&mut twice);
    }

    /// Returns the JSON of an argument as it was sent; `None` if it is absent.
    pub(super) fn json(&self, name: &str) -> Option<&'a str> {
        self.members.iter().find(|(key, _)| key == name).map(|(_, json)| json.get())
    }

    /// Returns the value of an argument.
    pub(super) fn value(&self, name: &str) -> Value<'a> {
        let Some(json) = self.json(name) else { return Value::Null };
        match json.bytes().next() {
            Some(b'n') | None => Value::Null,
            Some(b't') => Value::Bool(true),
            Some(b'f') => Value::Bool(false),
            Some(b'"') => string(json).map_or(Value::Other(json), Value::Text),
            Some(b'[' | b'{') => Value::Other(json),
            Some(_) => Value::Number(json),
        }
    }

    /// Returns a text. Blank texts count as absent, numbers and booleans as what was written, an array of strings as its
    /// lines.
    pub(super) fn text(&mut self, argument: &Argument) -> Option<String> {
        match self.value(argument.name) {
            Value::Null => None,
            Value::Text(text) => Some(text).filter(|text| !text.trim().is_empty()),
            Value::Bool(value) => Some(value.to_string()),
            Value::Number(number) => Some(number.to_owned()),
            Value::Other(json) => {
                let lines = lines(json);
                if lines.is_none() {
                    self.refuse(argument);
                }
                lines.filter(|text| !text.trim().is_empty())
            }
        }
    }

    /// Returns a yes or no. Takes `true`, `"true"`, `1`, `"yes"` and their opposites; an empty text counts as absent.
    pub(super) fn flag(&mut self, argument: &Argument) -> Option<bool> {
        let text = match self.value(argument.name) {
            Value::Null => return None,
            Value::Bool(value) => return Some(value),
            Value::Number(number) => number.to_owned(),
            Value::Text(text) => text.trim().to_ascii_lowercase(),
            Value::Other(_) => "-".into(),
        };
        match text.as_str() {
            "" => None,
            "true" | "yes" | "1" => Some(true),
            "false" | "no" | "0" => Some(false),
            _ => {
                self.refuse(argument);
                None
            }
        }
    }

    /// Returns a number of the range, also if it was sent as a text; an empty text counts as absent.
    pub(super) fn number(&mut self, argument: &Argument, range: RangeInclusive<f64>) -> Option<f64> {
        let text = match self.value(argument.name) {
            Value::Null => return None,
            Value::Number(number) => number.to_owned(),
            Value::Text(text) if text.trim().is_empty() => return None,
            Value::Text(text) => text.trim().to_owned(),
            Value::Bool(_) | Value::Other(_) => String::new(),
        };
        // Rust also reads "inf" and "nan".
        let looks_right = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
        let number = text.parse::<f64>().ok().filter(|number| looks_right && range.contains(number));
        if number.is_none() {
            self.refuse(argument);
        }
        number
    }

    /// Returns a whole number of the range, however it was written (`5000`, `5000.0`, `5e3`, `"5000"`).
    pub(super) fn whole(&mut self, argument: &Argument, range: RangeInclusive<u32>) -> Option<u32> {
        let range = f64::from(*range.start())..=f64::from(*range.end());
        let number = self.number(argument, range)?;
        if number.fract() != 0.0 {
            self.refuse(argument);
            return None;
        }
        format!("{number:.0}").parse().ok()
    }

    /// Returns which of the words was sent, whatever its case; an empty text counts as absent.
    pub(super) fn word(&mut self, argument: &Argument, words: &[&'static str]) -> Option<&'static str> {
        let text = match self.value(argument.name) {
            Value::Null => return None,
            Value::Text(text) => text.trim().to_ascii_lowercase(),
            _ => "-".into(),
        };
        let found = words.iter().copied().find(|word| *word == text);
        if found.is_none() && !text.is_empty() {
            self.refuse(argument);
        }
        found
    }

    /// Returns what `read` returns; notes that the argument is missing where that is nothing and no problem.
    pub(super) fn required<T>(
        &mut self,
        argument: &Argument,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<T> {
        let before = self.problems.len();
        let value = read(self);
        if value.is_none() && self.problems.len() == before {
            self.refuse(argument);
        }
        value
    }

    /// Notes that an argument is not what it must be, or is missing.
    pub(super) fn refuse(&mut self, argument: &Argument) {
        let Argument { name, expected, example } = argument;
        let problem = match self.json(name) {
            Some(json) if json != "null" => {
                format!("\"{name}\" is {}, but must be {expected}, for example {example}", shown(json))
            }
            _ => format!(
                "\"{name}\" is missing: it must be {expected}, for example {example}{}",
                self.others(name)
            ),
        };
        self.problems.push(problem);
    }

    /// Notes another problem of an argument, to be read after its name.
    pub(super) fn refuse_with(&mut self, argument: &Argument, problem: impl fmt::Display) {
        self.problems.push(format!("\"{}\" {problem}", argument.name));
    }

    /// Returns the names that came instead of a missing one.
    fn others(&self, missing: &str) -> String {
        let names = self.members.iter().map(|(name, _)| name).filter(|name| *name != missing);
        let names: Vec<String> = names.take(MAX_SHOWN_NAMES).map(|name| shown(&quoted(name))).collect();
        if names.is_empty() { String::new() } else { format!(" (what came: {})", names.join(", ")) }
    }

    /// Fails if there was any problem.
    pub(super) fn finish(self) -> Result<(), ArgumentProblems> {
        if self.problems.is_empty() { Ok(()) } else { Err(ArgumentProblems(self.problems)) }
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Returns JSON cut to what an error shows.
fn shown(json: &str) -> String {
    let json = json.trim();
    match json.char_indices().nth(MAX_SHOWN_CHARS) {
        Some((at, _)) => format!("{}…", json.get(..at).unwrap_or_default()),
        None => json.to_owned(),
    }
}

/// Returns the lines of an array of strings.
fn lines(json: &str) -> Option<String> {
    let items: Vec<&RawValue> = serde_json::from_str(json).ok()?;
    let items: Option<Vec<String>> = items.iter().map(|item| string(item.get())).collect();
    items.map(|items| items.join("\n"))
}

/// Returns the text of a JSON string. Half of a surrogate pair, which programs that cut texts between UTF-16 units send,
/// becomes the replacement character.
fn string(json: &str) -> Option<String> {
    /// Takes the string as bytes, as which the parser lets halves of surrogate pairs pass.
    struct Bytes;
    impl Visitor<'_> for Bytes {
        type Value = String;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string")
        }
        fn visit_bytes<E>(self, bytes: &[u8]) -> Result<String, E> {
            // Each half is three bytes that are not UTF-8, one replacement character each.
            Ok(String::from_utf8_lossy(bytes).replace("\u{fffd}\u{fffd}\u{fffd}", "\u{fffd}"))
        }
    }
    serde_json::from_str(json)
        .ok()
        .or_else(|| serde_json::Deserializer::from_str(json).deserialize_bytes(Bytes).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAG: Argument = Argument { name: "x", expected: "true or false", example: "true" };
    const COUNT: Argument = Argument { name: "x", expected: "a whole number from 1 to 9", example: "3" };
    const WORD: Argument = Argument { name: "x", expected: "\"a\" or \"b\"", example: "\"a\"" };
    const TEXT: Argument = Argument { name: "x", expected: "a text", example: "\"t\"" };

    fn read<T>(json: &str, take: impl FnOnce(&mut ArgumentReader<'_>) -> T) -> Result<T, String> {
        let mut reader = ArgumentReader::new(json.as_bytes()).map_err(|problems| problems.to_string())?;
        let value = take(&mut reader);
        reader.finish().map(|()| value).map_err(|problems| problems.to_string())
    }

    #[test]
    fn what_is_unambiguous_is_taken() {
        for (json, expected) in [
            ("{}", None),
            (r#"{"x":null}"#, None),
            (r#"{"x":" "}"#, None),
            (r#"{"x":true}"#, Some(true)),
            (r#"{"x":" True "}"#, Some(true)),
            (r#"{"x":1}"#, Some(true)),
            (r#"{"x":"yes"}"#, Some(true)),
            (r#"{"x":"FALSE"}"#, Some(false)),
            (r#"{"x":0}"#, Some(false)),
        ] {
            assert_eq!(read(json, |reader| reader.flag(&FLAG)), Ok(expected), "{json}");
        }
        for json in ["3", "3.0", "\"3\"", "\" 3 \"", "0.3e1", "\"3.0\"", "30E-1"] {
            let json = format!(r#"{{"x":{json}}}"#);
            assert_eq!(read(&json, |reader| reader.whole(&COUNT, 1..=9)), Ok(Some(3)), "{json}");
        }
        for json in [r#"{"x":""}"#, r#"{"x":null}"#, "null"] {
            assert_eq!(read(json, |reader| reader.whole(&COUNT, 1..=9)), Ok(None), "{json}");
            assert_eq!(read(json, |reader| reader.word(&WORD, &["a", "b"])), Ok(None), "{json}");
            assert_eq!(read(json, |reader| reader.text(&TEXT)), Ok(None), "{json}");
        }
        assert_eq!(read(r#"{"x":" B\n"}"#, |reader| reader.word(&WORD, &["a", "b"])), Ok(Some("b")));
        for (json, expected) in [
            (r#"" a\n""#, " a\n"),
            ("17", "17"),
            ("true", "true"),
            (r#"["a","b"]"#, "a\nb"),
            (r#""cut \ud83d""#, "cut \u{fffd}"),
            (r#""\ud83d\ude00""#, "\u{1f600}"),
        ] {
            let json = format!(r#"{{"x":{json}}}"#);
            assert_eq!(read(&json, |reader| reader.text(&TEXT)).unwrap().unwrap(), expected, "{json}");
        }
    }

    #[test]
    fn errors_name_the_argument_what_came_what_is_expected_and_an_example() {
        for json in ["0", "10", "-1", "1.5", "\"many\"", "\"inf\"", "\"NaN\"", "true", "[3]", "{}", "1e400"] {
            let error = read(&format!(r#"{{"x":{json}}}"#), |reader| reader.whole(&COUNT, 1..=9));
            let expected = format!(
                "Invalid arguments: \"x\" is {json}, but must be a whole number from 1 to 9, for example 3"
            );
            assert_eq!(error.unwrap_err(), expected);
        }
        for json in ["\"maybe\"", "2", "[]", "{}"] {
            let error = read(&format!(r#"{{"x":{json}}}"#), |reader| reader.flag(&FLAG)).unwrap_err();
            assert!(error.contains(&format!("\"x\" is {json}, but must be true or false")), "{error}");
        }
        let error = read(r#"{"x":"c"}"#, |reader| reader.word(&WORD, &["a", "b"])).unwrap_err();
        assert_eq!(error, "Invalid arguments: \"x\" is \"c\", but must be \"a\" or \"b\", for example \"a\"");
        let error = read(r#"{"x":[1]}"#, |reader| reader.text(&TEXT)).unwrap_err();
        assert!(error.contains("\"x\" is [1], but must be a text"), "{error}");
        let error = read(r#"{"y":1,"z":2}"#, |reader| reader.refuse(&TEXT)).unwrap_err();
        assert!(
            error.ends_with(
                "\"x\" is missing: it must be a text, for example \"t\" (what came: \"y\", \"z\")"
            )
        );
        let long = format!(r#"{{"x":["{}"],"x2":{{}}}}"#, "é".repeat(5000));
        let error = read(&long, |reader| (reader.whole(&COUNT, 1..=9), reader.refuse(&WORD))).unwrap_err();
        assert!(error.len() < 500 && error.matches("; ").count() == 1, "{error}");
    }

    #[test]
    fn what_is_no_object_or_has_a_name_twice_is_refused() {
        for json in ["[]", "3", "\"{}\"", "true"] {
            let error = read(json, |_| ()).unwrap_err();
            assert!(
                error.contains(&format!("\"arguments\" is {json}, but must be a JSON object")),
                "{error}"
            );
        }
        let error = read(r#"{"x":1,"y":2,"\u0078":2,"x":3}"#, |_| ()).unwrap_err();
        assert_eq!(error, "Invalid arguments: \"x\" is given more than once");
    }

    proptest::proptest! {
        #[test]
        fn no_error_speaks_of_the_parser(json in "[\\[\\]{}\":,a-z0-9 \\\\u]{0,40}") {
            for take in [
                |reader: &mut ArgumentReader<'_>| reader.text(&TEXT).is_some(),
                |reader: &mut ArgumentReader<'_>| reader.whole(&COUNT, 1..=9).is_some(),
                |reader: &mut ArgumentReader<'_>| reader.flag(&FLAG).is_some(),
                |reader: &mut ArgumentReader<'_>| reader.word(&WORD, &["a"]).is_some(),
            ] {
                let json = format!(r#"{{"x":{json}}}"#);
                if let Err(error) = read(&json, take) {
                    let parser = [" line 1", "column ", "expected value", "EOF", "invalid type"];
                    proptest::prop_assert!(!parser.iter().any(|text| error.contains(text)), "{}", error);
                }
            }
        }
    }
}
