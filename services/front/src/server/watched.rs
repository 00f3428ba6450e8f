//! The task of a connection whose progress is watched. Must not know HTTP.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::{Instant, Sleep, sleep_until};

use super::progress::{Overdue, Progress};

/// A connection that ends when it is overdue. The timer is moved only to an earlier time: progress is more frequent than
/// the lack of it.
pub(super) struct Watched<F> {
    inner: F,
    progress: Progress,
    timer: Option<Pin<Box<Sleep>>>,
}

impl<F: Future + Unpin> Watched<F> {
    pub(super) fn new(inner: F, progress: Progress) -> Self {
        Self { inner, progress, timer: None }
    }

    /// Returns the connection.
    pub(super) fn get_mut(&mut self) -> &mut F {
        &mut self.inner
    }

    /// Takes the connection out.
    pub(super) fn into_inner(self) -> F {
        self.inner
    }

    fn poll_overdue(&mut self, cx: &mut Context<'_>) -> Poll<Overdue> {
        loop {
            let Some((deadline, why)) = self.progress.deadline() else { return Poll::Pending };
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
            if deadline < timer.deadline() || timer.is_elapsed() {
                timer.as_mut().reset(deadline);
            }
            ready!(timer.as_mut().poll(cx));
            if Instant::now() >= deadline {
                return Poll::Ready(why);
            }
        }
    }
}

impl<F: Future + Unpin> Future for Watched<F> {
    /// The result of the connection, or the reason to close it.
    type Output = Result<F::Output, Overdue>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if let Poll::Ready(output) = Pin::new(&mut this.inner).poll(cx) {
            return Poll::Ready(Ok(output));
        }
        this.poll_overdue(cx).map(Err)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const STALL: Duration = Duration::from_mins(1);

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_says_nothing_ends_after_the_header_timeout() {
        let start = Instant::now();
        let never = Box::pin(std::future::pending::<()>());
        assert_eq!(Watched::new(never, Progress::new(STALL)).await, Err(Overdue::Head));
        assert_eq!(start.elapsed().as_secs(), 10);
    }
}
