//! The arguments of a call as texts, as the client wrote them. Must not know where they stand.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::value::RawValue;

use super::error::ExpandError;
use super::place::Source;

/// The arguments of one call, with the defaults of those that are absent.
#[derive(Clone, Debug)]
pub(in crate::backends::commands) struct Arguments {
    values: BTreeMap<String, Arc<RawValue>>,
    /// The path of the file that the program writes.
    output: Option<PathBuf>,
}

/// A value as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::backends::commands) enum ArgumentValue {
    /// A text, a number, a flag, or an object as JSON.
    One(String),
    /// A list: its items, `None` for those that are lists or objects; and the whole as JSON.
    List(Vec<Option<String>>, String),
}

impl ArgumentValue {
    /// Returns the value as one text; a list as JSON.
    pub(super) fn into_text(self) -> String {
        match self {
            Self::One(text) | Self::List(_, text) => text,
        }
    }
}

impl Arguments {
    /// Reads a JSON object. Absent arguments have their value of `defaults`.
    ///
    /// # Errors
    /// The text is no JSON object.
    pub(in crate::backends::commands) fn read(
        json: &[u8],
        defaults: &BTreeMap<String, Arc<RawValue>>,
    ) -> Result<Self, serde_json::Error> {
        let sent: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(json)?;
        let mut values = defaults.clone();
        let sent =
            sent.into_iter().filter(|(name, value)| value.get() != "null" || !defaults.contains_key(name));
        values.extend(sent.map(|(name, value)| (name, Arc::from(value))));
        Ok(Self { values, output: None })
    }

    /// Sets the path of the file that the program writes.
    #[must_use]
    pub(in crate::backends::commands) fn with_output(self, path: Option<PathBuf>) -> Self {
        Self { output: path, ..self }
    }

    /// Returns whether the argument is there, and neither `null` nor `false` nor an empty list.
    pub(super) fn holds(&self, name: &str) -> bool {
        let raw = self.values.get(name).map_or("null", |raw| raw.get());
        !matches!(raw, "null" | "false") && !is_empty_list(raw)
    }

    /// Returns whether the argument is there, and neither `null` nor an empty list.
    pub(super) fn has(&self, name: &str) -> bool {
        self.values.get(name).map(|raw| raw.get()).is_some_and(|raw| raw != "null" && !is_empty_list(raw))
    }

    /// Returns a value; `None` for an absent one and `null`.
    pub(super) fn value(&self, source: &Source) -> Result<Option<ArgumentValue>, ExpandError> {
        let name = match source {
            Source::Argument(name) => name,
            Source::Output => {
                let path = self.output.as_deref().and_then(|path| path.to_str());
                return Ok(path.map(|path| ArgumentValue::One(path.to_owned())));
            }
            Source::All => {
                let all: BTreeMap<&str, &RawValue> =
                    self.values.iter().map(|(name, value)| (name.as_str(), &**value)).collect();
                let all = serde_json::to_string(&all);
                let unreadable = |_| ExpandError::Unreadable { name: "*".into() };
                return all.map(|text| Some(ArgumentValue::One(text))).map_err(unreadable);
            }
        };
        let Some(raw) = self.values.get(name).map(|raw| raw.get()).filter(|raw| *raw != "null") else {
            return Ok(None);
        };
        if raw.starts_with('[') {
            return list(name, raw).map(Some);
        }
        scalar(name, raw).map(|text| Some(ArgumentValue::One(text)))
    }
}

fn is_empty_list(raw: &str) -> bool {
    raw.strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .is_some_and(|inside| inside.trim().is_empty())
}

fn list(name: &str, raw: &str) -> Result<ArgumentValue, ExpandError> {
    let unreadable = |_| ExpandError::Unreadable { name: name.to_owned() };
    let items: Vec<&RawValue> = serde_json::from_str(raw).map_err(unreadable)?;
    let text = |item: &RawValue| match item.get().as_bytes().first() {
        Some(b'[' | b'{' | b'n') => Ok(None),
        _ => scalar(name, item.get()).map(Some),
    };
    let texts = items.into_iter().map(text).collect::<Result<_, _>>()?;
    Ok(ArgumentValue::List(texts, raw.to_owned()))
}

/// Returns a text as such, and everything else as the client wrote it.
fn scalar(name: &str, raw: &str) -> Result<String, ExpandError> {
    if !raw.starts_with('"') {
        return Ok(raw.to_owned());
    }
    serde_json::from_str(raw).map_err(|_| ExpandError::Unreadable { name: name.to_owned() })
}
