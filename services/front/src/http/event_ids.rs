//! Ids of the events of a call's stream, by which its client goes on after `Last-Event-ID` (2025-11-25, Transports, "Resumability and
//! Redelivery").
//!
//! An id is `<sealed>.<number>`: sealed for the client and the session, with what any replica needs to find the call again; the number
//! counts the call's events from 1. The event with number 0 opens the stream and has no message (the *priming event*). Must not know
//! how a call is found.

use std::sync::Arc;

use bytes::Bytes;
use protocol::link::header::{CallPlace, CallSpot};
use protocol::mcp::kind::Kind;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::principal::Principal;
use crate::session::{SESSION_ID_LEN, Sealer};

/// Longest request id and progress token, in bytes of JSON together: both are in each id.
const MAX_QUOTED: usize = 256;

/// Longest name in an id, in bytes.
const MAX_NAMED: usize = 512;

/// Milliseconds after which a client comes back to a broken stream.
const RETRY_MS: u32 = 1000;

/// What an id seals.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SealedCall {
    /// Where the call runs.
    pub(super) spot: CallSpot,
    /// Id of the client's request.
    pub(super) id: Box<RawValue>,
    /// Progress token of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) token: Option<Box<RawValue>>,
    /// What the request named: whoever goes on with it must still be allowed to use that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) named: Option<(Kind, String)>,
}

/// Who may use an id.
#[derive(Clone)]
pub(super) struct Holder {
    pub(super) sealer: Arc<Sealer>,
    pub(super) principal: Principal,
    pub(super) session: [u8; SESSION_ID_LEN],
}

/// The ids of one stream.
pub(crate) struct EventIds {
    holder: Holder,
    /// Told where the call runs, also where it moves.
    place: CallPlace,
    id: Box<RawValue>,
    token: Option<Box<RawValue>>,
    named: Option<(Kind, String)>,
    /// Where the call runs as far as it is known, and the part of its ids before the number.
    known: Option<(CallSpot, String)>,
    /// Number of the last event.
    number: u64,
}

impl EventIds {
    /// Ids of a call that begins; `None` where they would be too long.
    pub(super) fn new(holder: Holder, place: CallPlace, id: &str, token: Option<&RawValue>) -> Option<Self> {
        let quoted = id.len() + token.map_or(0, |token| token.get().len());
        let id = RawValue::from_string(id.to_owned()).ok().filter(|_| quoted <= MAX_QUOTED)?;
        let token = token.map(RawValue::to_owned);
        Some(Self { holder, place, id, token, named: None, known: None, number: 0 })
    }

    /// Returns the ids of a request that names this. A name that is too long for an id is left out.
    #[must_use]
    pub(super) fn naming(self, named: Option<(Kind, &str)>) -> Self {
        let named = named.filter(|(_, name)| name.len() <= MAX_NAMED);
        Self { named: named.map(|(kind, name)| (kind, name.to_owned())), ..self }
    }

    /// Ids of a call that a client goes on with, behind event number `after`.
    pub(super) fn resumed(holder: Holder, sealed: SealedCall, base: &str, after: u64) -> Self {
        let SealedCall { spot, id, token, named } = sealed;
        let place = CallPlace::default();
        place.set({
            let spot = spot.clone();
            move || Some(spot)
        });
        Self { holder, place, id, token, named, known: Some((spot, base.to_owned())), number: after }
    }

    /// Notes that the response is a stream with these ids. To be noted before more of the response is taken: what is kept for the client
    /// depends on it.
    pub(super) fn note_use(&self) {
        self.place.note_ids();
    }

    /// Returns the priming event of a call that was just found to run somewhere; `None`: nothing new is known.
    pub(super) fn priming(&mut self) -> Option<Bytes> {
        let spot = self.place.get()?;
        if self.known.as_ref().is_some_and(|(known, _)| *known == spot) {
            return None;
        }
        let (id, token, named) = (self.id.clone(), self.token.clone(), self.named.clone());
        let sealed = SealedCall { spot: spot.clone(), id, token, named };
        let text = serde_json::to_vec(&sealed).ok()?;
        let base = self.holder.sealer.seal(&text, &self.holder.principal, &self.holder.session)?;
        let event = format!("id: {base}.0\nretry: {RETRY_MS}\ndata: \n\n");
        (self.known, self.number) = (Some((spot, base)), 0);
        Some(event.into())
    }

    /// Appends the line with the id of the event that begins.
    pub(super) fn write_next(&mut self, head: &mut Vec<u8>) {
        if let Some((_, base)) = &self.known {
            self.number += 1;
            head.extend_from_slice(format!("id: {base}.{}\n", self.number).as_bytes());
        }
    }
}

/// Opens an id of a `Last-Event-ID` header: what it seals, its part before the number, and the number.
pub(super) fn open<'a>(holder: &Holder, text: &'a str) -> Option<(SealedCall, &'a str, u64)> {
    let (base, number) = text.trim().rsplit_once('.')?;
    let number = number.bytes().all(|byte| byte.is_ascii_digit()).then(|| number.parse().ok())??;
    let sealed = holder.sealer.unseal(base.as_bytes(), &holder.principal, &holder.session)?;
    Some((serde_json::from_slice(&sealed).ok()?, base, number))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use runtime::keys::Key;
    use runtime::secret::{SessionKey, SessionKeys};

    use super::*;

    fn holder(key: &str, session: u8) -> Holder {
        let keys = SessionKeys::new(SessionKey::derive("k"), None);
        let sealer = Arc::new(Sealer::new(&keys, Duration::from_secs(100)));
        Holder { sealer, principal: Principal::of(&Key::of(key)), session: [session; SESSION_ID_LEN] }
    }

    fn spot(call: &str) -> CallSpot {
        CallSpot { label: Some("mr2.".into()), call: call.into() }
    }

    #[test]
    fn ids_name_the_call_once_it_is_known_and_count_its_events() {
        let place = CallPlace::default();
        let token = RawValue::from_string("7".into()).unwrap();
        let mut ids = EventIds::new(holder("one", 1), place.clone(), r#""a""#, Some(&token)).unwrap();
        let mut head = Vec::new();
        ids.write_next(&mut head);
        assert!(head.is_empty() && ids.priming().is_none(), "nobody knows the call yet");
        place.set(|| Some(spot("1")));
        let priming = String::from_utf8(ids.priming().unwrap().to_vec()).unwrap();
        let base = priming.strip_prefix("id: ").unwrap().split_once(".0\nretry: 1000\ndata: \n\n").unwrap().0;
        assert!(ids.priming().is_none());
        ids.write_next(&mut head);
        ids.write_next(&mut head);
        assert_eq!(String::from_utf8(head).unwrap(), format!("id: {base}.1\nid: {base}.2\n"));
        let text = format!("{base}.2");
        let (sealed, _, number) = open(&holder("one", 1), &text).unwrap();
        assert_eq!((sealed.spot, sealed.id.get(), number), (spot("1"), r#""a""#, 2));
        assert_eq!(sealed.token.unwrap().get(), "7");
        // Another slave has the call now: its numbers begin anew.
        place.set(|| Some(spot("2")));
        assert!(ids.priming().is_some());
        for other in [holder("two", 1), holder("one", 2)] {
            assert!(open(&other, &text).is_none(), "another client or session");
        }
        for bad in [
            "",
            ".",
            ".1",
            "x.1",
            base,
            &format!("{base}."),
            &format!("{base}.-1"),
            &format!("{base}.+1"),
            &format!("{base}.99999999999999999999"),
            &format!("A{text}"),
        ] {
            assert!(open(&holder("one", 1), bad).is_none(), "{bad}");
        }
        assert!(EventIds::new(holder("one", 1), place, &"1".repeat(MAX_QUOTED + 1), None).is_none());
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in any::<String>()) {
            prop_assert!(open(&holder("one", 1), &text).is_none());
        }
    }
}
