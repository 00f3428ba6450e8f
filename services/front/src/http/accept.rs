//! Content negotiation: the form of response that a client accepts, and the type of body that it sends. Must not know
//! what is answered.

use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use protocol::mcp::failure::Failure;

/// Form of response that a client accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accept {
    /// JSON only: the client did not name events, and gets no notifications of a call.
    Json,
    /// JSON or server-sent events, as the specification requires of clients.
    JsonOrEvents,
    /// Both, and events rather than JSON: they have the higher quality, or the same and stand before it. Errors come as JSON, with
    /// their status.
    EventsOrJson,
    /// Server-sent events only.
    EventsOnly,
}

impl Accept {
    /// Reads the `Accept` header. A request without the header, or with `*/*` alone, accepts JSON.
    pub(crate) fn from_headers(headers: &HeaderMap) -> Result<Self, Failure> {
        // The value that SDKs send, letter by letter.
        if headers.get(ACCEPT).is_some_and(|accept| accept == "application/json, text/event-stream") {
            return Ok(Self::JsonOrEvents);
        }
        let mut values = headers.get_all(ACCEPT).iter().peekable();
        if values.peek().is_none() {
            return Ok(Self::Json);
        }
        let (mut json, mut events, mut events_first) = (None::<f32>, None::<f32>, false);
        for range in values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')) {
            let (range, parameters) = range.split_once(';').unwrap_or((range, ""));
            let quality = quality(parameters);
            if quality <= 0.0 {
                continue;
            }
            let is = |name: &str| range.trim().eq_ignore_ascii_case(name);
            // A range that stands later counts where its quality is higher.
            let better = |known: Option<f32>| known.is_none_or(|known| quality > known);
            if (is("application/json") || is("application/*") || is("*/*")) && better(json) {
                json = Some(quality);
            }
            if (is("text/event-stream") || is("text/*")) && better(events) {
                events_first |= json.is_none();
                events = Some(quality);
            }
        }
        match (json, events) {
            (Some(_), None) => Ok(Self::Json),
            (Some(json), Some(events)) if events > json || events >= json && events_first => {
                Ok(Self::EventsOrJson)
            }
            (Some(_), Some(_)) => Ok(Self::JsonOrEvents),
            (None, Some(_)) => Ok(Self::EventsOnly),
            (None, None) => Err(Failure::NotAcceptable(
                "Accept names neither application/json nor text/event-stream".into(),
            )),
        }
    }
}

/// Quality of a media range by its parameters; 0 refuses it, and one that cannot be read is 1 (RFC 9110, 12.4.2).
fn quality(parameters: &str) -> f32 {
    let of = |parameter: &str| {
        let text = parameter.trim();
        text.strip_prefix("q=").or_else(|| text.strip_prefix("Q="))?.trim().parse::<f32>().ok()
    };
    parameters.split(';').find_map(of).filter(|quality| quality.is_finite()).unwrap_or(1.0)
}

/// Whether a client accepts the events of a GET stream.
pub(crate) fn accepts_events(headers: &HeaderMap) -> bool {
    let Some(accept) = headers.get(ACCEPT) else { return true };
    let text = accept.to_str().unwrap_or_default();
    text.contains("*/*") || !matches!(Accept::from_headers(headers), Ok(Accept::Json) | Err(_))
}

/// Refuses a body whose `Content-Type` is not JSON. A body without the header is read.
pub(crate) fn check_content_type(headers: &HeaderMap) -> Result<(), Failure> {
    let Some(value) = headers.get(CONTENT_TYPE) else { return Ok(()) };
    let media_type = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let is_json = media_type.eq_ignore_ascii_case(b"application/json")
        || media_type.to_ascii_lowercase().ends_with(b"+json")
        || media_type.is_empty();
    if is_json { Ok(()) } else { Err(Failure::UnsupportedMediaType) }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn accept(value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(value))])
    }

    #[test]
    fn the_accept_header_decides_the_form_of_the_response() {
        assert_eq!(Accept::from_headers(&HeaderMap::new()), Ok(Accept::Json));
        for (value, expected) in [
            ("application/json, text/event-stream", Accept::JsonOrEvents),
            ("text/event-stream;q=0.5,APPLICATION/JSON;q=1", Accept::JsonOrEvents),
            ("text/event-stream, application/json", Accept::EventsOrJson),
            ("application/json;q=0.5, text/event-stream", Accept::EventsOrJson),
            ("text/event-stream;q=0.5, application/json;q=0.5", Accept::EventsOrJson),
            ("text/event-stream;q=0.5, application/json", Accept::JsonOrEvents),
            ("*/*, text/event-stream", Accept::JsonOrEvents),
            ("text/event-stream, */*;q=0.1", Accept::EventsOrJson),
            ("text/event-stream;q=x, application/json", Accept::EventsOrJson),
            ("text/event-stream;q=nan, application/json;q=-1", Accept::EventsOnly),
            ("*/*", Accept::Json),
            ("application/json", Accept::Json),
            ("text/event-stream", Accept::EventsOnly),
            ("application/json, text/event-stream;q=0", Accept::Json),
        ] {
            assert_eq!(Accept::from_headers(&accept(value)), Ok(expected), "{value}");
        }
        assert!(Accept::from_headers(&accept("text/html")).is_err());
        assert!(accepts_events(&accept("*/*")) && accepts_events(&accept("text/event-stream")));
        assert!(!accepts_events(&accept("application/json")));
    }

    #[test]
    fn only_a_declared_type_other_than_json_is_refused() {
        let check = |value| {
            check_content_type(&HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(value))]))
        };
        for good in ["application/json", "Application/JSON; charset=latin1", "application/json-rpc+json", ""]
        {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx"] {
            assert!(check(bad).is_err(), "{bad}");
        }
        assert!(check_content_type(&HeaderMap::new()).is_ok());
    }
}
