//! The members of an entry whose server is reached over HTTP: `url`, `type`, `headers`, `tls`. Must not know requests.

use std::path::PathBuf;

use hyper::header::{AUTHORIZATION, HeaderName, HeaderValue};
use runtime::secret::Secret;
use runtime::tls::{ClientFiles, File};
use serde_json::Value;
use url::Url;

use super::entry::EntryReader;
use crate::backends::mcp_http::{HttpServer, HttpTransport};

/// Headers that belong to the connection, the message or the session.
const OWN_HEADERS: [&str; 13] = [
    "accept",
    "connection",
    "content-length",
    "content-type",
    "host",
    "last-event-id",
    "mcp-method",
    "mcp-name",
    "mcp-protocol-version",
    "mcp-session-id",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// Members of `tls`.
const TLS_MEMBERS: [&str; 3] = ["ca", "cert", "key"];

impl EntryReader<'_> {
    /// Returns the server; `None` if its address cannot be used.
    pub(super) fn http_server(&mut self, transport: HttpTransport) -> Option<HttpServer> {
        let (headers, tls) = (self.headers(), self.tls());
        let url = self.url()?;
        let audience = self.audience(&url);
        if audience.is_some() && headers.iter().any(|(name, _)| *name == AUTHORIZATION) {
            self.report("headers.Authorization", "no such header: the token of \"identity\" is sent there");
        }
        Some(HttpServer { url, transport, headers, tls, audience })
    }

    /// Returns the audience of the server's tokens; `None`: it gets none.
    fn audience(&mut self, url: &Url) -> Option<String> {
        let audience = match self.value.get("identity") {
            Some(Value::String(word)) if word == "token" => {
                // What stands behind the path may be a secret.
                let mut plain = url.clone();
                plain.set_query(None);
                plain.to_string()
            }
            Some(Value::Object(members)) => match members.get("audience") {
                Some(Value::String(text)) if members.len() == 1 && !text.trim().is_empty() => {
                    self.expand("identity.audience", text).trim().to_owned()
                }
                _ => {
                    self.report("identity", "an object with \"audience\" alone, a text");
                    return None;
                }
            },
            _ => return None,
        };
        if !self.is_set("IDENTITY_KEY_FILE") {
            self.report("identity", "IDENTITY_KEY_FILE, which signs tokens, or true in place of a token");
        }
        Some(audience)
    }

    fn url(&mut self) -> Option<Url> {
        const EXPECTED: &str = "an address that begins with http:// or https://";
        let Some(Value::String(text)) = self.value.get("url") else {
            self.report("url", EXPECTED);
            return None;
        };
        let text = self.expand("url", text);
        let url = Url::parse(text.trim()).ok();
        let Some(mut url) = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        else {
            self.report("url", EXPECTED);
            return None;
        };
        if !url.username().is_empty() || url.password().is_some() {
            self.report(
                "url",
                "no credentials in the address: \"headers\": {\"Authorization\": \"...\"} sends them",
            );
        }
        url.set_fragment(None);
        Some(url)
    }

    fn headers(&mut self) -> Vec<(HeaderName, Secret)> {
        let value = self.value;
        let Some(Value::Object(members)) = value.get("headers") else {
            if value.get("headers").is_some_and(|headers| !headers.is_null()) {
                self.report("headers", "an object of texts by name");
            }
            return Vec::new();
        };
        let mut headers = Vec::with_capacity(members.len());
        for (name, value) in members {
            let member = format!("headers.{name}");
            let Some(header) = HeaderName::try_from(name).ok().filter(is_free) else {
                self.report(&member, "the name of a header that MCP does not set itself");
                continue;
            };
            let Value::String(text) = value else {
                self.report(&member, "a text (put numbers and true or false in quotes)");
                continue;
            };
            // A file's or a variable's last line break is nobody's intention.
            let text = self.expand(&member, text).trim().to_owned();
            if HeaderValue::from_str(&text).is_err() {
                self.report(&member, "a text that a header can have: one line without control characters");
            }
            headers.push((header, Secret::new(text)));
        }
        headers
    }

    fn tls(&mut self) -> ClientFiles {
        let value = self.value;
        let Some(Value::Object(members)) = value.get("tls") else {
            if value.get("tls").is_some_and(|tls| !tls.is_null()) {
                self.report("tls", "an object with \"ca\", \"cert\" and \"key\"");
            }
            return ClientFiles::default();
        };
        for name in members.keys().filter(|name| !TLS_MEMBERS.contains(&name.as_str())) {
            self.report(&format!("tls.{name}"), "\"ca\", \"cert\" or \"key\"");
        }
        let [roots, certificate, key] = TLS_MEMBERS.map(|name| self.file(name, members.get(name)));
        let identity = match (certificate, key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => {
                self.report("tls", "\"cert\" and \"key\" together, or neither");
                None
            }
        };
        let files = ClientFiles { roots, identity, ..ClientFiles::default() };
        for error in files.check() {
            let member = match error.file {
                File::Roots => "tls.ca",
                File::Certificate => "tls.cert",
                File::Key => "tls.key",
            };
            self.report(member, "a PEM file that can be used");
        }
        files
    }

    fn file(&mut self, name: &str, value: Option<&Value>) -> Option<PathBuf> {
        let member = format!("tls.{name}");
        match value {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) if !text.is_empty() => Some(self.expand(&member, text).into()),
            Some(_) => {
                self.report(&member, "the path of a PEM file");
                None
            }
        }
    }
}

fn is_free(name: &HeaderName) -> bool {
    !OWN_HEADERS.contains(&name.as_str()) && !name.as_str().starts_with("mcp-param-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: &Value) -> (Option<HttpServer>, String) {
        let variable = |name: &str| (name == "TOKEN").then(|| "s3cret".to_owned());
        let mut reader = EntryReader::new("web", value, &variable);
        let server = reader.read();
        (server.and_then(|server| server.remote), reader.problems.join("; "))
    }

    #[test]
    fn entries_of_all_programs_name_their_transport() {
        for (kind, expected) in [
            (json!(null), HttpTransport::Streamable),
            (json!("http"), HttpTransport::Streamable),
            (json!("streamable-http"), HttpTransport::Streamable),
            (json!("streamableHttp"), HttpTransport::Streamable),
            (json!("sse"), HttpTransport::Events),
        ] {
            let (server, problems) = read(&json!({ "type": kind, "url": "https://h/mcp#x",
                "headers": { "Authorization": "Bearer ${TOKEN}\n" } }));
            let server = server.unwrap();
            assert_eq!((problems.as_str(), server.transport), ("", expected));
            assert_eq!(server.url.as_str(), "https://h/mcp");
            assert_eq!(server.headers[0].1.expose(), "Bearer s3cret");
            assert!(!format!("{server:?}").contains("s3cret"));
        }
    }

    #[test]
    fn tokens_are_for_the_server_itself_unless_the_entry_says_for_whom() {
        let variable = |name: &str| (name == "IDENTITY_KEY_FILE").then(|| "/key".to_owned());
        for (entry, expected) in [
            (json!({ "url": "http://h/mcp?s3cret=1" }), None),
            (json!({ "url": "http://h/mcp?s3cret=1", "identity": true }), None),
            (json!({ "url": "http://h/mcp?s3cret=1", "identity": "token" }), Some("http://h/mcp")),
            (json!({ "url": "http://h", "identity": { "audience": "https://x" } }), Some("https://x")),
        ] {
            let mut reader = EntryReader::new("web", &entry, &variable);
            let server = reader.read().unwrap();
            assert_eq!(server.remote.unwrap().audience.as_deref(), expected, "{:?}", reader.problems);
            assert_eq!((server.identity, reader.problems.len()), (entry.get("identity").is_some(), 0));
        }
        let both = json!({ "url": "http://h", "identity": "token", "headers": { "authorization": "x" } });
        let mut reader = EntryReader::new("web", &both, &variable);
        reader.read();
        assert!(reader.problems.join("; ").contains("headers.Authorization"), "{:?}", reader.problems);
    }

    #[test]
    fn what_cannot_be_used_is_named_without_its_value() {
        for (entry, member) in [
            (json!({ "type": "http" }), "\"url\""),
            (json!({ "url": "h:1/mcp" }), "\"url\""),
            (json!({ "url": 8080 }), "\"url\""),
            (json!({ "url": "http://s3cret@h/" }), "\"url\""),
            (json!({ "url": "http://h", "type": "ws" }), "\"type\""),
            (json!({ "url": "http://h", "headers": ["s3cret"] }), "\"headers\""),
            (json!({ "url": "http://h", "headers": { "Host": "s3cret" } }), "\"headers.Host\""),
            (json!({ "url": "http://h", "headers": { "Mcp-Session-Id": "s3cret" } }), "Mcp-Session-Id"),
            (json!({ "url": "http://h", "headers": { "X": "a\ns3cret" } }), "\"headers.X\""),
            (json!({ "url": "http://h", "headers": { "X": "${NOPE}" } }), "NOPE"),
            (json!({ "url": "http://h", "identity": "token" }), "IDENTITY_KEY_FILE"),
            (json!({ "url": "http://h", "identity": "s3cret" }), "\"identity\""),
            (json!({ "url": "http://h", "identity": { "audience": 1 } }), "\"identity\""),
            (json!({ "url": "http://h", "identity": { "audience": "a", "s3cret": 1 } }), "\"identity\""),
            (json!({ "url": "http://h", "tls": { "insecure": true } }), "\"tls.insecure\""),
            (json!({ "url": "http://h", "tls": { "cert": "/s3cret" } }), "\"tls\""),
            (json!({ "url": "http://h", "tls": { "ca": "/s3cret" } }), "\"tls.ca\""),
        ] {
            let (_, problems) = read(&entry);
            assert!(problems.contains(member), "{entry}: {problems}");
            assert!(!problems.contains("s3cret"), "{problems}");
        }
    }
}
