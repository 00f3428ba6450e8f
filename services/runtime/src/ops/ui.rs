//! The status page's shell: the frame around tables of the service's own, the script and the style that fill and dress
//! them. Knows nothing of what a page shows but calls.
//!
//! Pages say the same to everybody: what they show comes from the API, which asks for a key. They load nothing from
//! elsewhere, run no inline code, and cannot be put into a frame.

use axum::http::StatusCode;
use axum::http::header::{
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

/// A whole page but for its `{role}` and its `{tables}`.
const FRAME: &str = include_str!("ui/frame.html");

/// What stands in every page where its tables have `{calls}`.
const CALLS: &str = include_str!("ui/calls.html");

/// What a page may do: load its own script and style, and ask its own server.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Something that a browser shows or uses, the same for everybody.
#[derive(Clone, Debug)]
pub struct Page {
    /// Where it stands.
    pub path: &'static str,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    /// Text of this media type.
    Text(&'static str, Bytes),
    /// It stands elsewhere; relative, so that it holds behind an ingress with a path of its own.
    Moved(&'static str),
}

/// The page at `/ui/` of a server that is called `role` until its document is there, and what the page needs.
pub fn pages(role: &str, tables: &str) -> [Page; 4] {
    let page = FRAME.replace("{role}", role).replace("{tables}", tables).replace("{calls}", CALLS);
    let text = |path, kind, text| Page { path, content: Content::Text(kind, text) };
    let script = Bytes::from_static(include_bytes!("ui/page.js"));
    let style = Bytes::from_static(include_bytes!("ui/page.css"));
    [
        Page { path: "/ui", content: Content::Moved("ui/") },
        text("/ui/", "text/html; charset=utf-8", page.into()),
        text("/ui/page.js", "text/javascript; charset=utf-8", script),
        text("/ui/page.css", "text/css; charset=utf-8", style),
    ]
}

impl Page {
    pub(super) fn answer(&self) -> Response {
        let (kind, text) = match &self.content {
            Content::Text(kind, text) => (*kind, text.clone()),
            Content::Moved(to) => return (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, *to)]).into_response(),
        };
        let headers = [
            (CONTENT_TYPE, kind),
            (CONTENT_SECURITY_POLICY, POLICY),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (X_FRAME_OPTIONS, "DENY"),
            (REFERRER_POLICY, "no-referrer"),
        ];
        (headers, text).into_response()
    }
}
