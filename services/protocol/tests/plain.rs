//! The plain dialect, as properties over any ids and responses: clients whose ids collide never get each other's responses.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;
use protocol::link::call::ResponseEvent;
use protocol::link::plain::{PlainCalls, PlainError, PlainId, rewrite_request};
use serde_json::{Value, json};

fn client_id() -> impl Strategy<Value = Value> {
    prop_oneof![(0i64..3).prop_map(Value::from), "[ab]".prop_map(Value::from)]
}

proptest! {
    #[test]
    fn every_response_finds_its_own_request_once(
        clients in prop::collection::vec(client_id(), 1..20),
        order in any::<prop::sample::Index>(),
    ) {
        let mut calls = PlainCalls::new(u128::MAX - 1);
        let mut asked = BTreeMap::new();
        for (client, id) in clients.iter().enumerate() {
            let message = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"n": client}});
            let ours = calls.insert(client);
            let sent: Value = serde_json::from_str(&rewrite_request(ours, message.to_string().as_bytes(), None).unwrap()).unwrap();
            prop_assert_eq!(&sent["params"], &message["params"]);
            prop_assert!(asked.insert(sent["id"].as_str().unwrap().to_owned(), client).is_none(), "an id twice");
        }
        let mut ids: Vec<_> = asked.keys().cloned().collect();
        let by = order.index(ids.len());
        ids.rotate_left(by);
        for id in ids {
            let answer = Bytes::from(json!({"jsonrpc": "2.0", "id": id, "result": {"for": asked[&id]}}).to_string());
            let (waiter, part) = calls.on_response(&answer).unwrap();
            prop_assert_eq!(waiter, asked[&id]);
            let ResponseEvent::End { payload, error: false, .. } = part else { return Err(TestCaseError::fail("no result")) };
            prop_assert_eq!(serde_json::from_slice::<Value>(&payload).unwrap(), json!({"for": waiter}));
            prop_assert!(matches!(calls.on_response(&answer), Err(PlainError::UnknownRequest(Some(again))) if again.to_string() == id));
        }
        prop_assert!(calls.is_empty());
    }

    #[test]
    fn any_bytes_are_no_response(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let mut calls = PlainCalls::new(u128::MAX - 1);
        calls.insert(());
        prop_assert!(calls.on_response(&bytes.into()).is_err());
        prop_assert_eq!(calls.len(), 1);
    }

    #[test]
    fn a_result_comes_through_without_line_breaks_and_otherwise_unaltered(text in "[a-z\\\\n\"]{0,12}", pretty in any::<bool>()) {
        let mut calls = PlainCalls::new(u128::MAX - 1);
        let id = calls.insert(());
        let answer = json!({"id": id.to_string(), "jsonrpc": "2.0", "result": {"text": text, "n": [1, 2]}});
        let bytes = if pretty { serde_json::to_vec_pretty(&answer).unwrap() } else { serde_json::to_vec(&answer).unwrap() };
        let ((), part) = calls.on_response(&bytes.into()).unwrap();
        let ResponseEvent::End { payload, .. } = part else { return Err(TestCaseError::fail("no result")) };
        prop_assert!(!payload.contains(&b'\n') && !payload.contains(&b'\r'));
        prop_assert_eq!(&serde_json::from_slice::<Value>(&payload).unwrap(), &answer["result"]);
    }

    #[test]
    fn rewriting_changes_the_id_and_the_name_only(id in client_id(), name in "[a-z]{1,8}", rest in "[a-z \"]{0,10}", number in any::<i64>()) {
        let message = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call",
            "params": {"z": number, "name": "old", "arguments": {"name": rest}}});
        let sent: Value = serde_json::from_str(&rewrite_request(PlainId { link: 1, number: 5 }, message.to_string().as_bytes(), Some(&name)).unwrap()).unwrap();
        let mut expected = message;
        expected["id"] = format!("{:032x}-5", 1).into();
        expected["params"]["name"] = name.into();
        prop_assert_eq!(sent, expected);
    }
}
