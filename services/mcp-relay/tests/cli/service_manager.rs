//! Tests of what systemd is told: a socket of the test stands for it.

use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::server::Server;
use crate::{CODE, proxy_env, slave_env};

/// Longest wait for a message.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The watchdog's limit of the tests; signs of life come twice as often.
const WATCHDOG: Duration = Duration::from_millis(400);

/// The socket that a service manager listens on.
struct Manager {
    socket: UnixDatagram,
    path: String,
    _folder: tempfile::TempDir,
}

impl Manager {
    fn listen() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify").to_str().unwrap().to_owned();
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(TIMEOUT)).unwrap();
        Self { socket, path, _folder: folder }
    }

    fn start(&self, env: &[(&str, &str)]) -> Server {
        let limit = WATCHDOG.as_micros().to_string();
        let more = [("NOTIFY_SOCKET", self.path.as_str()), ("WATCHDOG_USEC", &limit)];
        let env: Vec<_> = env.iter().copied().chain(more).collect();
        Server::start(&[], &env)
    }

    fn next(&self) -> String {
        let mut bytes = [0; 512];
        let count = self.socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..count].to_vec()).unwrap()
    }

    /// Returns the first line of the next message that is no sign of life.
    fn next_state(&self) -> String {
        loop {
            let message = self.next();
            if message != "WATCHDOG=1" {
                return message.lines().next().unwrap().to_owned();
            }
        }
    }

    fn await_watchdog(&self) {
        while self.next() != "WATCHDOG=1" {}
    }
}

fn check_life(env: &[(&str, &str)]) {
    let manager = Manager::listen();
    let mut server = manager.start(env);
    assert_eq!(manager.next_state(), "READY=1");
    // The port answers by now: the line was written before.
    let address = server.address("MCP server listening on http://");
    std::net::TcpStream::connect(address).unwrap();
    manager.await_watchdog();
    let begun = Instant::now();
    for _ in 0..4 {
        manager.await_watchdog();
    }
    let took = begun.elapsed();
    assert!(took >= WATCHDOG && took < 8 * WATCHDOG, "4 signs of life took {took:?}");
    server.signal(Signal::SIGHUP);
    assert_eq!(manager.next_state(), "RELOADING=1");
    assert_eq!(manager.next_state(), "READY=1");
    server.signal(Signal::SIGTERM);
    assert_eq!(manager.next_state(), "STOPPING=1");
    assert_eq!(server.wait(), Some(0));
}

#[test]
fn systemd_is_told_of_the_life_of_a_proxy() {
    check_life(&proxy_env(&[]));
}

#[test]
fn systemd_is_told_of_the_life_of_a_slave() {
    // Nobody listens there: a slave serves its own port, and dials again and again.
    check_life(&slave_env("ws://127.0.0.1:9", CODE));
}

#[test]
fn a_socket_that_is_gone_stops_nobody() {
    let mut server = Server::start(&[], &proxy_env(&[("NOTIFY_SOCKET", "/nonexistent/notify")]));
    server.wait_for("Ready to accept MCP client connections");
    server.signal(Signal::SIGHUP);
    server.wait_for("SIGHUP received");
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait(), Some(0));
}
