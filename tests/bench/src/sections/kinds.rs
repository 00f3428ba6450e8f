//! The cost of what is no call of a tool: a prompt, a large resource, a question to the client, and open subscriptions.

use std::path::Path;
use std::time::{Duration, Instant};

use protocol::mcp::era::Era;
use serde_json::json;
use tokio::runtime::Runtime;

use super::arrangements::{backends, stdio_child};
use super::{Effort, progress};
use crate::client::Client;
use crate::error::{Doing, Result};
use crate::load::single_thread;
use crate::program::Program;
use crate::relay::{Backend, Proxy, Relay};
use crate::report::{Chapter, Table, mebibytes};
use crate::request::Template;
use crate::stats::{Latencies, Rounds};
use crate::stdio_server::{ASKED, ASKING_TOOL, GREETING, PROMPT, RESOURCE, RESOURCE_BYTES};
use crate::tls::Target;

/// Subscriptions that are open at once.
const SUBSCRIPTIONS: usize = 1000;

/// Time after which memory is read: longer than the allocator keeps what is free.
const SETTLED: Duration = Duration::from_secs(6);

/// What is asked for, one request at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Prompt,
    Resource,
    Question,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Prompt, Self::Resource, Self::Question];

    fn name(self) -> &'static str {
        match self {
            Self::Prompt => "`prompts/get`, 100 B",
            Self::Resource => "`resources/read`, 1 MB",
            Self::Question => "`tools/call` with an elicitation",
        }
    }
}

/// A client that asks for one kind of thing.
enum KindClient {
    Plain { client: Client, request: Template, words: &'static str, bytes: usize },
    Question { client: Client, replies: Client, request: Template },
}

impl KindClient {
    async fn open(target: &Target, kind: Kind) -> Result<Self> {
        if kind == Kind::Question {
            let mut client = Client::open(target, Era::Legacy).await?;
            client.new_session_with(&json!({ "elicitation": {} })).await?;
            let replies = Client::open(target, Era::Legacy).await?;
            let request = client.builder().tool(ASKING_TOOL, &json!({}));
            return Ok(Self::Question { client, replies, request });
        }
        let client = Client::open(target, Era::Modern).await?;
        let builder = client.builder();
        Ok(match kind {
            Kind::Resource => Self::Plain {
                request: builder.naming("resources/read", RESOURCE, json!({ "uri": RESOURCE })),
                words: RESOURCE,
                bytes: RESOURCE_BYTES,
                client,
            },
            _ => Self::Plain {
                request: builder.naming("prompts/get", PROMPT, json!({ "name": PROMPT })),
                words: GREETING,
                bytes: GREETING.len(),
                client,
            },
        })
    }

    async fn ask(&mut self) -> Result<()> {
        match self {
            Self::Plain { client, request, words, bytes } => client.ask(request, words, *bytes).await,
            Self::Question { client, replies, request } => {
                client.ask_and_accept(replies, request, ASKED).await
            }
        }
    }
}

/// CPU microseconds of proxy and slave for one request, and what the client saw, over the rounds.
#[derive(Default)]
struct Found {
    proxy: Rounds,
    slave: Rounds,
    p50: Rounds,
}

/// Measures everything.
pub(crate) fn run(binary: &Path, effort: &Effort) -> Result<Chapter> {
    let files = tempfile::tempdir().doing("making a temporary directory")?;
    let program = Program::plain(binary);
    let file = backends(&files, &stdio_child()?)?;
    let relay = Relay::link(Proxy::start(program)?, program, Backend::File(&file))?;
    let runtime = single_thread()?;
    let mut text = String::from(
        "One request at a time to `mcp-relay-bench --stdio-server` behind a slave, at the slave's own port (*direct*) and through the proxy. The \
         question is one elicitation, which the client answers by a POST of its own. *Slave* is the slave's own process without the child.\n\n",
    );
    let mut table = Table::new(&["request", "path", "proxy CPU µs", "slave CPU µs", "p50 µs"]);
    for kind in Kind::ALL {
        for (path, target) in [("direct", Target::plain(relay.direct)), ("relay", relay.proxy.target())] {
            progress(&format!("{}, {path}", kind.name()));
            let found = measure(&runtime, &relay, &target, kind, effort)?;
            let proxy = if path == "direct" { "–".to_owned() } else { found.proxy.to_string() };
            table.row(&[
                kind.name().to_owned(),
                path.to_owned(),
                proxy,
                found.slave.to_string(),
                found.p50.to_string(),
            ]);
        }
    }
    text.push_str(&table.finish());
    text.push_str(&subscriptions(&runtime, &relay)?);
    Ok(Chapter {
        title: "Prompts, resources, questions, subscriptions",
        text,
        verdicts: Vec::new(),
        plots: Vec::new(),
    })
}

fn measure(runtime: &Runtime, relay: &Relay, target: &Target, kind: Kind, effort: &Effort) -> Result<Found> {
    let mut client = runtime.block_on(KindClient::open(target, kind))?;
    let mut block = |time: Duration| -> Result<Latencies> {
        let (start, mut nanos) = (Instant::now(), Vec::new());
        while start.elapsed() < time {
            let began = Instant::now();
            runtime.block_on(client.ask())?;
            nanos.push(u32::try_from(began.elapsed().as_nanos()).unwrap_or(u32::MAX));
        }
        Ok(Latencies::new(nanos))
    };
    block(effort.warm_up)?;
    let mut found = Found::default();
    let cpu = || Ok((relay.proxy.process.own_cpu_micros()?, relay.slave.own_cpu_micros()?));
    for _ in 0..effort.rounds {
        let before = cpu()?;
        let latencies = block(effort.block)?;
        let after = cpu()?;
        let calls = latencies.len().max(1) as f64;
        found.proxy.push((after.0 - before.0) as f64 / calls);
        found.slave.push((after.1 - before.1) as f64 / calls);
        found.p50.push(latencies.percentile(50.0));
    }
    Ok(found)
}

/// Opens streams that are told of updates of a resource, and reads what each takes at proxy and slave.
fn subscriptions(runtime: &Runtime, relay: &Relay) -> Result<String> {
    progress(&format!("{SUBSCRIPTIONS} open subscriptions"));
    let memory = || Ok((relay.proxy.process.memory()?.resident, relay.slave.memory()?.resident));
    std::thread::sleep(SETTLED);
    let before = memory()?;
    let target = relay.proxy.target();
    let _streams = runtime.block_on(async {
        let mut streams = Vec::with_capacity(SUBSCRIPTIONS);
        for _ in 0..SUBSCRIPTIONS {
            let mut client = Client::open(&target, Era::Modern).await?;
            client.listen(&[RESOURCE]).await?;
            streams.push(client);
        }
        Ok(streams)
    })?;
    std::thread::sleep(SETTLED);
    let after = memory()?;
    let each = |before: u64, after: u64| {
        format!("{:.1} KiB", after.saturating_sub(before) as f64 / 1024.0 / SUBSCRIPTIONS as f64)
    };
    Ok(format!(
        "\n{SUBSCRIPTIONS} open `subscriptions/listen` for one resource: the proxy grew from {} to {} (**{}** each), the slave with its child from {} to {} \
         (**{}** each).\n",
        mebibytes(before.0),
        mebibytes(after.0),
        each(before.0, after.0),
        mebibytes(before.1),
        mebibytes(after.1),
        each(before.1, after.1),
    ))
}
