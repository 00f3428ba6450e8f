//! The stages of the shutdown: draining, the check that everything is delivered, closing. Must not know how links close.

use protocol::link::ids::LinkId;

use super::stage::Stage;
use super::state::{Endpoint, State};

impl Endpoint {
    /// Returns the stage of the shutdown.
    pub(crate) fn stage(&self) -> Stage {
        *self.stage.borrow()
    }

    /// Waits until the shutdown has reached a stage. Cancel-safe.
    pub(crate) async fn reached(&self, stage: Stage) {
        // Waiting fails only when the sender is dropped, which is `self`.
        let _ = self.stage.subscribe().wait_for(|now| *now >= stage).await;
    }

    /// Takes no new call from now on, and tells every proxy.
    pub(crate) fn drain(&self) {
        let mut state = self.state.lock();
        if self.stage() == Stage::Serving {
            state.end.drain();
            self.advance(Stage::Draining, &state);
            self.check_drained(&state);
        }
    }

    /// Marks a link whose proxy has read that the slave drains.
    pub(crate) fn link_drained(&self, link: LinkId) {
        let mut state = self.state.lock();
        for up in state.links.iter_mut().filter(|up| up.id == link) {
            up.drained = true;
        }
        self.check_drained(&state);
    }

    /// Tells all links to close.
    pub(crate) fn close_links(&self) {
        let state = self.state.lock();
        self.advance(Stage::Closing, &state);
    }

    /// While draining: advances to [`Stage::Drained`] if there is nothing left to deliver.
    pub(super) fn check_drained(&self, state: &State) {
        if self.stage() == Stage::Draining && state.calls() == 0 && state.links.iter().all(|up| up.drained) {
            self.advance(Stage::Drained, state);
        }
    }

    fn advance(&self, stage: Stage, locked: &State) {
        self.stage.send_replace(stage);
        for up in &locked.links {
            up.wake.raise();
        }
    }
}
