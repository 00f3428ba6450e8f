//! The place that this process runs in, named so that no two living processes ever give the same name.
//!
//! A proxy that meets another process in the same seat knows that the one before is gone, and need not wait for it.
//! Must not know links.

use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use sha2::{Digest, Sha256};
use tokio::net::TcpListener;

/// A port that was asked for by number, held: nobody else on this host can listen on it meanwhile.
pub(super) struct Seat {
    name: String,
    /// The listening socket, a second time: it stays bound until the last call was delivered, though nothing is
    /// served on it any more.
    _held: OwnedFd,
}

impl Seat {
    /// `port` is what was asked for. `None` where nothing excludes a second process: a port of the system's choice,
    /// or a system that does not tell hosts and network namespaces apart.
    pub(super) fn take(listener: &TcpListener, port: u16, slave: &str) -> Option<Self> {
        if port == 0 {
            return None;
        }
        let name = name(&place()?, listener.local_addr().ok()?, slave);
        Some(Self { name, _held: listener.as_fd().try_clone_to_owned().ok()? })
    }

    /// 32 hex digits; the same for each process that takes the seat.
    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

/// This boot of this host, and the network namespace in it: containers may share host names, but not these.
fn place() -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = std::fs::metadata("/proc/self/ns/net").ok()?;
    Some(format!("{} {}:{}", boot.trim(), namespace.dev(), namespace.ino()))
}

fn name(place: &str, address: SocketAddr, slave: &str) -> String {
    // Hashed: what a host calls itself inside is nobody else's business.
    let digest = Sha256::digest(format!("{place} {address} {slave}"));
    let half = digest.iter().take(16).fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
    format!("{half:032x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_seat_has_one_holder_and_always_the_same_name() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        assert!(Seat::take(&listener, 0, "s").is_none(), "the next process would get another port");
        let seat = Seat::take(&listener, address.port(), "s").unwrap();
        drop(listener);
        assert!(TcpListener::bind(address).await.is_err(), "held though nothing serves it");
        let first = seat.name().to_owned();
        drop(seat);
        let again = TcpListener::bind(address).await.unwrap();
        let seat = Seat::take(&again, address.port(), "s").unwrap();
        assert_eq!(seat.name(), first);
        assert_eq!(first.len(), 32);
        assert_ne!(Seat::take(&again, address.port(), "other").unwrap().name(), first);
    }

    #[test]
    fn boots_namespaces_and_ports_are_told_apart() {
        let address: SocketAddr = "127.0.0.1:9000".parse().unwrap();
        let one = name("a 4:1", address, "s");
        for (place, port) in [("b 4:1", 9000), ("a 4:2", 9000), ("a 4:1", 9001)] {
            assert_ne!(name(place, SocketAddr::new(address.ip(), port), "s"), one);
        }
    }
}
