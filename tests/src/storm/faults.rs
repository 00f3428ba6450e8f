//! Faults of a storm: each slave, its links and each proxy suffer random faults of their own. Knows no call.

use std::time::Duration;

use futures_util::future::join_all;
use nix::sys::signal::Signal;
use protocol::link::frame::FrameKind;
use tokio::sync::watch;

use super::calls::pause;
use super::fleet::{Fleet, ProxyMember, SlaveMember};
use super::rng::Rng;
use crate::fault::{Fault, FaultProxy, Side, Towards, Trap};

/// Frames at which traps strike: those that decide whether a call has arrived or ended.
const FRAMES: [(Towards, FrameKind); 6] = [
    (Towards::Slave, FrameKind::Open),
    (Towards::Slave, FrameKind::Credit),
    (Towards::Slave, FrameKind::Attach),
    (Towards::Proxy, FrameKind::Accepted),
    (Towards::Proxy, FrameKind::Event),
    (Towards::Proxy, FrameKind::End),
];

type Stop = watch::Receiver<bool>;

/// Injects faults until `stop` is set and returns their number. Every process runs again then.
pub(super) async fn inject_all(fleet: &mut Fleet, stop: &Stop) -> usize {
    fleet.rounds += 1;
    let (seed, round) = (fleet.seed, fleet.rounds * 100);
    let slaves = fleet.slaves.iter_mut().enumerate().map(|(n, member)| {
        let rng = Rng::new(seed, round + n as u64);
        member.inject_faults(rng, stop.clone())
    });
    let proxies = fleet.proxies.iter_mut().enumerate().map(|(n, member)| {
        let rng = Rng::new(seed, round + 50 + n as u64);
        member.inject_faults(rng, stop.clone())
    });
    let (slaves, proxies) = tokio::join!(join_all(slaves), join_all(proxies));
    slaves.into_iter().chain(proxies).sum()
}

impl ProxyMember {
    /// Pauses the proxy from time to time, for shorter and longer than the ping time-out, or kills it.
    async fn inject_faults(&mut self, mut rng: Rng, mut stop: Stop) -> usize {
        let mut count = 0;
        while pause(rng.millis(2000, 12_000), &mut stop).await {
            count += 1;
            if self.killable && rng.one_in(2) {
                self.kill();
                pause(rng.millis(0, 2000), &mut stop).await;
                self.restart().await;
            } else {
                self.proxy.signal(Signal::SIGSTOP);
                pause(rng.millis(50, 3000), &mut stop).await;
                self.proxy.signal(Signal::SIGCONT);
            }
        }
        count
    }
}

impl SlaveMember {
    async fn inject_faults(&mut self, mut rng: Rng, mut stop: Stop) -> usize {
        let mut count = 0;
        while pause(rng.millis(50, 1500), &mut stop).await {
            count += 1;
            let fault = match rng.between(0, 9) {
                0 | 1 if self.killable => {
                    self.kill_and_restart(&mut rng, &mut stop).await;
                    continue;
                }
                2 => {
                    self.slave.signal(Signal::SIGSTOP);
                    pause(rng.millis(50, 4000), &mut stop).await;
                    self.slave.signal(Signal::SIGCONT);
                    continue;
                }
                3 => Fault::HalfClose(Towards::Proxy),
                4 => Fault::HalfClose(Towards::Slave),
                5 => Fault::BlackHole,
                6 => Fault::Stall,
                7 => {
                    self.cut_off(&mut rng, &mut stop).await;
                    continue;
                }
                8 => {
                    self.arm_trap(&mut rng, &mut stop).await;
                    continue;
                }
                _ => Fault::Reset,
            };
            self.strike(fault, &mut rng, &mut stop).await;
        }
        count
    }

    async fn kill_and_restart(&mut self, rng: &mut Rng, stop: &mut Stop) {
        self.slave.signal(Signal::SIGKILL);
        pause(rng.millis(0, 1500), stop).await;
        self.slave = self.setup.start_slave().await;
    }

    /// Returns one of the slave's links, or all.
    fn some_links(&self, rng: &mut Rng) -> &[FaultProxy] {
        if rng.one_in(3) {
            return &self.links;
        }
        let last = self.links.len() - 1;
        let at = usize::try_from(rng.between(0, last as u64)).expect("an index");
        &self.links[at..=at]
    }

    /// Takes links down for a while.
    async fn cut_off(&self, rng: &mut Rng, stop: &mut Stop) {
        let links = self.some_links(rng);
        for link in links {
            link.take_down();
        }
        pause(rng.millis(20, 3000), stop).await;
        for link in links {
            link.refuse(false);
        }
    }

    /// Applies a fault for a while. A stall is then released; after any other fault the connection is reset, since bytes are lost.
    async fn strike(&self, fault: Fault, rng: &mut Rng, stop: &mut Stop) {
        let links = self.some_links(rng);
        for link in links {
            link.strike(fault);
        }
        if fault == Fault::Reset {
            return;
        }
        pause(rng.millis(20, 4000), stop).await;
        let then = if fault == Fault::Stall { Fault::None } else { Fault::Reset };
        for link in links {
            link.strike(then);
        }
    }

    /// Breaks a link right before or after a chosen frame.
    async fn arm_trap(&self, rng: &mut Rng, stop: &mut Stop) {
        let links = self.some_links(rng);
        let (towards, kind) = rng.pick(&FRAMES);
        let side = if rng.one_in(2) { Side::Before } else { Side::After };
        let fault = rng.pick(&[Fault::Reset, Fault::BlackHole, Fault::Stall]);
        let skip = usize::try_from(rng.between(0, 20)).expect("small");
        for link in links {
            link.arm(Trap { towards, kind, skip, side, fault });
        }
        pause(rng.millis(100, 3000), stop).await;
        let waiting = links.iter().filter(|link| link.disarm()).count();
        if waiting < links.len() && fault != Fault::Reset {
            pause(Duration::from_millis(rng.between(0, 3000)), stop).await;
        }
        for link in links {
            link.strike(Fault::Reset);
        }
    }
}
