//! The legacy GET stream (2025-11-25, Transports, "Listening for Messages from the Server"): list changes and
//! comments that keep it open. Must not know calls.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, stream};
use tokio::sync::watch;
use tokio::time::sleep;

use super::response_stream::KEEPALIVE_INTERVAL;
use crate::calls::{Calls, Listing};
use crate::edge::{Edge, Listener};

const TOOLS_CHANGED: &[u8] =
    b"data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}\n\n";
const COMMENT: &[u8] = b":\n\n";

struct Listening {
    listing: watch::Receiver<Arc<Listing>>,
    closing: watch::Receiver<bool>,
    /// Not polled yet: the first comment makes the headers travel at once.
    opened: bool,
    _counted: Listener,
}

/// A stream of list changes that ends when the edge is closed, or what stands behind it goes.
pub(crate) fn listen<C: Calls>(edge: &Edge<C>) -> Pin<Box<dyn Stream<Item = Bytes> + Send>> {
    let mut listing = edge.listing.clone();
    listing.mark_unchanged();
    let state = Listening { listing, closing: edge.closing(), opened: false, _counted: edge.listener() };
    Box::pin(stream::unfold(state, next))
}

async fn next(mut at: Listening) -> Option<(Bytes, Listening)> {
    if !at.opened {
        at.opened = true;
        return Some((Bytes::from_static(COMMENT), at));
    }
    let bytes = tokio::select! {
        biased;
        _ = at.closing.wait_for(|closing| *closing) => return None,
        changed = at.listing.changed() => {
            changed.ok()?;
            TOOLS_CHANGED
        }
        () = sleep(KEEPALIVE_INTERVAL) => COMMENT,
    };
    Some((Bytes::from_static(bytes), at))
}
