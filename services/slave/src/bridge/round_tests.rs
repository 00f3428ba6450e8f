//! Tests of rounds of input for legacy clients, with a backend and a client made up here.

use std::collections::VecDeque;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use protocol::link::header::RawJson;
use protocol::mcp::era::{Era, Version};
use protocol::mcp::failure::{Failure, FailureKind, kind_in};
use serde_json::{Value, json};

use super::{Crossing, TaskIds, call};
use crate::call::testing::request;
use crate::call::{
    Answer, Backend, CallEnd, CallSink, ClientAnswer, ClientRequest, Exchange, PendingAnswer, Request,
    SinkClosed,
};
use crate::task_owners::TaskOwners;

/// A modern backend that gives these results, and writes down the requests.
struct Scripted {
    results: Mutex<VecDeque<&'static str>>,
    seen: Mutex<Vec<Value>>,
}

impl Backend for Scripted {
    fn call<'a>(
        &'a self,
        _: &'a str,
        request: Request,
        _: &'a mut Exchange,
    ) -> BoxFuture<'a, Result<Answer, Failure>> {
        let message: Value = serde_json::from_slice(&request.message).unwrap();
        self.seen.lock().push(message["params"].clone());
        let result = self.results.lock().pop_front().unwrap_or(AGAIN);
        async move { Ok(Answer::result(result.into())) }.boxed()
    }

    fn version(&self) -> Option<Version> {
        Some(Version::NEWEST)
    }
}

const AGAIN: &str = r#"{"resultType":"input_required","requestState":"again"}"#;

/// A client that answers each request with its method.
struct Answering;

impl CallSink for Answering {
    fn event(&mut self, json: Bytes) -> BoxFuture<'_, Result<(), SinkClosed>> {
        drop(json);
        async { Ok(()) }.boxed()
    }

    fn ask(&mut self, request: ClientRequest) -> Result<PendingAnswer, Failure> {
        let (sender, pending) = PendingAnswer::new();
        sender.give(Ok(match request.method.as_str() {
            "sampling/createMessage" => ClientAnswer::Error(r#"{"code":-1,"message":"no"}"#.into()),
            method => ClientAnswer::Result(format!(r#"{{"to":"{method}"}}"#).into()),
        }));
        Ok(pending)
    }

    fn end(self: Box<Self>, _: CallEnd) {}
}

async fn for_legacy(results: &[&'static str], capabilities: &str) -> (Result<Answer, Failure>, Vec<Value>) {
    let backend = Scripted { results: Mutex::new(results.iter().copied().collect()), seen: Mutex::default() };
    let mut exchange = Exchange::new(Box::new(Answering));
    let mut request = request(Era::Legacy, r#"{"id":1,"params":{"name":"t","arguments":{"n":1}}}"#);
    let raw = serde_json::value::RawValue::from_string(capabilities.to_owned()).unwrap();
    request.header.client_capabilities = Some(RawJson(raw));
    let (tasks, owners) = (&TaskIds::random(), &TaskOwners::default());
    let to = Crossing { backend: &backend, owner: "b", tasks, owners };
    let answer = call(to, "t", Box::new(request), &mut exchange).await;
    (answer, backend.seen.into_inner())
}

#[tokio::test]
async fn a_modern_backend_asks_a_legacy_client_in_rounds() {
    let rounds = [
        r#"{"resultType":"input_required","inputRequests":{"a":{"method":"elicitation/create","params":{}},"b":{"method":"roots/list"}},"requestState":"one"}"#,
        r#"{"resultType":"input_required","requestState":"two"}"#,
        r#"{"resultType":"input_required","inputRequests":{"c":{"method":"roots/list"}}}"#,
        r#"{"resultType":"complete","content":[]}"#,
    ];
    let (answer, seen) = for_legacy(&rounds, r#"{"elicitation":{},"roots":{}}"#).await;
    assert_eq!(answer.unwrap().payload, rounds[3]);
    let first = json!({ "name": "t", "arguments": { "n": 1 } });
    let with = |responses: Value, state: &str| {
        let mut params = first.clone();
        params["inputResponses"] = responses;
        if !state.is_empty() {
            params["requestState"] = state.into();
        }
        params
    };
    let roots = json!({ "to": "roots/list" });
    let both = json!({ "a": { "to": "elicitation/create" }, "b": roots });
    let expected =
        [first.clone(), with(both, "one"), with(json!({}), "two"), with(json!({ "c": roots }), "")];
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_legacy_client_that_cannot_answer_gets_an_error_that_says_so() {
    const FORM: &str = r#"{"resultType":"input_required","inputRequests":{"a":{"method":"elicitation/create","params":{}}}}"#;
    const SAMPLE: &str = r#"{"resultType":"input_required","inputRequests":{"a":{"method":"sampling/createMessage","params":{}}}}"#;
    for (result, capabilities, kind, says) in [
        (FORM, "{}", FailureKind::InputUnsupported, "elicitation/create"),
        (FORM, r#"{"elicitation":{"url":{}}}"#, FailureKind::InputUnsupported, "elicitation/create"),
        (
            SAMPLE,
            r#"{"sampling":{}}"#,
            FailureKind::InvalidParams,
            "sampling/createMessage with an error: no",
        ),
        (r#"{"resultType":"input_required"}"#, "{}", FailureKind::BadAnswer, "neither"),
        (AGAIN, "{}", FailureKind::InputUnsupported, "more than 16 rounds"),
    ] {
        let failure = for_legacy(&[result], capabilities).await.0.unwrap_err();
        let end = CallEnd::failed(&failure, Era::Legacy);
        assert_eq!(kind_in(&end.payload), Some(kind), "{failure}");
        assert!(failure.to_string().contains(says), "{failure}");
    }
}
