//! Going down, and forgetting what nobody came back for. Must not know how links close.

use std::sync::Arc;
use std::time::Instant;

use protocol::link::ids::LinkId;

use super::{Endpoint, Stage, State, lock};

impl Endpoint {
    /// How far the process is on its way down.
    pub(crate) fn stage(&self) -> Stage {
        *self.stage.borrow()
    }

    /// Waits until the process is as far on its way down. Cancel safe.
    pub(crate) async fn reached(&self, stage: Stage) {
        // The sender is ours: it cannot be gone.
        let _ = self.stage.subscribe().wait_for(|now| *now >= stage).await;
    }

    /// Takes no new call from now on; every proxy is told.
    pub(crate) fn drain(&self) {
        let mut state = lock(&self.state);
        if self.stage() == Stage::Serving {
            state.end.drain();
            self.enter(Stage::Draining, &state);
            self.settle(&state);
        }
    }

    /// The proxy behind this link has read that we drain.
    pub(crate) fn link_drained(&self, link: LinkId) {
        let mut state = lock(&self.state);
        for up in state.links.iter_mut().filter(|up| up.id == link) {
            up.drained = true;
        }
        self.settle(&state);
    }

    /// All links are to close.
    pub(crate) fn close_links(&self) {
        let state = lock(&self.state);
        self.enter(Stage::Closing, &state);
    }

    /// While draining: whether there is nothing left to deliver.
    pub(super) fn settle(&self, state: &State) {
        if self.stage() == Stage::Draining
            && state.end.calls() == 0
            && state.links.iter().all(|up| up.drained)
        {
            self.enter(Stage::Drained, state);
        }
    }

    fn enter(&self, stage: Stage, locked: &State) {
        self.stage.send_replace(stage);
        for up in &locked.links {
            up.wake.raise();
        }
    }

    /// Forgets calls that nobody came back for, when their time is over. Never ends: drop it. One is enough.
    pub(crate) async fn expire(self: Arc<Self>) {
        loop {
            let (next, mut events) = {
                let mut state = lock(&self.state);
                state.end.expire(Instant::now());
                self.settle(&state);
                let events: Vec<_> = std::iter::from_fn(|| state.end.poll_event()).collect();
                (state.end.poll_timeout(), events)
            };
            self.handle(&mut events);
            let due = async {
                match next {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => {}
                () = self.chores.notified() => {}
            }
        }
    }
}
