//! Tools of SEP-2322 (multi round-trip requests), which ask before they answer.
//!
//! Knows [`ask`]; must not know transports. A legacy client is asked the same on its connection.

use rmcp::model::{CallToolRequestParams, CallToolResponse, InputRequests, RequestStateCodec};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer};
use serde_json::{Value, json};

use crate::ask::{Asked, ask, field, form, is_modern, model, roots};
use crate::lists::text;

/// Key of the states given out: a test fixture has no secret.
const STATE_KEY: &[u8] = b"conformance-fixture-state-key-000000";

/// Calls the tool `name` of SEP-2322.
pub(crate) async fn call(
    request: CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let name = request.name.trim_start_matches("test_input_required_result_").to_owned();
    match name.as_str() {
        "elicitation" | "sampling" | "list_roots" => one(&name, &request, context).await,
        "request_state" | "tampered_state" => sealed(&request, context).await,
        "multiple_inputs" => several(&request, context).await,
        "multi_round" => rounds(&request, context).await,
        "capabilities" => capable(&request, context).await,
        _ => Err(ErrorData::invalid_params(format!("unknown tool: {}", request.name), None)),
    }
}

async fn one(
    name: &str,
    request: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let (key, question) = match name {
        "elicitation" => ("user_name", name_form()?),
        "sampling" => ("capital_question", model("What is the capital of France?")?),
        _ => ("client_roots", roots()?),
    };
    let questions = InputRequests::from([(key.to_owned(), question)]);
    match ask(context, request.input_responses.as_ref(), questions, None).await? {
        Asked::Required(required) => Ok(required.into()),
        Asked::Answered(answers) if name == "elicitation" => {
            answer(&format!("Hello, {}!", field(&answers, key, "name")))
        }
        Asked::Answered(answers) => answer(&format!("Answer: {}", answers.get(key).unwrap_or(&Value::Null))),
    }
}

async fn sealed(
    request: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let questions = InputRequests::from([(
        "confirm".to_owned(),
        form("Please confirm", &json!({ "ok": { "type": "boolean" } }))?,
    )]);
    // A state that comes back is checked before anything else: it went through the client.
    let given = request.request_state.as_deref().map(open).transpose()?;
    if is_modern(context) && given.is_some() {
        return answer("Confirmed: state-ok");
    }
    let state = seal(&json!({ "stage": "confirm" }))?;
    match ask(context, None, questions, Some(state)).await? {
        Asked::Required(required) => Ok(required.into()),
        Asked::Answered(_) => answer("Confirmed: state-ok"),
    }
}

async fn several(
    request: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    request.request_state.as_deref().map(open).transpose()?;
    let questions = InputRequests::from([
        ("user_name".to_owned(), name_form()?),
        ("greeting".to_owned(), model("Generate a greeting")?),
        ("client_roots".to_owned(), roots()?),
    ]);
    let state = seal(&json!({ "stage": "gather" }))?;
    match ask(context, request.input_responses.as_ref(), questions, Some(state)).await? {
        Asked::Required(required) => Ok(required.into()),
        Asked::Answered(_) => answer("All inputs received"),
    }
}

async fn rounds(
    request: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let steps = [
        ("step1", form("Step 1: What is your name?", &json!({ "name": { "type": "string" } }))?),
        ("step2", form("Step 2: What is your favorite color?", &json!({ "color": { "type": "string" } }))?),
    ];
    let state = request.request_state.as_deref().map(open).transpose()?;
    let done = state.and_then(|state| state.get("round")?.as_u64()).unwrap_or(0);
    for (round, (key, question)) in (0_u64..).zip(steps).skip(usize::try_from(done).unwrap_or(usize::MAX)) {
        let state = seal(&json!({ "round": round + 1 }))?;
        if let Asked::Required(required) =
            ask(context, None, InputRequests::from([(key.to_owned(), question)]), Some(state)).await?
        {
            return Ok(required.into());
        }
    }
    answer("Multi-round flow complete")
}

/// Asks for what the client can do. A legacy client is asked for everything, and what it refuses is left out: a server behind a
/// relay does not know the one client.
async fn capable(
    request: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let able = context.client_capabilities().unwrap_or_default();
    let mut questions = InputRequests::new();
    if able.elicitation.is_some() {
        questions.insert("user_name".to_owned(), name_form()?);
    }
    if able.sampling.is_some() {
        questions.insert("greeting".to_owned(), model("Generate a greeting")?);
    }
    if able.roots.is_some() {
        questions.insert("client_roots".to_owned(), roots()?);
    }
    if questions.is_empty() || request.input_responses.is_some() {
        return answer("Capability-aware flow complete");
    }
    match ask(context, None, questions, None).await? {
        Asked::Required(required) => Ok(required.into()),
        Asked::Answered(_) => answer("Capability-aware flow complete"),
    }
}

fn name_form() -> Result<rmcp::model::InputRequest, ErrorData> {
    form("What is your name?", &json!({ "name": { "type": "string" } }))
}

fn answer(of: &str) -> Result<CallToolResponse, ErrorData> {
    text::<rmcp::model::CallToolResult>(of).map(Into::into)
}

fn seal(state: &Value) -> Result<String, ErrorData> {
    let codec = RequestStateCodec::new_unchecked(STATE_KEY);
    codec.seal_json(state).map_err(|error| ErrorData::internal_error(error.to_string(), None))
}

fn open(state: &str) -> Result<Value, ErrorData> {
    let codec = RequestStateCodec::new_unchecked(STATE_KEY);
    codec
        .open_json(state)
        .map_err(|_| ErrorData::invalid_params("requestState failed integrity verification", None))
}
