//! Batches of 2025-03-26 (Transports, "Sending Messages to the Server"), the only version that has them.
//!
//! Calls begin together and are answered in order: as events where the client takes them (so that progress is not
//! lost), else as a JSON array. Must not know single messages' ways.

use std::collections::VecDeque;

use axum::http::StatusCode;
use bytes::Bytes;
use protocol::mcp::envelope::{Message, parse};
use protocol::mcp::era::{Era, Version};
use protocol::mcp::failure::Failure;
use serde_json::value::RawValue;

use super::accept::Takes;
use super::body::AnswerBody;
use super::era;
use super::post::{Count, Outcome, Post};
use super::reply::{empty, events, json_stream};
use super::stream::{Answers, Form, Waiting};
use crate::answer::{Answer, refusal};
use crate::calls::Calls;
use crate::method::{Caller, Request, unreadable};
use crate::trace::RequestSpan;

/// Messages of one batch, at most.
const MOST: usize = 100;

/// Whether a body that is not one message is an array.
pub(crate) fn is_batch(body: &[u8]) -> bool {
    body.trim_ascii_start().first() == Some(&b'[')
}

/// Answers each message of a batch.
pub(crate) fn answer<C: Calls>(post: &mut Post<'_, C>, body: &Bytes, takes: Takes) -> Outcome<C::Stream> {
    post.count = Count::Edge("batch");
    let invalid = |reason: &str| Failure::InvalidRequest(reason.to_owned());
    if era::era_by_header(post.headers) == Era::Modern {
        return Err(post.refused(invalid("a body is one message: batches exist only in 2025-03-26")));
    }
    let caller = era::legacy(post.edge, post.headers, &post.who).map_err(|failure| post.refused(failure))?;
    if caller.version > Version::V2025_03_26 {
        return Err(post.refused(invalid("a body is one message: batches exist only in 2025-03-26")));
    }
    let messages: Vec<&RawValue> =
        serde_json::from_slice(body).map_err(|error| post.refused(Failure::NotJson(error.to_string())))?;
    if messages.is_empty() || messages.len() > MOST {
        return Err(post.refused(Failure::InvalidRequest(format!("a batch has 1 to {MOST} messages"))));
    }
    let queue: VecDeque<_> = messages
        .iter()
        .filter_map(|message| one(post, &caller, &body.slice_ref(message.get().as_bytes())))
        .collect();
    if queue.is_empty() {
        return Ok(empty(StatusCode::ACCEPTED));
    }
    Ok(match takes {
        Takes::Json => {
            json_stream(StatusCode::OK, AnswerBody::Answers(Box::new(Answers::new(Form::Array(0), queue))))
        }
        Takes::Both | Takes::Events => {
            events(AnswerBody::Answers(Box::new(Answers::new(Form::events(None), queue))))
        }
    })
}

/// The answer to one message of a batch, if it wants one.
fn one<C: Calls>(post: &Post<'_, C>, caller: &Caller, message: &Bytes) -> Option<Waiting<C::Stream>> {
    let ready = |id: Option<&str>, failure: &Failure| Waiting::Ready(refusal(id.map(str::as_bytes), failure));
    let mut span = RequestSpan::start("http");
    span.set_caller(caller);
    match parse(message) {
        Ok(Message::Request { id, method, params }) => {
            let (id, method) = (id.get(), method.as_str());
            let answer = if method == "initialize" {
                Answer::Refused(Failure::InvalidRequest("initialize must not be in a batch".into()))
            } else {
                let request = Request { id, method, params: &params, message };
                post.edge.answer(&request, caller.clone(), post.asker())
            };
            let answered = match answer {
                Answer::Call(stream) => return Some(Waiting::Call(id.into(), None, stream)),
                Answer::Message(message) | Answer::Initialized(_, message) => Ok(Waiting::Ready(message)),
                Answer::Refused(failure) => Err(failure),
            };
            let failure = answered.as_ref().err();
            span.finish(method, Some(id), params.meta.as_ref(), post.asker(), failure);
            Some(answered.unwrap_or_else(|failure| ready(Some(id), &failure)))
        }
        Ok(Message::Notification { method, params }) => {
            post.edge.notify(method.as_str(), &params, caller.session.as_deref());
            span.finish(method.as_str(), None, params.meta.as_ref(), post.asker(), None);
            None
        }
        Ok(Message::Response { .. }) => None,
        Err(error) => {
            let (id, failure) = unreadable(error);
            Some(ready(id.as_deref(), &failure))
        }
    }
}
