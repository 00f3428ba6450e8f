//! What a call costs in numbers that a machine with other work repeats, for a gate: instructions and system calls a call of proxy and
//! slave, the proxy's CPU time as a multiple of nginx's, and the memory that both take before the first call.

use std::path::Path;

use protocol::mcp::era::Era;

use super::calls::describe;
use super::{Effort, progress};
use crate::bounds::{Measured, Quantity};
use crate::error::Result;
use crate::fleet::{Fleet, Way};
use crate::load::{Load, Shape, Until};
use crate::process::Process;
use crate::program::{Counter, Program};
use crate::relay::Relay;
use crate::sections::calls::Series;
use crate::system_calls::Trace;

/// Shapes whose instructions and system calls are counted: one at a time, where batches do not depend on timing.
const COUNTED: [Shape; 3] = [
    Shape { era: Era::Modern, argument: 100, at_once: 1 },
    Shape { era: Era::Legacy, argument: 100, at_once: 1 },
    Shape { era: Era::Modern, argument: 100_000, at_once: 1 },
];

/// Shapes whose CPU time is compared with nginx's.
const TIMED: [Shape; 2] = [
    Shape { era: Era::Modern, argument: 100, at_once: 32 },
    Shape { era: Era::Modern, argument: 100_000, at_once: 32 },
];

/// Calls before those that are counted: buffers have their size then, and the first ones are cached.
const WARM_UP: u64 = 100;

/// Calls that are counted.
const CALLS: u64 = 400;

/// A process of the relay.
#[derive(Clone, Copy, Debug)]
enum Role {
    Proxy,
    Slave,
}

impl Role {
    const ALL: [Self; 2] = [Self::Proxy, Self::Slave];

    fn name(self) -> &'static str {
        match self {
            Self::Proxy => "proxy",
            Self::Slave => "slave",
        }
    }

    fn process(self, relay: &Relay) -> &Process {
        match self {
            Self::Proxy => &relay.proxy.process,
            Self::Slave => &relay.slave,
        }
    }

    /// Starts a relay of which this process is counted.
    fn start_counted(self, binary: &Path, counter: &Counter) -> Result<Relay> {
        let (plain, traced) = (Program::plain(binary), Program::counted(binary, counter));
        match self {
            Self::Proxy => Relay::start_as(traced, plain),
            Self::Slave => Relay::start_as(plain, traced),
        }
    }
}

/// Measures everything that has a bound.
pub(crate) fn run(binary: &Path, effort: &Effort) -> Result<Vec<Measured>> {
    let mut all = instructions(binary)?;
    all.extend(system_calls(binary)?);
    all.extend(cpu_ratios(binary, effort)?);
    all.extend(idle_memory(binary)?);
    Ok(all)
}

fn measured(role: Role, shape: &Shape, quantity: Quantity, count: u64) -> Measured {
    let what = format!("{}, {}", role.name(), describe(shape));
    Measured { what, quantity, value: count as f64 / CALLS as f64 }
}

fn instructions(binary: &Path) -> Result<Vec<Measured>> {
    let mut all = Vec::new();
    for role in Role::ALL {
        let counter = Counter::new()?;
        let relay = role.start_counted(binary, &counter)?;
        let process = role.process(&relay);
        for shape in COUNTED {
            progress(&format!("instructions of the {}: {}", role.name(), describe(&shape)));
            let mut load = Load::connect(&relay.proxy.target(), shape)?;
            load.run(&Until::CallsEach(WARM_UP))?;
            counter.reset(process)?;
            load.run(&Until::CallsEach(CALLS))?;
            all.push(measured(role, &shape, Quantity::Instructions, counter.take(process)?));
        }
    }
    Ok(all)
}

fn system_calls(binary: &Path) -> Result<Vec<Measured>> {
    let relay = Relay::start(binary)?;
    let mut all = Vec::new();
    for shape in COUNTED {
        let mut load = Load::connect(&relay.proxy.target(), shape)?;
        load.run(&Until::CallsEach(WARM_UP))?;
        for role in Role::ALL {
            let trace = Trace::attach(role.process(&relay))?;
            load.run(&Until::CallsEach(CALLS))?;
            let calls = trace.finish()?;
            let names: Vec<String> =
                calls.iter().take(6).map(|one| format!("{} {}", one.name, one.count)).collect();
            progress(&format!(
                "system calls of the {} in {CALLS} calls: {}: {}",
                role.name(),
                describe(&shape),
                names.join(", ")
            ));
            let count = calls.iter().map(|one| one.count).sum();
            all.push(measured(role, &shape, Quantity::SystemCalls, count));
        }
    }
    Ok(all)
}

/// Measures what `link-order.ld` of the program is for.
fn idle_memory(binary: &Path) -> Result<Vec<Measured>> {
    progress("memory before the first call");
    let relay = Relay::start(binary)?;
    let measured = |role: Role| {
        let value = role.process(&relay).memory()?.resident as f64 / 1e6;
        Ok(Measured {
            what: format!("{}, before the first call", role.name()),
            quantity: Quantity::Memory,
            value,
        })
    };
    Role::ALL.into_iter().map(measured).collect()
}

fn cpu_ratios(binary: &Path, effort: &Effort) -> Result<Vec<Measured>> {
    let fleet = Fleet::start(binary)?;
    let mut all = Vec::new();
    for shape in TIMED {
        progress(&format!("CPU time of proxy and nginx: {}", describe(&shape)));
        let ways = [Way::Relay, Way::Nginx];
        let mut loads = Vec::new();
        for way in ways {
            let mut load = Load::connect(&fleet.target(way), shape)?;
            load.run(&Until::Elapsed(effort.warm_up))?;
            loads.push(load);
        }
        let mut both = [Series::default(), Series::default()];
        for _ in 0..effort.rounds {
            for ((way, load), series) in ways.into_iter().zip(&mut loads).zip(&mut both) {
                series.push(fleet.sample(way, load, effort.block)?);
            }
        }
        let value = both[0].over(&both[1], |sample| sample.front).median();
        let what = format!("proxy, {}", describe(&shape));
        all.push(Measured { what, quantity: Quantity::CpuRatio, value });
    }
    Ok(all)
}
