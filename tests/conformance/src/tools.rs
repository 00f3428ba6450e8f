//! Tools that answer, tell and ask in the simple ways; those of the extensions are in modules of their own.
//!
//! Knows the fixture; must not know transports.

use std::sync::atomic::Ordering;
use std::time::Duration;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, InputRequest, InputRequests,
    LoggingLevel, LoggingMessageNotificationParam, ProgressNotificationParam,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer};
use serde_json::{Value, json};

use crate::ask::{Asked, ask, form, form_of, is_modern, model, page, roots};
use crate::listen::Change;
use crate::lists::{IMAGE, SOUND, failed, result, text};
use crate::server::Fixture;
use crate::{input_required, tasks};

/// Time between two notifications of a tool.
const PAUSE: Duration = Duration::from_millis(50);

/// Calls one tool.
pub(crate) async fn call(
    fixture: &Fixture,
    request: CallToolRequestParams,
    context: RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let name = request.name.to_string();
    if name.starts_with("test_input_required_result_") {
        return input_required::call(request, &context).await;
    }
    if tasks::TOOLS.contains(&name.as_str()) {
        return tasks::call(&fixture.tasks, request, &context).await;
    }
    if let Some(question) = question(&name, &request)? {
        return answered(question, &request, &context).await;
    }
    let result = match name.as_str() {
        "test_tool_with_logging" | "test_logging_tool" => log(&name, &context).await,
        "test_tool_with_progress" => progress(&context).await,
        "test_trigger_tool_change" => {
            fixture.changes.tools.fetch_add(1, Ordering::Relaxed);
            change(fixture, Change::Tools).await
        }
        "test_trigger_prompt_change" => {
            fixture.changes.prompts.fetch_add(1, Ordering::Relaxed);
            change(fixture, Change::Prompts).await
        }
        "test_trigger_resource_update" => {
            fixture.changes.resource.fetch_add(1, Ordering::Relaxed);
            change(fixture, Change::Resource("test://watched-resource")).await
        }
        "test_reconnection" => {
            tokio::time::sleep(2 * PAUSE).await;
            text("Reconnection test completed")
        }
        "test_missing_capability" => need_sampling(&context).await,
        _ => content(&name, &request),
    };
    result.map(Into::into)
}

/// Question that a tool asks, where it asks one and answers with what comes back.
fn question(name: &str, request: &CallToolRequestParams) -> Result<Option<InputRequest>, ErrorData> {
    let argument = |name: &str| {
        request
            .arguments
            .as_ref()
            .and_then(|all| all.get(name))
            .and_then(Value::as_str)
            .unwrap_or("Please answer")
    };
    let question = match name {
        "test_sampling" => model(argument("prompt")),
        "test_elicitation" => form(
            argument("message"),
            &json!({
                "username": { "type": "string", "description": "Name of the user" },
                "email": { "type": "string", "description": "Address of the user" },
            }),
        ),
        "test_streaming_elicitation" => {
            form("Please give a value", &json!({ "value": { "type": "string" } }))
        }
        "test_elicitation_sep1034_defaults" => form_of("Please review the values", &defaults()),
        "test_elicitation_sep1330_enums" => form_of("Please select options", &enums()),
        "test_list_roots" => roots(),
        "test_url_elicitation" => page("Please open the page", "https://example.com/consent"),
        _ => return Ok(None),
    };
    question.map(Some)
}

async fn answered(
    question: InputRequest,
    request: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let questions = InputRequests::from([("question".to_owned(), question)]);
    match ask(context, request.input_responses.as_ref(), questions, None).await {
        Ok(Asked::Required(required)) => Ok(required.into()),
        Ok(Asked::Answered(answers)) => {
            let answer = answers.get("question").unwrap_or(&Value::Null);
            let action = answer["action"].as_str().unwrap_or("accept");
            text::<CallToolResult>(format!("Answer: action={action}, {answer}")).map(Into::into)
        }
        Err(error) => failed::<CallToolResult>(format!("No answer: {}", error.message)).map(Into::into),
    }
}

fn content(name: &str, request: &CallToolRequestParams) -> Result<CallToolResult, ErrorData> {
    let words = |text: &str| json!({ "type": "text", "text": text });
    let image = json!({ "type": "image", "data": IMAGE, "mimeType": "image/png" });
    let resource = |uri: &str, mime: &str, text: &str| json!({ "type": "resource", "resource": { "uri": uri, "mimeType": mime, "text": text } });
    let argument =
        |name: &str| request.arguments.as_ref().and_then(|all| all.get(name)).and_then(Value::as_str);
    let content = match name {
        "test_simple_text" => json!([words("This is a simple text response for testing.")]),
        "test_image_content" => json!([image]),
        "test_audio_content" => json!([{ "type": "audio", "data": SOUND, "mimeType": "audio/wav" }]),
        "test_embedded_resource" => {
            json!([resource(
                "test://embedded-resource",
                "text/plain",
                "This is an embedded resource content."
            )])
        }
        "test_multiple_content_types" => json!([
            words("Multiple content types test:"),
            image,
            resource("test://mixed-content-resource", "application/json", r#"{"test":"data","value":123}"#),
        ]),
        "test_error_handling" => return failed("This tool intentionally returns an error for testing"),
        "json_schema_2020_12_tool" | "greet" => {
            json!([words(&format!("Hello, {}!", argument("name").unwrap_or("friend")))])
        }
        "test_custom_header" => {
            json!([words(
                argument("value").ok_or_else(|| ErrorData::invalid_params("value must be a string", None))?
            )])
        }
        _ => return Err(ErrorData::invalid_params(format!("unknown tool: {name}"), None)),
    };
    result(json!({ "content": content }))
}

/// Log messages: always for legacy clients, for modern ones where the request asks for them.
async fn log(name: &str, context: &RequestContext<RoleServer>) -> Result<CallToolResult, ErrorData> {
    let level = if is_modern(context) { context.meta.log_level() } else { Some(LoggingLevel::Info) };
    let messages: &[&str] = match name {
        "test_logging_tool" => &["logLevel was requested"],
        _ => &["Tool execution started", "Tool processing data", "Tool execution completed"],
    };
    if let Some(level) = level {
        for message in messages {
            let message = LoggingMessageNotificationParam::new(level, json!(message))
                .with_logger("conformance-fixture");
            // Who does not listen any more is not told.
            let _ = context.peer.notify_logging_message(message).await;
            tokio::time::sleep(PAUSE).await;
        }
    }
    text("Logging test completed")
}

async fn progress(context: &RequestContext<RoleServer>) -> Result<CallToolResult, ErrorData> {
    for done in [0.0, 50.0, 100.0] {
        if let Some(token) = context.meta.get_progress_token() {
            let message =
                ProgressNotificationParam::new(token, done).with_total(100.0).with_message("Working");
            let _ = context.peer.notify_progress(message).await;
        }
        tokio::time::sleep(PAUSE).await;
    }
    text("Progress test completed")
}

async fn change(fixture: &Fixture, change: Change) -> Result<CallToolResult, ErrorData> {
    fixture.listeners.tell(change).await;
    text(format!("Told: {change:?}"))
}

/// Needs sampling: known beforehand of a modern client, found out by asking a legacy one.
async fn need_sampling(context: &RequestContext<RoleServer>) -> Result<CallToolResult, ErrorData> {
    if context.client_capabilities().unwrap_or_default().sampling.is_none() {
        let needed = ClientCapabilities::builder().enable_sampling().build();
        return Err(ErrorData::missing_required_client_capability(needed));
    }
    if !is_modern(context) {
        ask(context, None, InputRequests::from([("model".to_owned(), model("Hello")?)]), None).await?;
    }
    text("Required capability declared")
}

fn defaults() -> Value {
    json!({
        "type": "object",
        "properties": {
            "name": { "type": "string", "description": "User name", "default": "John Doe" },
            "age": { "type": "integer", "description": "User age", "default": 30 },
            "score": { "type": "number", "description": "User score", "default": 95.5 },
            "status": { "type": "string", "description": "User status", "enum": ["active", "inactive", "pending"], "default": "active" },
            "verified": { "type": "boolean", "description": "Verification status", "default": true },
        },
        "required": [],
    })
}

fn enums() -> Value {
    let titled = |titles: [&str; 3]| -> Vec<Value> {
        (1..)
            .zip(titles)
            .map(|(number, title)| json!({ "const": format!("value{number}"), "title": title }))
            .collect()
    };
    json!({
        "type": "object",
        "properties": {
            "untitledSingle": { "type": "string", "enum": ["option1", "option2", "option3"] },
            "titledSingle": { "type": "string", "oneOf": titled(["First Option", "Second Option", "Third Option"]) },
            "legacyEnum": { "type": "string", "enum": ["opt1", "opt2", "opt3"], "enumNames": ["Option One", "Option Two", "Option Three"] },
            "untitledMulti": { "type": "array", "items": { "type": "string", "enum": ["option1", "option2", "option3"] } },
            "titledMulti": { "type": "array", "items": { "anyOf": titled(["First Choice", "Second Choice", "Third Choice"]) } },
        },
        "required": [],
    })
}
