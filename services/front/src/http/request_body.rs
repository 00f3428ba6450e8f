//! Reading a request's body within limits of size and time. Must not know what the body says.

use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::CONTENT_LENGTH;
use bytes::{Bytes, BytesMut};
use http_body::Body;
use protocol::mcp::failure::Failure;
use tokio::time::timeout;

/// Most bytes allocated on the strength of `Content-Length` alone: an announcement costs no memory.
const MAX_PREALLOCATED: usize = 64 * 1024;

/// Limits of one request body.
#[derive(Clone, Copy)]
pub(crate) struct BodyLimits {
    /// Longest body, in bytes.
    pub(crate) max_bytes: usize,
    /// Time in which the whole body must arrive.
    pub(crate) timeout: Duration,
}

/// Reads the whole body. A body that arrives in one piece, as small ones do, is not copied.
pub(crate) async fn read_body<B>(headers: &HeaderMap, body: B, limits: BodyLimits) -> Result<Bytes, Failure>
where
    B: Body<Data = Bytes> + Unpin,
{
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|announced| announced > limits.max_bytes) {
        return Err(Failure::BodyTooLarge { limit: limits.max_bytes });
    }
    timeout(limits.timeout, collect(body, announced, limits.max_bytes))
        .await
        .unwrap_or_else(|_| Err(Failure::InvalidRequest("the body did not arrive in time".into())))
}

async fn collect<B>(mut body: B, announced: Option<usize>, max_bytes: usize) -> Result<Bytes, Failure>
where
    B: Body<Data = Bytes> + Unpin,
{
    let Some(first) = next_piece(&mut body).await? else { return Ok(Bytes::new()) };
    check_length(first.len(), max_bytes)?;
    if body.is_end_stream() {
        return Ok(first);
    }
    let Some(second) = next_piece(&mut body).await? else { return Ok(first) };
    let capacity = announced.unwrap_or(0).min(MAX_PREALLOCATED).max(first.len() + second.len());
    let mut whole = BytesMut::with_capacity(capacity);
    whole.extend_from_slice(&first);
    check_length(whole.len() + second.len(), max_bytes)?;
    whole.extend_from_slice(&second);
    drop((first, second));
    while let Some(piece) = next_piece(&mut body).await? {
        check_length(whole.len() + piece.len(), max_bytes)?;
        whole.extend_from_slice(&piece);
    }
    Ok(whole.freeze())
}

/// Returns the next data frame, skipping trailers; `None` at the end of the body.
async fn next_piece<B>(body: &mut B) -> Result<Option<Bytes>, Failure>
where
    B: Body<Data = Bytes> + Unpin,
{
    loop {
        let frame = std::future::poll_fn(|cx| std::pin::Pin::new(&mut *body).poll_frame(cx)).await;
        match frame {
            None => return Ok(None),
            Some(Err(_)) => return Err(Failure::InvalidRequest("the body broke off".into())),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

fn check_length(length: usize, max_bytes: usize) -> Result<(), Failure> {
    if length > max_bytes { Err(Failure::BodyTooLarge { limit: max_bytes }) } else { Ok(()) }
}
