//! Changes of lists as clients are told of them: those that come together are one. Must not know who is told.

use std::sync::Arc;
use std::time::Duration;

use policy::Requester;
use protocol::mcp::catalog::ListKind;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::calls::Listing;

/// Time for which further changes are waited for.
const SETTLE: Duration = Duration::from_millis(100);

/// Returns the names of these lists as notifications have them. Both lists of resources have one notification.
pub(crate) fn notified_lists(kinds: &[ListKind]) -> Vec<&'static str> {
    let names = kinds.iter().map(|kind| match kind {
        ListKind::Tools => "tools",
        ListKind::Prompts => "prompts",
        ListKind::Resources | ListKind::ResourceTemplates => "resources",
    });
    let mut names: Vec<&str> = names.collect();
    names.dedup();
    names
}

/// Changes of the listing.
pub(crate) struct ListChanges {
    listing: watch::Receiver<Arc<Listing>>,
    /// When a change that was seen is told.
    due: Option<Instant>,
    opened: Arc<Listing>,
    /// Whose view of the lists is looked at.
    viewer: Requester<'static>,
}

impl ListChanges {
    /// Returns the changes of a client's view from now on.
    pub(crate) fn new(mut listing: watch::Receiver<Arc<Listing>>, viewer: Requester<'static>) -> Self {
        let opened = listing.borrow_and_update().view(&viewer);
        Self { listing, due: None, opened, viewer }
    }

    /// Returns the listing from which changes are counted.
    pub(crate) fn opened(&self) -> &Arc<Listing> {
        &self.opened
    }

    /// Counts changes from this listing on.
    pub(crate) fn set_opened(&mut self, opened: Arc<Listing>) {
        self.opened = opened;
    }

    /// Waits for a change, which need not be one of the client's view, and a time in which others may come along; `None`: there will be
    /// none. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<Arc<Listing>> {
        if self.due.is_none() {
            self.listing.changed().await.ok()?;
            self.due = Some(Instant::now() + SETTLE);
        }
        if let Some(due) = self.due {
            sleep_until(due).await;
        }
        self.due = None;
        Some(self.listing.borrow_and_update().view(&self.viewer))
    }
}
