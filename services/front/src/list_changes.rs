//! Changes of lists as clients are told of them: those that come together are one. Must not know who is told.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::calls::Listing;

/// Time for which further changes are waited for.
const SETTLE: Duration = Duration::from_millis(100);

/// Returns the lists that differ, as the names of their notifications have them.
pub(crate) fn changed_lists(before: &Listing, now: &Listing) -> Vec<&'static str> {
    let lists = [("tools", before.tools != now.tools)];
    lists.into_iter().filter(|(_, differs)| *differs).map(|(list, _)| list).collect()
}

/// Changes of the listing.
pub(crate) struct ListChanges {
    listing: watch::Receiver<Arc<Listing>>,
    /// When a change that was seen is told.
    due: Option<Instant>,
    opened: Arc<Listing>,
}

impl ListChanges {
    /// Returns the changes from now on.
    pub(crate) fn new(mut listing: watch::Receiver<Arc<Listing>>) -> Self {
        let opened = Arc::clone(&listing.borrow_and_update());
        Self { listing, due: None, opened }
    }

    /// Returns the listing from which changes are counted.
    pub(crate) fn opened(&self) -> &Arc<Listing> {
        &self.opened
    }

    /// Counts changes from this listing on.
    pub(crate) fn set_opened(&mut self, opened: Arc<Listing>) {
        self.opened = opened;
    }

    /// Waits for a change and a time in which others may come along; `None`: there will be none. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<Arc<Listing>> {
        if self.due.is_none() {
            self.listing.changed().await.ok()?;
            self.due = Some(Instant::now() + SETTLE);
        }
        if let Some(due) = self.due {
            sleep_until(due).await;
        }
        self.due = None;
        Some(Arc::clone(&self.listing.borrow_and_update()))
    }
}
