//! Which web pages may send requests: `ALLOWED_ORIGINS`. Knows nothing of how a request is held against it.

use crate::env::parse;

/// Origins whose requests are served. Requests without an `Origin` header do not come from a web page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AllowedOrigins {
    /// Pages served from this machine only: `localhost`, `127.0.0.0/8`, `::1`, any port.
    #[default]
    Loopback,
    /// All of them.
    Any,
    /// Exactly these, as browsers write them: scheme, host and port if it is not the scheme's own.
    Only(Vec<String>),
}

impl AllowedOrigins {
    /// Reads `*` or a comma-separated list.
    pub fn parse(text: &str) -> Result<Self, String> {
        if parse::list(text).any(|part| part == "*") {
            return Ok(Self::Any);
        }
        let origins: Option<Vec<String>> = parse::list(text).map(origin).collect();
        match origins {
            Some(list) if !list.is_empty() => Ok(Self::Only(list)),
            _ => Err("* or a list of origins such as https://app.example, without a path".into()),
        }
    }
}

/// The text as a browser would send it.
fn origin(text: &str) -> Option<String> {
    let url = url::Url::parse(text).ok()?;
    let bare =
        url.path().trim_end_matches('/').is_empty() && url.query().is_none() && url.fragment().is_none();
    let anonymous = url.username().is_empty() && url.password().is_none();
    let usable = url.has_host() && bare && anonymous;
    if !usable {
        return None;
    }
    match url.origin() {
        url::Origin::Tuple(..) => Some(url.origin().ascii_serialization()),
        // Browser extensions and apps have schemes of their own: scheme://host.
        url::Origin::Opaque(_) => Some(text.trim_end_matches('/').to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_kept_as_browsers_write_them() {
        let origins = AllowedOrigins::parse("https://App.example:443/, http://x:8080").unwrap();
        assert_eq!(origins, AllowedOrigins::Only(vec!["https://app.example".into(), "http://x:8080".into()]));
        assert_eq!(AllowedOrigins::parse("https://a, *"), Ok(AllowedOrigins::Any));
        let scheme_of_an_app = AllowedOrigins::Only(vec!["vscode-webview://panel".into()]);
        assert_eq!(AllowedOrigins::parse("vscode-webview://panel"), Ok(scheme_of_an_app));
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for bad in ["app.example", "https://a/path", "https://u:p@a", "https://a?x", ","] {
            assert!(AllowedOrigins::parse(bad).is_err(), "{bad}");
        }
    }
}
