//! The steps of the demo; each step fails if the relay does not behave as it should.

use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use protocol::mcp::era::Era;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::fleet::Fleet;
use super::metrics::MetricsSnapshot;
use super::summary;
use crate::http::{self, Target};
use crate::mcp::{Client, Endpoint, Message, Reply};
use crate::output;

const SLAVES: [&str; 2] = ["slave-1", "slave-2"];

/// Longest time that the slaves may take to connect, and the proxy to answer.
const STEP_TIMEOUT: Duration = Duration::from_secs(15);

/// `LINK_GRACE` of the demo's proxy, in seconds.
const GRACE: &str = "2";

/// Starts the processes and runs all steps.
pub(super) async fn run(fleet: &mut Fleet) -> anyhow::Result<()> {
    say("mcp-relay demo: one proxy, two slaves, all on loopback; about 10 seconds");
    let mut client = start(fleet).await?;
    let before = metrics(&client).await?;
    list(&mut client).await?;
    call(&mut client, fleet).await?;
    progress(&mut client).await?;
    let survivor = kill(&mut client, fleet).await?;
    call_after_the_kill(&mut client, fleet, &survivor).await?;
    let after = metrics(&client).await?;
    heading("7. What the proxy counted meanwhile (all series: GET /metrics, docs/METRICS.md)");
    for line in summary::lines(&before, &after)? {
        say(&format!("   {line}"));
    }
    say("\nDone: everything did what it should. The processes are being stopped.");
    Ok(())
}

async fn start(fleet: &mut Fleet) -> anyhow::Result<Client> {
    heading("1. Start");
    let code = random_hex()?;
    let key = random_hex()?;
    let proxy_env = [
        ("MCP_SERVER_PORT", "0"),
        ("PROXY_WS_HOST", "127.0.0.1"),
        ("PROXY_WS_PORT", "0"),
        ("SLAVE_CODES", code.as_str()),
        ("SESSION_KEY", key.as_str()),
        ("READY_MIN_SLAVES", "2"),
        ("LINK_GRACE", GRACE),
        ("SHUTDOWN_GRACE", "2"),
        // The proxy logs at debug which slave gets a call.
        ("LOG_LEVEL", "info,proxy=debug"),
    ];
    fleet.start("proxy", "proxy", &proxy_env)?;
    let http = fleet.address("proxy", "MCP server listening on http://").await?;
    let ws = fleet.address("proxy", "WebSocket server listening on ws://").await?;
    say(&format!("   proxy: MCP clients on http://{http}/mcp, slaves on ws://{ws}"));
    let url = format!("ws://{ws}");
    for name in SLAVES {
        let slave_env = [
            ("PROXY_SERVER_URL", url.as_str()),
            ("SLAVE_CODE", code.as_str()),
            ("SLAVE_NAME", name),
            ("MCP_SERVER_PORT", "0"),
            ("DEMO_TOOLS", "1"),
            ("SHUTDOWN_GRACE", "2"),
        ];
        fleet.start(name, "slave", &slave_env)?;
        fleet.wait_for_line(name, "Authentication successful", 0).await?;
        say(&format!("   {name}: connected and authenticated"));
    }
    let client = client(&http)?;
    until_ready(&client).await?;
    Ok(client)
}

/// A client of the server at `address` (`host:port`).
fn client(address: &str) -> anyhow::Result<Client> {
    let (host, port) = address.rsplit_once(':').with_context(|| format!("{address:?} is no host:port"))?;
    let target = Target::of_listener(host.trim_matches(['[', ']']), port.parse()?);
    let endpoint = Endpoint { target, path: "/mcp".into(), headers: Vec::new(), kept: None };
    Ok(Client::new(endpoint, Era::Modern, "mcp-relay-demo"))
}

async fn until_ready(client: &Client) -> anyhow::Result<()> {
    let deadline = Instant::now() + STEP_TIMEOUT;
    loop {
        let (status, body) = http::get(client.target(), "/readyz", STEP_TIMEOUT).await?;
        if status == 200 {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "the proxy is not ready: {body}");
        sleep(Duration::from_millis(50)).await;
    }
}

async fn list(client: &mut Client) -> anyhow::Result<()> {
    heading("2. tools/list through the proxy");
    let deadline = Instant::now() + STEP_TIMEOUT;
    loop {
        let result = client.ask("tools/list", json!({})).await?;
        let tools = result["tools"].as_array().context("tools/list has no tools")?;
        // A slave is ready a moment before its catalog has arrived.
        if tools.iter().any(|tool| tool["name"] == "echo") {
            for tool in tools {
                say(&format!("   {:10} {}", text(&tool["name"]), text(&tool["description"])));
            }
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "the demo tools are not listed: {result}");
        sleep(Duration::from_millis(50)).await;
    }
}

async fn call(client: &mut Client, fleet: &Fleet) -> anyhow::Result<()> {
    heading("3. A call: echo {\"text\":\"Hello, slave!\"}");
    let from = fleet.lines("proxy")?;
    let arguments = json!({ "name": "echo", "arguments": { "text": "Hello, slave!" } });
    let result = client.ask("tools/call", arguments).await?;
    let answer = text(&result["content"][0]["text"]);
    ensure!(answer == "Hello, slave!", "echo answered {result}");
    let slave = slave_of_call(fleet, from).await?;
    say(&format!("   {slave} answered: {answer}"));
    Ok(())
}

async fn progress(client: &mut Client) -> anyhow::Result<()> {
    heading("4. A call with live progress: sleep {\"seconds\":2,\"steps\":4}");
    let begun = Instant::now();
    let mut reply = client.begin("tools/call", sleep_for(2, 4), &[]).await?;
    let mut steps = 0;
    while let Some(message) = reply.next().await? {
        show(begun, &message);
        if message.value["method"] == "notifications/progress" {
            steps += 1;
        } else {
            ensure!(
                message.value["result"]["content"].is_array(),
                "sleep was answered with {}",
                message.line
            );
            ensure!(steps == 4, "{steps} progress messages came, not 4");
            return Ok(());
        }
    }
    bail!("sleep was not answered")
}

/// Kills the slave that runs a call and returns the name of the other slave.
async fn kill(client: &mut Client, fleet: &mut Fleet) -> anyhow::Result<String> {
    heading("5. A slave is killed (SIGKILL) in mid-call: sleep {\"seconds\":30,\"steps\":60}");
    let begun = Instant::now();
    let from = fleet.lines("proxy")?;
    let mut reply = client.begin("tools/call", sleep_for(30, 60), &[]).await?;
    let first = reply.next().await?.context("no progress came")?;
    show(begun, &first);
    ensure!(first.value["method"] == "notifications/progress", "sleep was answered with {}", first.line);
    let victim = slave_of_call(fleet, from).await?;
    fleet.kill(&victim).await?;
    say(&format!(
        "   {:6.2} s  {victim} is killed; the proxy waits LINK_GRACE={GRACE} s for it (12 s by default)",
        seconds(begun)
    ));
    let failure = failure(&mut reply, begun).await?;
    ensure!(failure["data"]["kind"] == "outcome_unknown", "the client got another error: {failure}");
    say(&format!("             {}", text(&failure["data"]["advice"])));
    say("   The client is told what is known: the call may have run, so nothing repeats it by itself.");
    SLAVES.iter().find(|name| **name != victim).map(ToString::to_string).context("no slave is left")
}

async fn failure(reply: &mut Reply, begun: Instant) -> anyhow::Result<Value> {
    while let Some(mut message) = reply.next().await? {
        show(begun, &message);
        if let Some(error) = message.value.get_mut("error") {
            return Ok(error.take());
        }
        ensure!(
            message.value.get("result").is_none(),
            "a killed slave cannot have answered: {}",
            message.line
        );
    }
    bail!("the answer ended without an error")
}

async fn call_after_the_kill(client: &mut Client, fleet: &Fleet, survivor: &str) -> anyhow::Result<()> {
    heading("6. The next call goes to the slave that is left");
    let from = fleet.lines("proxy")?;
    let arguments = json!({ "name": "echo", "arguments": { "text": "Still there?" } });
    let result = client.ask("tools/call", arguments).await?;
    let slave = slave_of_call(fleet, from).await?;
    ensure!(slave == survivor, "{slave} got the call, not {survivor}");
    say(&format!("   {slave} answered: {}", text(&result["content"][0]["text"])));
    Ok(())
}

async fn metrics(client: &Client) -> anyhow::Result<MetricsSnapshot> {
    let (status, body) = http::get(client.target(), "/metrics", STEP_TIMEOUT).await?;
    ensure!(status == 200, "/metrics answered with status {status}");
    Ok(MetricsSnapshot::parse(&body))
}

/// The slave that the proxy sent a call to, from its log from line `from` on.
async fn slave_of_call(fleet: &Fleet, from: usize) -> anyhow::Result<String> {
    let line = fleet.wait_for_line("proxy", "Forwarding request to slave: tools/call", from).await?;
    let found = SLAVES.iter().find(|name| line.contains(&format!("slave=\"{name}\"")));
    found.map(ToString::to_string).with_context(|| format!("no slave is named in: {line}"))
}

fn sleep_for(seconds: u32, steps: u32) -> Value {
    let arguments = json!({ "seconds": seconds, "steps": steps });
    json!({ "name": "sleep", "arguments": arguments, "_meta": { "progressToken": "demo" } })
}

/// Prints in words what a message says, with the time since the call began.
fn show(begun: Instant, message: &Message) {
    say(&format!("   {:6.2} s  {}", seconds(begun), in_words(&message.value)));
}

/// A JSON-RPC message as one line for people.
fn in_words(message: &Value) -> String {
    let params = &message["params"];
    if message["method"] == "notifications/progress" {
        return match (params["progress"].as_f64(), params["total"].as_f64()) {
            (Some(progress), Some(total)) if total > 0.0 => {
                format!("progress {:3.0} %  {}", progress / total * 100.0, text(&params["message"]))
            }
            _ => format!("progress  {}", text(&params["message"])),
        };
    }
    let error = &message["error"];
    if error.is_object() {
        let kind = text(&error["data"]["kind"]);
        return format!("error {} ({kind}): {}", error["code"], text(&error["message"]));
    }
    format!("result: {}", text(&message["result"]["content"][0]["text"]))
}

fn seconds(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn heading(text: &str) {
    say(&format!("\n{text}"));
}

/// Writes a line to standard output; the demo goes on if the reader is gone.
fn say(text: &str) {
    output::print(format!("{text}\n"));
}

/// 32 random hexadecimal digits.
fn random_hex() -> anyhow::Result<String> {
    let number = (u128::from(getrandom::u64()?) << 64) | u128::from(getrandom::u64()?);
    Ok(format!("{number:032x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_shown_in_words() {
        let rows = [
            (
                json!({ "method": "notifications/progress",
                    "params": { "progress": 1, "total": 4, "message": "step 1 of 4" } }),
                "progress  25 %  step 1 of 4",
            ),
            (
                json!({ "method": "notifications/progress", "params": { "progress": 1, "message": "begun" } }),
                "progress  begun",
            ),
            (json!({ "result": { "content": [{ "text": "slept" }] } }), "result: slept"),
            (
                json!({ "error": { "code": -1, "message": "Lost", "data": { "kind": "lost" } } }),
                "error -1 (lost): Lost",
            ),
        ];
        for (message, words) in rows {
            assert_eq!(in_words(&message), words);
        }
    }
}
