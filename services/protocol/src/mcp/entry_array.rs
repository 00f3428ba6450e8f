//! The JSON array of a list method's result, built from definitions, and its pages. Must not know where the definitions come from.
//!
//! A cursor names the last entry that the client has, not a place: entries that come and go meanwhile lead to no repetition and no gap. It also
//! names the owners of the last entries, since an owner that is lost takes all of its entries with it.

use std::fmt::Write as _;
use std::hash::{BuildHasher, Hasher};

use bytes::Bytes;
use foldhash::fast::FixedState;

/// Seed of the digests in cursors: the same in all replicas.
const SEED: u64 = 0x6d63_7072;

/// Longest page of a list, in bytes: one that fits is sent as a whole.
pub const MAX_PAGE: usize = 1024 * 1024;

/// Most owners that a cursor names: that of its entry, and those before.
const MAX_OWNERS: usize = 8;

/// An entry and whose it is. Entries of one owner stand together.
#[derive(Clone, Copy, Debug)]
pub struct OwnedEntry<'a> {
    /// The owner's name.
    pub owner: &'a str,
    /// The entry's name.
    pub name: &'a str,
    /// The definition.
    pub definition: &'a str,
}

/// Entries of one owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct OwnerRun {
    /// Digest of the owner's name.
    owner: u64,
    begin: usize,
    end: usize,
}

/// An array of entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryArray {
    json: Bytes,
    /// Where each entry ends in the array.
    ends: Vec<usize>,
    /// Digest of each entry's name.
    names: Vec<u64>,
    owners: Vec<OwnerRun>,
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
    /// Builds the array of entries of one owner, given by name and definition, as [`Self::owned`] does.
    pub fn new<'a>(entries: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self::owned(entries.into_iter().map(|(name, definition)| OwnedEntry { owner: "", name, definition }))
    }

    /// Builds the array of entries, in their order and without line breaks, so that it can be sent as an SSE event. Line breaks stand only
    /// between tokens of JSON, where a space means the same.
    pub fn owned<'a>(entries: impl IntoIterator<Item = OwnedEntry<'a>>) -> Self {
        let mut array = Self { json: Bytes::new(), ..Self::default() };
        let mut json = vec![b'['];
        for OwnedEntry { owner, name, definition } in entries {
            if json.len() > 1 {
                json.push(b',');
            }
            json.extend(
                definition.bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }),
            );
            array.push(digest(name), digest(owner), json.len());
        }
        json.push(b']');
        array.json = json.into();
        array
    }

    /// Adds an entry that ends there in the array.
    fn push(&mut self, name: u64, owner: u64, end: usize) {
        self.ends.push(end);
        self.names.push(name);
        let count = self.names.len();
        match self.owners.last_mut().filter(|run| run.owner == owner) {
            Some(run) => run.end = count,
            None => self.owners.push(OwnerRun { owner, begin: count - 1, end: count }),
        }
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
        let next = (last < self.ends.len()).then(|| self.cursor(last));
        Ok(Page { json, next })
    }

    /// Returns the array of the entries, by their places, for which `keep` holds.
    #[must_use]
    pub fn filter(&self, keep: impl Fn(usize) -> bool) -> Self {
        let (mut kept, mut json) = (Self { json: Bytes::new(), ..Self::default() }, vec![b'[']);
        for run in &self.owners {
            for at in (run.begin..run.end).filter(|at| keep(*at)) {
                let begin = if at == 0 { 1 } else { self.ends[at - 1] + 1 };
                if json.len() > 1 {
                    json.push(b',');
                }
                json.extend_from_slice(&self.json[begin..self.ends[at]]);
                kept.push(self.names[at], run.owner, json.len());
            }
        }
        json.push(b']');
        kept.json = json.into();
        kept
    }

    fn array(&self) -> Bytes {
        if self.json.is_empty() { Bytes::from_static(b"[]") } else { self.json.clone() }
    }

    /// Returns the cursor of the page that begins at this place.
    fn cursor(&self, place: usize) -> String {
        let mut cursor = format!("{place:x}.{:016x}", self.names[place - 1]);
        let before = self.owners.iter().rev().skip_while(|run| run.begin >= place);
        if self.owners.len() > 1 {
            for (number, run) in before.take(MAX_OWNERS).enumerate() {
                if number == 0 {
                    let _ = write!(cursor, "-{:x}", place - run.begin);
                }
                let _ = write!(cursor, "-{:016x}", run.owner);
            }
        }
        cursor
    }

    /// Returns the place after the entry that the cursor names. Where that entry is gone: the place that it had among those of its owner;
    /// where all of these are gone: the place after the nearest owner before that is left.
    fn after(&self, cursor: &str) -> Result<usize, BadCursor> {
        let number = |text: &str| u64::from_str_radix(text, 16).map_err(|_| BadCursor);
        let (place, rest) = cursor.split_once('.').ok_or(BadCursor)?;
        let place = usize::from_str_radix(place, 16).map_err(|_| BadCursor)?;
        let numbers = rest.split('-').map(number).collect::<Result<Vec<_>, _>>()?;
        let (name, owners) = numbers.split_first().ok_or(BadCursor)?;
        if let Some(at) = self.names.iter().position(|known| known == name) {
            return Ok(at + 1);
        }
        let (offset, owners) = owners.split_first().map_or((0, owners), |(offset, owners)| (*offset, owners));
        let run = |owner: &u64| self.owners.iter().find(|run| run.owner == *owner);
        let own = owners.first().and_then(run);
        if let Some(run) = own {
            let had = usize::try_from(offset).unwrap_or(usize::MAX).saturating_sub(1);
            return Ok(run.begin.saturating_add(had).min(run.end));
        }
        let before = owners.iter().skip(1).find_map(run).map(|run| run.end);
        // A cursor with fewer owners than it could have names all that were before.
        let first = (1..MAX_OWNERS).contains(&owners.len()).then_some(0);
        Ok(before.or(first).unwrap_or(place.saturating_sub(1)).min(self.ends.len()))
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

    fn owned(owners: &[(&'static str, &[&'static str])]) -> EntryArray {
        let all: Vec<(&str, &str, String)> = owners
            .iter()
            .flat_map(|(owner, names)| {
                names.iter().map(move |name| (*owner, *name, format!("{{\"name\":\"{name}\"}}")))
            })
            .collect();
        EntryArray::owned(all.iter().map(|(owner, name, definition)| OwnedEntry { owner, name, definition }))
    }

    #[test]
    fn an_owner_that_is_lost_with_all_its_entries_leads_to_no_repetition_and_no_gap() {
        let (one, two, three) = (("1", &["a", "b"][..]), ("2", &["c", "d", "e"][..]), ("3", &["f", "g"][..]));
        let before = owned(&[one, two, three]);
        for (after, expected) in [
            (owned(&[one, three]), "abcdfg"),
            (owned(&[three]), "abcdfg"),
            (owned(&[two, three]), "abcdefg"),
            (owned(&[one, ("2", &["c", "e"]), three]), "abcdefg"),
            (owned(&[("0", &["x", "y", "z"]), one, three]), "abcdfg"),
            (owned(&[("0", &["x", "y", "z"]), three]), "abcdxyzfg"),
            (owned(&[one]), "abcd"),
            (owned(&[]), "abcd"),
        ] {
            // Each page has one entry; the fifth request finds another list.
            let read = read(before.clone(), 1, |page| (page == 4).then(|| after.clone())).concat();
            assert_eq!(read, expected, "{after:?}");
            // What a client may not see is no part of the list.
            let shown = read_filtered(&before, &after);
            assert_eq!(shown, expected, "{after:?}");
        }
    }

    /// As [`read`], of lists in which others see more.
    fn read_filtered(before: &EntryArray, after: &EntryArray) -> String {
        let (before, after) = (before.filter(|_| true), after.filter(|_| true));
        read(before, 1, |page| (page == 4).then(|| after.clone())).concat()
    }

    #[test]
    fn a_foreign_cursor_is_refused() {
        for cursor in ["", "x", "1", "1.x", "-1.0", "1.0.0", "1.0-", "1.0-1-x", "1.0-g"] {
            assert_eq!(array(&["a"]).page(Some(cursor), 1), Err(BadCursor), "{cursor}");
        }
        assert_eq!(array(&["a"]).page(Some("ffff.0"), 1).unwrap().json, "[]");
    }
}
