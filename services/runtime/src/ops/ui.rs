//! The frame of the status page: HTML around a service's own tables, the script that fills them, and the style. Must not
//! know what a page shows but calls.
//!
//! Pages are static: their data comes from the API, which asks for a key. They load nothing from elsewhere, run no
//! inline code, and cannot be framed ([`CONTENT_POLICY`]).

use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use crate::config::StatusPage;

/// The page without its `{role}` and `{tables}`.
const FRAME: &str = include_str!("ui/frame.html");

/// Sections that tables refer to by their name in braces.
const SECTIONS: [(&str, &str); 6] = [
    ("{facts}", include_str!("ui/facts.html")),
    ("{calls}", include_str!("ui/calls.html")),
    ("{live}", include_str!("ui/live.html")),
    ("{recent}", include_str!("ui/recent.html")),
    ("{log}", include_str!("ui/log.html")),
    ("{one_calls}", include_str!("ui/one_calls.html")),
];

/// Sections by which operators run tools and drain slaves, by their names in braces. Pages that only show have none of them.
const OPERATE: [(&str, &str); 2] =
    [("{try}", include_str!("ui/try.html")), ("{drain}", include_str!("ui/drain.html"))];

/// What the page says of itself at its end.
const READ_ONLY: &str = "Read-only.";
const FULL: &str = "Everything that is run or drained here is recorded in the audit stream.";

/// The script of [`OPERATE`], which pages that only show do not load.
const SCRIPT: &str = "<script type=\"module\" src=\"operate.js\"></script>\n";

/// [`SCRIPT`] and what it imports.
const OPERATE_SCRIPTS: [(&str, &str); 4] = [
    ("/ui/operate.js", include_str!("ui/operate.js")),
    ("/ui/asked.js", include_str!("ui/asked.js")),
    ("/ui/contents.js", include_str!("ui/contents.js")),
    ("/ui/form.js", include_str!("ui/form.js")),
];

/// The column of trace ids.
const TRACE_COLUMN: &str = "      <th scope=\"col\" data-field=\"trace\" data-as=\"id\">Trace</th>\n";

/// `Content-Security-Policy` of every response: a page loads its own script and style, and asks its own server.
pub const CONTENT_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                                  img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A static resource of the status page.
#[derive(Clone, Debug)]
pub struct Page {
    /// The path of its URL.
    pub path: &'static str,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    /// Text of this media type.
    Text(&'static str, Bytes),
    /// A redirection, relative so that it holds behind an ingress with a path prefix.
    Redirect(&'static str),
}

/// Columns of the tables of calls that differ by service.
#[derive(Clone, Copy, Debug)]
pub struct CallColumns {
    /// The member of a call's JSON that names the call's worker, say `slave`.
    pub worker: &'static str,
    /// The member of a call's JSON by which the page tells workers apart.
    pub worker_key: &'static str,
    /// The title of that column.
    pub worker_title: &'static str,
    /// The title of the column of clients.
    pub client_title: &'static str,
    /// Whether there is a column of trace ids.
    pub has_trace: bool,
}

/// Returns the page at `/ui/`, its scripts and its style, and the redirections to it from `/ui` and `/`. `role` is the server's name until its status is loaded;
/// `tables` is HTML that may name the sections
/// `{facts}`, `{calls}`, `{live}`, `{recent}`, `{log}` and `{one_calls}`, and `{try}` and `{drain}` of a page that operates.
pub fn pages(role: &str, tables: &str, columns: CallColumns, kind: StatusPage) -> Vec<Page> {
    let is_full = kind == StatusPage::Full;
    let operate = OPERATE.iter().map(|(name, section)| (name, if is_full { *section } else { "" }));
    let tables = operate.fold(tables.to_owned(), |text, (name, section)| text.replace(name, section));
    let tables = SECTIONS.iter().fold(tables, |text, (name, section)| text.replace(name, section));
    let tables = tables
        .replace("{worker}", columns.worker)
        .replace("{link}", columns.worker_key)
        .replace("{worker_title}", columns.worker_title)
        .replace("{client_title}", columns.client_title)
        .replace("{trace}", if columns.has_trace { TRACE_COLUMN } else { "" });
    let page = FRAME
        .replace("{tables}", &tables)
        .replace("{role}", role)
        .replace("{operate}", if is_full { SCRIPT } else { "" })
        .replace("{what}", if is_full { FULL } else { READ_ONLY });
    let text = |path, kind, text| Page { path, content: Content::Text(kind, text) };
    let script = |path, text: &'static str| Page {
        path,
        content: Content::Text("text/javascript; charset=utf-8", Bytes::from_static(text.as_bytes())),
    };
    let style = Bytes::from_static(include_bytes!("ui/page.css"));
    let mut pages = vec![
        Page { path: "/", content: Content::Redirect("ui/") },
        Page { path: "/ui", content: Content::Redirect("ui/") },
        text("/ui/", "text/html; charset=utf-8", page.into()),
        script("/ui/page.js", include_str!("ui/page.js")),
        script("/ui/tables.js", include_str!("ui/tables.js")),
        script("/ui/values.js", include_str!("ui/values.js")),
        text("/ui/page.css", "text/css; charset=utf-8", style),
    ];
    if is_full {
        pages.extend(OPERATE_SCRIPTS.map(|(path, text)| script(path, text)));
    }
    pages
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        match self.content {
            Content::Text(kind, text) => ([(CONTENT_TYPE, kind)], text).into_response(),
            Content::Redirect(to) => (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, to)]).into_response(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_placeholder_is_left_in_a_page() {
        let columns = CallColumns {
            worker: "slave",
            worker_key: "slaveId",
            worker_title: "Slave",
            client_title: "Client",
            has_trace: true,
        };
        let page = |kind| {
            let pages =
                pages("proxy", "{facts}{calls}{live}{recent}{log}{one_calls}{try}{drain}", columns, kind);
            let Content::Text(_, text) = pages[2].content.clone() else { panic!("no text") };
            let text = String::from_utf8(text.to_vec()).unwrap();
            assert!(!text.contains('{'), "{text}");
            (text, pages.len())
        };
        let ((text, count), (full, count_of_full)) = (page(StatusPage::ReadOnly), page(StatusPage::Full));
        assert!(!text.contains("operate.js") && !text.contains("id=\"try\"") && text.contains(READ_ONLY));
        assert!(full.contains("operate.js") && full.contains("id=\"try\"") && !full.contains(READ_ONLY));
        assert_eq!(count + OPERATE_SCRIPTS.len(), count_of_full, "the scripts that operate are not served");
        assert!(
            text.contains("data-link=\"slave\" data-link-by=\"slaveId\">Slave<")
                && text.contains(TRACE_COLUMN),
            "{text}"
        );
    }
}
