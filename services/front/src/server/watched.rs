//! The stream and the task of a connection whose progress is watched. Must not know HTTP.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::progress::{Overdue, Progress};

/// A stream that reports its progress.
pub(super) struct WatchedStream<S> {
    inner: S,
    progress: Progress,
}

impl<S> WatchedStream<S> {
    pub(super) fn new(inner: S, progress: Progress) -> Self {
        Self { inner, progress }
    }

    fn report<T>(&self, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match written {
            Poll::Pending => self.progress.on_blocked(),
            Poll::Ready(_) => self.progress.on_written(),
        }
        written
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WatchedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(cx, into);
        if into.filled().len() > before {
            self.progress.on_read();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WatchedStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.report(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, slices);
        self.report(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(cx);
        // A flush that is complete at once says nothing of the bytes that a write could not place.
        if flushed.is_pending() {
            self.progress.on_blocked();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

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

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const STALL: Duration = Duration::from_mins(1);

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_nothing_is_overdue_and_one_that_takes_a_little_is_not() {
        let (server, mut client) = duplex(1000);
        let progress = Progress::new(STALL);
        let request = progress.begin_request();
        let mut stream = WatchedStream::new(server, progress.clone());
        let writing = tokio::spawn(async move {
            let write = Box::pin(async move { stream.write_all(&[7; 10_000]).await });
            Watched::new(write, progress).await
        });
        let start = Instant::now();
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_secs(59)).await;
            client.read_exact(&mut [0; 10]).await.unwrap();
        }
        assert!(matches!(writing.await.unwrap(), Err(Overdue::Stalled)));
        assert_eq!(start.elapsed().as_secs(), 3 * 59 + 60);
        drop(request);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_says_nothing_ends_after_the_header_timeout() {
        let start = Instant::now();
        let never = Box::pin(std::future::pending::<()>());
        assert_eq!(Watched::new(never, Progress::new(STALL)).await, Err(Overdue::Head));
        assert_eq!(start.elapsed().as_secs(), 10);
    }
}
