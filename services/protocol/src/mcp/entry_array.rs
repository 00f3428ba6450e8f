//! The JSON array of a list method's result, built from definitions, and its pages. Must not know where the definitions come from.
//!
//! A cursor names the last entry that the client has, not a place: entries that come and go meanwhile lead to no repetition and no gap.

use std::hash::{BuildHasher, Hasher};

use bytes::Bytes;
use foldhash::fast::FixedState;

/// Seed of the digests in cursors: the same in all replicas.
const SEED: u64 = 0x6d63_7072;

/// Longest page of a list, in bytes: one that fits is sent as a whole.
pub const MAX_PAGE: usize = 1024 * 1024;

/// An array of entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryArray {
    json: Bytes,
    /// Where each entry ends in the array.
    ends: Vec<usize>,
    /// Digest of each entry's name.
    names: Vec<u64>,
}

/// A cursor that the relay did not give out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown cursor: begin the list anew")]
pub struct BadCursor;

/// A page of an array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// JSON array.
    pub json: Bytes,
    /// Cursor of the next page; `None`: this is the last one.
    pub next: Option<String>,
}

impl EntryArray {
    /// Builds the array of entries, given by name and definition, in their order and without line breaks, so that it can be sent as an SSE
    /// event. Line breaks stand only between tokens of JSON, where a space means the same.
    pub fn new<'a>(entries: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut json = vec![b'['];
        let (mut ends, mut names) = (Vec::new(), Vec::new());
        for (name, definition) in entries {
            if json.len() > 1 {
                json.push(b',');
            }
            json.extend(
                definition.bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }),
            );
            ends.push(json.len());
            names.push(digest(name));
        }
        json.push(b']');
        Self { json: json.into(), ends, names }
    }

    /// Returns the whole JSON array.
    pub fn json(&self) -> &Bytes {
        &self.json
    }

    /// Returns the number of entries.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Returns the page after a cursor, of at most `most` bytes or one entry. An array that fits is one page.
    ///
    /// # Errors
    /// The cursor is none that this method returns.
    pub fn page(&self, cursor: Option<&str>, most: usize) -> Result<Page, BadCursor> {
        let first = match cursor {
            None if self.json.len() <= most => return Ok(Page { json: self.array(), next: None }),
            None => 0,
            Some(cursor) => self.after(cursor)?,
        };
        let begin = if first == 0 { 1 } else { self.ends[first - 1] + 1 };
        let fits = |end: &usize| end.saturating_sub(begin) <= most;
        let last = first + self.ends[first..].iter().take_while(|end| fits(end)).count().max(1);
        let last = last.min(self.ends.len());
        if last == first {
            return Ok(Page { json: Bytes::from_static(b"[]"), next: None });
        }
        let json = [b"[", &self.json[begin..self.ends[last - 1]], b"]"].concat().into();
        let next = (last < self.ends.len()).then(|| format!("{:x}.{:016x}", last, self.names[last - 1]));
        Ok(Page { json, next })
    }

    /// Returns the array of the entries, by their places, for which `keep` holds.
    #[must_use]
    pub fn filter(&self, keep: impl Fn(usize) -> bool) -> Self {
        let (mut json, mut ends, mut names) = (vec![b'['], Vec::new(), Vec::new());
        for (at, (end, name)) in self.ends.iter().zip(&self.names).enumerate().filter(|(at, _)| keep(*at)) {
            let begin = if at == 0 { 1 } else { self.ends[at - 1] + 1 };
            if json.len() > 1 {
                json.push(b',');
            }
            json.extend_from_slice(&self.json[begin..*end]);
            ends.push(json.len());
            names.push(*name);
        }
        json.push(b']');
        Self { json: json.into(), ends, names }
    }

    fn array(&self) -> Bytes {
        if self.json.is_empty() { Bytes::from_static(b"[]") } else { self.json.clone() }
    }

    /// Returns the place after the entry that the cursor names. Where that entry is gone, the place that it had.
    fn after(&self, cursor: &str) -> Result<usize, BadCursor> {
        let (place, name) = cursor.split_once('.').ok_or(BadCursor)?;
        let place = usize::from_str_radix(place, 16).map_err(|_| BadCursor)?;
        let name = u64::from_str_radix(name, 16).map_err(|_| BadCursor)?;
        let found = self.names.iter().position(|known| *known == name).map(|at| at + 1);
        Ok(found.unwrap_or_else(|| place.saturating_sub(1)).min(self.ends.len()))
    }
}

fn digest(name: &str) -> u64 {
    let mut hasher = FixedState::with_seed(SEED).build_hasher();
    hasher.write(name.as_bytes());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(names: &[&str]) -> EntryArray {
        let definitions: Vec<String> =
            names.iter().map(|name| format!("{{\"name\":\n\"{name}\"}}")).collect();
        EntryArray::new(names.iter().copied().zip(definitions.iter().map(String::as_str)))
    }

    /// Reads all pages; before each, `change` replaces the array.
    fn read(mut array: EntryArray, most: usize, change: impl Fn(usize) -> Option<EntryArray>) -> Vec<String> {
        let (mut names, mut cursor) = (Vec::new(), None);
        for page in 0.. {
            array = change(page).unwrap_or(array);
            let Page { json, next } = array.page(cursor.as_deref(), most).unwrap();
            let entries: Vec<serde_json::Value> = serde_json::from_slice(&json).unwrap();
            names.extend(entries.iter().map(|entry| entry["name"].as_str().unwrap().to_owned()));
            cursor = next;
            if cursor.is_none() {
                break;
            }
        }
        names
    }

    #[test]
    fn definitions_stand_in_order_on_one_line() {
        assert_eq!(array(&[]).json(), "[]");
        assert_eq!(array(&["a", "ü"]).json(), "[{\"name\": \"a\"},{\"name\": \"ü\"}]");
        assert_eq!(EntryArray::default().page(None, 10).unwrap().json, "[]");
    }

    #[test]
    fn pages_of_any_size_add_up_to_the_list() {
        let names = ["a", "bb", "c", "dddd", "e"];
        for most in 0..100 {
            assert_eq!(read(array(&names), most, |_| None), names, "{most}");
        }
        assert_eq!(array(&names).page(None, 1000).unwrap(), Page { json: array(&names).json, next: None });
    }

    #[test]
    fn what_comes_and_goes_between_pages_leads_to_no_repetition_and_no_gap() {
        let before = ["a", "b", "c", "d"];
        for (after, expected) in [
            (&["x", "a", "b", "c", "d"][..], &["a", "b", "c", "d"][..]),
            (&["b", "c", "d"], &["a", "b", "c", "d"]),
            (&["a", "c", "d"], &["a", "b", "c", "d"]),
            (&["a", "b"], &["a", "b"]),
            (&[], &["a", "b"]),
        ] {
            let change = |page| (page == 2).then(|| array(after));
            let read = read(array(&before), 1, change);
            let kept: Vec<&String> = read.iter().filter(|name| expected.contains(&name.as_str())).collect();
            assert_eq!(kept, expected, "{after:?}");
        }
    }

    #[test]
    fn a_foreign_cursor_is_refused() {
        for cursor in ["", "x", "1", "1.x", "-1.0", "1.0.0"] {
            assert_eq!(array(&["a"]).page(Some(cursor), 1), Err(BadCursor), "{cursor}");
        }
        assert_eq!(array(&["a"]).page(Some("ffff.0"), 1).unwrap().json, "[]");
    }
}
