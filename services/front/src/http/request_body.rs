//! Reading a request's body within limits of size, memory and time. Must not know what the body says.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::CONTENT_LENGTH;
use bytes::Bytes;
use http_body::Body;
use protocol::mcp::failure::Failure;
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use crate::metrics::{ClientRefusal, record_client_refusal};
use crate::usage::BodyShare;

/// Most bytes allocated on the strength of `Content-Length` alone: an announcement costs no memory.
const MAX_PREALLOCATED: usize = 64 * 1024;

/// Most bytes allocated for each byte of a body that has come, so that the usual body beyond [`MAX_PREALLOCATED`] is copied once.
const TRUST: usize = 16;

/// Bytes of a body that must have come before memory for all of its announced length is allocated. Until then the buffer
/// grows; from then on it is never copied, so that no smaller forms of it are left to the allocator.
const PROVEN: usize = 1024 * 1024;

/// Limits of one request body.
#[derive(Clone, Copy)]
pub(crate) struct BodyLimits {
    /// Longest body, in bytes.
    pub(crate) max_bytes: usize,
    /// Time in which the whole body must arrive.
    pub(crate) timeout: Duration,
    /// Time without any bytes after which the body is given up.
    pub(crate) stall: Duration,
}

/// Reads the whole body. A body that arrives in one piece, as small ones do, is not copied. `share` grows with the memory
/// that the body takes, and is kept as long as the returned bytes.
pub(crate) async fn read_body<B>(
    headers: &HeaderMap,
    body: B,
    limits: BodyLimits,
    share: BodyShare,
) -> Result<Bytes, Failure>
where
    B: Body<Data = Bytes> + Unpin,
{
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|announced| announced > limits.max_bytes) {
        return Err(Failure::BodyTooLarge { limit: limits.max_bytes });
    }
    let collecting = collect(body, announced, limits, share);
    within(limits.timeout, collecting)
        .await
        .unwrap_or_else(|_| Err(too_slow(format!("not complete after {} s", limits.timeout.as_secs()))))
}

async fn collect<B>(
    mut body: B,
    announced: Option<usize>,
    limits: BodyLimits,
    share: BodyShare,
) -> Result<Bytes, Failure>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut buffer = Buffer { bytes: Vec::new(), announced, max_bytes: limits.max_bytes, share };
    // Reserved before anything is read, since the first read asks a client that waits for `100 Continue` to send.
    if let Some(announced) = announced {
        buffer.share.grow_to(announced.min(MAX_PREALLOCATED))?;
    }
    let Some(first) = next_piece(&mut body, limits.stall).await? else { return Ok(Bytes::new()) };
    buffer.check(first.len())?;
    if body.is_end_stream() {
        buffer.share.grow_to(first.len())?;
        return Ok(buffer.share.hold(first));
    }
    buffer.add(&first)?;
    drop(first);
    while let Some(piece) = next_piece(&mut body, limits.stall).await? {
        buffer.add(&piece)?;
    }
    Ok(buffer.share.hold(buffer.bytes.into()))
}

/// The pieces of a body that arrived so far.
struct Buffer {
    bytes: Vec<u8>,
    /// The length that `Content-Length` names.
    announced: Option<usize>,
    max_bytes: usize,
    /// Reservation of the buffer's capacity.
    share: BodyShare,
}

impl Buffer {
    fn check(&self, length: usize) -> Result<(), Failure> {
        if length > self.max_bytes { Err(Failure::BodyTooLarge { limit: self.max_bytes }) } else { Ok(()) }
    }

    /// Copies a piece.
    fn add(&mut self, piece: &[u8]) -> Result<(), Failure> {
        let needed = self.bytes.len() + piece.len();
        self.check(needed)?;
        if needed > self.bytes.capacity() {
            let capacity = self.next_capacity(needed);
            self.share.grow_to(capacity)?;
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        self.bytes.extend_from_slice(piece);
        Ok(())
    }
}

impl Buffer {
    /// Returns the capacity for so many bytes: of the announced length as much as what came lets one expect, then all of it. Bodies
    /// without a length, or beyond theirs, double it.
    fn next_capacity(&self, needed: usize) -> usize {
        match self.announced.filter(|announced| *announced >= needed) {
            Some(announced) if needed <= PROVEN => {
                announced.min((needed * TRUST).clamp(MAX_PREALLOCATED, PROVEN))
            }
            Some(announced) => announced,
            None => {
                let doubled = self.bytes.capacity().saturating_mul(2).max(MAX_PREALLOCATED);
                doubled.min(self.max_bytes).max(needed)
            }
        }
    }
}

/// Returns the next data frame, skipping trailers; `None` at the end of the body.
async fn next_piece<B>(body: &mut B, stall: Duration) -> Result<Option<Bytes>, Failure>
where
    B: Body<Data = Bytes> + Unpin,
{
    loop {
        let frame = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx));
        let frame = within(stall, frame)
            .await
            .map_err(|_| too_slow(format!("nothing came for {} s", stall.as_secs())))?;
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

/// Waits for a future at most so long. Most are ready at once, and get no timer.
async fn within<F: Future>(time: Duration, future: F) -> Result<F::Output, Elapsed> {
    let mut future = pin!(future);
    if let Poll::Ready(output) = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await {
        return Ok(output);
    }
    timeout(time, future).await
}

fn too_slow(why: String) -> Failure {
    record_client_refusal(ClientRefusal::BodyTimeout);
    Failure::BodyTimeout(why)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use http_body::Frame;
    use protocol::mcp::failure::FailureKind;
    use runtime::config::ClientLimits;

    use super::*;
    use crate::usage::Usage;

    /// A body of pieces, which then ends or never does.
    struct Pieces(VecDeque<Bytes>, Ending);

    #[derive(PartialEq)]
    enum Ending {
        Complete,
        Never,
    }

    impl Body for Pieces {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            match (self.0.pop_front(), &self.1) {
                (None, Ending::Never) => Poll::Pending,
                (piece, _) => Poll::Ready(piece.map(|piece| Ok(Frame::data(piece)))),
            }
        }

        fn is_end_stream(&self) -> bool {
            self.0.is_empty() && self.1 == Ending::Complete
        }
    }

    async fn read(sizes: &[usize], ending: Ending, announced: Option<usize>) -> Result<usize, FailureKind> {
        let usage = Usage::new(ClientLimits { bodies: 1 << 20, ..ClientLimits::default() });
        let pieces = sizes.iter().map(|size| Bytes::from(vec![b' '; *size])).collect();
        let limits =
            BodyLimits { max_bytes: 400_000, timeout: Duration::from_mins(5), stall: Duration::from_mins(1) };
        let mut headers = HeaderMap::new();
        if let Some(announced) = announced {
            headers.insert(CONTENT_LENGTH, announced.into());
        }
        let client = crate::client::Client::of(crate::Principal::ANYONE, Some([10, 0, 0, 1].into()));
        let body = read_body(&headers, Pieces(pieces, ending), limits, usage.body(client)).await;
        body.map(|body| body.len()).map_err(|failure| failure.kind())
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_arrive_in_any_pieces_and_slow_ones_are_given_up() {
        for announced in [None, Some(0), Some(300_000), Some(400_000)] {
            assert_eq!(read(&[], Ending::Complete, announced).await, Ok(0));
            assert_eq!(read(&[7], Ending::Complete, announced).await, Ok(7));
            assert_eq!(read(&[1, 70_000, 229_999], Ending::Complete, announced).await, Ok(300_000));
            assert_eq!(
                read(&[200_000; 3], Ending::Complete, announced).await,
                Err(FailureKind::BodyTooLarge)
            );
            assert_eq!(read(&[1, 2], Ending::Never, announced).await, Err(FailureKind::BodyTimeout));
            assert_eq!(read(&[], Ending::Never, announced).await, Err(FailureKind::BodyTimeout));
        }
        assert_eq!(read(&[1], Ending::Complete, Some(400_001)).await, Err(FailureKind::BodyTooLarge));
    }

    #[test]
    fn an_announcement_reserves_little_and_a_right_one_is_not_exceeded() {
        let usage = Usage::new(ClientLimits { bodies: 8 << 20, ..ClientLimits::default() });
        let share = usage.body(None);
        let mut buffer = Buffer { bytes: Vec::new(), announced: Some(1_000_000), max_bytes: 1 << 24, share };
        buffer.add(&[0; 1000]).unwrap();
        assert_eq!(buffer.bytes.capacity(), MAX_PREALLOCATED);
        while buffer.bytes.len() < 1_000_000 {
            buffer.add(&[0; 1000]).unwrap();
        }
        assert_eq!(buffer.bytes.capacity(), 1_000_000);
    }

    #[test]
    fn a_long_body_is_copied_while_it_is_short_only() {
        for (announced, expected) in [
            (Some(9_000_000), vec![MAX_PREALLOCATED, PROVEN, 9_000_000]),
            (
                Some(100_000),
                vec![
                    MAX_PREALLOCATED,
                    100_000,
                    200_000,
                    400_000,
                    800_000,
                    1_600_000,
                    3_200_000,
                    6_400_000,
                    12_800_000,
                ],
            ),
            (None, (16..=24).map(|power| 1 << power).collect()),
        ] {
            let usage = Usage::new(ClientLimits { bodies: 64 << 20, ..ClientLimits::default() });
            let share = usage.body(None);
            let mut buffer = Buffer { bytes: Vec::new(), announced, max_bytes: 1 << 24, share };
            let mut seen = Vec::new();
            while buffer.bytes.len() < 8_999_000 {
                buffer.add(&[0; 1000]).unwrap();
                if seen.last() != Some(&buffer.bytes.capacity()) {
                    seen.push(buffer.bytes.capacity());
                }
            }
            assert_eq!(seen, expected, "{announced:?}");
        }
    }
}
