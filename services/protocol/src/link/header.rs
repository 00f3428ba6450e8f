//! Call header: what a proxy tells the slave about a call besides the client's message.
//!
//! JSON at the start of an `open`'s first chunk (docs/PROTOCOL.md, "Call header"). Readers ignore members that
//! they do not know. Must not know how a call is carried.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::identity::Identity;
use crate::mcp::era::{Era, Version};
use crate::mcp::kind::Kind;
use crate::mcp::log_level::LogLevel;
use crate::mcp::request_state::RequestState;

/// Call header. The client's JSON-RPC request follows it unaltered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CallHeader {
    /// JSON-RPC method, say `tools/call`.
    pub method: String,
    /// Name of the tool as the slave knows it (or prompt, or resource URI); the message may have a namespaced one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Kind of what `name` names. `None`: the request names nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// What the call is for.
    #[serde(default, skip_serializing_if = "Purpose::is_request")]
    pub purpose: Purpose,
    /// Era of the client.
    pub era: Era,
    /// The client's protocol version.
    pub version: Version,
    /// Key that all calls of one legacy client session have in common. Never the session token itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Keyed digest of the client, the same for all its calls at all proxies of a fleet: messages of a backend that name no call are
    /// passed on only where all calls that they may belong to are one client's. `None`: a client like no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// Who the client is, as the proxy knows it. `None`: nobody proved it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Box<Identity>>,
    /// Capabilities that the client of a legacy session declared, a JSON object; a modern client's are in the message. `None`: not known,
    /// or none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_capabilities: Option<RawJson>,
    /// The client may leave and come back to the response by event ids: the slave keeps what it sent for a time
    /// (docs/PROTOCOL.md, "Retention").
    #[serde(default, skip_serializing_if = "is_false")]
    pub resumable: bool,
    /// The client of this request about a task takes the status of the task on the request's stream (2025-11-25, Tasks).
    #[serde(default, skip_serializing_if = "is_false")]
    pub task_status: bool,
    /// Told where the call runs, where the client may come back to it. Not sent to slaves.
    #[serde(skip)]
    pub place: Option<CallPlace>,
    /// Least severe level of log messages that the call's legacy session asked for, as far as the proxy knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_level: Option<LogLevel>,
    /// The client's request id as raw JSON; with `session` it names the call to be cancelled. Not sent to slaves, which know the
    /// call by [`CallHeader::cancel_id`].
    #[serde(skip)]
    pub request_id: Option<String>,
    /// Keyed digest of `session` and request id, by which a `session` frame cancels the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel_id: Option<String>,
    /// What the message says of its `requestState`. Not sent to slaves.
    #[serde(skip)]
    pub request_state: RequestState,
    /// Characters at the start of the message's `requestState`, of its task's id or of the id of a reply that are a proxy's label, which
    /// the slave removes; 0: none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub state_label: usize,
    /// Milliseconds without an event of the call after which both ends give it up; each event starts them anew. 0: no limit.
    #[serde(default)]
    pub silence_timeout_ms: u64,
    /// Milliseconds after its start at which both ends give the call up, whatever it reports. 0: no limit.
    #[serde(default)]
    pub total_timeout_ms: u64,
    /// W3C trace context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// W3C trace state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracestate: Option<String>,
    /// W3C baggage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baggage: Option<String>,
    /// Decoded `Mcp-Param-*` headers of a modern client by lower-case name, for the slave to compare with the body.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub param_headers: BTreeMap<String, String>,
}

/// What a call is for, besides a client's own request. Each is a call of its own, from any proxy of the fleet: it has the chunks, the
/// credit and the resumption that every call has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Purpose {
    /// A request of the client.
    #[default]
    Request,
    /// The client's response to a request of a backend: the message is the JSON-RPC response, whose id is the one that the slave gave out.
    /// The first reply counts; a reply of another [`CallHeader::client`] is refused. Ends with an empty result.
    Reply,
    /// Goes on with the response of another call: its events after number `after`, then its end.
    Resume {
        /// The call's id, as 32 hex digits.
        call: String,
        /// Number of the last event that the client has; 0: none.
        after: u64,
    },
    /// Updates of resources, as events, until the call is cancelled: of those that the message names (`subscriptions/listen`), or else
    /// those that the session subscribed to.
    Listen,
    /// Messages that other proxies [`Post`](Self::Post) to the session, as events, until the call is cancelled.
    Inbox,
    /// Hands the message, a text that proxies have sealed, to the [`Inbox`](Self::Inbox) of the session. Ends with an empty result once it
    /// is there, and with the failure `session_not_found` where the session has none.
    Post,
    /// Lists the tasks of [`CallHeader::client`] (2025-11-25, Tasks) at all backends of the slave: all on one page.
    TaskList,
}

impl Purpose {
    /// Returns whether the call is the client's own request.
    pub fn is_request(&self) -> bool {
        *self == Self::Request
    }
}

/// Where a call runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallSpot {
    /// Label of the slave; `None`: this process runs the call itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The call's id, as 32 hex digits.
    pub call: String,
}

/// Shared note between whoever sends a call and whoever answers its client: where the call runs, and whether the client gets ids by which
/// it can come back.
#[derive(Clone, Debug, Default)]
pub struct CallPlace(Arc<Note>);

#[derive(Debug, Default)]
struct Note {
    spot: Mutex<Spot>,
    ids: AtomicBool,
}

/// What is noted of the place: most answers are one message, and nobody asks.
#[derive(Default)]
enum Spot {
    #[default]
    Unknown,
    Promised(Box<dyn FnOnce() -> Option<CallSpot> + Send>),
    Known(CallSpot),
}

impl fmt::Debug for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "Unknown",
            Self::Promised(_) => "Promised",
            Self::Known(_) => "Known",
        })
    }
}

impl CallPlace {
    /// Notes where the call runs from now on. `spot` is called once somebody asks; `None`: where nobody can come back to it.
    pub fn set(&self, spot: impl FnOnce() -> Option<CallSpot> + Send + 'static) {
        *self.0.spot.lock().unwrap_or_else(PoisonError::into_inner) = Spot::Promised(Box::new(spot));
    }

    /// Returns where the call runs, as far as it is known.
    pub fn get(&self) -> Option<CallSpot> {
        let mut spot = self.0.spot.lock().unwrap_or_else(PoisonError::into_inner);
        let told = match std::mem::take(&mut *spot) {
            Spot::Unknown => None,
            Spot::Promised(tell) => tell(),
            Spot::Known(told) => Some(told),
        };
        *spot = told.clone().map_or(Spot::Unknown, Spot::Known);
        told
    }

    /// Notes that the response is a stream of events with ids. To be noted before more of the response is taken.
    pub fn note_ids(&self) {
        self.0.ids.store(true, Ordering::Relaxed);
    }

    /// Returns whether the client gets ids by which it can come back to the call.
    pub fn has_ids(&self) -> bool {
        self.0.ids.load(Ordering::Relaxed)
    }
}

impl PartialEq for CallPlace {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for CallPlace {}

/// JSON value as it stands.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RawJson(pub Box<RawValue>);

impl PartialEq for RawJson {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

impl Eq for RawJson {}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes members by reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes members by reference")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl CallHeader {
    /// Returns the header of a request that names nothing: no session, no limits, no trace context.
    pub fn new(method: impl Into<String>, era: Era, version: Version) -> Self {
        Self {
            method: method.into(),
            name: None,
            kind: None,
            purpose: Purpose::Request,
            era,
            version,
            session: None,
            client: None,
            identity: None,
            client_capabilities: None,
            resumable: false,
            task_status: false,
            place: None,
            log_level: None,
            request_id: None,
            cancel_id: None,
            request_state: RequestState::Absent,
            state_label: 0,
            silence_timeout_ms: 0,
            total_timeout_ms: 0,
            traceparent: None,
            tracestate: None,
            baggage: None,
            param_headers: BTreeMap::new(),
        }
    }

    /// Sets both timeouts, rounded down to milliseconds; zero means no limit.
    pub fn set_timeouts(&mut self, silence: Duration, total: Duration) {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        (self.silence_timeout_ms, self.total_timeout_ms) = (millis(silence), millis(total));
    }

    /// Returns the longest time between two events of the call; `None`: no limit.
    pub fn silence_timeout(&self) -> Option<Duration> {
        (self.silence_timeout_ms > 0).then(|| Duration::from_millis(self.silence_timeout_ms))
    }

    /// Returns the longest time from the start of the call to its end; `None`: no limit.
    pub fn total_timeout(&self) -> Option<Duration> {
        (self.total_timeout_ms > 0).then(|| Duration::from_millis(self.total_timeout_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_members_are_ignored_and_empty_ones_left_out() {
        let text = r#"{"method":"tools/call","name":"echo","kind":"tool","era":"modern","version":"2026-07-28","silenceTimeoutMs":5,"totalTimeoutMs":60,"later":{}}"#;
        let header: CallHeader = serde_json::from_str(text).unwrap();
        assert_eq!(header.name.as_deref(), Some("echo"));
        assert_eq!(serde_json::to_string(&header).unwrap(), text.replace(r#","later":{}"#, ""));
    }
}
