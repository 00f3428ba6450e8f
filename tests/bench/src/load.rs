//! A closed-loop load: clients that call again as soon as they are answered, all on one thread.
//!
//! One thread, because the generator shares the machine with the measured processes. For the same reason the cost of a call
//! is taken from the CPU time of the measured processes and not from calls a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use protocol::mcp::era::Era;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::client::{Client, Echo};
use crate::error::{BenchError, Doing, Result};
use crate::stats::Latencies;
use crate::tls::Target;

/// Time beyond the planned end of a block after which the block is an error.
const BLOCK_TIMEOUT: Duration = Duration::from_mins(1);

/// Kind and number of calls.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Era of the clients.
    pub(crate) era: Era,
    /// Length of the argument, in bytes.
    pub(crate) argument: usize,
    /// Number of concurrent clients.
    pub(crate) at_once: usize,
}

/// End of a block. Calls in flight are finished.
#[derive(Clone, Debug)]
pub(crate) enum Until {
    /// After this time.
    Elapsed(Duration),
    /// When each client has made this many calls.
    CallsEach(u64),
    /// When the flag is set.
    Set(Arc<AtomicBool>),
}

/// Result of a block.
#[derive(Debug)]
pub(crate) struct Block {
    /// Calls a second over the whole block.
    pub(crate) rate: f64,
    /// Each call's latency as its client saw it.
    pub(crate) latencies: Latencies,
}

/// Connected clients with their requests.
#[derive(Debug)]
pub(crate) struct Load {
    runtime: Runtime,
    clients: Vec<(Client, Echo)>,
}

impl Load {
    /// Connects the clients, opens their sessions and checks the first answer of each.
    pub(crate) fn connect(target: &Target, shape: Shape) -> Result<Self> {
        let runtime = single_thread()?;
        let mut clients = Vec::with_capacity(shape.at_once);
        for _ in 0..shape.at_once {
            clients.push(runtime.block_on(async {
                let mut client = Client::open(target, shape.era).await?;
                let echo = client.learn_echo(shape.argument).await?;
                Ok((client, echo))
            })?);
        }
        Ok(Self { runtime, clients })
    }

    /// Calls until the block ends. A wrong answer is an error.
    pub(crate) fn run(&mut self, until: &Until) -> Result<Block> {
        let limit = BLOCK_TIMEOUT + if let Until::Elapsed(time) = until { *time } else { Duration::ZERO };
        let start = Instant::now();
        let mut tasks = JoinSet::new();
        let handle = self.runtime.handle().clone();
        for (client, echo) in self.clients.drain(..) {
            tasks.spawn_on(ask(client, echo, until.clone()), &handle);
        }
        let clients = &mut self.clients;
        let nanos = self.runtime.block_on(async {
            let mut nanos = Vec::new();
            let deadline = tokio::time::Instant::now() + limit;
            while let Some(joined) =
                tokio::time::timeout_at(deadline, tasks.join_next()).await.map_err(|_| stuck(limit))?
            {
                let (client, echo, mut own) = joined
                    .map_err(|error| BenchError::Process(format!("a client task ended: {error}")))??;
                nanos.append(&mut own);
                clients.push((client, echo));
            }
            Ok::<_, BenchError>(nanos)
        })?;
        let rate = nanos.len() as f64 / start.elapsed().as_secs_f64();
        Ok(Block { rate, latencies: Latencies::new(nanos) })
    }
}

/// A runtime that uses the calling thread alone.
pub(crate) fn single_thread() -> Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().doing("starting the client runtime")
}

fn stuck(within: Duration) -> BenchError {
    BenchError::TooLate { what: "the end of a measured block".into(), within, detail: String::new() }
}

async fn ask(mut client: Client, mut echo: Echo, until: Until) -> Result<(Client, Echo, Vec<u32>)> {
    let mut nanos = Vec::with_capacity(1 << 14);
    let start = Instant::now();
    let mut now = start;
    loop {
        let go_on = match &until {
            Until::Elapsed(time) => now - start < *time,
            Until::CallsEach(calls) => (nanos.len() as u64) < *calls,
            Until::Set(flag) => !flag.load(Ordering::Relaxed),
        };
        if !go_on {
            return Ok((client, echo, nanos));
        }
        client.echo(&mut echo).await?;
        let done = Instant::now();
        nanos.push(u32::try_from((done - now).as_nanos()).unwrap_or(u32::MAX));
        now = done;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    /// A server that answers as `echo` should, until `honest` calls were made: from then on with another id.
    fn stand_in(honest: usize) -> Target {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut buffer = vec![0; 65536];
            for call in 0.. {
                // Requests here are small and not pipelined: one read is one request.
                let read = stream.read(&mut buffer).unwrap();
                if read == 0 {
                    return;
                }
                let request = String::from_utf8_lossy(&buffer[..read]).into_owned();
                let body = request.split("\r\n\r\n").nth(1).unwrap();
                let value: serde_json::Value = serde_json::from_str(body).unwrap();
                let id = if call < honest { value["id"].clone() } else { 100_000_000_000_u64.into() };
                let text = &value["params"]["arguments"]["text"];
                let answer =
                    serde_json::json!({"jsonrpc": "2.0", "id": id, "result": {"content": [{"text": text}]}});
                let answer = answer.to_string();
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                    answer.len()
                );
                stream.write_all((head + &answer).as_bytes()).unwrap();
            }
        });
        Target::plain(address)
    }

    #[test]
    fn every_call_is_timed_and_clients_are_kept() {
        let shape = Shape { era: Era::Modern, argument: 100, at_once: 1 };
        let mut load = Load::connect(&stand_in(usize::MAX), shape).unwrap();
        for calls in [1, 50] {
            let block = load.run(&Until::CallsEach(calls)).unwrap();
            assert_eq!(block.latencies.len() as u64, calls);
            assert!(block.rate > 0.0 && block.latencies.percentile(50.0) > 0.0);
        }
        let flag = Arc::new(AtomicBool::new(true));
        assert_eq!(load.run(&Until::Set(flag)).unwrap().latencies.len(), 0);
    }

    #[test]
    fn an_answer_to_another_request_is_an_error() {
        let shape = Shape { era: Era::Modern, argument: 100, at_once: 1 };
        let mut load = Load::connect(&stand_in(3), shape).unwrap();
        load.run(&Until::CallsEach(2)).unwrap();
        let error = load.run(&Until::CallsEach(1)).unwrap_err();
        assert!(matches!(error, BenchError::WrongAnswer { .. }), "{error}");
        let error = Load::connect(&stand_in(0), shape).unwrap_err();
        assert!(matches!(error, BenchError::WrongAnswer { .. }), "{error}");
    }
}
