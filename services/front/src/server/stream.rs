//! The stream under one connection: reports its progress, writes what hyper's own refusals lack, and reads on after the
//! last response where the client still sends. Must not know requests.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::automatic;
use super::limits::LINGER_BYTES;
use super::parting::Opening;
use super::progress::{Overdue, Progress};

/// Size of a read whose bytes are dropped.
const DROPPED_READ: usize = 16 * 1024;

/// Longest response, in bytes, whose parts are written from one buffer: the system takes one with less work than several.
const MAX_JOINED: usize = 1024;

/// A stream that reports its progress.
pub(super) struct WatchedStream<S> {
    inner: S,
    progress: Progress,
    /// What is written in place of hyper's own refusal.
    replacement: Option<Replacement>,
    /// The first bytes that the client sent.
    opening: Opening,
    /// Bytes that may still be read and dropped, once the stream is closed towards the client.
    lingering: Option<usize>,
}

/// A response in place of one that hyper wrote by itself, while it is written.
struct Replacement {
    text: String,
    written: usize,
    /// How many bytes of hyper it stands for.
    replaced: usize,
}

impl<S> WatchedStream<S> {
    pub(super) fn new(inner: S, progress: Progress) -> Self {
        Self { inner, progress, replacement: None, opening: Opening::default(), lingering: None }
    }

    /// Returns the stream below.
    pub(super) fn into_inner(self) -> S {
        self.inner
    }

    /// Returns what a client that was not answered is to be told before the connection ends, and the stream to write it to.
    pub(super) fn into_parting(self, overdue: Option<Overdue>) -> Option<(S, Vec<u8>)> {
        let words = self.opening.parting_words(overdue)?;
        Some((self.inner, words))
    }

    fn report<T>(&self, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        self.progress.set_flushed(false);
        match written {
            Poll::Pending => self.progress.on_blocked(),
            Poll::Ready(_) => self.progress.on_written(),
        }
        written
    }

    /// Prepares the replacement of these bytes, if hyper wrote them by itself.
    fn replace(&mut self, bytes: &[u8]) {
        if self.replacement.is_none()
            && self.progress.awaits_head()
            && let Some(text) = automatic::replaced(bytes)
        {
            // Whoever sends such a head may not have sent all of it.
            self.progress.set_unread();
            self.replacement = Some(Replacement { text, written: 0, replaced: bytes.len() });
        }
    }
}

impl<S: AsyncWrite + Unpin> WatchedStream<S> {
    /// Writes the replacement. `None`: there is none.
    fn poll_replacement(&mut self, cx: &mut Context<'_>) -> Option<Poll<io::Result<usize>>> {
        let replacement = self.replacement.as_mut()?;
        while replacement.written < replacement.text.len() {
            let rest = &replacement.text.as_bytes()[replacement.written..];
            match Pin::new(&mut self.inner).poll_write(cx, rest) {
                Poll::Ready(Ok(0)) => return Some(Poll::Ready(Err(io::ErrorKind::WriteZero.into()))),
                Poll::Ready(Ok(written)) => replacement.written += written,
                Poll::Ready(Err(error)) => return Some(Poll::Ready(Err(error))),
                Poll::Pending => return Some(Poll::Pending),
            }
        }
        let replaced = replacement.replaced;
        self.replacement = None;
        Some(Poll::Ready(Ok(replaced)))
    }

    /// Writes the slices, together where they are short.
    fn poll_write_slices(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let inner = Pin::new(&mut self.inner);
        let len = slices.iter().map(|slice| slice.len()).sum();
        let mut joined = [0; MAX_JOINED];
        let Some(room) = joined.get_mut(..len) else { return inner.poll_write_vectored(cx, slices) };
        let mut rest = &mut *room;
        for slice in slices {
            let (start, after) = rest.split_at_mut(slice.len());
            start.copy_from_slice(slice);
            rest = after;
        }
        inner.poll_write(cx, room)
    }
}

impl<S: AsyncRead + Unpin> WatchedStream<S> {
    /// Reads and drops what the client still sends, until its end or the limit. The time limit is that of the progress.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut block = [0; DROPPED_READ];
        while let Some(left) = self.lingering.filter(|left| *left > 0) {
            let mut into = ReadBuf::new(&mut block);
            let read = ready!(Pin::new(&mut self.inner).poll_read(cx, &mut into));
            let count = into.filled().len();
            if read.is_err() || count == 0 {
                break;
            }
            self.progress.on_read(into.filled());
            self.lingering = Some(left.saturating_sub(count));
        }
        Poll::Ready(())
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
        if let Some(new) = into.filled().get(before..).filter(|new| !new.is_empty()) {
            self.opening.read(new);
            self.progress.on_read(new);
        }
        read
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WatchedStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.replace(bytes);
        let written = match self.poll_replacement(cx) {
            Some(written) => written,
            None => Pin::new(&mut self.inner).poll_write(cx, bytes),
        };
        self.report(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.replace(slices.first().map_or(&[], |first| first));
        let written = match self.poll_replacement(cx) {
            Some(written) => written,
            None => self.poll_write_slices(cx, slices),
        };
        self.report(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(cx);
        self.progress.set_flushed(flushed.is_ready());
        // A flush that is complete at once says nothing of the bytes that a write could not place.
        if flushed.is_pending() {
            self.progress.on_blocked();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.lingering.is_none() {
            ready!(Pin::new(&mut this.inner).poll_shutdown(cx))?;
            if !this.progress.is_unread() {
                return Poll::Ready(Ok(()));
            }
            this.progress.begin_lingering();
            this.lingering = Some(LINGER_BYTES);
        }
        this.poll_linger(cx).map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::Instant;

    use super::super::watched::Watched;
    use super::*;

    const STALL: Duration = Duration::from_mins(1);

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_nothing_is_overdue_and_one_that_takes_a_little_is_not() {
        let (server, mut client) = duplex(1000);
        let progress = Progress::new(STALL);
        let request = progress.begin_request(None);
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
    async fn what_the_client_still_sends_is_read_after_the_last_response() {
        for (unread, sent, taken) in [(true, 100_000, true), (false, 100_000, false), (true, 0, true)] {
            let (server, mut client) = duplex(1000);
            let progress = Progress::new(STALL);
            if unread {
                progress.set_unread();
            }
            let mut stream = WatchedStream::new(server, progress.clone());
            let closing = Box::pin(async move { stream.shutdown().await });
            let closing = tokio::spawn(Watched::new(closing, progress));
            let wrote = client.write_all(&vec![7; sent]).await;
            assert_eq!(wrote.is_ok(), taken, "{unread} {sent}");
            drop(client);
            assert!(closing.await.unwrap().is_ok());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_never_ends_is_left_after_a_while() {
        let (server, client) = duplex(1000);
        let progress = Progress::new(STALL);
        progress.set_unread();
        let mut stream = WatchedStream::new(server, progress.clone());
        let closing = Box::pin(async move { stream.shutdown().await });
        assert!(matches!(Watched::new(closing, progress).await, Err(Overdue::Lingered)));
        drop(client);
    }

    #[tokio::test]
    async fn slices_are_written_in_order_whether_they_fit_one_buffer_or_not() {
        for len in [1, MAX_JOINED / 2, MAX_JOINED / 2 + 1, 5000] {
            let (server, mut client) = duplex(100_000);
            let mut stream = WatchedStream::new(server, Progress::new(STALL));
            let (head, body) = (vec![b'h'; len], vec![b'b'; len]);
            let slices = [IoSlice::new(&head), IoSlice::new(&[]), IoSlice::new(&body)];
            assert_eq!(stream.write_vectored(&slices).await.unwrap(), 2 * len);
            drop(stream);
            let mut written = Vec::new();
            client.read_to_end(&mut written).await.unwrap();
            assert!(written == [head, body].concat(), "{len}");
        }
    }

    #[tokio::test]
    async fn a_refusal_of_hyper_gets_a_body_also_in_small_writes() {
        let (server, mut client) = duplex(7);
        let mut stream = WatchedStream::new(server, Progress::new(STALL));
        let writing =
            tokio::spawn(
                async move { stream.write_all(b"HTTP/1.1 431 Any\r\ncontent-length: 0\r\n\r\n").await },
            );
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 431 ") && answer.ends_with("}}"), "{answer}");
        writing.await.unwrap().unwrap();
    }
}
