//! The lock of a slave instance: a name that no two running processes of a host have at the same time.
//!
//! A proxy that sees another process with the same name knows that the process before is gone, and need not wait for it
//! to come back. The protocol calls the name `seat`. Must not know links.

use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use sha2::{Digest, Sha256};
use tokio::net::TcpListener;

/// A port of a fixed number, held: no other process of this host can listen on it meanwhile.
pub(super) struct InstanceLock {
    name: String,
    /// A duplicate of the listening socket. The port stays bound until the last call was delivered, although nothing is
    /// served on it any more.
    _held: OwnedFd,
}

impl InstanceLock {
    /// Takes the lock of a configured port. `None` where a second process is not excluded: `port` is 0, or the system
    /// does not identify hosts and network namespaces.
    pub(super) fn take(listener: &TcpListener, port: u16, slave: &str) -> Option<Self> {
        if port == 0 {
            return None;
        }
        let name = name(&host()?, listener.local_addr().ok()?, slave);
        Some(Self { name, _held: listener.as_fd().try_clone_to_owned().ok()? })
    }

    /// Returns 32 hex digits, the same for each process that takes the lock.
    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

/// Identifies this boot of the host and the network namespace. Containers may share host names, but not these.
fn host() -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = std::fs::metadata("/proc/self/ns/net").ok()?;
    Some(format!("{} {}:{}", boot.trim(), namespace.dev(), namespace.ino()))
}

fn name(host: &str, address: SocketAddr, slave: &str) -> String {
    // Hashed, as the ids of a host are internal to it.
    let digest = Sha256::digest(format!("{host} {address} {slave}"));
    let half = digest.iter().take(16).fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
    format!("{half:032x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Elsewhere there is no lock.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_lock_has_one_holder_and_a_stable_name() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        assert!(InstanceLock::take(&listener, 0, "s").is_none(), "the next process would get another port");
        let lock = InstanceLock::take(&listener, address.port(), "s").unwrap();
        drop(listener);
        assert!(TcpListener::bind(address).await.is_err(), "held though nothing serves it");
        let first = lock.name().to_owned();
        drop(lock);
        let again = TcpListener::bind(address).await.unwrap();
        let lock = InstanceLock::take(&again, address.port(), "s").unwrap();
        assert_eq!(lock.name(), first);
        assert_eq!(first.len(), 32);
        assert_ne!(InstanceLock::take(&again, address.port(), "other").unwrap().name(), first);
    }

    #[test]
    fn names_differ_by_boot_namespace_and_port() {
        let address: SocketAddr = "127.0.0.1:9000".parse().unwrap();
        let one = name("a 4:1", address, "s");
        for (host, port) in [("b 4:1", 9000), ("a 4:2", 9000), ("a 4:1", 9001)] {
            assert_ne!(name(host, SocketAddr::new(address.ip(), port), "s"), one);
        }
    }
}
