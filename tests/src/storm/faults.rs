//! What strikes during a storm: each slave and its link, and the proxies, have their own run of bad luck.

use std::time::Duration;

use futures_util::future::join_all;
use nix::sys::signal::Signal;
use protocol::link::frame::FrameKind;
use tokio::sync::watch;

use super::calls::rest;
use super::chance::Chance;
use super::fleet::{Fleet, Gate, Place};
use crate::fault::{Fault, FaultProxy, Side, Towards, Trap};

/// Frames at which traps strike: the moments that decide whether a call has arrived or ended.
const FRAMES: [(Towards, FrameKind); 6] = [
    (Towards::Slave, FrameKind::Open),
    (Towards::Slave, FrameKind::Credit),
    (Towards::Slave, FrameKind::Attach),
    (Towards::Proxy, FrameKind::Accepted),
    (Towards::Proxy, FrameKind::Event),
    (Towards::Proxy, FrameKind::End),
];

type Stop = watch::Receiver<bool>;

/// Strikes until told to stop; every process runs again when it returns. Returns how many faults there were.
pub(super) async fn rage(fleet: &mut Fleet, stop: &Stop) -> usize {
    fleet.rounds += 1;
    let (seed, round) = (fleet.seed, fleet.rounds * 100);
    let places = fleet.places.iter_mut().enumerate().map(|(n, place)| {
        let chance = Chance::new(seed, round + n as u64);
        place.suffer(chance, stop.clone())
    });
    let proxies = fleet.gates.iter_mut().enumerate().map(|(n, gate)| {
        let chance = Chance::new(seed, round + 50 + n as u64);
        gate.suffer(chance, stop.clone())
    });
    let (places, proxies) = tokio::join!(join_all(places), join_all(proxies));
    places.into_iter().chain(proxies).sum()
}

impl Gate {
    /// A proxy is paused now and then, for shorter and longer than its slaves bear, or killed.
    async fn suffer(&mut self, mut chance: Chance, mut stop: Stop) -> usize {
        let mut count = 0;
        while rest(chance.millis(2000, 12_000), &mut stop).await {
            count += 1;
            if self.mortal && chance.one_in(2) {
                self.shut();
                rest(chance.millis(0, 2000), &mut stop).await;
                self.reopen().await;
            } else {
                self.proxy.signal(Signal::SIGSTOP);
                rest(chance.millis(50, 3000), &mut stop).await;
                self.proxy.signal(Signal::SIGCONT);
            }
        }
        count
    }
}

impl Place {
    async fn suffer(&mut self, mut chance: Chance, mut stop: Stop) -> usize {
        let mut count = 0;
        while rest(chance.millis(50, 1500), &mut stop).await {
            count += 1;
            let fault = match chance.between(0, 9) {
                0 | 1 if self.mortal => {
                    self.is_killed(&mut chance, &mut stop).await;
                    continue;
                }
                2 => {
                    self.slave.signal(Signal::SIGSTOP);
                    rest(chance.millis(50, 4000), &mut stop).await;
                    self.slave.signal(Signal::SIGCONT);
                    continue;
                }
                3 => Fault::HalfClose(Towards::Proxy),
                4 => Fault::HalfClose(Towards::Slave),
                5 => Fault::BlackHole,
                6 => Fault::Stall,
                7 => {
                    self.is_cut_off(&mut chance, &mut stop).await;
                    continue;
                }
                8 => {
                    self.is_trapped(&mut chance, &mut stop).await;
                    continue;
                }
                _ => Fault::Reset,
            };
            self.loses(fault, &mut chance, &mut stop).await;
        }
        count
    }

    async fn is_killed(&mut self, chance: &mut Chance, stop: &mut Stop) {
        self.slave.signal(Signal::SIGKILL);
        rest(chance.millis(0, 1500), stop).await;
        self.slave = self.setup.start_slave().await;
    }

    /// One of its ways, or all.
    fn some_ways(&self, chance: &mut Chance) -> &[FaultProxy] {
        if chance.one_in(3) {
            return &self.ways;
        }
        let last = self.ways.len() - 1;
        let at = usize::try_from(chance.between(0, last as u64)).expect("an index");
        &self.ways[at..=at]
    }

    /// Nothing leads anywhere for a while.
    async fn is_cut_off(&self, chance: &mut Chance, stop: &mut Stop) {
        let ways = self.some_ways(chance);
        for way in ways {
            way.take_down();
        }
        rest(chance.millis(20, 3000), stop).await;
        for way in ways {
            way.refuse(false);
        }
    }

    /// What was stalled may go on; bytes that were swallowed cannot come later, so then the connection breaks.
    async fn loses(&self, fault: Fault, chance: &mut Chance, stop: &mut Stop) {
        let ways = self.some_ways(chance);
        for way in ways {
            way.strike(fault);
        }
        if fault == Fault::Reset {
            return;
        }
        rest(chance.millis(20, 4000), stop).await;
        let then = if fault == Fault::Stall { Fault::None } else { Fault::Reset };
        for way in ways {
            way.strike(then);
        }
    }

    /// A link breaks right before or after a frame that matters.
    async fn is_trapped(&self, chance: &mut Chance, stop: &mut Stop) {
        let ways = self.some_ways(chance);
        let (towards, kind) = chance.pick(&FRAMES);
        let side = if chance.one_in(2) { Side::Before } else { Side::After };
        let fault = chance.pick(&[Fault::Reset, Fault::BlackHole, Fault::Stall]);
        let skip = usize::try_from(chance.between(0, 20)).expect("small");
        for way in ways {
            way.arm(Trap { towards, kind, skip, side, fault });
        }
        rest(chance.millis(100, 3000), stop).await;
        let waiting = ways.iter().filter(|way| way.disarm()).count();
        if waiting < ways.len() && fault != Fault::Reset {
            rest(Duration::from_millis(chance.between(0, 3000)), stop).await;
        }
        for way in ways {
            way.strike(Fault::Reset);
        }
    }
}
