//! A relay under constant load, for a profiler.

use std::path::Path;
use std::time::Duration;

use super::calls::describe;
use crate::error::Result;
use crate::fleet::sample;
use crate::load::{Load, Shape};
use crate::relay::Relay;
use crate::report::Chapter;

/// Calls through the relay for `time`; the process ids are on standard error before the first call.
pub(crate) fn run(binary: &Path, shape: Shape, time: Duration) -> Result<Chapter> {
    let relay = Relay::start(binary)?;
    let (proxy, slave) = (&relay.proxy.process, &relay.slave);
    eprintln!(
        "bench: {}, proxy is process {}, slave is process {}",
        describe(&shape),
        proxy.id(),
        slave.id()
    );
    let mut load = Load::connect(&relay.proxy.target(), shape)?;
    let sample = sample(&[proxy], slave, &mut load, time)?;
    let text = format!(
        "{}: proxy {:.1} µs and slave {:.1} µs of CPU time a call, {:.0} calls/s.\n",
        describe(&shape),
        sample.front,
        sample.slave,
        sample.rate
    );
    Ok(Chapter { title: "Kept busy", text, verdicts: Vec::new(), plots: Vec::new() })
}
