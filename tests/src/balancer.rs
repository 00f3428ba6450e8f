//! A TCP load balancer: each new connection is forwarded to the next target. Knows nothing of the traffic.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// The running balancer; dropping it drops every connection.
#[derive(Debug)]
pub struct Balancer {
    /// Listening address.
    pub address: SocketAddr,
    targets: Arc<Mutex<Vec<SocketAddr>>>,
    server: JoinHandle<()>,
}

impl Balancer {
    /// Listens on a free port and forwards to these addresses in turn.
    pub async fn start(targets: Vec<SocketAddr>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("address");
        let targets = Arc::new(Mutex::new(targets));
        let server = tokio::spawn(serve(listener, Arc::clone(&targets)));
        Self { address, targets, server }
    }

    /// Forwards new connections to these addresses.
    pub fn retarget(&self, targets: Vec<SocketAddr>) {
        *self.targets.lock().unwrap() = targets;
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, targets: Arc<Mutex<Vec<SocketAddr>>>) {
    // Aborting this task drops the set, and with it every connection.
    let mut connections = JoinSet::new();
    for count in 0.. {
        while connections.try_join_next().is_some() {}
        let Ok((mut from, _)) = listener.accept().await else { continue };
        let target = {
            let targets = targets.lock().unwrap();
            targets.get(count % targets.len().max(1)).copied()
        };
        connections.spawn(async move {
            if let Some(target) = target
                && let Ok(mut to) = TcpStream::connect(target).await
            {
                // When one end breaks the connection, the other one is closed.
                let _ = copy_bidirectional(&mut from, &mut to).await;
            }
        });
    }
}
