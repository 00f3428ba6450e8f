//! Requests of browsers for the page at `/`, a path that MCP clients use as well. Must not know what the page is.

use axum::http::header::ACCEPT;
use axum::http::{HeaderMap, Method};

/// The path of the page that leads to the status page, which MCP clients use as well.
pub(super) const FRONT_DOOR: &str = "/";

/// Whether a request is that of a browser for a page: it accepts HTML, and no stream of events, which MCP clients do.
pub(super) fn asks_for_page(method: &Method, headers: &HeaderMap) -> bool {
    let accepts = |wanted: &str| {
        let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let mut types = values.flat_map(|value| value.split(',')).filter_map(|range| range.split(';').next());
        types.any(|one| one.trim().eq_ignore_ascii_case(wanted))
    };
    matches!(*method, Method::GET | Method::HEAD)
        && !headers.contains_key("mcp-session-id")
        && accepts("text/html")
        && !accepts("text/event-stream")
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn only_browsers_find_a_page_at_the_root() {
        const HTML: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        for (method, accept, session, is_page) in [
            (Method::GET, HTML, false, true),
            (Method::HEAD, "Text/HTML; q=1", false, true),
            (Method::POST, HTML, false, false),
            (Method::DELETE, HTML, false, false),
            (Method::GET, HTML, true, false),
            (Method::GET, "*/*", false, false),
            (Method::GET, "", false, false),
            (Method::GET, "text/event-stream", false, false),
            (Method::GET, "application/json, text/event-stream", false, false),
            (Method::GET, "text/html, text/event-stream", false, false),
            (Method::GET, "text/htmlx", false, false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
            if session {
                headers.insert("mcp-session-id", HeaderValue::from_static("s"));
            }
            assert_eq!(asks_for_page(&method, &headers), is_page, "{method} {accept:?} {session}");
        }
        assert!(!asks_for_page(&Method::GET, &HeaderMap::new()));
    }
}
