//! Message with one part of a catalog (docs/PROTOCOL.md, "Catalog, names, owners"): what it replaces and by what. Must not know
//! what was there before.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::entry::{CatalogEntry, ListKind};
use super::error::CatalogError;
use super::hints::ListHints;
use super::limits::{MAX_BACKEND_NAME, MAX_CATALOG};
use super::server::ServerFacts;
use crate::mcp::object::Object;

/// State in which other slaves are preferred; other states mean nothing.
const DEGRADED: &str = "degraded";

/// `slave.health.state` of a slave that can run no call at present, though it offers tools.
const UNAVAILABLE: &str = "unavailable";

/// Effect of a part on one list.
#[derive(Clone, Copy, Debug, Default)]
pub enum ListChange<'a> {
    /// The part does not name the list.
    #[default]
    Unchanged,
    /// The list is removed.
    Removed,
    /// The list is replaced by this one: the JSON that [`super::RawList`] reads.
    Replaced(&'a str),
}

/// Part about one backend.
#[derive(Debug)]
pub struct BackendPart<'a> {
    /// Name of the backend at the slave.
    pub backend: Cow<'a, str>,
    /// Place among the slave's backends; `None`: as before.
    pub position: Option<u32>,
    /// Whether the backend and all its lists are removed.
    pub gone: bool,
    /// Change of each list, in the order of [`ListKind::ALL`].
    pub lists: [ListChange<'a>; 4],
    /// What the backend says of itself, the JSON that [`super::ServerFacts`] reads; `None`: as before.
    pub server: Option<&'a str>,
}

/// State of the whole slave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlaveState {
    /// Whether every backend has reported its lists once or failed.
    pub complete: bool,
    /// Reason why the slave calls itself degraded, without secrets; `None`: not degraded.
    pub degraded: Option<String>,
    /// Whether it can run no call at present, though it offers tools: none of their backends runs. Only together with `degraded`.
    pub unavailable: bool,
}

/// One part of a catalog.
#[derive(Debug)]
pub enum CatalogPart<'a> {
    /// A backend's lists.
    Backend(BackendPart<'a>),
    /// The slave's state.
    Slave(SlaveState),
}

#[derive(Deserialize)]
struct PartJson<'a> {
    #[serde(borrow, default)]
    backend: Option<Cow<'a, str>>,
    #[serde(default)]
    position: Option<u32>,
    #[serde(default)]
    gone: bool,
    #[serde(borrow, default)]
    lists: Option<Object<ListsJson<'a>>>,
    #[serde(borrow, default)]
    server: Option<&'a RawValue>,
    #[serde(default)]
    slave: Option<Object<StateJson>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListsJson<'a> {
    #[serde(borrow, default)]
    tools: Named<'a>,
    #[serde(borrow, default)]
    prompts: Named<'a>,
    #[serde(borrow, default)]
    resources: Named<'a>,
    #[serde(borrow, default)]
    resource_templates: Named<'a>,
}

/// Member of `lists`, which unlike an `Option` tells `null` from a missing one.
#[derive(Default)]
struct Named<'a>(ListChange<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for Named<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = <&'a RawValue>::deserialize(from)?.get();
        Ok(Self(if text == "null" { ListChange::Removed } else { ListChange::Replaced(text) }))
    }
}

#[derive(Serialize, Deserialize)]
struct StateJson {
    #[serde(default)]
    complete: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    health: Option<HealthJson>,
}

#[derive(Serialize, Deserialize)]
struct HealthJson {
    state: String,
    #[serde(default)]
    reason: String,
}

impl<'a> CatalogPart<'a> {
    /// Reads the payload of `catalog` frames. Lists are borrowed and not looked into.
    ///
    /// # Errors
    /// The payload is too long or not of the form.
    pub fn parse(json: &'a [u8]) -> Result<Self, CatalogError> {
        if json.len() > MAX_CATALOG {
            return Err(CatalogError::TooLong(json.len()));
        }
        let Object(part): Object<PartJson<'a>> = serde_json::from_slice(json)?;
        match (part.backend, part.slave) {
            (Some(backend), None) => {
                check_backend(&backend)?;
                let lists = part.lists.map(|Object(lists)| lists.changes()).unwrap_or_default();
                let (position, gone) = (part.position, part.gone);
                let server = part.server.map(RawValue::get);
                Ok(Self::Backend(BackendPart { backend, position, gone, lists, server }))
            }
            (None, Some(Object(state))) => {
                let known = |health: &HealthJson| [DEGRADED, UNAVAILABLE].contains(&health.state.as_str());
                let health = state.health.filter(known);
                let unavailable = health.as_ref().is_some_and(|health| health.state == UNAVAILABLE);
                let degraded = health.map(|health| health.reason);
                Ok(Self::Slave(SlaveState { complete: state.complete, degraded, unavailable }))
            }
            _ => Err(CatalogError::NoSubject),
        }
    }
}

impl<'a> ListsJson<'a> {
    fn changes(self) -> [ListChange<'a>; 4] {
        [self.tools.0, self.prompts.0, self.resources.0, self.resource_templates.0]
    }
}

fn check_backend(name: &str) -> Result<(), CatalogError> {
    let fits = name.len() <= MAX_BACKEND_NAME && !name.chars().any(char::is_control);
    if fits { Ok(()) } else { Err(CatalogError::BadBackend) }
}

/// Returns the backend that the beginning of a part names, where the name stands before the lists.
pub fn backend_at_head(json: &[u8]) -> Option<String> {
    struct Head<'h>(&'h mut Option<String>);
    impl<'de> Visitor<'de> for Head<'_> {
        type Value = ();
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
            while let Some(key) = map.next_key::<Cow<'de, str>>()? {
                match &*key {
                    "backend" => {
                        *self.0 = Some(map.next_value()?);
                        return Ok(());
                    }
                    "lists" => return Ok(()),
                    _ => drop(map.next_value::<serde::de::IgnoredAny>()?),
                }
            }
            Ok(())
        }
    }
    let mut backend = None;
    // The text ends somewhere in the lists, so that reading it always fails after the name.
    let _ = serde_json::Deserializer::from_slice(json).deserialize_map(Head(&mut backend));
    backend.filter(|name| check_backend(name).is_ok())
}

/// List of a backend, as it is written.
#[derive(Clone, Copy, Debug, Default)]
pub struct WrittenList<'a> {
    /// Definitions in the backend's order.
    pub entries: &'a [Arc<CatalogEntry>],
    /// Hints for caches of the list.
    pub hints: ListHints,
}

/// Backend, as it is written.
#[derive(Clone, Copy, Debug, Default)]
pub struct WrittenBackend<'a> {
    /// Lists in the order of [`ListKind::ALL`]; `None`: the backend has no such list.
    pub lists: [Option<WrittenList<'a>>; 4],
    /// What the backend says of itself, as far as it is known.
    pub server: Option<&'a ServerFacts>,
}

/// Writes the part of one backend with all its lists.
///
/// # Errors
/// A definition is not valid JSON, which [`RawValue`] rules out.
pub fn write_backend(
    backend: &str,
    position: usize,
    written: WrittenBackend<'_>,
) -> Result<Bytes, serde_json::Error> {
    #[derive(Serialize)]
    struct Part<'a> {
        backend: &'a str,
        position: usize,
        #[serde(skip_serializing_if = "Option::is_none")]
        server: Option<&'a ServerFacts>,
        lists: WrittenLists<'a>,
    }
    let WrittenBackend { lists, server } = written;
    let lists = WrittenLists(lists);
    serde_json::to_vec(&Part { backend, position, server, lists }).map(Bytes::from)
}

/// Writes the part that gives a backend another place and leaves its lists as they are.
///
/// # Errors
/// None that a text can cause.
pub fn write_position(backend: &str, position: usize) -> Result<Bytes, serde_json::Error> {
    #[derive(Serialize)]
    struct Part<'a> {
        backend: &'a str,
        position: usize,
    }
    serde_json::to_vec(&Part { backend, position }).map(Bytes::from)
}

/// Writes the part that removes a backend.
///
/// # Errors
/// None that a text can cause.
pub fn write_gone(backend: &str) -> Result<Bytes, serde_json::Error> {
    #[derive(Serialize)]
    struct Part<'a> {
        backend: &'a str,
        gone: bool,
    }
    serde_json::to_vec(&Part { backend, gone: true }).map(Bytes::from)
}

/// Writes the part with the slave's state.
///
/// # Errors
/// None that a text can cause.
pub fn write_state(state: &SlaveState) -> Result<Bytes, serde_json::Error> {
    #[derive(Serialize)]
    struct Part {
        slave: StateJson,
    }
    let name = if state.unavailable { UNAVAILABLE } else { DEGRADED };
    let health = state.degraded.clone().map(|reason| HealthJson { state: name.into(), reason });
    serde_json::to_vec(&Part { slave: StateJson { complete: state.complete, health } }).map(Bytes::from)
}

struct WrittenLists<'a>([Option<WrittenList<'a>>; 4]);

impl Serialize for WrittenLists<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct List<'a> {
            items: Vec<&'a RawValue>,
            #[serde(skip_serializing_if = "Option::is_none")]
            ttl_ms: Option<u64>,
            #[serde(skip_serializing_if = "Option::is_none")]
            cache_scope: Option<&'a str>,
        }
        let mut map = to.serialize_map(None)?;
        for (kind, list) in ListKind::ALL.into_iter().zip(self.0) {
            let list = list.map(|WrittenList { entries, hints }| List {
                items: entries.iter().map(|entry| &*entry.definition).collect(),
                ttl_ms: hints.ttl_ms,
                cache_scope: hints.scope(),
            });
            map.serialize_entry(kind.name(), &list)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<CatalogPart<'_>, CatalogError> {
        CatalogPart::parse(json.as_bytes())
    }

    #[test]
    fn a_part_names_what_it_replaces_and_nothing_else() {
        let CatalogPart::Backend(part) = parse(
            r#"{"backend":"a\"b","position":3,"new":[],"lists":{"tools":{"items":[]},"prompts":null,"other":{}}}"#,
        )
        .unwrap() else {
            panic!("a backend's part")
        };
        assert_eq!((&*part.backend, part.position, part.gone), ("a\"b", Some(3), false));
        assert!(matches!(
            part.lists,
            [
                ListChange::Replaced(r#"{"items":[]}"#),
                ListChange::Removed,
                ListChange::Unchanged,
                ListChange::Unchanged
            ]
        ));
        assert!(
            matches!(parse(r#"{"backend":"","gone":true}"#), Ok(CatalogPart::Backend(part)) if part.gone)
        );
    }

    #[test]
    fn only_the_degraded_state_means_something() {
        let state = |json: &str| match parse(json) {
            Ok(CatalogPart::Slave(state)) => state,
            other => panic!("{json}: {other:?}"),
        };
        let degraded = state(r#"{"slave":{"complete":true,"health":{"state":"degraded","reason":"why"}}}"#);
        let why = SlaveState { complete: true, degraded: Some("why".into()), unavailable: false };
        assert_eq!(degraded, why);
        let down = state(r#"{"slave":{"complete":true,"health":{"state":"unavailable","reason":"why"}}}"#);
        assert_eq!(down, SlaveState { unavailable: true, ..why });
        for other in
            [r#"{"slave":{"health":{"state":"fine"}}}"#, r#"{"slave":{"health":null}}"#, r#"{"slave":{}}"#]
        {
            assert_eq!(state(other), SlaveState::default(), "{other}");
        }
    }

    #[test]
    fn what_is_no_part_is_refused() {
        for json in [
            "{}",
            r#"{"tools":[]}"#,
            r#"{"backend":"a","slave":{}}"#,
            r#"{"backend":"a\n"}"#,
            "[]",
            "null",
            r#"{"backend":1}"#,
            r#"{"backend":"a","lists":[]}"#,
            r#"{"slave":[true]}"#,
            r#"{"backend":"a"}x"#,
            r#"{"backend":"a","position":-1}"#,
            r#"{"backend":"a","lists":{"tools":1,"tools":2}}"#,
        ] {
            assert!(parse(json).is_err(), "{json}");
        }
        assert!(parse(&format!(r#"{{"backend":"{}"}}"#, "x".repeat(MAX_BACKEND_NAME + 1))).is_err());
        assert!(matches!(CatalogPart::parse(&vec![b' '; MAX_CATALOG + 1]), Err(CatalogError::TooLong(_))));
    }

    #[test]
    fn what_is_written_is_read_again() {
        const OTHERS: &str = r#""prompts":null,"resources":null,"resourceTemplates":null"#;
        let tools = super::super::Catalog::decode(br#"{"tools":[{"name":"x","n":1.0}]}"#).unwrap().tools;
        let only = |entries, hints| WrittenBackend {
            lists: [Some(WrittenList { entries, hints }), None, None, None],
            server: None,
        };
        let json = write_backend("files", 2, only(&tools, ListHints::default())).unwrap();
        let list = r#"{"items":[{"name":"x","n":1.0}]}"#;
        assert_eq!(
            json,
            format!(r#"{{"backend":"files","position":2,"lists":{{"tools":{list},{OTHERS}}}}}"#)
        );
        let hints = ListHints { ttl_ms: Some(5), private: true };
        let json = write_backend("f", 0, only(&[], hints)).unwrap();
        let list = r#"{"items":[],"ttlMs":5,"cacheScope":"private"}"#;
        assert_eq!(json, format!(r#"{{"backend":"f","position":0,"lists":{{"tools":{list},{OTHERS}}}}}"#));
        assert_eq!(super::super::RawList::parse(ListKind::Tools, list).unwrap().hints(), hints);
        let facts = ServerFacts { instructions: Some("do".into()), ..ServerFacts::default() };
        let written = WrittenBackend { server: Some(&facts), ..WrittenBackend::default() };
        let json = write_backend("files", 2, written).unwrap();
        let Ok(CatalogPart::Backend(part)) = CatalogPart::parse(&json) else { panic!("a part") };
        assert!(part.lists.iter().all(|list| matches!(list, ListChange::Removed)));
        assert_eq!(ServerFacts::parse(part.server.unwrap()).unwrap(), facts);
        let json = write_gone("files").unwrap();
        assert!(matches!(CatalogPart::parse(&json), Ok(CatalogPart::Backend(part)) if part.gone));
        for (degraded, unavailable) in
            [(None, false), (Some("why".to_owned()), false), (Some("down".to_owned()), true)]
        {
            let state = SlaveState { complete: true, degraded, unavailable };
            let json = write_state(&state).unwrap();
            assert!(matches!(CatalogPart::parse(&json), Ok(CatalogPart::Slave(read)) if read == state));
        }
    }

    #[test]
    fn the_head_of_a_part_names_its_backend() {
        for (head, backend) in [
            (r#"{"backend":"files","position":0,"lists":{"tools":{"items":[{"na"#, Some("files")),
            (r#"{"position":0,"x":{"y":[1]},"backend":"a\u0062","lists""#, Some("ab")),
            (r#"{"lists":{"tools":{"#, None),
            (r#"{"backend":"fil"#, None),
            (r#"{"backend":"a\n","#, None),
            ("[", None),
        ] {
            assert_eq!(backend_at_head(head.as_bytes()).as_deref(), backend, "{head}");
        }
    }
}
