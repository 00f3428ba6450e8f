//! The answer of a forward proxy to `CONNECT`: its head, read within bounds. Must not know how the connection was opened.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

use super::fault::WayFaultKind;
use crate::io_fault::describe;

/// Bytes of an answer's head that are read at most.
const MAX_HEAD: usize = 16 * 1024;

/// Headers of an answer at most.
const MAX_HEADERS: usize = 100;

/// Names of authentication schemes that are shown at most, in characters.
const MAX_SCHEMES: usize = 100;

/// Whether the request had credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Credentials {
    Sent,
    None,
}

/// Bytes at the start of a head after each of which it is parsed, so that what is not HTTP is seen at once; later after each line.
const START: usize = 16;

/// Reads the answer. `Ok`: the tunnel is open, and nothing of it was read. Byte by byte, since a server may speak first (HTTP/2 without TLS:
/// RFC 9113, 3.4), and its words come with the answer then.
pub(super) async fn read_answer<S>(stream: &mut S, credentials: Credentials) -> Result<(), WayFaultKind>
where
    S: AsyncRead + Unpin,
{
    let mut head = Vec::new();
    for read in 0..MAX_HEAD {
        let byte = match stream.read_u8().await {
            Ok(byte) => byte,
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
                return Err(WayFaultKind::Broken(describe(&error)));
            }
            Err(_) if read == 0 => return Err(WayFaultKind::Closed),
            Err(_) => return Err(WayFaultKind::NotHttp { tls: false }),
        };
        head.push(byte);
        if byte != b'\n' && head.len() > START {
            continue;
        }
        match parse(&head, credentials)? {
            None => {}
            Some(Verdict::Interim) => head.clear(),
            Some(Verdict::Open) => return Ok(()),
            Some(Verdict::Refused(kind)) => return Err(kind),
        }
    }
    Err(WayFaultKind::TooLong(MAX_HEAD))
}

enum Verdict {
    /// A response of 1xx, which another one follows.
    Interim,
    Open,
    Refused(WayFaultKind),
}

/// Parses a head. `None`: it is not whole.
fn parse(bytes: &[u8], credentials: Credentials) -> Result<Option<Verdict>, WayFaultKind> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    match response.parse(bytes) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(WayFaultKind::TooLong(MAX_HEAD)),
        // Records of TLS begin with their type, 21 for an alert and 22 for a handshake (RFC 8446, 5.1).
        Err(_) => {
            return Err(WayFaultKind::NotHttp { tls: matches!(bytes, [21 | 22, ..]) });
        }
    }
    let verdict = match response.code.unwrap_or_default() {
        100..=199 => Verdict::Interim,
        200..=299 => Verdict::Open,
        407 => Verdict::Refused(refused(response.headers, credentials)),
        status if is_unresolved(response.headers) => Verdict::Refused(WayFaultKind::ServerUnresolved(status)),
        status if is_unforwarded(response.headers) => Verdict::Refused(WayFaultKind::Unforwarded(status)),
        status => Verdict::Refused(WayFaultKind::Status(status)),
    };
    Ok(Some(verdict))
}

fn values<'a>(headers: &'a [httparse::Header<'_>], name: &'a str) -> impl Iterator<Item = &'a str> {
    let named = headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
    named.filter_map(|header| std::str::from_utf8(header.value).ok())
}

/// Returns why a proxy asks for credentials.
fn refused(headers: &[httparse::Header<'_>], credentials: Credentials) -> WayFaultKind {
    let schemes = || values(headers, "proxy-authenticate").filter_map(|value| value.split([' ', ',']).next());
    let speaks_basic = values(headers, "proxy-authenticate")
        .flat_map(|value| value.split([' ', ',']))
        .any(|word| word.eq_ignore_ascii_case("basic"));
    if !speaks_basic && schemes().next().is_some() {
        let names = schemes().collect::<Vec<_>>().join(", ");
        return WayFaultKind::Schemes(names.chars().take(MAX_SCHEMES).collect());
    }
    match credentials {
        Credentials::Sent => WayFaultKind::Credentials,
        Credentials::None => WayFaultKind::Anonymous,
    }
}

/// Returns whether the proxy says that the server's name has no address: Squid does in a header of its own, others by RFC 9209.
fn is_unresolved(headers: &[httparse::Header<'_>]) -> bool {
    values(headers, "x-squid-error").any(|value| value.starts_with("ERR_DNS_FAIL"))
        || values(headers, "proxy-status").any(|value| value.contains("error=dns_"))
}

/// Returns whether the proxy says that it found no way: Squid 5 does where a name has no address, since it looks for a way then.
fn is_unforwarded(headers: &[httparse::Header<'_>]) -> bool {
    values(headers, "x-squid-error").any(|value| value.starts_with("ERR_CANNOT_FORWARD"))
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    /// Returns what was found, and what was not read where the tunnel is open.
    async fn answered(bytes: &[u8], piece: usize, credentials: Credentials) -> Result<Vec<u8>, WayFaultKind> {
        let (mut client, mut proxy) = tokio::io::duplex(64 * 1024);
        let bytes = bytes.to_vec();
        let writing = tokio::spawn(async move {
            for piece in bytes.chunks(piece) {
                if proxy.write_all(piece).await.is_err() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        });
        let answer = read_answer(&mut client, credentials).await;
        let mut rest = Vec::new();
        if answer.is_ok() {
            client.read_to_end(&mut rest).await.unwrap();
        }
        drop(client);
        writing.await.unwrap();
        answer.map(|()| rest)
    }

    type Case = (Vec<u8>, Credentials, Result<&'static [u8], WayFaultKind>);

    fn answers() -> Vec<Case> {
        let basic = "Proxy-Authenticate: Basic realm=\"x\"\r\n";
        let status = |status: &str, headers: &str| format!("HTTP/1.1 {status}\r\n{headers}\r\n").into_bytes();
        let (sent, none) = (Credentials::Sent, Credentials::None);
        let not_http = Err(WayFaultKind::NotHttp { tls: false });
        vec![
            (status("200 Connection established", ""), none, Ok(b"")),
            (status("200", ""), none, Ok(b"")),
            (b"HTTP/1.0 200 OK\r\n\r\n".to_vec(), none, Ok(b"")),
            (b"HTTP/1.0 200 OK\n\n".to_vec(), none, Ok(b"")),
            (status("204 No Content", "Transfer-Encoding: chunked\r\nContent-Length: 7\r\n"), none, Ok(b"")),
            ([status("100 Continue", ""), status("200 OK", "")].concat(), none, Ok(b"")),
            ([status("200 OK", ""), b"\r\n\0x\n".to_vec()].concat(), none, Ok(b"\r\n\0x\n")),
            (status("407 Auth", basic), none, Err(WayFaultKind::Anonymous)),
            (status("407 Auth", ""), none, Err(WayFaultKind::Anonymous)),
            (status("407 Auth", basic), sent, Err(WayFaultKind::Credentials)),
            (
                status("407 Auth", "Proxy-Authenticate: Negotiate\r\nProxy-Authenticate: bASIC x\r\n"),
                sent,
                Err(WayFaultKind::Credentials),
            ),
            (
                status("407 Auth", "Proxy-Authenticate: Negotiate\r\nProxy-Authenticate: NTLM\r\n"),
                sent,
                Err(WayFaultKind::Schemes("Negotiate, NTLM".into())),
            ),
            (status("403 Forbidden", "Content-Length: 2\r\n"), sent, Err(WayFaultKind::Status(403))),
            (
                status("503 Service Unavailable", "X-Squid-Error: ERR_DNS_FAIL 0\r\n"),
                none,
                Err(WayFaultKind::ServerUnresolved(503)),
            ),
            (
                status("502 Bad", "Proxy-Status: p; error=dns_error\r\n"),
                none,
                Err(WayFaultKind::ServerUnresolved(502)),
            ),
            (
                status("500 Error", "X-Squid-Error: ERR_CANNOT_FORWARD 0\r\n"),
                none,
                Err(WayFaultKind::Unforwarded(500)),
            ),
            (status("502 Bad", ""), none, Err(WayFaultKind::Status(502))),
            (status("302 Found", "Location: http://portal\r\n"), none, Err(WayFaultKind::Status(302))),
            (Vec::new(), none, Err(WayFaultKind::Closed)),
            (b"HTTP/1.1 200 Conn".to_vec(), none, not_http.clone()),
            (b"SSH-2.0-server\r\n".to_vec(), none, not_http.clone()),
            (b"\x15\x03\x03\x00\x02\x02\x46".to_vec(), none, Err(WayFaultKind::NotHttp { tls: true })),
            (
                format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(40_000)).into_bytes(),
                none,
                Err(WayFaultKind::TooLong(MAX_HEAD)),
            ),
            (status("200 OK", &"x: y\r\n".repeat(101)), none, Err(WayFaultKind::TooLong(MAX_HEAD))),
            (status("100 Continue", "").repeat(1000), none, Err(WayFaultKind::TooLong(MAX_HEAD))),
        ]
    }

    #[tokio::test]
    async fn every_answer_is_told_apart_in_any_pieces() {
        for (bytes, credentials, expected) in answers() {
            for piece in [7, 100_000] {
                let found = answered(&bytes, piece, credentials).await;
                let expected = expected.clone().map(<[u8]>::to_vec);
                assert_eq!(found, expected, "{}", String::from_utf8_lossy(&bytes[..bytes.len().min(80)]));
            }
        }
    }
}
