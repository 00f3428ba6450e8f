//! A TCP proxy between slave and proxy that injects faults into links.
//!
//! Connections can be reset, half-closed, stalled or black-holed, and new ones refused; a trap injects a fault by itself just
//! before or after a native frame of a given kind. Knows the WebSocket framing; nothing of calls.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use protocol::link::frame::FrameKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::wait;
use crate::wsframes::{Scanner, Unit, kind};

/// A fault of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No fault: bytes are forwarded.
    None,
    /// RST to both ends.
    Reset,
    /// The receiver of a direction gets FIN, and bytes for it are discarded. The other direction is forwarded.
    HalfClose(Towards),
    /// Nothing is read: the senders' buffers fill up.
    Stall,
    /// Everything is read and discarded.
    BlackHole,
}

/// A direction of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Towards {
    /// From slave to proxy.
    Proxy,
    /// From proxy to slave.
    Slave,
}

/// The side of a frame on which a trap strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Before the frame, which does not arrive.
    Before,
    /// After the frame, which was forwarded.
    After,
}

/// A fault that strikes once, on the first connection that carries a given frame.
#[derive(Clone, Copy, Debug)]
pub struct Trap {
    /// Direction of the frame.
    pub towards: Towards,
    /// Kind of the frame.
    pub kind: FrameKind,
    /// Number of such frames that are forwarded first.
    pub skip: usize,
    /// Side of the frame.
    pub side: Side,
    /// Fault of the connection.
    pub fault: Fault,
}

#[derive(Debug)]
struct Shared {
    target: Mutex<SocketAddr>,
    links: Mutex<Vec<watch::Sender<Fault>>>,
    trap: Mutex<Option<Trap>>,
    refuse: watch::Sender<bool>,
    accepted: AtomicUsize,
    struck: watch::Sender<usize>,
}

/// The running proxy; dropping it drops every connection.
#[derive(Debug)]
pub struct FaultProxy {
    /// Where slaves connect.
    pub address: SocketAddr,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

impl FaultProxy {
    /// Listens on a free port and forwards to `target`, with receive buffers so small that a stall shows after some 100 KiB.
    pub fn start(target: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("socket");
        socket.set_recv_buffer_size(64 * 1024).expect("SO_RCVBUF");
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("bind");
        let listener = socket.listen(64).expect("listen");
        let address = listener.local_addr().expect("address");
        let shared = Arc::new(Shared {
            target: Mutex::new(target),
            links: Mutex::default(),
            trap: Mutex::default(),
            refuse: watch::Sender::new(false),
            accepted: AtomicUsize::new(0),
            struck: watch::Sender::new(0),
        });
        let server = tokio::spawn(serve(listener, shared.clone()));
        Self { address, shared, server }
    }

    /// Applies a fault to every open connection, but not to new ones.
    pub fn strike(&self, fault: Fault) {
        self.shared.links.lock().unwrap().retain(|link| link.send(fault).is_ok());
    }

    /// Resets new connections (`true`) or forwards them (`false`).
    pub fn refuse(&self, refuse: bool) {
        self.shared.refuse.send_replace(refuse);
    }

    /// Forwards new connections to another address.
    pub fn retarget(&self, target: SocketAddr) {
        *self.shared.target.lock().unwrap() = target;
    }

    /// Resets every connection and every new one until [`Self::refuse`]`(false)`.
    pub fn take_down(&self) {
        self.refuse(true);
        self.strike(Fault::Reset);
    }

    /// Sets the trap, replacing an earlier one.
    pub fn arm(&self, trap: Trap) {
        *self.shared.trap.lock().unwrap() = Some(trap);
    }

    /// Removes the trap and returns whether it had not struck yet.
    pub fn disarm(&self) -> bool {
        self.shared.trap.lock().unwrap().take().is_some()
    }

    /// Number of accepted connections so far, without refused ones.
    pub fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::Relaxed)
    }

    /// Waits until traps have struck `count` times in all.
    pub async fn wait_for_strikes(&self, count: usize) {
        let mut watch = self.shared.struck.subscribe();
        wait::within("a trap to strike", wait::TIMEOUT, watch.wait_for(|n| *n >= count))
            .await
            .expect("it runs");
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    // Aborting this task drops the set, and with it every connection.
    let mut links = JoinSet::new();
    loop {
        while links.try_join_next().is_some() {}
        let Ok((slave, _)) = listener.accept().await else { continue };
        if *shared.refuse.borrow() {
            let _ = slave.set_zero_linger();
            continue;
        }
        shared.accepted.fetch_add(1, Ordering::Relaxed);
        links.spawn(forward_connection(slave, shared.clone()));
    }
}

async fn forward_connection(mut slave: TcpStream, shared: Arc<Shared>) {
    let target = *shared.target.lock().unwrap();
    let Ok(mut proxy) = TcpStream::connect(target).await else { return };
    let _ = (slave.set_nodelay(true), proxy.set_nodelay(true));
    let link = watch::Sender::new(Fault::None);
    shared.links.lock().unwrap().push(link.clone());
    let mut resets = link.subscribe();
    let reset = {
        let (slave_read, slave_write) = slave.split();
        let (proxy_read, proxy_write) = proxy.split();
        let up = Forwarder::new(&shared, &link, Towards::Proxy).run(slave_read, proxy_write);
        let down = Forwarder::new(&shared, &link, Towards::Slave).run(proxy_read, slave_write);
        tokio::select! {
            _ = resets.wait_for(|fault| *fault == Fault::Reset) => true,
            _ = async { tokio::join!(up, down) } => false,
        }
    };
    if reset {
        let _ = (slave.set_zero_linger(), proxy.set_zero_linger());
    }
}

/// One direction of one connection.
struct Forwarder<'a> {
    shared: &'a Shared,
    link: &'a watch::Sender<Fault>,
    towards: Towards,
    scanner: Scanner,
    queue: VecDeque<Unit>,
}

impl<'a> Forwarder<'a> {
    fn new(shared: &'a Shared, link: &'a watch::Sender<Fault>, towards: Towards) -> Self {
        Self { shared, link, towards, scanner: Scanner::default(), queue: VecDeque::new() }
    }

    async fn run(mut self, mut from: ReadHalf<'_>, mut to: WriteHalf<'_>) {
        let mut changes = self.link.subscribe();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let fault = *changes.borrow_and_update();
            let swallow = match fault {
                Fault::Stall | Fault::Reset => {
                    let _ = changes.changed().await;
                    continue;
                }
                Fault::BlackHole => true,
                Fault::HalfClose(towards) if towards == self.towards => {
                    let _ = to.shutdown().await;
                    true
                }
                Fault::None | Fault::HalfClose(_) => false,
            };
            if swallow {
                self.queue.clear();
            } else if self.pass_queue(&mut to).await.is_err() {
                return;
            } else if !self.queue.is_empty() {
                continue;
            }
            tokio::select! {
                _ = changes.changed() => {}
                read = from.read(&mut buffer) => match read {
                    Ok(0) | Err(_) => {
                        let _ = to.shutdown().await;
                        return;
                    }
                    Ok(_) if swallow => {}
                    Ok(count) => self.queue.extend(self.scanner.push(&buffer[..count])),
                },
            }
        }
    }

    /// Forwards the queued units; stops early, with units left, when a trap strikes.
    async fn pass_queue(&mut self, to: &mut WriteHalf<'_>) -> std::io::Result<()> {
        while let Some(unit) = self.queue.pop_front() {
            let struck = self.take_sprung_trap(kind(&unit));
            if let Some(trap) = struck.filter(|trap| trap.side == Side::Before) {
                self.queue.push_front(unit);
                self.strike(trap.fault);
                return Ok(());
            }
            to.write_all(&unit.bytes).await?;
            if let Some(trap) = struck {
                self.strike(trap.fault);
                // The caller must apply the fault first, even if the queue is empty.
                return Ok(());
            }
        }
        Ok(())
    }

    fn take_sprung_trap(&self, kind: Option<FrameKind>) -> Option<Trap> {
        let mut armed = self.shared.trap.lock().unwrap();
        let trap = armed.as_mut().filter(|trap| trap.towards == self.towards && Some(trap.kind) == kind)?;
        if trap.skip > 0 {
            trap.skip -= 1;
            return None;
        }
        armed.take()
    }

    fn strike(&self, fault: Fault) {
        self.link.send_replace(fault);
        self.shared.struck.send_modify(|n| *n += 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::{Duration, timeout};

    async fn joined() -> (FaultProxy, TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let fault = FaultProxy::start(listener.local_addr().unwrap());
        let mut slave = TcpStream::connect(fault.address).await.unwrap();
        let (mut proxy, _) = listener.accept().await.unwrap();
        // The scanner forwards nothing before the upgrade is whole.
        slave.write_all(b"a\r\n\r\n").await.unwrap();
        proxy.write_all(b"b\r\n\r\n").await.unwrap();
        let mut five = [0; 5];
        proxy.read_exact(&mut five).await.unwrap();
        slave.read_exact(&mut five).await.unwrap();
        (fault, slave, proxy)
    }

    const PING: [u8; 2] = [0x89, 0];

    async fn arrives(from: &mut TcpStream, to: &mut TcpStream) -> bool {
        let _ = from.write_all(&PING).await;
        let mut two = [0; 2];
        matches!(timeout(Duration::from_millis(200), to.read_exact(&mut two)).await, Ok(Ok(_)))
    }

    #[tokio::test]
    async fn a_reset_reaches_both_ends() {
        let (fault, mut slave, mut proxy) = joined().await;
        assert!(arrives(&mut slave, &mut proxy).await);
        fault.strike(Fault::Reset);
        let mut one = [0; 1];
        for end in [&mut slave, &mut proxy] {
            let error = end.read(&mut one).await.unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        }
    }

    #[tokio::test]
    async fn a_half_close_leaves_the_other_direction() {
        let (fault, mut slave, mut proxy) = joined().await;
        fault.strike(Fault::HalfClose(Towards::Slave));
        assert_eq!(slave.read(&mut [0; 1]).await.unwrap(), 0);
        assert!(arrives(&mut slave, &mut proxy).await);
    }

    #[tokio::test]
    async fn faults_end_when_forwarding_resumes() {
        let (fault, mut slave, mut proxy) = joined().await;
        fault.strike(Fault::BlackHole);
        assert!(!arrives(&mut slave, &mut proxy).await);
        fault.strike(Fault::None);
        assert!(arrives(&mut slave, &mut proxy).await, "what was swallowed stays lost, what follows arrives");
        fault.strike(Fault::Stall);
        assert!(!arrives(&mut proxy, &mut slave).await);
        fault.strike(Fault::None);
        let mut two = [0; 2];
        slave.read_exact(&mut two).await.unwrap();
    }

    #[tokio::test]
    async fn refused_connections_are_reset_and_not_counted() {
        let (fault, _slave, _proxy) = joined().await;
        fault.refuse(true);
        let mut late = TcpStream::connect(fault.address).await.unwrap();
        assert!(!matches!(late.read(&mut [0; 1]).await, Ok(1..)));
        assert_eq!(fault.accepted(), 1);
    }
}
