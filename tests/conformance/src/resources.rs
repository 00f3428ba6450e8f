//! Resources by their URIs.
//!
//! Must not know transports or subscriptions.

use rmcp::ErrorData;
use rmcp::model::ReadResourceResult;
use serde_json::json;

use crate::lists::{IMAGE, result};

/// Reads one resource; `version` counts the changes of the watched one.
pub(crate) fn read(uri: &str, version: u64) -> Result<ReadResourceResult, ErrorData> {
    let of_template = uri.strip_prefix("test://template/").and_then(|rest| rest.strip_suffix("/data"));
    let content = match (uri, of_template) {
        ("test://static-text", _) => {
            json!({ "uri": uri, "mimeType": "text/plain", "text": "This is the content of the static text resource." })
        }
        ("test://static-binary", _) => json!({ "uri": uri, "mimeType": "image/png", "blob": IMAGE }),
        ("test://watched-resource", _) => {
            json!({ "uri": uri, "mimeType": "text/plain", "text": format!("Version {version}") })
        }
        (_, Some(id)) => {
            let text =
                json!({ "id": id, "templateTest": true, "data": format!("Data for ID: {id}") }).to_string();
            json!({ "uri": uri, "mimeType": "application/json", "text": text })
        }
        _ => {
            return Err(ErrorData::resource_not_found(
                format!("resource not found: {uri}"),
                Some(json!({ "uri": uri })),
            ));
        }
    };
    result(json!({ "contents": [content] }))
}
