//! Subscriptions to changes (2026-07-28, Subscriptions; 2025-11-25, Resources, "Subscriptions"): the filter, and the events of a call that
//! listens. Must not know who delivers them.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::call_message::{CallRules, MessageCheck, MessageShape, TASK_STATUS, is_extension};
use super::envelope::Text;
use super::era::Era;
use super::members::{self, ExactMembers, Members};
use super::object::Object;

/// Most resources of one filter, and of one session.
pub const MAX_SUBSCRIBED: usize = 1000;

/// Most bytes of a resource's URI.
pub const MAX_URI: usize = 8 * 1024;

/// Most bytes of the parameters of an update; longer ones are replaced by their URI alone.
pub const MAX_UPDATE: usize = 32 * 1024;

/// Most bytes of an event of a call that listens.
pub const MAX_LISTEN_EVENT: usize = MAX_SUBSCRIBED * MAX_URI;

/// Member of `_meta` that names the subscription.
const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";

/// What a client wants to be told of: `notifications` of `subscriptions/listen` and of its acknowledgement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SubscriptionFilter {
    /// Changes of the list of tools.
    #[serde(default, skip_serializing_if = "is_false")]
    pub tools_list_changed: bool,
    /// Changes of the list of prompts.
    #[serde(default, skip_serializing_if = "is_false")]
    pub prompts_list_changed: bool,
    /// Changes of the lists of resources and resource templates.
    #[serde(default, skip_serializing_if = "is_false")]
    pub resources_list_changed: bool,
    /// Updates of these resources.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resource_subscriptions: Vec<String>,
    /// The status of these tasks (the extension `io.modelcontextprotocol/tasks`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub task_ids: Vec<String>,
}

/// Why a filter cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// It is missing or not of its form.
    #[error(
        "params.notifications must be an object, for example {{\"toolsListChanged\": true, \"resourceSubscriptions\": [\"file:///notes.txt\"]}}"
    )]
    Form,
    /// It has too much.
    #[error(
        "params.notifications has at most {MAX_SUBSCRIBED} resourceSubscriptions and as many taskIds, each of at most {MAX_URI} bytes"
    )]
    TooMuch,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes members by reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

#[derive(Deserialize)]
struct ListenRequest {
    params: Object<ListenParams>,
}

#[derive(Deserialize)]
struct ListenParams {
    notifications: Object<SubscriptionFilter>,
}

impl SubscriptionFilter {
    /// Reads the filter of a `subscriptions/listen`, a whole JSON-RPC request. A URI or an id that stands twice is kept once.
    ///
    /// # Errors
    /// There is none, or it cannot be used.
    pub fn of_request(message: &[u8]) -> Result<Self, FilterError> {
        let request: ListenRequest = serde_json::from_slice(message).map_err(|_| FilterError::Form)?;
        let Object(ListenParams { notifications: Object(mut filter) }) = request.params;
        for names in [&mut filter.resource_subscriptions, &mut filter.task_ids] {
            if names.len() > MAX_SUBSCRIBED || names.iter().any(|name| name.len() > MAX_URI) {
                return Err(FilterError::TooMuch);
            }
            let mut known = std::collections::HashSet::new();
            names.retain(|name| known.insert(name.clone()));
        }
        Ok(filter)
    }

    /// Returns a `subscriptions/listen` with these resources in place of its own, all else as it stands; `None`: it names none.
    pub fn replace_resources(message: &[u8], uris: &[impl AsRef<str>]) -> Option<Bytes> {
        let message: &RawValue = serde_json::from_slice(message).ok()?;
        let uris: Vec<&str> = uris.iter().map(AsRef::as_ref).collect();
        let mut value = serde_json::value::to_raw_value(&uris).ok()?;
        let params = ExactMembers::of(message).get(b"params")?;
        let notifications = ExactMembers::of(params).get(b"notifications")?;
        for (object, name) in
            [(notifications, "resourceSubscriptions"), (params, "notifications"), (message, "params")]
        {
            value = members::with_value(object, name, &value).ok()??;
        }
        Some(Bytes::from(String::from(Box::<str>::from(value))))
    }

    /// Returns `notifications/subscriptions/acknowledged` for what is honoured; `id` is the subscription's, as raw JSON.
    pub fn acknowledgement(&self, id: Option<&str>) -> Bytes {
        let meta = id.map(|id| format!(r#""_meta":{{"{SUBSCRIPTION_ID}":{id}}},"#)).unwrap_or_default();
        let filter = serde_json::to_string(self).unwrap_or_else(|_| "{}".into());
        format!(
            r#"{{"jsonrpc":"2.0","method":"{ACKNOWLEDGED}","params":{{{meta}"notifications":{filter}}}}}"#
        )
        .into()
    }
}

const ACKNOWLEDGED: &str = "notifications/subscriptions/acknowledged";
const UPDATED: &str = "notifications/resources/updated";
const TASK_UPDATED: &str = "notifications/tasks";
const POSTED: &str = "notifications/posted";

/// Returns the notification that a list has changed; `list` is `tools`, `prompts` or `resources`, `id` the subscription's, as raw JSON.
pub fn list_changed(list: &str, id: Option<&str>) -> Bytes {
    let params = id.map(|id| format!(r#","params":{{"_meta":{{"{SUBSCRIPTION_ID}":{id}}}}}"#));
    let params = params.unwrap_or_default();
    format!(r#"{{"jsonrpc":"2.0","method":"notifications/{list}/list_changed"{params}}}"#).into()
}

/// Returns the result that ends a subscription in order; `id` is the subscription's, as raw JSON.
pub fn closing_result(id: &str) -> Bytes {
    format!(r#"{{"resultType":"complete","_meta":{{"{SUBSCRIPTION_ID}":{id}}}}}"#).into()
}

/// Update of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceUpdate {
    /// URI of the resource.
    pub uri: String,
    /// `params` of the notification: a JSON object on one line.
    pub params: Bytes,
}

impl ResourceUpdate {
    /// Returns the update of a resource of which nothing is known but that it changed.
    pub fn of_uri(uri: &str) -> Self {
        let text = serde_json::to_string(uri).unwrap_or_else(|_| "\"\"".into());
        Self { uri: uri.to_owned(), params: format!(r#"{{"uri":{text}}}"#).into() }
    }

    /// Reads the parameters of `notifications/resources/updated`; `None` where they name no resource.
    pub fn of_params(params: &RawValue) -> Option<Self> {
        #[derive(Deserialize)]
        struct Params<'a> {
            #[serde(borrow)]
            uri: Text<'a>,
        }
        let Object(Params { uri }) = serde_json::from_str(params.get()).ok()?;
        let text = params.get();
        if uri.as_str().len() > MAX_URI {
            return None;
        }
        if text.len() > MAX_UPDATE || memchr::memchr2(b'\n', b'\r', text.as_bytes()).is_some() {
            return Some(Self::of_uri(uri.as_str()));
        }
        Some(Self { uri: uri.as_str().to_owned(), params: Bytes::copy_from_slice(text.as_bytes()) })
    }

    /// Returns the update with another URI.
    #[must_use]
    pub fn renamed(&self, uri: &str) -> Self {
        if self.uri == uri {
            return self.clone();
        }
        let name = serde_json::to_string(uri).unwrap_or_default();
        let params = rebuilt(&self.params, |key, value| {
            Some(if key == "uri" { name.clone() } else { value.get().to_owned() })
        });
        params.map_or_else(|| Self::of_uri(uri), |params| Self { uri: uri.to_owned(), params: params.into() })
    }

    /// Returns the notification for a subscription; `id` is the subscription's, as raw JSON; `None`: for a session. The id that a backend
    /// knows the subscription by is left out.
    pub fn notification(&self, id: Option<&str>) -> Bytes {
        let params = params_with(&self.params, id);
        let params =
            params.unwrap_or_else(|| String::from_utf8_lossy(&Self::of_uri(&self.uri).params).into_owned());
        format!(r#"{{"jsonrpc":"2.0","method":"{UPDATED}","params":{params}}}"#).into()
    }
}

/// Update of a task (the extension `io.modelcontextprotocol/tasks`, "Task Status Notifications").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskUpdate {
    /// Id of the task.
    pub id: String,
    /// `params` of the notification: a JSON object on one line.
    pub params: Bytes,
}

impl TaskUpdate {
    /// Reads the parameters of `notifications/tasks`; `None` where they name no task, or are not on one line.
    pub fn of_params(params: &RawValue) -> Option<Self> {
        #[derive(Deserialize)]
        struct Params<'a> {
            #[serde(rename = "taskId", borrow)]
            id: Text<'a>,
        }
        let Object(Params { id }) = serde_json::from_str(params.get()).ok()?;
        let text = params.get().as_bytes();
        let is_line = memchr::memchr2(b'\n', b'\r', text).is_none();
        is_line.then(|| Self { id: id.as_str().to_owned(), params: Bytes::copy_from_slice(text) })
    }

    /// Returns the notification for a subscription; `id` is the subscription's, as raw JSON. The id that a backend knows the subscription by
    /// is left out.
    pub fn notification(&self, id: &str) -> Option<Bytes> {
        let params = params_with(&self.params, Some(id))?;
        Some(format!(r#"{{"jsonrpc":"2.0","method":"{TASK_UPDATED}","params":{params}}}"#).into())
    }
}

/// Returns the parameters of a notification with the id of a subscription, as raw JSON, in place of any other; `None`: they cannot be read.
fn params_with(params: &[u8], id: Option<&str>) -> Option<String> {
    let mut has_meta = false;
    let own = id.map(|id| format!(r#""{SUBSCRIPTION_ID}":{id}"#));
    let mut text = rebuilt(params, |key, value| {
        if key != "_meta" || !value.get().starts_with('{') {
            return Some(value.get().to_owned());
        }
        has_meta = true;
        let kept = rebuilt(value.get().as_bytes(), |key, value| {
            (key != SUBSCRIPTION_ID).then(|| value.get().to_owned())
        })?;
        let Some(own) = &own else { return (kept != "{}").then_some(kept) };
        let comma = if kept == "{}" { "" } else { "," };
        Some(format!("{{{own}{comma}{}", kept.get(1..)?))
    })?;
    if let (false, Some(own)) = (has_meta, own) {
        text.insert_str(1, &format!(r#""_meta":{{{own}}},"#));
    }
    Some(text)
}

/// Returns an object with the values that `change` gives; a member for which it gives `None` is left out. `None`: it cannot be read.
fn rebuilt(object: &[u8], mut change: impl FnMut(&str, &RawValue) -> Option<String>) -> Option<String> {
    let members: Members<'_> = serde_json::from_slice(object).ok()?;
    let mut parts = Vec::with_capacity(members.0.len());
    for (key, value) in &members.0 {
        if let Some(value) = change(key, value) {
            parts.push(format!("{}:{value}", serde_json::to_string(key).ok()?));
        }
    }
    Some(format!("{{{}}}", parts.join(",")))
}

/// Event of a call that listens (docs/PROTOCOL.md, "Listening").
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenEvent {
    /// Updates of these resources and tasks are told from now on. The first event.
    Watching(SubscriptionFilter),
    /// A resource was updated.
    Updated(ResourceUpdate),
    /// A task was updated.
    TaskUpdated(TaskUpdate),
    /// A client posted a message at another proxy: a text of [`is_sealed`] that the proxies understand.
    Posted(Bytes),
    /// A notification for a legacy session, as it stands: the status of a task, or one of an extension.
    Passed(Bytes),
}

/// Returns whether a text may be a sealed message: Base64 for URLs.
pub fn is_sealed(text: &[u8]) -> bool {
    text.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

impl ListenEvent {
    /// Returns the first event of a call that listens, with what it tells of.
    pub fn watching(resource_subscriptions: Vec<String>, task_ids: Vec<String>) -> Self {
        Self::Watching(SubscriptionFilter {
            resource_subscriptions,
            task_ids,
            ..SubscriptionFilter::default()
        })
    }

    /// Reads an event, one JSON-RPC notification; `None` for any other.
    pub fn read(event: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Notification<'a> {
            #[serde(borrow)]
            method: Text<'a>,
            #[serde(borrow, default)]
            params: Option<&'a RawValue>,
        }
        let Object(Notification { method, params }) = serde_json::from_slice(event).ok()?;
        match method.as_str() {
            UPDATED => ResourceUpdate::of_params(params?).map(Self::Updated),
            ACKNOWLEDGED => {
                let Object(ListenParams { notifications: Object(filter) }) =
                    serde_json::from_str(params?.get()).ok()?;
                Some(Self::watching(filter.resource_subscriptions, filter.task_ids))
            }
            TASK_UPDATED => TaskUpdate::of_params(params?).map(Self::TaskUpdated),
            POSTED => {
                let text = params?.get().strip_prefix('"')?.strip_suffix('"')?.as_bytes();
                is_sealed(text).then(|| Self::Posted(Bytes::copy_from_slice(text)))
            }
            method if method == TASK_STATUS || is_extension(method.as_bytes()) => {
                let rules = CallRules { era: Era::Legacy, label: None, token: None };
                let is_sound = MessageCheck::whole(MessageShape::Event, event, rules).is_ok();
                is_sound.then(|| Self::Passed(Bytes::copy_from_slice(event)))
            }
            _ => None,
        }
    }

    /// Returns the event as the notification that stands for it between slave and proxy.
    pub fn to_json(&self) -> Bytes {
        match self {
            Self::Watching(filter) => filter.acknowledgement(None),
            Self::Updated(ResourceUpdate { params, .. }) => notification(UPDATED, &[params]),
            Self::TaskUpdated(TaskUpdate { params, .. }) => notification(TASK_UPDATED, &[params]),
            Self::Passed(message) => message.clone(),
            Self::Posted(text) => notification(POSTED, &[b"\"", text, b"\""]),
        }
    }
}

/// Returns a notification; `params` are pieces of one JSON value.
fn notification(method: &str, params: &[&[u8]]) -> Bytes {
    let mut json = format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":"#).into_bytes();
    for piece in params {
        json.extend_from_slice(piece);
    }
    json.push(b'}');
    json.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(notifications: &str) -> Result<SubscriptionFilter, FilterError> {
        let message = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{{"notifications":{notifications}}}}}"#
        );
        SubscriptionFilter::of_request(message.as_bytes())
    }

    #[test]
    fn a_filter_is_an_object_of_the_known_members_in_bounds() {
        let read =
            filter(r#"{"toolsListChanged":true,"later":{},"resourceSubscriptions":["a:1","b:2","a:1"]}"#)
                .unwrap();
        assert!(read.tools_list_changed && !read.prompts_list_changed && !read.resources_list_changed);
        assert_eq!(read.resource_subscriptions, ["a:1", "b:2"]);
        assert_eq!(filter(r#"{"taskIds":["b","a","b"]}"#).unwrap().task_ids, ["b", "a"]);
        assert_eq!(filter("{}").unwrap(), SubscriptionFilter::default());
        let faults = [
            "null",
            "[]",
            "[true]",
            "1",
            r#"{"toolsListChanged":"yes"}"#,
            r#"{"toolsListChanged":1}"#,
            r#"{"resourceSubscriptions":"a:1"}"#,
            r#"{"resourceSubscriptions":[1]}"#,
            r#"{"resourceSubscriptions":{}}"#,
            r#"{"taskIds":"a"}"#,
            r#"{"taskIds":[null]}"#,
        ];
        for fault in faults {
            assert_eq!(filter(fault), Err(FilterError::Form), "{fault}");
        }
        let many: Vec<String> = (0..=MAX_SUBSCRIBED).map(|number| format!("a:{number}")).collect();
        let long = format!(r#"{{"resourceSubscriptions":["{}"]}}"#, "x".repeat(MAX_URI + 1));
        let tasks = serde_json::json!({ "taskIds": many }).to_string();
        let many = serde_json::json!({ "resourceSubscriptions": many }).to_string();
        assert_eq!([&many, &long, &tasks].map(|text| filter(text)), [const { Err(FilterError::TooMuch) }; 3]);
        assert_eq!(
            SubscriptionFilter::of_request(br#"{"id":1,"method":"subscriptions/listen"}"#),
            Err(FilterError::Form)
        );
    }

    #[test]
    fn a_listener_s_event_of_any_kind_is_read_as_it_was_written_and_what_it_must_not_be_is_none() {
        let passed = [
            r#"{"jsonrpc":"2.0","method":"notifications/tasks/status","params":{"taskId":"t","n":1e400}}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/com.example/changed"}"#,
            r#"{"method":"notifications/elicitation/complete","jsonrpc":"2.0","params":{"elicitationId":"e"}}"#,
        ];
        for text in passed {
            let event = ListenEvent::read(text.as_bytes()).unwrap();
            assert_eq!(event, ListenEvent::Passed(text.into()));
            assert_eq!(event.to_json(), text);
        }
        for text in [
            r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1}}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info"}}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/tasks/other","params":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"notifications/com.example/changed"}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/com.example/changed","params":[]}"#,
            r#"{"method":"notifications/com.example/changed"}"#,
            "{\"jsonrpc\":\"2.0\",\n\"method\":\"notifications/com.example/changed\"}",
            r#"{"jsonrpc":"2.0","method":"elicitation/create","params":{}}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/resources/updated"}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/posted"}"#,
        ] {
            assert_eq!(ListenEvent::read(text.as_bytes()), None, "{text}");
        }
    }

    fn update(params: &str) -> ResourceUpdate {
        let raw: Box<RawValue> = serde_json::from_str(params).unwrap();
        ResourceUpdate::of_params(&raw).unwrap()
    }

    fn task(params: &str) -> TaskUpdate {
        let raw: Box<RawValue> = serde_json::from_str(params).unwrap();
        TaskUpdate::of_params(&raw).unwrap()
    }

    #[test]
    fn the_update_of_a_task_keeps_its_members_and_carries_the_subscription_s_id() {
        let params = r#"{"taskId":"\u0061","_meta":{"io.modelcontextprotocol/subscriptionId":7,"k":1e400},"status":"working"}"#;
        let update = task(params);
        assert_eq!((update.id.as_str(), &*update.params), ("a", params.as_bytes()));
        let expected = format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/tasks","params":{}}}"#,
            params.replace(":7", r#":"x""#)
        );
        assert_eq!(update.notification(r#""x""#).unwrap(), expected);
        for other in ["{}", "[]", r#"{"taskId":1}"#, "{\"taskId\":\"a\",\n\"n\":1}"] {
            assert_eq!(TaskUpdate::of_params(&serde_json::from_str::<Box<RawValue>>(other).unwrap()), None);
        }
    }

    #[test]
    fn updates_keep_their_members_and_carry_the_id_of_the_client_s_subscription_alone() {
        let cases = [
            (
                r#"{"uri":"a:1"}"#,
                Some("\"x\""),
                r#"{"_meta":{"io.modelcontextprotocol/subscriptionId":"x"},"uri":"a:1"}"#,
            ),
            (r#"{"uri":"a:1"}"#, None, r#"{"uri":"a:1"}"#),
            (
                r#"{"_meta":{"io.modelcontextprotocol/subscriptionId":7},"uri":"a:1"}"#,
                None,
                r#"{"uri":"a:1"}"#,
            ),
            (
                r#"{"_meta":{"io.modelcontextprotocol/subscriptionId":7},"uri":"a:1","n":1e400}"#,
                Some("2"),
                r#"{"_meta":{"io.modelcontextprotocol/subscriptionId":2},"uri":"a:1","n":1e400}"#,
            ),
            (
                r#"{"uri":"a:1","_meta":{"k":-0.0,"io.modelcontextprotocol/subscriptionId":7}}"#,
                Some("2"),
                r#"{"uri":"a:1","_meta":{"io.modelcontextprotocol/subscriptionId":2,"k":-0.0}}"#,
            ),
        ];
        for (params, id, expected) in cases {
            let text = update(params).notification(id);
            let whole = format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{expected}}}"#
            );
            assert_eq!(std::str::from_utf8(&text).unwrap(), whole, "{params}");
        }
        assert_eq!(update(r#"{"uri":"a:1","n":1e400}"#).renamed("b").params, r#"{"uri":"b","n":1e400}"#);
    }

    #[test]
    fn events_survive_the_way_from_the_slave_and_others_are_no_events() {
        let events = [
            ListenEvent::watching(vec!["a:1".into(), "b\"".into()], vec!["t".into()]),
            ListenEvent::watching(Vec::new(), Vec::new()),
            ListenEvent::TaskUpdated(task(r#"{"taskId":"\u0061","result":{"n":1e400,"s":"\ud83d"}}"#)),
            ListenEvent::Updated(update(r#"{"uri":"a:1","title":"\ud83d"}"#)),
        ];
        for event in events {
            assert_eq!(ListenEvent::read(&event.to_json()), Some(event));
        }
        for other in [
            r#"{"jsonrpc":"2.0","method":"notifications/message","params":{}}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/resources/updated"}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":1}}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
            "[]",
        ] {
            assert_eq!(ListenEvent::read(other.as_bytes()), None, "{other}");
        }
        let long = format!(r#"{{"uri":"a:1","x":"{}"}}"#, "x".repeat(MAX_UPDATE));
        assert_eq!(update(&long), ResourceUpdate::of_uri("a:1"));
    }
}
