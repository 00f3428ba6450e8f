//! Tests of parked calls in virtual time, with a client made up here.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use proptest::prelude::*;
use protocol::link::header::CallHeader;
use protocol::mcp::era::Era;
use protocol::mcp::failure::Failure;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{AskingSink, CallTimers, ParkedCalls, Parking, Retry};
use crate::call::testing::header;
use crate::call::{CallEnd, CallSink, ClientAnswer, ClientRequest, PendingAnswer, SinkClosed};

const TTL: Duration = Duration::from_mins(1);

struct NoTimers;

impl CallTimers for NoTimers {
    fn may_pause(&self) {}
    fn pause(&self) {}
    fn restart(&self, _: &CallHeader) {}
    fn on_event(&self) {}
}

/// What one request of the client got.
#[derive(Clone, Default)]
struct Got {
    events: Arc<Mutex<Vec<Bytes>>>,
    ends: Arc<Mutex<Vec<CallEnd>>>,
}

impl Got {
    fn end(&self) -> Option<Value> {
        let ends = self.ends.lock();
        assert!(ends.len() <= 1, "one end");
        ends.first().map(|end| serde_json::from_slice(&end.payload).unwrap())
    }
}

impl CallSink for Got {
    fn event(&mut self, json: Bytes) -> BoxFuture<'_, Result<(), SinkClosed>> {
        self.events.lock().push(json);
        async { Ok(()) }.boxed()
    }

    fn end(self: Box<Self>, end: CallEnd) {
        self.ends.lock().push(end);
    }
}

struct Scene {
    parked: Arc<ParkedCalls>,
}

struct Running {
    sink: Box<dyn CallSink>,
    cancelled: CancellationToken,
}

fn of_client(client: &str) -> CallHeader {
    CallHeader { client: Some(client.into()), ..header(Era::Modern) }
}

fn message(token: u32, more: &str) -> Bytes {
    format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"t","arguments":{{"a":1}},"_meta":{{"progressToken":{token},"io.modelcontextprotocol/logLevel":"info","io.modelcontextprotocol/clientCapabilities":{{"roots":{{}}}}}}{more}}}}}"#
    )
    .into()
}

impl Scene {
    fn new() -> Self {
        Self { parked: ParkedCalls::new(TTL) }
    }

    fn start(&self, client: &str) -> (Running, Got) {
        let (got, cancelled) = (Got::default(), CancellationToken::new());
        let parking = Parking {
            parked: Arc::clone(&self.parked),
            timers: Arc::new(NoTimers),
            cancelled: cancelled.clone(),
        };
        let sink = AskingSink::wrap(parking, &of_client(client), &message(1, ""), Box::new(got.clone()));
        (Running { sink, cancelled }, got)
    }

    /// A retry of a client with these answers.
    fn retry(&self, client: &str, state: &str, responses: &Value) -> Result<Got, Failure> {
        let header = of_client(client);
        let more = format!(r#","inputResponses":{responses},"requestState":"{state}""#);
        let retry = Retry::of(&header, &message(2, &more)).unwrap().unwrap();
        let got = Got::default();
        match self.parked.resume(retry, &header, Box::new(got.clone())) {
            Ok(_) => Ok(got),
            Err((failure, _)) => Err(failure),
        }
    }
}

fn roots() -> ClientRequest {
    ClientRequest { method: "roots/list".into(), params: None }
}

/// The state and the keys of an end that asks for input.
fn asked(got: &Got) -> (String, Vec<String>) {
    let end = got.end().expect("an end");
    assert_eq!(end["resultType"], "input_required");
    let keys = end["inputRequests"].as_object().unwrap().keys().cloned().collect();
    (end["requestState"].as_str().unwrap().to_owned(), keys)
}

fn done() -> CallEnd {
    CallEnd::result(Bytes::from_static(b"{\"done\":1}"))
}

async fn a_while() {
    tokio::time::sleep(Duration::from_millis(100)).await;
}

#[tokio::test(start_paused = true)]
async fn events_of_a_parked_call_reach_the_retry_under_its_own_token() {
    let scene = Scene::new();
    let (mut running, first) = scene.start("a");
    let pending = running.sink.ask(roots()).unwrap();
    a_while().await;
    let progress = |token: u32| {
        format!(
            r#"{{"method":"notifications/progress","params":{{"progress":1.0,"progressToken":{token}}}}}"#
        )
    };
    running.sink.event(progress(1).into()).await.unwrap();
    let (state, keys) = asked(&first);
    let second = scene.retry("a", &state, &json!({ &keys[0]: { "roots": [] } })).unwrap();
    assert_eq!(pending.await, Ok(ClientAnswer::Result(Bytes::from_static(br#"{"roots":[]}"#))));
    running.sink.event(progress(1).into()).await.unwrap();
    assert_eq!(*second.events.lock(), vec![Bytes::from(progress(2)); 2]);
    assert!(first.events.lock().is_empty());
    running.sink.end(done());
    assert_eq!(second.end(), Some(json!({ "done": 1 })));
    assert_eq!(scene.parked.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_is_given_up_when_its_time_is_over_and_its_end_waits_until_then() {
    let scene = Scene::new();
    let (mut running, first) = scene.start("a");
    let pending = running.sink.ask(roots()).unwrap();
    a_while().await;
    let (state, _) = asked(&first);
    tokio::time::sleep(Duration::from_secs(59)).await;
    assert!(!running.cancelled.is_cancelled());
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(running.cancelled.is_cancelled());
    running.sink.end(done());
    assert_eq!(pending.await, Err(Failure::Cancelled));
    let Err(Failure::InvalidParams(text)) = scene.retry("a", &state, &json!({})) else { panic!("expired") };
    assert!(text.contains("expired"), "{text}");

    let (mut running, first) = scene.start("a");
    let pending = running.sink.ask(roots()).unwrap();
    a_while().await;
    let (state, _) = asked(&first);
    running.sink.end(done());
    drop(pending);
    assert_eq!(scene.retry("a", &state, &json!({})).unwrap().end(), Some(json!({ "done": 1 })));
    assert_eq!(scene.parked.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn one_client_cannot_park_more_than_its_share() {
    let scene = Scene::new();
    let mut running = Vec::new();
    let mut refused = 0;
    for _ in 0..100 {
        let (mut call, got) = scene.start("a");
        let pending = call.sink.ask(roots()).unwrap();
        a_while().await;
        if got.end().is_none() {
            refused += 1;
            assert!(matches!(pending.await, Err(Failure::Busy { .. })));
        }
        running.push(call);
    }
    assert_eq!((scene.parked.len(), refused), (64, 36));
    let (mut other, got) = scene.start("b");
    let _pending = other.sink.ask(roots()).unwrap();
    a_while().await;
    assert_eq!(asked(&got).1.len(), 1);
    tokio::time::sleep(TTL).await;
    assert_eq!(scene.parked.len(), 0);
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Ask,
    Event,
    Withdraw,
    Wait,
    LongWait,
    Retry { answered: bool, client: u8, state: usize },
    End,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let retry = (any::<bool>(), 0..4_u8, 0..4_usize).prop_map(|(answered, client, state)| Step::Retry {
        answered,
        client,
        state,
    });
    let step = prop_oneof![
        3 => Just(Step::Ask),
        2 => Just(Step::Event),
        1 => Just(Step::Withdraw),
        4 => Just(Step::Wait),
        1 => Just(Step::LongWait),
        6 => retry,
        1 => Just(Step::End),
    ];
    proptest::collection::vec(step, 1..40)
}

/// Runs the steps, and checks what must hold under any interleaving.
async fn run(steps: Vec<Step>) {
    let scene = Scene::new();
    let (running, first) = scene.start("a");
    let mut sink = Some(running.sink);
    let mut readers = vec![first];
    let mut pending: Vec<PendingAnswer> = Vec::new();
    let mut answered = 0;
    let mut used = std::collections::HashSet::new();
    for step in steps {
        let states: Vec<_> = readers.iter().filter_map(Got::end).collect();
        match step {
            Step::Ask => pending.extend(sink.as_mut().map(|sink| sink.ask(roots()).unwrap())),
            Step::Event => {
                if let Some(sink) = &mut sink {
                    sink.event(Bytes::from_static(b"{\"method\":\"x\"}")).await.unwrap();
                }
            }
            Step::Withdraw => drop(pending.pop()),
            Step::Wait => a_while().await,
            Step::LongWait => tokio::time::sleep(TTL).await,
            Step::Retry { answered: with, client, state } => {
                let of = states.iter().filter(|end| end["resultType"] == "input_required");
                let Some(end) = of.rev().nth(state) else { continue };
                let keys = end["inputRequests"].as_object().unwrap().keys();
                let responses: serde_json::Map<String, Value> =
                    keys.filter(|_| with).map(|key| (key.clone(), json!({}))).collect();
                let state = end["requestState"].as_str().unwrap();
                let client = if client == 0 { "b" } else { "a" };
                if let Ok(got) = scene.retry(client, state, &responses.into()) {
                    assert_eq!(client, "a", "of its client only");
                    assert!(used.insert(state.to_owned()), "once only");
                    readers.push(got);
                }
            }
            Step::End => {
                if let Some(sink) = sink.take() {
                    sink.end(done());
                }
            }
        }
        pending.retain_mut(|one| match one.now_or_never() {
            Some(answer) => {
                answered += usize::from(answer.is_ok());
                false
            }
            None => true,
        });
        let open = readers.iter().filter(|reader| reader.end().is_none()).count();
        assert!(open <= 1, "one reader at a time");
        assert!(scene.parked.len() <= 1);
    }
    if let Some(sink) = sink.take() {
        sink.end(done());
    }
    tokio::time::sleep(2 * TTL).await;
    assert_eq!(scene.parked.len(), 0, "nothing is kept");
    assert!(readers.iter().all(|reader| reader.end().is_some()), "every request has its end");
    let _ = answered;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn every_request_gets_exactly_one_end_and_a_state_is_used_once(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(run(steps));
    }
}
