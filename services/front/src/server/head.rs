//! Rules of HTTP/1.1 for the head of a request that hyper leaves to its users (RFC 9112, 3.2 and 6.1), and the exact limit of
//! its size. Must not know what is requested.

use axum::http::header::{HOST, TRANSFER_ENCODING};
use axum::http::{HeaderMap, Request, Version};
use protocol::mcp::failure::Failure;

use super::limits::{HEAD_LIMIT, MAX_HEAD};
use super::progress::RequestGuard;
use super::raw_head::Length;

/// Checks that a request of HTTP/1.1 names its host once, that its headers are not too large, and that its body has no transfer
/// coding but `chunked`.
///
/// A body with two lengths is refused: whoever forwards the request may go by the other one, so that the two see different
/// requests (RFC 9112, 6.1). Where it was not seen whether there are two, no further request is taken on the connection.
pub(super) fn check_request<B>(
    request: &Request<B>,
    guard: Option<&mut RequestGuard>,
) -> Result<(), Failure> {
    let is_coded = check(request.version(), request.headers())?;
    let Some(guard) = guard.filter(|_| is_coded) else { return Ok(()) };
    match guard.length() {
        Length::Absent => {}
        Length::Unseen => guard.set_last(),
        Length::Declared => {
            guard.set_last();
            return Err(Failure::BadHttp("Content-Length beside Transfer-Encoding"));
        }
    }
    Ok(())
}

/// Returns whether the body has a transfer coding.
fn check(version: Version, headers: &HeaderMap) -> Result<bool, Failure> {
    let (mut size, mut hosts, mut is_coded) = (0, 0, false);
    for (name, value) in headers {
        size += name.as_str().len() + value.len();
        hosts += usize::from(name == HOST);
        is_coded |= name == TRANSFER_ENCODING;
    }
    // hyper's limit is that of its buffer, which may have a little more.
    if size > MAX_HEAD {
        return Err(Failure::HeadTooLarge(HEAD_LIMIT));
    }
    match hosts {
        0 if version >= Version::HTTP_11 => {
            return Err(Failure::BadHttp("no Host header, which HTTP/1.1 requires"));
        }
        0 | 1 => {}
        _ => return Err(Failure::BadHttp("several Host headers")),
    }
    if is_coded {
        check_codings(headers)?;
    }
    Ok(is_coded)
}

fn check_codings(headers: &HeaderMap) -> Result<(), Failure> {
    let mut is_chunked = false;
    for value in headers.get_all(TRANSFER_ENCODING) {
        let text =
            value.to_str().map_err(|_| Failure::BadHttp("the Transfer-Encoding header is not text"))?;
        for coding in text.split(',').map(str::trim).filter(|coding| !coding.is_empty()) {
            if !coding.eq_ignore_ascii_case("chunked") {
                let known: String = coding.chars().take(40).collect();
                return Err(Failure::UnsupportedCoding(format!("{known:?}")));
            }
            if std::mem::replace(&mut is_chunked, true) {
                return Err(Failure::BadHttp("chunked more than once"));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGE: &str = match std::str::from_utf8(&[b'y'; MAX_HEAD]) {
        Ok(text) => text,
        Err(_) => "",
    };

    fn checked(version: Version, headers: &[(&'static str, &'static str)]) -> Result<(), u16> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        check(version, &map).map(drop).map_err(|failure| failure.spec().legacy)
    }

    #[test]
    fn a_request_names_one_host_and_a_coding_that_is_decoded() {
        let host = ("host", "proxy");
        let coding = |value| ("transfer-encoding", value);
        for (version, headers, expected) in [
            (Version::HTTP_11, &[host][..], Ok(())),
            (Version::HTTP_11, &[][..], Err(400)),
            (Version::HTTP_10, &[], Ok(())),
            (Version::HTTP_10, &[host, host], Err(400)),
            (Version::HTTP_11, &[host, ("host", "other")], Err(400)),
            (Version::HTTP_11, &[host, coding("chunked")], Ok(())),
            (Version::HTTP_11, &[host, coding("Chunked ,")], Ok(())),
            (Version::HTTP_11, &[host, coding("gzip, chunked")], Err(501)),
            (Version::HTTP_11, &[host, coding("gzip"), coding("chunked")], Err(501)),
            (Version::HTTP_11, &[host, coding("identity, chunked")], Err(501)),
            (Version::HTTP_11, &[host, coding("chunked;a=b")], Err(501)),
            (Version::HTTP_11, &[host, ("x-large", LARGE)], Err(431)),
            (Version::HTTP_11, &[host, coding("chunked, chunked")], Err(400)),
            (Version::HTTP_11, &[host, coding("chunked"), coding("chunked")], Err(400)),
        ] {
            assert_eq!(checked(version, headers), expected, "{version:?} {headers:?}");
        }
    }
}
