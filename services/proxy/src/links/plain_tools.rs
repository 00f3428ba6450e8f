//! The tool list of a plain slave, page by page: pages are kept as they came until the last one is there. Must not know the
//! requests that ask for them, or limits.

use bytes::Bytes;
use protocol::link::call::ResponseEvent;
use protocol::mcp::catalog::{CatalogError, ListKind, RawList};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Largest number of pages of a tool list that are requested.
const MAX_PAGES: usize = 100;

/// Longest cursor of a page, in bytes.
const MAX_CURSOR: usize = 4096;

/// Pages of a tool list.
#[derive(Debug, Default)]
pub(super) struct ToolPages {
    pages: Vec<Bytes>,
    /// Whether the list was given up: further pages are ignored.
    given_up: bool,
}

/// What follows from a page.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NextPage {
    /// The page after this cursor is to be requested.
    After(String),
    /// The list is complete.
    Complete(Vec<Bytes>),
    /// The list is of no use any more.
    None,
}

#[derive(Deserialize)]
struct Cursor {
    #[serde(rename = "nextCursor", default)]
    next: Option<String>,
}

#[derive(Deserialize)]
struct Tools<'a> {
    #[serde(borrow)]
    tools: Vec<&'a RawValue>,
}

impl ToolPages {
    /// Takes the response to a request for a page. A slave that answers with an error has no tools.
    pub(super) fn take(&mut self, response: ResponseEvent) -> Result<NextPage, CatalogError> {
        if self.given_up {
            return Ok(NextPage::None);
        }
        let ResponseEvent::End { error: false, payload, .. } = response else {
            return Ok(NextPage::Complete(std::mem::take(&mut self.pages)));
        };
        let page: Cursor = serde_json::from_slice(&payload).inspect_err(|_| self.give_up())?;
        self.pages.push(payload);
        match page.next.filter(|cursor| self.pages.len() < MAX_PAGES && cursor.len() <= MAX_CURSOR) {
            Some(cursor) => Ok(NextPage::After(cursor)),
            None => Ok(NextPage::Complete(std::mem::take(&mut self.pages))),
        }
    }

    /// Returns the bytes of the pages that are kept.
    pub(super) fn bytes(&self) -> usize {
        self.pages.iter().map(Bytes::len).sum()
    }

    /// Drops all pages, and those that still come.
    pub(super) fn give_up(&mut self) {
        *self = Self { pages: Vec::new(), given_up: true };
    }
}

/// Reads the tools of all pages, which are borrowed.
pub(super) fn read(pages: &[Bytes]) -> Result<RawList<'_>, CatalogError> {
    let mut items = Vec::new();
    for page in pages {
        items.extend(serde_json::from_slice::<Tools<'_>>(page)?.tools);
    }
    RawList::of(ListKind::Tools, items)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(json: &str) -> ResponseEvent {
        let payload = Bytes::copy_from_slice(json.as_bytes());
        ResponseEvent::End { seq: 0, more: false, error: false, tool_error: false, status: 0, payload }
    }

    #[test]
    fn pages_add_up_and_end() {
        let mut tools = ToolPages::default();
        let next = tools.take(response(r#"{"tools":[{"name":"a","n":1e400}],"nextCursor":"2"}"#)).unwrap();
        assert_eq!(next, NextPage::After("2".into()));
        assert!(tools.bytes() > 20);
        let Ok(NextPage::Complete(pages)) = tools.take(response(r#"{"tools":[{"name":"b"}]}"#)) else {
            panic!("the last page")
        };
        let entries = read(&pages).unwrap().entries().unwrap();
        assert_eq!(entries.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(entries[0].definition.get(), r#"{"name":"a","n":1e400}"#);
        assert_eq!(tools.bytes(), 0);
    }

    #[test]
    fn an_endless_list_ends_and_a_bad_one_is_given_up() {
        let endless = r#"{"tools":[],"nextCursor":"x"}"#;
        let mut tools = ToolPages::default();
        let asked = std::iter::from_fn(|| match tools.take(response(endless)).unwrap() {
            NextPage::After(_) => Some(()),
            NextPage::Complete(_) | NextPage::None => None,
        });
        assert_eq!(asked.count(), MAX_PAGES - 1);
        let long = format!(r#"{{"tools":[],"nextCursor":"{}"}}"#, "x".repeat(MAX_CURSOR + 1));
        assert!(matches!(ToolPages::default().take(response(&long)), Ok(NextPage::Complete(_))));
        let mut tools = ToolPages::default();
        assert!(tools.take(response("[]x")).is_err());
        assert_eq!(tools.take(response(endless)).unwrap(), NextPage::None);
        assert!(read(&[Bytes::from_static(b"{\"tools\":[1]}")]).is_err());
    }
}
