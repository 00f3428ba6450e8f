//! Reads a request's body within its limits. Must not know what it says.

use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::CONTENT_LENGTH;
use bytes::{Bytes, BytesMut};
use http_body::Body;
use protocol::mcp::failure::Failure;
use tokio::time::timeout;

/// Room made ready for a body that comes in pieces, at most: what a client merely announces costs no memory.
const ROOM: usize = 64 * 1024;

/// Limits of a body.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// Bytes.
    pub(crate) most: usize,
    /// Time to send it.
    pub(crate) within: Duration,
}

/// The whole body. One that comes in one piece, as small ones do, is not copied.
pub(crate) async fn read<B>(headers: &HeaderMap, body: B, limits: Limits) -> Result<Bytes, Failure>
where
    B: Body<Data = Bytes> + Unpin,
{
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|announced| announced > limits.most) {
        return Err(Failure::BodyTooLarge { limit: limits.most });
    }
    timeout(limits.within, collect(body, announced, limits.most))
        .await
        .unwrap_or_else(|_| Err(Failure::InvalidRequest("the body did not arrive in time".into())))
}

async fn collect<B>(mut body: B, announced: Option<usize>, most: usize) -> Result<Bytes, Failure>
where
    B: Body<Data = Bytes> + Unpin,
{
    let Some(first) = next(&mut body).await? else { return Ok(Bytes::new()) };
    check(first.len(), most)?;
    if body.is_end_stream() {
        return Ok(first);
    }
    let Some(second) = next(&mut body).await? else { return Ok(first) };
    let mut whole = BytesMut::with_capacity(announced.unwrap_or(0).min(ROOM).max(first.len() + second.len()));
    whole.extend_from_slice(&first);
    check(whole.len() + second.len(), most)?;
    whole.extend_from_slice(&second);
    drop((first, second));
    while let Some(piece) = next(&mut body).await? {
        check(whole.len() + piece.len(), most)?;
        whole.extend_from_slice(&piece);
    }
    Ok(whole.freeze())
}

async fn next<B>(body: &mut B) -> Result<Option<Bytes>, Failure>
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

fn check(length: usize, most: usize) -> Result<(), Failure> {
    if length > most { Err(Failure::BodyTooLarge { limit: most }) } else { Ok(()) }
}
