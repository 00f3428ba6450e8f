//! A long way on one machine: a forwarder that passes bytes on after a time, in either direction, and takes as many at once as a TCP
//! connection does. The benchmark has it as well. Knows no
//! protocol.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::Instant;

/// Largest piece that is passed on at once, in bytes.
const PIECE: usize = 256 * 1024;

/// Bytes of one direction that may be under way or not yet acknowledged: about the most that Linux lets a TCP connection have.
const WINDOW: u32 = 4 * 1024 * 1024;

/// A running forwarder, on a thread of its own; dropping it ends its connections.
#[derive(Debug)]
pub struct Delay {
    /// Where connections are taken.
    pub address: SocketAddr,
    _running: oneshot::Sender<()>,
}

impl Delay {
    /// Forwards connections to `target`; bytes take `one_way` in each direction, and at most 4 MiB of them are under way.
    ///
    /// # Errors
    /// There is no port, or no thread.
    pub fn start(target: SocketAddr, one_way: Duration) -> std::io::Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let (running, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, target, one_way) => {}
                    _ = stopped => {}
                }
            });
        });
        Ok(Self { address, _running: running })
    }
}

async fn accept(listener: std::net::TcpListener, target: SocketAddr, one_way: Duration) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    while let Ok((near, _)) = listener.accept().await {
        tokio::spawn(async move {
            let Ok(far) = TcpStream::connect(target).await else { return };
            // A small message leaves at once, as from the programs' own sockets.
            let _ = (near.set_nodelay(true), far.set_nodelay(true));
            let (near_reader, near_writer) = near.into_split();
            let (far_reader, far_writer) = far.into_split();
            tokio::join!(pass(near_reader, far_writer, one_way), pass(far_reader, near_writer, one_way));
        });
    }
}

/// Passes everything on after `one_way`, until either side ends.
async fn pass(from: impl AsyncRead + Unpin, to: impl AsyncWrite + Unpin, one_way: Duration) {
    let window = Semaphore::new(WINDOW as usize);
    let (departed, due) = mpsc::unbounded_channel();
    let (arrived, acknowledged) = mpsc::unbounded_channel();
    tokio::join!(
        read(from, &window, departed, one_way),
        write(to, due, arrived, one_way),
        acknowledge(&window, acknowledged)
    );
}

/// Reads while there is room in the window; each piece is due `one_way` after it came.
async fn read(
    mut from: impl AsyncRead + Unpin,
    window: &Semaphore,
    departed: mpsc::UnboundedSender<(Instant, Bytes)>,
    one_way: Duration,
) {
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(PIECE);
        let Ok(count @ 1..) = from.read_buf(&mut buffer).await else { return };
        let due = Instant::now() + one_way;
        let Ok(room) = window.acquire_many(u32::try_from(count).unwrap_or(WINDOW)).await else { return };
        room.forget();
        if departed.send((due, buffer.split().freeze())).is_err() {
            return;
        }
    }
}

/// Writes each piece when it is due; the reader knows after another `one_way`.
async fn write(
    mut to: impl AsyncWrite + Unpin,
    mut pieces: mpsc::UnboundedReceiver<(Instant, Bytes)>,
    arrived: mpsc::UnboundedSender<(Instant, usize)>,
    one_way: Duration,
) {
    while let Some((due, piece)) = pieces.recv().await {
        tokio::time::sleep_until(due).await;
        let written = to.write_all(&piece).await;
        if written.is_err() || arrived.send((Instant::now() + one_way, piece.len())).is_err() {
            return;
        }
    }
    // The other side may have ended already.
    let _ = to.shutdown().await;
}

/// Makes room for what has arrived.
async fn acknowledge(window: &Semaphore, mut arrived: mpsc::UnboundedReceiver<(Instant, usize)>) {
    while let Some((due, count)) = arrived.recv().await {
        tokio::time::sleep_until(due).await;
        window.add_permits(count);
    }
}
