//! Requests of backends to legacy clients: each goes out as an event of its call, and is answered by a call of its own
//! ([`Purpose::Reply`](protocol::link::header::Purpose)), through whichever proxy the client's response comes. Must not know backends or
//! links.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use protocol::link::header::CallHeader;
use protocol::link::ids::CallId;
use protocol::mcp::failure::Failure;
use runtime::telemetry::LogContext;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::capability;
use crate::call::{AnswerSender, CallEnd, CallSink, ClientAnswer, ClientRequest, PendingAnswer, SinkClosed};

/// Requests that may wait for an answer at once, over all calls.
const MAX_OPEN: usize = 16_384;

/// A request that was sent to a client, until its call ends.
struct OpenAsk {
    /// `None`: it is answered. The first answer counts, later ones are ignored.
    answer: Option<AnswerSender>,
    /// Who may answer.
    client: Option<String>,
    session: Option<String>,
}

/// The requests that were sent to legacy clients, by number.
#[derive(Default)]
pub(crate) struct OpenAsks(Mutex<HashMap<u128, OpenAsk>>);

/// A client's response to a request.
#[derive(Deserialize)]
struct Response<'a> {
    id: String,
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

impl OpenAsks {
    fn open(
        &self,
        client: Option<String>,
        session: Option<String>,
    ) -> Result<(u128, PendingAnswer), Failure> {
        let mut number = [0; 16];
        getrandom::fill(&mut number).map_err(|_| Failure::Internal)?;
        let number = u128::from_be_bytes(number);
        let mut asks = self.0.lock();
        if asks.len() >= MAX_OPEN {
            let what = format!("{MAX_OPEN} requests of backends wait for their clients already");
            return Err(Failure::Overloaded { what, retry_after: 1 });
        }
        let (answer, pending) = PendingAnswer::new();
        asks.insert(number, OpenAsk { answer: Some(answer), client, session });
        Ok((number, pending))
    }

    /// Takes a client's response. `header` says who sent it, and how long the label in front of its id is.
    ///
    /// # Errors
    /// No request waits for it, or another client's.
    pub(crate) fn reply(&self, header: &CallHeader, message: &Bytes) -> Result<(), Failure> {
        let unknown = || {
            Failure::InvalidRequest(
                "no request of a server waits for this response: its call is over, or it was made for another client".into(),
            )
        };
        let response: Response<'_> = serde_json::from_slice(message).map_err(|_| unknown())?;
        let number = response.id.get(header.state_label..).filter(|number| number.len() == 32);
        let number = number.and_then(|number| u128::from_str_radix(number, 16).ok()).ok_or_else(unknown)?;
        let value = |json: &RawValue| message.slice(crate::splice::range_in(message, json));
        let answer = match (response.result, response.error) {
            (Some(result), None) => ClientAnswer::Result(value(result)),
            (None, Some(error)) => ClientAnswer::Error(value(error)),
            _ => return Err(unknown()),
        };
        let sender = {
            let mut asks = self.0.lock();
            let ask = asks.get_mut(&number).ok_or_else(unknown)?;
            if (&ask.client, &ask.session) != (&header.client, &header.session) {
                return Err(unknown());
            }
            ask.answer.take()
        };
        if let Some(sender) = sender {
            sender.give(Ok(answer));
        }
        Ok(())
    }

    fn close(&self, numbers: &[u128]) {
        let mut asks = self.0.lock();
        for number in numbers {
            asks.remove(number);
        }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.0.lock().len()
    }
}

/// The sink of a legacy client's call, through which its backend asks.
pub(crate) struct LegacyAskSink {
    inner: Box<dyn CallSink>,
    asks: Arc<OpenAsks>,
    client: Option<String>,
    session: Option<String>,
    /// Capabilities that the client declared, as JSON.
    capabilities: Option<Bytes>,
    /// The requests of this call.
    numbers: Vec<u128>,
}

impl LegacyAskSink {
    /// Wraps the sink of a call with this header.
    pub(crate) fn wrap(
        asks: &Arc<OpenAsks>,
        header: &CallHeader,
        inner: Box<dyn CallSink>,
    ) -> Box<dyn CallSink> {
        let capabilities = header.client_capabilities.as_ref();
        Box::new(Self {
            inner,
            asks: Arc::clone(asks),
            client: header.client.clone(),
            session: header.session.clone(),
            capabilities: capabilities.map(|json| Bytes::copy_from_slice(json.0.get().as_bytes())),
            numbers: Vec::new(),
        })
    }
}

impl CallSink for LegacyAskSink {
    fn event(&mut self, json: Bytes) -> BoxFuture<'_, Result<(), SinkClosed>> {
        self.inner.event(json)
    }

    fn alive(&mut self) {
        self.inner.alive();
    }

    fn ask(&mut self, request: ClientRequest) -> Result<PendingAnswer, Failure> {
        let ClientRequest { method, params } = request;
        capability::check(self.capabilities.as_deref(), &method, params.as_deref())?;
        let (number, pending) = self.asks.open(self.client.clone(), self.session.clone())?;
        self.numbers.push(number);
        let label = self.inner.label();
        let head = format!(
            r#"{{"jsonrpc":"2.0","id":"{}{number:032x}","method":"{method}""#,
            label.as_deref().unwrap_or_default()
        );
        let mut json = head.into_bytes();
        if let Some(params) = params {
            json.extend_from_slice(br#","params":"#);
            json.extend_from_slice(&params);
        }
        json.push(b'}');
        crate::splice::strip_newlines(&mut json);
        self.inner.request(json.into()).map_err(|SinkClosed| Failure::Cancelled)?;
        Ok(pending)
    }

    fn log_context(&self) -> Option<LogContext> {
        self.inner.log_context()
    }

    fn origin(&self) -> Option<CallId> {
        self.inner.origin()
    }

    fn end(self: Box<Self>, end: CallEnd) {
        let Self { inner, asks, numbers, .. } = *self;
        asks.close(&numbers);
        inner.end(end);
    }
}

#[cfg(test)]
mod tests {
    use protocol::link::header::RawJson;
    use protocol::mcp::era::Era;

    use super::*;
    use crate::call::testing::header;

    /// A sink that keeps the requests that it is to send.
    #[derive(Clone, Default)]
    struct Requests(Arc<Mutex<Vec<String>>>);

    impl CallSink for Requests {
        fn event(&mut self, _: Bytes) -> BoxFuture<'_, Result<(), SinkClosed>> {
            Box::pin(std::future::ready(Ok(())))
        }

        fn request(&mut self, json: Bytes) -> Result<(), SinkClosed> {
            self.0.lock().push(String::from_utf8(json.to_vec()).unwrap());
            Ok(())
        }

        fn label(&self) -> Option<Arc<str>> {
            Some("label.".into())
        }

        fn end(self: Box<Self>, _: CallEnd) {}
    }

    fn caller(client: &str, session: &str) -> CallHeader {
        let capabilities = RawValue::from_string(r#"{"roots":{}}"#.to_owned()).unwrap();
        CallHeader {
            client: Some(client.into()),
            session: Some(session.into()),
            client_capabilities: Some(RawJson(capabilities)),
            state_label: "label.".len(),
            ..header(Era::Legacy)
        }
    }

    fn ask(method: &str) -> ClientRequest {
        ClientRequest { method: method.into(), params: Some(Bytes::from_static(b"{\"n\":\n1e400}")) }
    }

    #[tokio::test]
    async fn the_first_answer_of_the_asked_client_counts_and_no_other() {
        let (asks, requests) = (Arc::new(OpenAsks::default()), Requests::default());
        let mut sink = LegacyAskSink::wrap(&asks, &caller("c", "s"), Box::new(requests.clone()));
        let pending = sink.ask(ask("roots/list")).unwrap();
        let sent = requests.0.lock().pop().unwrap();
        let value: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(&sent.replace("1e400", "1")).unwrap();
        let id = value["id"].as_str().unwrap().to_owned();
        assert!(
            id.starts_with("label.") && sent.ends_with(r#","method":"roots/list","params":{"n": 1e400}}"#),
            "{sent}"
        );
        let response =
            |id: &str, value: &str| Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":"{id}",{value}}}"#));
        let answer = response(&id, r#""result":{"roots":[1e400]}"#);
        for (client, session) in [("other", "s"), ("c", "other")] {
            assert!(asks.reply(&caller(client, session), &answer).is_err(), "{client} {session}");
        }
        let me = caller("c", "s");
        for wrong in
            [response("label.", r#""result":{}"#), response("x", r#""result":{}"#), response(&id, r#""x":1"#)]
        {
            assert!(asks.reply(&me, &wrong).is_err());
        }
        asks.reply(&me, &answer).unwrap();
        asks.reply(&me, &response(&id, r#""error":{"code":1,"message":"late"}"#)).unwrap();
        assert_eq!(pending.await, Ok(ClientAnswer::Result(Bytes::from_static(br#"{"roots":[1e400]}"#))));
        sink.end(CallEnd::failed(&Failure::Cancelled, Era::Legacy));
        assert_eq!(asks.len(), 0, "nothing is left of a call that ended");
        assert!(asks.reply(&me, &answer).is_err());
    }

    #[tokio::test]
    async fn a_client_is_asked_only_what_it_can_answer() {
        let (asks, requests) = (Arc::new(OpenAsks::default()), Requests::default());
        let mut sink = LegacyAskSink::wrap(&asks, &caller("c", "s"), Box::new(requests.clone()));
        assert!(matches!(sink.ask(ask("sampling/createMessage")), Err(Failure::MissingCapability { .. })));
        assert!(matches!(sink.ask(ask("x/y")), Err(Failure::MethodNotFound(_))));
        assert_eq!((requests.0.lock().len(), asks.len()), (0, 0));
    }
}
