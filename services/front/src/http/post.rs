//! POST: one message, or a batch of the one version that had them. Must not know who may ask.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use bytes::Bytes;
use http_body::Body;
use protocol::mcp::envelope::{EnvelopeError, Message, Params, parse};
use protocol::mcp::era::{Era, Version};
use protocol::mcp::failure::Failure;

use super::accept::{Takes, check_type, takes};
use super::body::AnswerBody;
use super::open::{Taker, open};
use super::read::{Limits, read};
use super::reply::{Refused, SESSION_ID, empty, events, json};
use super::stream::{Answers, Form, Waiting};
use super::{batch, era};
use crate::answer::{Answer, Segments};
use crate::calls::{CallContext, Calls};
use crate::edge::{Edge, now};
use crate::keys::Principal;
use crate::method::{Request, label, unreadable};
use crate::trace::RequestSpan;

/// Longest request id, in bytes of JSON: it travels in call headers.
const ID: usize = 1024;

/// What a message is counted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    /// Answered here: under this method.
    Edge(&'static str),
    /// A call: whoever takes calls counts it.
    Call,
}

pub(crate) type Outcome<S> = Result<Response<AnswerBody<S>>, Refused>;

/// What a request led to.
enum Begun<S> {
    /// It is answered. Boxed: most requests are calls.
    Answered(Box<Response<AnswerBody<S>>>),
    /// It is a call of a client of this version.
    Call(Version, S),
}

/// One message from a caller that may ask.
pub(crate) struct Post<'a, C> {
    pub(crate) edge: &'a Edge<C>,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) who: Principal,
    /// The client's address.
    pub(crate) peer: Option<IpAddr>,
    /// What it turned out to be.
    pub(crate) count: Count,
}

impl<C: Calls> Post<'_, C> {
    /// Reads the body and answers it.
    pub(crate) async fn answer<B>(&mut self, body: B) -> Outcome<C::Stream>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let limits = Limits { most: self.edge.config.max_body, within: self.edge.config.request_timeout };
        let takes = match check_type(self.headers).and_then(|()| takes(self.headers)) {
            Ok(takes) => takes,
            Err(failure) => return Err(self.refused(failure)),
        };
        let body = read(self.headers, body, limits).await.map_err(|failure| self.refused(failure))?;
        // The parser skips what it does not need without looking at it; but a message goes on as text.
        if let Err(error) = std::str::from_utf8(&body) {
            return Err(self.refused(Failure::NotJson(error.to_string())));
        }
        match parse(&body) {
            Ok(Message::Request { id, method, params }) => {
                let (id, method) = (id.get(), method.as_str());
                self.request(Request { id, method, params: &params, message: &body }, takes).await
            }
            Ok(Message::Notification { method, params }) => self.notification(method.as_str(), &params),
            Ok(Message::Response { .. }) => self.response(),
            Err(EnvelopeError::NotJsonRpc(_)) if batch::is_batch(&body) => batch::answer(self, &body, takes),
            Err(error) => {
                let (id, failure) = unreadable(error);
                Err(Refused { id, ..self.refused(failure) })
            }
        }
    }

    pub(crate) fn asker(&self) -> CallContext<'_> {
        CallContext { who: self.who, headers: self.headers, peer: self.peer }
    }

    async fn request(&mut self, request: Request<'_>, takes: Takes) -> Outcome<C::Stream> {
        self.count = Count::Edge(label(request.method));
        let era = era::era_of(self.headers, request.method, request.params);
        match self.begin(&request, (era, takes)) {
            Ok(Begun::Answered(response)) => Ok(*response),
            Ok(Begun::Call(version, stream)) => {
                self.count = Count::Call;
                let token = self.edge.calls.resume_token(&stream);
                let how = Taker { takes, version, id: request.id.into(), token };
                open(stream, how).await.map_err(|(id, failure)| Refused { failure, era, id: Some(id) })
            }
            Err(failure) => {
                let id = (request.id.len() <= ID).then(|| request.id.into());
                Err(Refused { failure, era, id })
            }
        }
    }

    /// Answers a request that becomes no call, and tells of it.
    fn begin(&self, request: &Request<'_>, (era, takes): (Era, Takes)) -> Result<Begun<C::Stream>, Failure> {
        let mut span = RequestSpan::start("http");
        let begun = self.decide(request, (era, takes), &mut span);
        if !matches!(begun, Ok(Begun::Call(..))) {
            let id = (request.id.len() <= ID).then_some(request.id);
            let meta = request.params.meta.as_ref();
            span.finish(request.method, id, meta, self.asker(), begun.as_ref().err());
        }
        begun
    }

    fn decide(
        &self,
        request: &Request<'_>,
        (era, takes): (Era, Takes),
        span: &mut RequestSpan,
    ) -> Result<Begun<C::Stream>, Failure> {
        if request.id.len() > ID {
            return Err(Failure::InvalidRequest(format!("\"id\" is longer than {ID} bytes")));
        }
        let caller = match (era, request.method) {
            (Era::Modern, method) => era::modern(self.headers, method, request.params),
            (Era::Legacy, "initialize") => Ok(era::newcomer(self.headers)),
            (Era::Legacy, _) => era::legacy(self.edge, self.headers, &self.who),
        }?;
        span.set_caller(&caller);
        let version = caller.version;
        let response = match self.edge.answer(request, caller, self.asker()) {
            Answer::Call(stream) => return Ok(Begun::Call(version, stream)),
            Answer::Message(message) => whole(message, takes),
            Answer::Initialized(version, message) => self.welcome((version, takes), message, span)?,
            Answer::Refused(failure) => return Err(failure),
        };
        Ok(Begun::Answered(Box::new(response)))
    }

    /// The answer to `initialize`, with a new session's token.
    fn welcome(
        &self,
        (version, takes): (Version, Takes),
        message: Segments,
        span: &mut RequestSpan,
    ) -> Result<Response<AnswerBody<C::Stream>>, Failure> {
        let sealer = &self.edge.sealer;
        let token = sealer.issue(version, &self.who, now()).ok_or(Failure::Internal)?;
        span.set_session(version, || Some(sealer.open(token.as_bytes(), &self.who, now())?.key()));
        let token = HeaderValue::try_from(token).map_err(|_| Failure::Internal)?;
        let mut response = whole(message, takes);
        response.headers_mut().insert(SESSION_ID, token);
        Ok(response)
    }

    fn notification(&mut self, method: &str, params: &Params<'_>) -> Outcome<C::Stream> {
        self.count = Count::Edge(label(method));
        let mut span = RequestSpan::start("http");
        let era = era::era_of(self.headers, method, params);
        // 2026-07-28 defines no header rules for notifications, and none that a client sends over HTTP.
        let taken = match era {
            Era::Legacy => era::legacy(self.edge, self.headers, &self.who).map(|caller| {
                span.set_caller(&caller);
                self.edge.notify(method, params, caller.session.as_deref());
            }),
            Era::Modern => Ok(()),
        };
        span.finish(method, None, params.meta.as_ref(), self.asker(), taken.as_ref().err());
        taken.map(|()| empty(StatusCode::ACCEPTED)).map_err(|failure| Refused { failure, era, id: None })
    }

    /// A client's answer to a backend's request. None is open as long as no backend can ask: it is dropped.
    fn response(&mut self) -> Outcome<C::Stream> {
        self.count = Count::Edge("response");
        if era::era_by_header(self.headers) == Era::Modern {
            return Err(
                self.refused(Failure::InvalidRequest("clients send no responses in this version".into()))
            );
        }
        era::legacy(self.edge, self.headers, &self.who).map_err(|failure| self.refused(failure))?;
        Ok(empty(StatusCode::ACCEPTED))
    }

    /// A refusal of something whose id is not known.
    pub(crate) fn refused(&self, failure: Failure) -> Refused {
        Refused { failure, era: era::era_by_header(self.headers), id: None }
    }
}

/// A message that is all there, in a form that the client takes.
fn whole<S>(message: Segments, takes: Takes) -> Response<AnswerBody<S>>
where
    S: futures_util::Stream<Item = protocol::link::call::ResponseEvent> + Unpin,
{
    match takes {
        Takes::Json | Takes::Both => json(StatusCode::OK, message),
        Takes::Events => {
            let queue = [Waiting::Ready(message)].into();
            events(AnswerBody::Answers(Box::new(Answers::new(Form::events(None), queue))))
        }
    }
}
