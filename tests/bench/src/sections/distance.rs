//! Results of several sizes where slave and proxy are far from each other.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use protocol::mcp::era::Era;

use super::{Effort, progress};
use crate::client::Client;
use crate::delay::Delay;
use crate::error::{Doing, Result};
use crate::load::single_thread;
use crate::program::Program;
use crate::relay::{Backend, Proxy, Relay};
use crate::report::{Chapter, Table, Verdict};
use crate::stats::Rounds;
use crate::tls::Target;
use crate::tunnel::{self, Tunnel};

/// Time that bytes take from one end of the link to the other.
const ONE_WAY: Duration = Duration::from_millis(20);

/// Sizes of results, in bytes.
const SIZES: [(&str, usize); 5] =
    [("100 B", 100), ("100 KB", 100_000), ("1 MB", 1_000_000), ("10 MB", 10_000_000), ("50 MB", 50_000_000)];

/// Target: time of the largest result, as a multiple of wstunnel's, whose bytes no window of its own holds up.
const MAX_RATIO: f64 = 2.0;

/// Measures both ways in turns.
pub(crate) fn run(binary: &Path, effort: &Effort) -> Result<Chapter> {
    progress("results over a long way");
    let mut proxy = Proxy::start(Program::plain(binary))?;
    let near = long_way(proxy.links)?;
    proxy.links = near.address;
    let relay = Relay::link(proxy, Program::plain(binary), Backend::Slave)?;
    let mut ways = vec![("relay", relay.proxy.target())];
    let tunnel = tunnel::binary()
        .map(|binary| Tunnel::start_over(&binary, relay.direct, |links| long_way(links).map(Some)));
    let tunnel = tunnel.transpose()?;
    ways.extend(tunnel.iter().map(|(tunnel, _)| ("wstunnel", Target::plain(tunnel.http))));
    let mut table = Table::new(&["result", "relay ms", "wstunnel ms"]);
    let mut largest = Vec::new();
    for (name, bytes) in SIZES {
        let mut times = vec![Rounds::default(); ways.len()];
        for _ in 0..effort.rounds {
            for ((_, target), times) in ways.iter().zip(&mut times) {
                times.push(milliseconds(target, bytes)?);
            }
        }
        let mut row = vec![name.to_owned()];
        row.extend(times.iter().map(ToString::to_string));
        row.resize(3, "–".to_owned());
        table.row(&row);
        largest = times;
    }
    let text = format!(
        "Between slave and proxy, and between the ends of wstunnel, bytes take {} ms in each direction, and at most 4 MiB are under way, as in a TCP connection that is warm. The time is that from the request to the \
         last byte of the result, over a connection that is open. The link is in use already, as is a tunnel's.\n\n{}",
        ONE_WAY.as_millis(),
        table.finish()
    );
    Ok(Chapter {
        title: "A long way",
        text,
        verdicts: verdict(&largest).into_iter().collect(),
        plots: Vec::new(),
    })
}

fn long_way(to: SocketAddr) -> Result<Delay> {
    Delay::start(to, ONE_WAY).doing("starting a long way")
}

/// Judges the times of the largest result: the relay's, and wstunnel's if there are any.
fn verdict(times: &[Rounds]) -> Option<Verdict> {
    let [relay, tunnel] = times else { return None };
    let ratio = relay.median() / tunnel.median();
    Some(Verdict {
        target: format!("time of a 50 MB result over a round trip of 40 ms ≤ {MAX_RATIO} × wstunnel's"),
        measured: format!("{ratio:.2} ×"),
        holds: ratio <= MAX_RATIO,
    })
}

/// Returns how long one result takes over a connection that is open.
fn milliseconds(target: &Target, bytes: usize) -> Result<f64> {
    single_thread()?.block_on(async {
        let mut client = Client::open(target, Era::Modern).await?;
        client.payload(1).await?;
        let start = Instant::now();
        client.payload(bytes).await?;
        Ok(start.elapsed().as_secs_f64() * 1000.0)
    })
}
