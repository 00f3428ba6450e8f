//! Prompts and completion.
//!
//! Knows [`ask`]; must not know transports.

use rmcp::model::{
    CompleteRequestParams, CompleteResult, GetPromptRequestParams, GetPromptResponse, GetPromptResult,
    InputRequests, Reference,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer};
use serde_json::{Value, json};

use crate::ask::{Asked, ask, field, form};
use crate::lists::{IMAGE, result};

/// Gets one prompt.
pub(crate) async fn get(
    request: GetPromptRequestParams,
    context: &RequestContext<RoleServer>,
) -> Result<GetPromptResponse, ErrorData> {
    let arguments = Value::Object(request.arguments.clone().unwrap_or_default());
    let argument = |name: &str| arguments[name].as_str().unwrap_or_default().to_owned();
    let contents = match request.name.as_str() {
        "test_simple_prompt" => vec![text("This is a simple prompt for testing.")],
        "test_prompt_with_arguments" => {
            vec![text(&format!(
                "Prompt with arguments: arg1='{}', arg2='{}'",
                argument("arg1"),
                argument("arg2")
            ))]
        }
        "test_prompt_with_embedded_resource" => {
            let resource = json!({ "uri": argument("resourceUri"), "mimeType": "text/plain", "text": "Embedded resource content." });
            vec![
                json!({ "type": "resource", "resource": resource }),
                text("Please process the embedded resource above."),
            ]
        }
        "test_prompt_with_image" => {
            vec![
                json!({ "type": "image", "data": IMAGE, "mimeType": "image/png" }),
                text("Please look at the image above."),
            ]
        }
        "test_input_required_result_prompt" => {
            let question =
                form("What context should the prompt use?", &json!({ "context": { "type": "string" } }))?;
            let questions = InputRequests::from([("user_context".to_owned(), question)]);
            match ask(context, request.input_responses.as_ref(), questions, None).await? {
                Asked::Required(required) => return Ok(required.into()),
                Asked::Answered(answers) => {
                    vec![text(&format!("Context: {}", field(&answers, "user_context", "context")))]
                }
            }
        }
        _ => return Err(ErrorData::invalid_params(format!("unknown prompt: {}", request.name), None)),
    };
    let messages: Vec<_> =
        contents.into_iter().map(|content| json!({ "role": "user", "content": content })).collect();
    result::<GetPromptResult>(json!({ "messages": messages })).map(Into::into)
}

/// Completes an argument of a prompt or a template.
pub(crate) fn complete(request: &CompleteRequestParams) -> Result<CompleteResult, ErrorData> {
    let known: &[&str] = match &request.r#ref {
        Reference::Prompt(prompt) if prompt.name == "test_prompt_with_arguments" => {
            &["paris", "park", "party"]
        }
        Reference::Resource(_) => &["1", "2", "3"],
        _ => &[],
    };
    let values: Vec<_> = known.iter().filter(|value| value.starts_with(&request.argument.value)).collect();
    result(json!({ "completion": { "values": values, "total": values.len(), "hasMore": false } }))
}

fn text(text: &str) -> Value {
    json!({ "type": "text", "text": text })
}
