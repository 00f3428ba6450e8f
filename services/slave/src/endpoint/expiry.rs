//! The task that forgets calls whose proxies did not come back in time. Must not know links.

use std::sync::Arc;
use std::time::Instant;

use super::state::Endpoint;

impl Endpoint {
    /// Forgets expired calls, and handles events that no link reads. Never returns: drop it. One such task is enough.
    pub(crate) async fn expire(self: Arc<Self>) {
        loop {
            let (next, mut events) = {
                let mut state = self.state.lock();
                state.end.expire(Instant::now());
                self.check_drained(&state);
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
