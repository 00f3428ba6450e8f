//! Lists of tasks (2025-11-25, Tasks, "Listing Tasks"): the reader of a result, and the builder of one. Must not know whose tasks they are.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::entry_array::{BadCursor, EntryArray, Page};
use super::envelope::Text;
use super::object::Object;

/// Task of a list.
#[derive(Clone, Copy, Debug)]
pub struct ListedTask<'a> {
    /// Its id, a JSON string as it stands.
    id: &'a RawValue,
    /// The whole object as it stands.
    pub json: &'a str,
}

impl ListedTask<'_> {
    /// Returns its id.
    pub fn id(&self) -> Option<String> {
        serde_json::from_str(self.id.get()).ok()
    }
}

/// Result of a `tasks/list`.
#[derive(Debug)]
pub struct TaskPage<'a> {
    /// The tasks, in their order. Entries without an id are left out.
    pub tasks: Vec<ListedTask<'a>>,
    /// Cursor of the next page, as raw JSON; `None`: this is the last one.
    pub next: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawPage<'a> {
    #[serde(borrow)]
    tasks: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    next_cursor: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct RawTask<'a> {
    #[serde(rename = "taskId", borrow)]
    id: &'a RawValue,
}

impl<'a> TaskPage<'a> {
    /// Reads a result; `None`: it is no list of tasks.
    pub fn read(result: &'a [u8]) -> Option<Self> {
        let Object(RawPage { tasks, next_cursor }) = serde_json::from_slice(result).ok()?;
        let task = |raw: &'a RawValue| {
            let Object(RawTask { id }) = serde_json::from_str(raw.get()).ok()?;
            serde_json::from_str::<Text<'_>>(id.get()).ok()?;
            Some(ListedTask { id, json: raw.get() })
        };
        Some(Self { tasks: tasks.into_iter().filter_map(task).collect(), next: next_cursor })
    }
}

/// Returns the page after a cursor of a list of tasks, given by id and object, as a result. A list of at most `most` bytes is one page.
///
/// # Errors
/// The cursor is none that this function gave out.
pub fn page<'a>(
    tasks: impl IntoIterator<Item = (&'a str, &'a str)>,
    cursor: Option<&str>,
    most: usize,
) -> Result<Bytes, BadCursor> {
    let Page { json, next } = EntryArray::new(tasks).page(cursor, most)?;
    let next = next.map(|next| format!(r#","nextCursor":"{next}""#)).unwrap_or_default();
    Ok([br#"{"tasks":"#, &*json, next.as_bytes(), b"}"].concat().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_read_as_they_stand_and_what_has_no_id_is_left_out() {
        let result = br#"{"tasks":[{"n":1e400,"taskId":"\u0061"},{"taskId":1},{},3,["a"],{"taskId":"b"}],"nextCursor":"c","x":1}"#;
        let page = TaskPage::read(result).unwrap();
        let tasks: Vec<_> = page.tasks.iter().map(|task| (task.id().unwrap(), task.json)).collect();
        assert_eq!(
            tasks,
            [("a".to_owned(), r#"{"n":1e400,"taskId":"\u0061"}"#), ("b".to_owned(), r#"{"taskId":"b"}"#)]
        );
        assert_eq!(page.next.unwrap().get(), "\"c\"");
        assert!(TaskPage::read(br#"{"tasks":[],"nextCursor":null}"#).unwrap().next.is_none());
        for other in [&b"[]"[..], b"{}", br#"{"tasks":{}}"#, b"{", br#"[[],"c"]"#] {
            assert!(TaskPage::read(other).is_none());
        }
    }

    #[test]
    fn pages_add_up_to_the_list_also_where_tasks_come_and_go_between() {
        let names: Vec<String> = (0..20).map(|number| format!("t{number}")).collect();
        let objects: Vec<String> = names.iter().map(|name| format!(r#"{{"taskId":"{name}"}}"#)).collect();
        let all: Vec<(&str, &str)> =
            names.iter().map(String::as_str).zip(objects.iter().map(String::as_str)).collect();
        let (mut cursor, mut read, mut round) = (None, Vec::new(), 0);
        loop {
            // A task that the client has read is gone on the second page.
            let now = all.iter().copied().filter(|(name, _)| round == 0 || *name != "t0");
            let result = page(now, cursor.as_deref(), 60).unwrap();
            let listed = TaskPage::read(&result).unwrap();
            read.extend(listed.tasks.iter().map(|task| task.id().unwrap()));
            let Some(next) = listed.next else { break };
            cursor = Some(serde_json::from_str::<String>(next.get()).unwrap());
            round += 1;
        }
        assert!(round > 2);
        assert_eq!(read, names);
        assert_eq!(page([], Some("x"), 60), Err(BadCursor));
        assert_eq!(page([], None, 60).unwrap(), r#"{"tasks":[]}"#);
    }
}
