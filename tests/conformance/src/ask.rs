//! Questions to the client, in the way of the request's era: requests on the connection, or an `input_required` result that the
//! client answers with its retry.
//!
//! Knows rmcp; must not know which tools ask what.

use futures_util::future::join_all;
use rmcp::model::{
    InputRequest, InputRequests, InputRequiredResult, InputResponses, ProtocolVersion, ServerRequest,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer};
use serde_json::{Value, json};

use crate::lists::typed;

/// Outcome of questions.
pub(crate) enum Asked {
    /// Every question has an answer.
    Answered(InputResponses),
    /// The result that the request ends with; the client makes it again with answers.
    Required(InputRequiredResult),
}

/// Whether a request is of 2026-07-28 or later.
pub(crate) fn is_modern(context: &RequestContext<RoleServer>) -> bool {
    context
        .protocol_version()
        .is_some_and(|version| version.as_str() >= ProtocolVersion::V_2026_07_28.as_str())
}

/// Asks everything at once. A legacy client that refuses a question leaves it without an answer if there are others; a modern one
/// is asked again until all have one.
pub(crate) async fn ask(
    context: &RequestContext<RoleServer>,
    given: Option<&InputResponses>,
    questions: InputRequests,
    state: Option<String>,
) -> Result<Asked, ErrorData> {
    if !is_modern(context) {
        return ask_on_connection(context, questions).await.map(Asked::Answered);
    }
    let answered = |key: &String| given.and_then(|given| given.get(key)).is_some_and(Value::is_object);
    if questions.keys().all(answered) {
        return Ok(Asked::Answered(given.cloned().unwrap_or_default()));
    }
    Ok(Asked::Required(InputRequiredResult::new(Some(questions), state)))
}

async fn ask_on_connection(
    context: &RequestContext<RoleServer>,
    questions: InputRequests,
) -> Result<InputResponses, ErrorData> {
    let answers = join_all(questions.into_iter().map(async |(key, question)| {
        let request = match question {
            InputRequest::CreateMessage(request) => ServerRequest::CreateMessageRequest(request),
            InputRequest::Elicitation(request) => ServerRequest::ElicitRequest(request),
            InputRequest::ListRoots(request) => ServerRequest::ListRootsRequest(request),
            _ => return Err(ErrorData::internal_error("a question of an unknown kind", None)),
        };
        let answer = context.peer.send_request(request).await;
        let answer = answer.map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
        Ok((
            key,
            serde_json::to_value(answer)
                .map_err(|error| ErrorData::internal_error(error.to_string(), None))?,
        ))
    }))
    .await;
    if answers.iter().any(Result::is_ok) {
        return Ok(answers.into_iter().filter_map(Result::ok).collect());
    }
    answers.into_iter().collect()
}

/// Question for the user: a form with these properties, all of them needed.
pub(crate) fn form(message: &str, properties: &Value) -> Result<InputRequest, ErrorData> {
    let required: Vec<_> = properties.as_object().into_iter().flat_map(|all| all.keys().cloned()).collect();
    form_of(message, &json!({ "type": "object", "properties": properties, "required": required }))
}

/// Question for the user: a form with this schema.
pub(crate) fn form_of(message: &str, schema: &Value) -> Result<InputRequest, ErrorData> {
    typed(
        json!({ "method": "elicitation/create", "params": { "mode": "form", "message": message, "requestedSchema": schema } }),
    )
}

/// Question for the user: a page to open.
pub(crate) fn page(message: &str, url: &str) -> Result<InputRequest, ErrorData> {
    let params =
        json!({ "mode": "url", "message": message, "url": url, "elicitationId": "conformance-page" });
    typed(json!({ "method": "elicitation/create", "params": params }))
}

/// Question for the client's model.
pub(crate) fn model(prompt: &str) -> Result<InputRequest, ErrorData> {
    let messages = json!([{ "role": "user", "content": { "type": "text", "text": prompt } }]);
    typed(json!({ "method": "sampling/createMessage", "params": { "messages": messages, "maxTokens": 100 } }))
}

/// Question for the client's roots.
pub(crate) fn roots() -> Result<InputRequest, ErrorData> {
    typed(json!({ "method": "roots/list" }))
}

/// Member of a form's answer as text.
pub(crate) fn field(answers: &InputResponses, key: &str, member: &str) -> String {
    answers.get(key).and_then(|answer| answer.pointer(&format!("/content/{member}"))).map_or_else(
        || "(none)".to_owned(),
        |value| value.as_str().map_or_else(|| value.to_string(), str::to_owned),
    )
}
