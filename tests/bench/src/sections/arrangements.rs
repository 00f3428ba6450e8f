//! The cost of a call through the relay where the slave does not run the tool itself, and where both hops are encrypted.

use std::path::Path;

use protocol::mcp::era::Era;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::calls::describe;
use super::{Effort, progress};
use crate::error::{Doing, Result};
use crate::load::{Load, Shape, Until};
use crate::program::Program;
use crate::relay::{Backend, Proxy, Relay};
use crate::report::{Chapter, Table, Verdict};
use crate::stats::Rounds;

/// Target: CPU microseconds of the slave alone for a call of 100 KB to its stdio child.
const MAX_SLAVE_AT_100_KB: f64 = 120.0;

const SHAPES: [Shape; 4] = [
    Shape { era: Era::Legacy, argument: 100, at_once: 1 },
    Shape { era: Era::Legacy, argument: 100, at_once: 32 },
    Shape { era: Era::Legacy, argument: 100_000, at_once: 1 },
    Shape { era: Era::Legacy, argument: 100_000, at_once: 32 },
];

/// What differs from a slave with demo tools behind a plain proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arrangement {
    Plain,
    Stdio,
    Http,
    Tls,
}

impl Arrangement {
    const ALL: [Self; 4] = [Self::Plain, Self::Stdio, Self::Http, Self::Tls];

    fn name(self) -> &'static str {
        match self {
            Self::Plain => "the slave's own tool",
            Self::Stdio => "a stdio child",
            Self::Http => "an HTTP backend",
            Self::Tls => "the slave's own tool, TLS on both hops",
        }
    }
}

/// Processes of one arrangement.
struct Started {
    relay: Relay,
    /// The server that an HTTP backend is.
    _upstream: Option<Relay>,
    _files: TempDir,
}

/// CPU microseconds a call of proxy and slave alone, and what clients saw.
#[derive(Default)]
struct Found {
    proxy: Rounds,
    slave: Rounds,
    rate: Rounds,
    p50: Rounds,
}

/// Measures all arrangements in all shapes.
pub(crate) fn run(binary: &Path, effort: &Effort) -> Result<Chapter> {
    let mut text = String::from(
        "Calls of `echo` by legacy clients through the relay. *Slave* is the slave's own process without a backend's. The stdio child is \
         `mcp-relay-bench --stdio-server`; the HTTP backend is another slave's port on this machine. With TLS, clients and slave speak to the \
         proxy over TLS 1.3.\n",
    );
    let mut table = Table::new(&["backend", "shape", "proxy CPU µs", "slave CPU µs", "calls/s", "p50 µs"]);
    let mut verdicts = Vec::new();
    for arrangement in Arrangement::ALL {
        let started = start(binary, arrangement)?;
        for shape in SHAPES {
            progress(&format!("{}: {}", arrangement.name(), describe(&shape)));
            let found = measure(&started.relay, shape, effort)?;
            if arrangement == Arrangement::Stdio && shape.argument == 100_000 {
                verdicts.push(verdict(&shape, found.slave.median()));
            }
            let cells = [&found.proxy, &found.slave, &found.rate, &found.p50].map(ToString::to_string);
            let mut row = vec![arrangement.name().to_owned(), describe(&shape)];
            row.extend(cells);
            table.row(&row);
        }
    }
    text.push('\n');
    text.push_str(&table.finish());
    Ok(Chapter { title: "Backends and TLS", text, verdicts, plots: Vec::new() })
}

fn verdict(shape: &Shape, slave: f64) -> Verdict {
    Verdict {
        target: format!(
            "slave's own CPU time ≤ {MAX_SLAVE_AT_100_KB} µs with a stdio child ({})",
            describe(shape)
        ),
        measured: format!("{slave:.0} µs"),
        holds: slave <= MAX_SLAVE_AT_100_KB,
    }
}

fn start(binary: &Path, arrangement: Arrangement) -> Result<Started> {
    let program = Program::plain(binary);
    let files = tempfile::tempdir().doing("making a temporary directory")?;
    let mut upstream = None;
    let entry = match arrangement {
        Arrangement::Plain | Arrangement::Tls => None,
        Arrangement::Stdio => Some(stdio_child()?),
        Arrangement::Http => {
            let started = Relay::start(binary)?;
            let entry = json!({ "url": format!("http://{}/mcp", started.direct) });
            upstream = Some(started);
            Some(entry)
        }
    };
    let proxy = match arrangement {
        Arrangement::Tls => Proxy::start_with_tls(program)?,
        _ => Proxy::start(program)?,
    };
    let relay = match entry {
        None => Relay::link(proxy, program, Backend::Slave)?,
        Some(entry) => Relay::link(proxy, program, Backend::File(&backends(&files, &entry)?))?,
    };
    Ok(Started { relay, _upstream: upstream, _files: files })
}

/// Returns the entry of a backend that is a child of the slave.
pub(super) fn stdio_child() -> Result<Value> {
    let own = std::env::current_exe().doing("finding this program")?;
    Ok(json!({ "command": own, "args": ["--stdio-server"] }))
}

/// Writes a file of backends with this one.
pub(super) fn backends(files: &TempDir, entry: &Value) -> Result<std::path::PathBuf> {
    let path = files.path().join("mcp.json");
    let file = json!({ "mcpServers": { "bench": entry } });
    std::fs::write(&path, file.to_string()).doing("writing a file of backends")?;
    Ok(path)
}

fn measure(relay: &Relay, shape: Shape, effort: &Effort) -> Result<Found> {
    let mut load = Load::connect(&relay.proxy.target(), shape)?;
    load.run(&Until::Elapsed(effort.warm_up))?;
    let mut found = Found::default();
    let cpu = || Ok((relay.proxy.process.own_cpu_micros()?, relay.slave.own_cpu_micros()?));
    for _ in 0..effort.rounds {
        let before = cpu()?;
        let block = load.run(&Until::Elapsed(effort.block))?;
        let after = cpu()?;
        let calls = block.latencies.len().max(1) as f64;
        found.proxy.push((after.0 - before.0) as f64 / calls);
        found.slave.push((after.1 - before.1) as f64 / calls);
        found.rate.push(block.rate);
        found.p50.push(block.latencies.percentile(50.0));
    }
    Ok(found)
}
