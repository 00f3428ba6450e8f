//! A forwarder of TCP connections that resets all of them again and again: a link over a bad network.
//!
//! Knows TCP; must not know what passes.

use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Forwards to `target` until the process is ended, and resets every connection once each `every`.
pub(crate) async fn serve(listener: TcpListener, target: &str, every: Duration) -> std::io::Result<()> {
    let resets = watch::Sender::new(());
    let ticks = resets.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(every).await;
            ticks.send_replace(());
        }
    });
    loop {
        let (from, _) = listener.accept().await?;
        // A target that is not there yet is a connection that was reset at once.
        let Ok(to) = TcpStream::connect(target).await else { continue };
        tokio::spawn(forward(from, to, resets.subscribe()));
    }
}

async fn forward(mut from: TcpStream, mut to: TcpStream, mut resets: watch::Receiver<()>) {
    let _ = (from.set_nodelay(true), to.set_nodelay(true));
    tokio::select! {
        _ = copy_bidirectional(&mut from, &mut to) => {}
        _ = resets.changed() => {
            let _ = (from.set_zero_linger(), to.set_zero_linger());
        }
    }
}
