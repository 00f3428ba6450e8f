//! A long way on one machine: a forwarder that passes bytes on after a time, in either direction. The benchmark has it as well. Knows no
//! protocol.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// Largest piece that is passed on at once, in bytes.
const PIECE: usize = 256 * 1024;

/// Pieces under way in one direction: more than any window of the measured programs.
const PIECES: usize = 256;

/// A running forwarder, on a thread of its own; dropping it ends its connections.
#[derive(Debug)]
pub struct Delay {
    /// Where connections are taken.
    pub address: SocketAddr,
    _running: oneshot::Sender<()>,
}

impl Delay {
    /// Forwards connections to `target`; bytes take `one_way` in each direction, however many there are.
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
async fn pass(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, one_way: Duration) {
    let (sender, mut receiver) = mpsc::channel::<(Instant, Bytes)>(PIECES);
    let reading = async move {
        let mut buffer = BytesMut::new();
        loop {
            buffer.reserve(PIECE);
            let read = from.read_buf(&mut buffer).await;
            let due = Instant::now() + one_way;
            if !read.is_ok_and(|read| read > 0) || sender.send((due, buffer.split().freeze())).await.is_err()
            {
                return;
            }
        }
    };
    let writing = async move {
        while let Some((due, piece)) = receiver.recv().await {
            tokio::time::sleep_until(due).await;
            if to.write_all(&piece).await.is_err() {
                return;
            }
        }
        // The other side may have ended already.
        let _ = to.shutdown().await;
    };
    tokio::join!(reading, writing);
}
