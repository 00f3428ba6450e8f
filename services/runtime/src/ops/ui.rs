//! The status page's shell: markup of the service's own, with the script and the style that fill and dress it here. Knows
//! nothing of what a page shows.
//!
//! Pages say the same to everybody: what they show comes from the API, which asks for a key. They load nothing from
//! elsewhere, run no inline code, and cannot be put into a frame.

use axum::http::StatusCode;
use axum::http::header::{
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::response::{IntoResponse, Response};

/// What a page may do: load its own script and style, and ask its own server.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Something that a browser shows or uses, the same for everybody.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// Where it stands.
    pub path: &'static str,
    content: Content,
}

#[derive(Clone, Copy, Debug)]
enum Content {
    /// Text of this media type.
    Text(&'static str, &'static str),
    /// It stands elsewhere; relative, so that it holds behind an ingress with a path of its own.
    Moved(&'static str),
}

/// The page at `/ui/` with this markup, and what it needs.
pub fn pages(markup: &'static str) -> [Page; 4] {
    let text = |path, kind, text| Page { path, content: Content::Text(kind, text) };
    [
        Page { path: "/ui", content: Content::Moved("ui/") },
        text("/ui/", "text/html; charset=utf-8", markup),
        text("/ui/page.js", "text/javascript; charset=utf-8", include_str!("ui/page.js")),
        text("/ui/page.css", "text/css; charset=utf-8", include_str!("ui/page.css")),
    ]
}

impl Page {
    pub(super) fn answer(&self) -> Response {
        let (kind, text) = match self.content {
            Content::Text(kind, text) => (kind, text),
            Content::Moved(to) => return (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, to)]).into_response(),
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
