//! Request bodies that nobody wants: small ones are read and dropped, so that their connection can go on. Must not know
//! why they are not wanted.

use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::EXPECT;
use bytes::Bytes;
use http_body::Body;
use tokio::time::timeout;

/// Longest body, in bytes, that is read and dropped.
const MAX_SKIPPED: u64 = 16 * 1024;

/// How long such a body is waited for.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Reads the rest of a body and drops it, if it is known to be small. A client that waits for `100 Continue` has not sent it,
/// and is not asked for it. Bodies that are not read are the connection's: it closes after the response.
pub(crate) async fn skip_small<B>(headers: &HeaderMap, body: &mut B)
where
    B: Body<Data = Bytes> + Unpin,
{
    let is_small = body.size_hint().upper().is_some_and(|upper| upper <= MAX_SKIPPED);
    if body.is_end_stream() || !is_small || headers.contains_key(EXPECT) {
        return;
    }
    let reading = async {
        loop {
            let frame = std::future::poll_fn(|cx| std::pin::Pin::new(&mut *body).poll_frame(cx)).await;
            if !matches!(frame, Some(Ok(_))) {
                return;
            }
        }
    };
    // What is still missing then is the connection's.
    let _ = timeout(TIMEOUT, reading).await;
}
