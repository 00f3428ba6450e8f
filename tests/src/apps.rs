//! User interfaces of tools (MCP Apps), and icons and titles of everything, as the fixtures offer them over stdio and HTTP. Knows nothing of
//! the relay.
//!
//! `FIXTURE_APPS` is the host of the `ui://` URIs and stands in front of all names. `unlisted.html` is in no list, as servers may do.

use serde_json::{Value, json};

/// Name of the extension.
pub const EXTENSION: &str = "io.modelcontextprotocol/ui";

/// The content type of user interfaces.
pub const MIME_TYPE: &str = "text/html;profile=mcp-app";

/// Returns the host of the URIs; `None`: the stdio fixture has no user interfaces.
pub fn host() -> Option<String> {
    std::env::var("FIXTURE_APPS").ok()
}

/// What a client declares that shows user interfaces.
pub fn capability() -> Value {
    json!({ "extensions": { EXTENSION: { "mimeTypes": [MIME_TYPE] } } })
}

/// What the server says of itself.
pub fn server_info(host: &str) -> Value {
    json!({
        "name": host, "version": "1.2.3", "title": "Boards", "description": "Boards of all kinds",
        "websiteUrl": "https://boards.example", "icons": icons("server"),
    })
}

/// Adds capabilities and `serverInfo` to the answer to `initialize` or `server/discover`.
pub fn introduce(answer: &mut Value, modern: bool, host: &str) {
    let extension = json!({ EXTENSION: { "mimeTypes": [MIME_TYPE], "n": 1.5 } });
    answer["capabilities"] = json!({ "tools": {}, "prompts": {}, "resources": {}, "extensions": extension });
    if modern {
        answer["_meta"]["io.modelcontextprotocol/serverInfo"] = server_info(host);
    } else {
        answer["serverInfo"] = server_info(host);
    }
}

/// Returns the capabilities that the client of a modern request declares.
pub fn declared(message: &Value) -> Value {
    message["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"].clone()
}

fn icons(name: &str) -> Value {
    json!([
        { "src": format!("https://boards.example/{name}.png"), "mimeType": "image/png", "sizes": ["48x48", "96x96"] },
        { "src": "data:image/svg+xml;base64,PHN2Zy8+", "sizes": ["any"], "theme": "dark", "extra": 1 },
    ])
}

/// Returns the tools. Those with a user interface are there for clients that show it.
pub fn tools(host: &str, declared: &Value) -> Value {
    let schema = json!({ "type": "object", "properties": { "board": { "type": "string" } } });
    let show = json!({
        "name": format!("{host}_show"), "title": "Show", "description": "Shows a board", "icons": icons("show"),
        "inputSchema": schema, "annotations": { "readOnlyHint": true },
        "_meta": { "ui": { "resourceUri": unlisted(host), "visibility": ["model", "app"], "later": [] }, "ui/resourceUri": unlisted(host) },
    });
    let refresh = json!({
        "name": format!("{host}_refresh"), "icons": icons("refresh"), "inputSchema": schema,
        "_meta": { "ui": { "resourceUri": listed(host), "visibility": ["app"] } },
    });
    let plain = json!({ "name": format!("{host}_plain"), "inputSchema": { "type": "object" } });
    let shows = declared["extensions"][EXTENSION]["mimeTypes"].as_array();
    if shows.is_some_and(|types| types.contains(&MIME_TYPE.into())) {
        json!([plain, show, refresh])
    } else {
        json!([plain])
    }
}

/// Returns the prompts.
pub fn prompts(host: &str) -> Value {
    let argument = json!({ "name": "board", "title": "Board", "required": true });
    json!([{ "name": format!("{host}_greet"), "title": "Greet", "icons": icons("prompt"), "arguments": [argument], "_meta": { "a": 1 } }])
}

/// Returns the resources that are listed.
pub fn resources(host: &str) -> Value {
    json!([{
        "uri": listed(host), "name": "Board", "title": "A board", "description": "Shows a board", "mimeType": MIME_TYPE,
        "icons": icons("resource"), "size": 27, "annotations": { "audience": ["user"], "priority": 0.5 }, "_meta": { "ui": interface() },
    }])
}

/// Returns the resource templates.
pub fn templates(host: &str) -> Value {
    json!([{ "uriTemplate": format!("board-{host}://{{id}}"), "name": "Data", "title": "Data of a board", "icons": icons("template") }])
}

/// URI of the user interface that is in a list.
pub fn listed(host: &str) -> String {
    format!("ui://{host}/listed.html")
}

/// URI of the user interface that is in no list.
pub fn unlisted(host: &str) -> String {
    format!("ui://{host}/unlisted.html")
}

/// What a user interface says of itself, in lists and when it is read.
pub fn interface() -> Value {
    json!({
        "csp": { "connectDomains": ["https://api.example"], "resourceDomains": ["https://cdn.example"], "frameDomains": [], "baseUriDomains": [] },
        "permissions": { "camera": {}, "clipboardWrite": {} }, "domain": "a904794854a047f6.hosts.example", "prefersBorder": false,
    })
}

/// Returns the contents of a user interface.
pub fn contents(uri: &str) -> Value {
    let text = format!("<!doctype html>\n<title>{uri}</title>");
    json!([{ "uri": uri, "mimeType": MIME_TYPE, "text": text, "_meta": { "ui": interface() } }])
}

/// Returns the result of a request; `None`: it is for another part of the fixture. `declared`: the capabilities of the client.
pub fn answer(message: &Value, host: &str, declared: &Value) -> Option<Result<Value, Value>> {
    let params = &message["params"];
    let result = match message["method"].as_str()? {
        "tools/list" => json!({ "tools": tools(host, declared) }),
        "prompts/list" => json!({ "prompts": prompts(host) }),
        "resources/list" => json!({ "resources": resources(host) }),
        "resources/templates/list" => json!({ "resourceTemplates": templates(host) }),
        "resources/read" => {
            let uri = params["uri"].as_str().unwrap_or_default();
            if ![listed(host), unlisted(host)].contains(&uri.to_owned()) {
                return Some(Err(
                    json!({ "code": -32002, "message": "Resource not found", "data": { "uri": uri } }),
                ));
            }
            json!({ "contents": contents(uri) })
        }
        "tools/call" => json!({
            "content": [{ "type": "text", "text": "a board" }], "structuredContent": { "board": params["arguments"]["board"] },
            "_meta": { "declared": declared, "name": params["name"], "for": "the user interface" },
        }),
        _ => return None,
    };
    let mut result = result;
    result["ttlMs"] = 0.into();
    result["cacheScope"] = "private".into();
    Some(Ok(result))
}
