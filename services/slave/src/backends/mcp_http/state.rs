//! What is known of a server while its session lasts: session id, version, the annotations of its tools. Must not know requests.

use std::collections::HashMap;

use bytes::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use protocol::mcp::era::Version;
use protocol::mcp::param_headers::{ParamHeaders, argument_text};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::outgoing::Outgoing;

/// What is known of a server.
#[derive(Debug, Default)]
pub(super) struct State {
    /// The session that the server gave (2025-11-25, "Session Management").
    pub(super) session: Option<HeaderValue>,
    /// Counts sessions, so that one that is lost is begun again once only.
    pub(super) generation: u64,
    /// The version that a legacy server chose.
    pub(super) version: Option<Version>,
    /// The `initialize` that began the session.
    pub(super) initialize: Option<Bytes>,
    /// Annotated parameters of a modern server's tools.
    params: HashMap<String, ParamHeaders>,
}

/// The members of results that matter here.
#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    result: AnswerResult<'a>,
}

#[derive(Deserialize)]
struct AnswerResult<'a> {
    #[serde(rename = "protocolVersion", default)]
    version: Option<String>,
    #[serde(borrow, default)]
    tools: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

impl State {
    /// Notes what an answer to the slave's own request says.
    pub(super) fn observe(&mut self, request: &Outgoing, message: &[u8]) {
        if !matches!(request.method.as_str(), "initialize" | "tools/list") {
            return;
        }
        let Ok(Answer { result }) = serde_json::from_slice::<Answer<'_>>(message) else { return };
        if request.method == "initialize" {
            self.version = result.version.as_deref().and_then(Version::parse);
            self.initialize = Some(request.body.clone());
            return;
        }
        if request.version.is_none() {
            return;
        }
        for tool in result.tools {
            if let Ok(Named { name }) = serde_json::from_str(tool.get()) {
                let found = ParamHeaders::of(tool);
                if found.params.is_empty() {
                    self.params.remove(&name)
                } else {
                    self.params.insert(name, found)
                };
            }
        }
    }

    /// Returns the headers that repeat arguments of a modern call.
    pub(super) fn argument_headers(&self, request: &Outgoing) -> Vec<(HeaderName, HeaderValue)> {
        let found = request.name.as_ref().and_then(|name| self.params.get(name));
        let (Some(found), Some(arguments)) = (found, &request.arguments) else { return Vec::new() };
        let Ok(arguments) = serde_json::from_slice::<&RawValue>(arguments) else { return Vec::new() };
        let header = |param: &protocol::mcp::param_headers::ParamHeader| {
            let text = argument_text(param.value(arguments)?)?;
            let name = HeaderName::try_from(format!("mcp-param-{}", param.header)).ok()?;
            Some((name, HeaderValue::from_str(&text).ok()?))
        };
        found.params.iter().filter_map(header).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_repeated_as_the_last_list_says() {
        let read = |text: &str| Outgoing::read(&Bytes::from(text.to_owned()));
        let meta = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}"#;
        let list = read(&format!(r#"{{"id":1,"method":"tools/list","params":{{{meta}}}}}"#));
        let call = read(&format!(
            r#"{{"id":2,"method":"tools/call","params":{{"name":"t","arguments":{{"r":"é","n":1.50}},{meta}}}}}"#
        ));
        let mut state = State::default();
        let tools = |schema: &str| {
            format!(r#"{{"id":1,"result":{{"tools":[{{"name":"t","inputSchema":{schema}}}]}}}}"#)
        };
        let schema = r#"{"properties":{"r":{"type":"string","x-mcp-header":"R"},"n":{"type":"integer","x-mcp-header":"N"}}}"#;
        state.observe(&list, tools(schema).as_bytes());
        let mut headers: Vec<String> = state
            .argument_headers(&call)
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        headers.sort();
        assert_eq!(headers, ["mcp-param-n: 1.50", "mcp-param-r: =?base64?w6k=?="]);
        state.observe(&list, tools("{}").as_bytes());
        assert!(state.argument_headers(&call).is_empty());
        state.observe(
            &read(r#"{"id":3,"method":"initialize"}"#),
            br#"{"result":{"protocolVersion":"2025-06-18"}}"#,
        );
        assert_eq!(state.version.map(Version::as_str), Some("2025-06-18"));
    }
}
