//! Which forms of answer a client takes. Must not know what is answered.

use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use protocol::mcp::failure::Failure;

/// The forms that a client takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accept {
    /// It did not ask for events: JSON only, and events are left out. (Clients of the existing server are such.)
    Json,
    /// As the specification wants it.
    JsonOrEvents,
    /// It named events only.
    EventsOnly,
}

/// Reads `Accept`. Lenient: without one, or with `*/*`, JSON is taken.
pub(crate) fn takes(headers: &HeaderMap) -> Result<Accept, Failure> {
    // What SDKs send, letter by letter: most requests.
    if headers.get(ACCEPT).is_some_and(|accept| accept == "application/json, text/event-stream") {
        return Ok(Accept::JsonOrEvents);
    }
    let mut named = headers.get_all(ACCEPT).iter().peekable();
    if named.peek().is_none() {
        return Ok(Accept::Json);
    }
    let (mut json, mut events) = (false, false);
    for range in named.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')) {
        let (range, parameters) = range.split_once(';').unwrap_or((range, ""));
        if is_refused(parameters) {
            continue;
        }
        let is = |name: &str| range.trim().eq_ignore_ascii_case(name);
        json |= is("application/json") || is("application/*") || is("*/*");
        events |= is("text/event-stream") || is("text/*");
    }
    match (json, events) {
        (true, false) => Ok(Accept::Json),
        (true, true) => Ok(Accept::JsonOrEvents),
        (false, true) => Ok(Accept::EventsOnly),
        (false, false) => {
            Err(Failure::NotAcceptable("Accept names neither application/json nor text/event-stream".into()))
        }
    }
}

/// `q=0`: named in order to be refused.
fn is_refused(parameters: &str) -> bool {
    parameters.split(';').any(|parameter| {
        let quality = parameter.trim().strip_prefix("q=").or_else(|| parameter.trim().strip_prefix("Q="));
        quality.is_some_and(|quality| quality.trim().parse::<f32>().is_ok_and(|quality| quality <= 0.0))
    })
}

/// Whether a client takes the events of a GET stream.
pub(crate) fn accepts_events(headers: &HeaderMap) -> bool {
    let Some(accept) = headers.get(ACCEPT) else { return true };
    let text = accept.to_str().unwrap_or_default();
    text.contains("*/*") || !matches!(takes(headers), Ok(Accept::Json) | Err(_))
}

/// A body that says it is something other than JSON is refused; one that says nothing is read.
pub(crate) fn check_content_type(headers: &HeaderMap) -> Result<(), Failure> {
    let Some(kind) = headers.get(CONTENT_TYPE) else { return Ok(()) };
    let kind = kind.as_bytes();
    let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let json = kind.eq_ignore_ascii_case(b"application/json")
        || kind.to_ascii_lowercase().ends_with(b"+json")
        || kind.is_empty();
    if json { Ok(()) } else { Err(Failure::UnsupportedMediaType) }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn accept(value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(value))])
    }

    #[test]
    fn accept_decides_the_form() {
        assert_eq!(takes(&HeaderMap::new()), Ok(Accept::Json));
        for (value, expected) in [
            ("application/json, text/event-stream", Accept::JsonOrEvents),
            ("text/event-stream;q=0.5,APPLICATION/JSON;q=1", Accept::JsonOrEvents),
            ("*/*", Accept::Json),
            ("application/json", Accept::Json),
            ("text/event-stream", Accept::EventsOnly),
            ("application/json, text/event-stream;q=0", Accept::Json),
        ] {
            assert_eq!(takes(&accept(value)), Ok(expected), "{value}");
        }
        assert!(takes(&accept("text/html")).is_err());
        assert!(accepts_events(&accept("*/*")) && accepts_events(&accept("text/event-stream")));
        assert!(!accepts_events(&accept("application/json")));
    }

    #[test]
    fn only_a_declared_other_type_is_refused() {
        let of = |value| {
            check_content_type(&HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(value))]))
        };
        for good in ["application/json", "Application/JSON; charset=latin1", "application/json-rpc+json", ""]
        {
            assert!(of(good).is_ok(), "{good}");
        }
        for bad in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx"] {
            assert!(of(bad).is_err(), "{bad}");
        }
        assert!(check_content_type(&HeaderMap::new()).is_ok());
    }
}
