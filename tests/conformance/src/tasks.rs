//! Tools of the extension `io.modelcontextprotocol/tasks` (SEP-2663).
//!
//! Knows rmcp's task manager; must not know transports. A client without the extension gets the result itself, where a tool can
//! run without a task.

use std::time::Duration;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, CreateTaskResult,
    InputRequests,
};
use rmcp::service::RequestContext;
use rmcp::task_manager::{TaskContext, TaskExit, TaskManager, TaskOptions};
use rmcp::{ErrorData, RoleServer};
use serde_json::{Value, json};

use crate::ask::{Asked, ask, field, form};
use crate::lists::{failed, text};

/// Tools that are tasks where the client can have tasks.
pub(crate) const TOOLS: [&str; 6] = [
    "slow_compute",
    "failing_job",
    "protocol_error_job",
    "confirm_delete",
    "multi_input",
    "test_tool_with_task",
];
/// Those that cannot run without.
const TASK_ONLY: [&str; 4] = ["failing_job", "confirm_delete", "multi_input", "test_tool_with_task"];

/// Calls one of [`TOOLS`].
pub(crate) async fn call(
    tasks: &TaskManager,
    request: CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let able = context.client_capabilities().is_some_and(|able| able.supports_tasks());
    let name = request.name.to_string();
    if !able && TASK_ONLY.contains(&name.as_str()) {
        let needed = ClientCapabilities::builder().enable_tasks().build();
        return Err(ErrorData::missing_required_client_capability(needed));
    }
    let mut arguments = Value::Object(request.arguments.clone().unwrap_or_default());
    if name == "test_tool_with_task" {
        let questions = InputRequests::from([(
            "user_name".to_owned(),
            form("What is your name?", &json!({ "name": { "type": "string" } }))?,
        )]);
        match ask(context, request.input_responses.as_ref(), questions, None).await? {
            Asked::Required(required) => return Ok(required.into()),
            Asked::Answered(answers) => arguments["name"] = field(&answers, "user_name", "name").into(),
        }
    }
    if able {
        let task = tasks.spawn(TaskOptions::default(), move |task| {
            Box::pin(async move { run(&name, &arguments, &task).await })
        });
        return Ok(CreateTaskResult::new(task).into());
    }
    without_task(&name, &arguments).await.map(Into::into)
}

async fn run(name: &str, arguments: &Value, task: &TaskContext) -> Result<CallToolResult, TaskExit> {
    match name {
        "confirm_delete" => {
            let question = form("Delete the file?", &json!({ "confirm": { "type": "boolean" } }))?;
            let answer = task.request_input("confirm", question).await?;
            let confirmed = answer.pointer("/content/confirm").and_then(Value::as_bool).unwrap_or(false);
            Ok(text(format!("confirm_delete({}): {confirmed}", arguments["filename"]))?)
        }
        "multi_input" => {
            let value = json!({ "value": { "type": "string" } });
            let first = task.request_input("input-a", form("Value A?", &value)?);
            let second = task.request_input("input-b", form("Value B?", &value)?);
            let (first, second) = tokio::join!(first, second);
            Ok(text(format!("multi_input: {} and {}", first?["content"], second?["content"]))?)
        }
        _ => tokio::select! {
            () = task.cancelled() => Err(TaskExit::Cancelled),
            result = without_task(name, arguments) => result.map_err(TaskExit::Error),
        },
    }
}

async fn without_task(name: &str, arguments: &Value) -> Result<CallToolResult, ErrorData> {
    let seconds = match name {
        "slow_compute" => arguments["seconds"].as_f64().unwrap_or(1.0),
        "failing_job" => 1.0,
        _ => 0.2,
    };
    tokio::time::sleep(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO)).await;
    match name {
        "slow_compute" => text(format!("slow_compute({}) took {seconds} s", arguments["label"])),
        "failing_job" => failed("failing_job: it fails on purpose"),
        "protocol_error_job" => {
            Err(ErrorData::internal_error("protocol_error_job: it fails on purpose", None))
        }
        _ => text(format!("Hello, {}! (as a task)", arguments["name"].as_str().unwrap_or("friend"))),
    }
}
