//! What strikes during a storm: each slave and its link, and the proxies, have their own run of bad luck.

use std::time::Duration;

use futures_util::future::join_all;
use nix::sys::signal::Signal;
use protocol::frame::FrameKind;
use tokio::sync::watch;

use super::calls::rest;
use super::chance::Chance;
use super::fleet::{Fleet, Place};
use crate::fault::{Fault, Side, Towards, Trap};
use crate::relay::Proxy;

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
    let proxies = fleet.proxies.iter().enumerate().map(|(n, proxy)| {
        let chance = Chance::new(seed, round + 50 + n as u64);
        pauses(proxy, chance, stop.clone())
    });
    let (places, proxies) = tokio::join!(join_all(places), join_all(proxies));
    places.into_iter().chain(proxies).sum()
}

/// A proxy is paused now and then, for shorter and longer than its slaves bear.
async fn pauses(proxy: &Proxy, mut chance: Chance, mut stop: Stop) -> usize {
    let mut count = 0;
    while rest(chance.millis(2000, 12_000), &mut stop).await {
        count += 1;
        proxy.signal(Signal::SIGSTOP);
        rest(chance.millis(50, 3000), &mut stop).await;
        proxy.signal(Signal::SIGCONT);
    }
    count
}

impl Place {
    async fn suffer(&mut self, mut chance: Chance, mut stop: Stop) -> usize {
        let mut count = 0;
        while rest(chance.millis(50, 1500), &mut stop).await {
            count += 1;
            match chance.between(0, 9) {
                0 | 1 if self.mortal => self.is_killed(&mut chance, &mut stop).await,
                2 => {
                    self.slave.signal(Signal::SIGSTOP);
                    rest(chance.millis(50, 4000), &mut stop).await;
                    self.slave.signal(Signal::SIGCONT);
                }
                3 => self.loses(Fault::HalfClose(Towards::Proxy), &mut chance, &mut stop).await,
                4 => self.loses(Fault::HalfClose(Towards::Slave), &mut chance, &mut stop).await,
                5 => self.loses(Fault::BlackHole, &mut chance, &mut stop).await,
                6 => {
                    self.fault.strike(Fault::Stall);
                    rest(chance.millis(20, 4000), &mut stop).await;
                    self.fault.strike(Fault::None);
                }
                7 => {
                    self.fault.take_down();
                    rest(chance.millis(20, 3000), &mut stop).await;
                    self.fault.refuse(false);
                }
                8 => self.is_trapped(&mut chance, &mut stop).await,
                _ => self.fault.strike(Fault::Reset),
            }
        }
        count
    }

    async fn is_killed(&mut self, chance: &mut Chance, stop: &mut Stop) {
        self.slave.signal(Signal::SIGKILL);
        rest(chance.millis(0, 1500), stop).await;
        self.slave = self.setup.start_slave().await;
    }

    /// Bytes that were swallowed cannot come later, so in the end the connection breaks.
    async fn loses(&mut self, fault: Fault, chance: &mut Chance, stop: &mut Stop) {
        self.fault.strike(fault);
        rest(chance.millis(20, 4000), stop).await;
        self.fault.strike(Fault::Reset);
    }

    /// The link breaks right before or after a frame that matters.
    async fn is_trapped(&mut self, chance: &mut Chance, stop: &mut Stop) {
        let (towards, kind) = chance.pick(&FRAMES);
        let side = if chance.one_in(2) { Side::Before } else { Side::After };
        let fault = chance.pick(&[Fault::Reset, Fault::BlackHole, Fault::Stall]);
        let skip = usize::try_from(chance.between(0, 20)).expect("small");
        self.fault.arm(Trap { towards, kind, skip, side, fault });
        rest(chance.millis(100, 3000), stop).await;
        if !self.fault.disarm() && fault != Fault::Reset {
            rest(Duration::from_millis(chance.between(0, 3000)), stop).await;
        }
        self.fault.strike(Fault::Reset);
    }
}
