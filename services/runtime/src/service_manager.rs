//! The service manager that started this process (systemd): told when the process serves, reloads and stops, and that its
//! runtime is alive (`sd_notify(3)`). Must not know services.

use std::io;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::task::AbortOnDropHandle;

use crate::env::Snapshot;
use crate::shutdown::Shutdown;

/// Shortest time between two signs of life.
const MIN_WATCHDOG_INTERVAL: Duration = Duration::from_millis(10);

/// Time between two signs of life that nobody asked for.
const NO_WATCHDOG: Duration = Duration::from_hours(1);

/// The socket of a service manager, and how often it wants signs of life.
#[derive(Debug)]
struct ServiceManager {
    socket: UnixDatagram,
    address: SocketAddr,
    /// `None`: it wants none.
    watchdog: Option<Duration>,
    /// Whether it knows that the process stops.
    stops: AtomicBool,
}

/// Keeps the service manager informed. Dropping it tells that the process stops, unless that was told before: a process without calls
/// may end at once.
#[derive(Debug)]
pub struct Informing {
    manager: Option<Arc<ServiceManager>>,
    _task: AbortOnDropHandle<()>,
}

impl Drop for Informing {
    fn drop(&mut self) {
        if let Some(manager) = &self.manager {
            manager.stop();
        }
    }
}

/// Takes SIGHUP, which would end the process otherwise, and keeps the service manager of `snapshot`, if there is one, informed
/// until the returned handle is dropped. Needs a tokio runtime.
pub fn inform(snapshot: &Snapshot, shutdown: &Shutdown) -> io::Result<Informing> {
    let hangup = signal(SignalKind::hangup())?;
    let manager = ServiceManager::of(snapshot).unwrap_or_else(|error| {
        tracing::warn!("the service manager cannot be told of this process (NOTIFY_SOCKET): {error}");
        None
    });
    let manager = manager.map(Arc::new);
    let (shutdown, told) = (shutdown.clone(), manager.clone());
    let task = tokio::spawn(async move {
        if let Some(manager) = told {
            manager.follow(shutdown, hangup).await;
        }
    });
    Ok(Informing { manager, _task: AbortOnDropHandle::new(task) })
}

impl ServiceManager {
    fn of(snapshot: &Snapshot) -> io::Result<Option<Self>> {
        let Some(path) = snapshot.get("NOTIFY_SOCKET") else { return Ok(None) };
        let socket = UnixDatagram::unbound()?;
        // A service manager that does not read must not stop the runtime.
        socket.set_nonblocking(true)?;
        let watchdog = watchdog(snapshot, std::process::id());
        Ok(Some(Self { socket, address: address(path)?, watchdog, stops: AtomicBool::new(false) }))
    }

    async fn follow(&self, shutdown: Shutdown, mut hangup: Signal) {
        let mut signs = self.signs();
        let mut serves = false;
        loop {
            tokio::select! {
                _ = signs.tick() => if self.watchdog.is_some() { self.send("WATCHDOG=1") },
                () = shutdown.serving(), if !serves => {
                    serves = true;
                    self.send("READY=1\nSTATUS=Serving");
                }
                Some(()) = hangup.recv() => if serves && !self.stops.load(Ordering::Relaxed) {
                    self.send("RELOADING=1\nSTATUS=Reading files of the configuration");
                    self.send("READY=1\nSTATUS=Serving");
                },
                () = shutdown.announced(), if !self.stops.load(Ordering::Relaxed) => self.stop(),
            }
        }
    }

    fn stop(&self) {
        if !self.stops.swap(true, Ordering::Relaxed) {
            self.send("STOPPING=1\nSTATUS=Finishing calls under way");
        }
    }

    /// Returns the times of signs of life: twice as often as they are asked for.
    fn signs(&self) -> Interval {
        let period = self.watchdog.map_or(NO_WATCHDOG, |limit| (limit / 2).max(MIN_WATCHDOG_INTERVAL));
        let mut signs = interval(period);
        signs.set_missed_tick_behavior(MissedTickBehavior::Delay);
        signs
    }

    fn send(&self, state: &str) {
        if let Err(error) = self.socket.send_to_addr(state.as_bytes(), &self.address) {
            tracing::debug!("the service manager was not told {state:?}: {error}");
        }
    }
}

/// Returns the address that `NOTIFY_SOCKET` names: a path, or with `@` in front an abstract name (Linux).
fn address(text: &str) -> io::Result<SocketAddr> {
    match text.strip_prefix('@') {
        #[cfg(target_os = "linux")]
        Some(name) => {
            use std::os::linux::net::SocketAddrExt;
            SocketAddr::from_abstract_name(name)
        }
        #[cfg(not(target_os = "linux"))]
        Some(_) => Err(io::ErrorKind::Unsupported.into()),
        None => SocketAddr::from_pathname(text),
    }
}

/// Returns the longest time without a sign of life that the service manager allows the process `pid`.
fn watchdog(snapshot: &Snapshot, pid: u32) -> Option<Duration> {
    // Meant for another process, which started this one with its own environment.
    if snapshot.get("WATCHDOG_PID").is_some_and(|other| other != pid.to_string()) {
        return None;
    }
    let micros = snapshot.get("WATCHDOG_USEC")?.parse().ok()?;
    Some(Duration::from_micros(micros)).filter(|limit| !limit.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_of_another_process_is_not_ours() {
        let of = |pairs: &[(&str, &str)]| watchdog(&Snapshot::of(pairs.iter().copied()), 7);
        assert_eq!(of(&[("WATCHDOG_USEC", "3000000")]), Some(Duration::from_secs(3)));
        assert_eq!(of(&[("WATCHDOG_USEC", "3000000"), ("WATCHDOG_PID", "7")]), Some(Duration::from_secs(3)));
        assert_eq!(of(&[("WATCHDOG_USEC", "3000000"), ("WATCHDOG_PID", "8")]), None);
        for unusable in ["0", "-1", "x"] {
            assert_eq!(of(&[("WATCHDOG_USEC", unusable)]), None, "{unusable}");
        }
    }
}
