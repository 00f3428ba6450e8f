//! `mcp-relay diagnose`: a bundle of facts about this program, its environment and its server that can be attached to an issue. Each text
//! passes the redaction before it is kept.

mod archive;
mod facts;
mod logs;
mod redaction;
mod secrets;
mod server;

use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use anyhow::anyhow;
use runtime::env::Snapshot;
use runtime::io_fault::describe;
use runtime::moment;
use serde_json::{Value, json};

use crate::cli::Diagnose;
use crate::command_error::CommandError;
use crate::doctor::{self, millis};
use crate::output;
use archive::Entry;
use redaction::{MASK, MIN_LEN, Redaction};
use secrets::Secrets;
use server::Answers;

/// Steps of the doctor that are about the network although they take no time that counts.
const NETWORK_STEPS: [&str; 2] = ["proxy URL", "way out"];

/// Writes or prints the bundle. Returns what to print.
pub(crate) async fn run(args: Diagnose, snapshot: &Snapshot) -> Result<String, CommandError> {
    let now = moment::text(SystemTime::now());
    let stamp: String = now.chars().filter(char::is_ascii_alphanumeric).collect();
    let folder = format!("mcp-relay-diagnose-{stamp}");
    let path = args.output.clone().unwrap_or_else(|| PathBuf::from(format!("{folder}.tar.gz")));
    if !args.stdout && path.symlink_metadata().is_ok() {
        return Err(exists(&path));
    }
    let secrets = Secrets::of(snapshot);
    let redaction = Redaction::new(secrets.texts()).map_err(|_| {
        anyhow!(
            "there are too many secrets to look for, so that nothing was written: name fewer files of them"
        )
    })?;
    let mut bundle = Bundle { redaction, entries: Vec::new(), about: String::new() };
    collect(&mut bundle, &args, snapshot).await;
    let entries = bundle.finish(&now, &secrets);
    if args.stdout {
        let texts: Vec<String> =
            entries.iter().map(|Entry { name, text }| format!("==> {name} <==\n{text}")).collect();
        output::write(texts.join("\n"))
            .map_err(|error| anyhow!("it cannot be printed: {}", describe(&error)))?;
        return Ok(String::new());
    }
    let packed = archive::pack(&folder, &entries).and_then(|packed| archive::save(&path, &packed));
    packed.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => exists(&path),
        _ => anyhow!("{} cannot be written: {}", path.display(), describe(&error)).into(),
    })?;
    Ok(format!(
        "{}\nWritten to {}. Read it before you attach it anywhere: --stdout shows the texts.\n",
        entries[0].text,
        path.display()
    ))
}

fn exists(path: &Path) -> CommandError {
    anyhow!("{} is there already and was left as it is: name another file with --output", path.display())
        .into()
}

/// The texts so far.
struct Bundle {
    redaction: Redaction,
    entries: Vec<Entry>,
    /// What is in it, a line each.
    about: String,
}

impl Bundle {
    fn add(&mut self, name: &'static str, about: &str, text: &str) {
        let text = self.redaction.text(text);
        self.keep(name, about, text);
    }

    fn add_document(&mut self, name: &'static str, about: &str, value: &Value) {
        let value = self.redaction.document(value);
        // A value of texts and numbers can always be written.
        let text = serde_json::to_string_pretty(&value).unwrap_or_default();
        self.keep(name, about, text + "\n");
    }

    fn keep(&mut self, name: &'static str, about: &str, text: String) {
        let (bytes, count) = (text.len(), self.redaction.take_count());
        let replaced = if count == 0 { String::new() } else { format!(", replaced: {count}") };
        // Writing to a String cannot fail.
        let _ = writeln!(self.about, "  {name:<19}{about} ({bytes} bytes{replaced})");
        self.entries.push(Entry { name, text });
    }

    /// Returns all texts, with one about them in front.
    fn finish(self, now: &str, secrets: &Secrets) -> Vec<Entry> {
        let mut text = format!(
            "Bundle of mcp-relay diagnose, {now}\n\n{}\nSecrets are replaced by {MASK}; those of fewer than {MIN_LEN} characters are not looked for within texts.\n",
            self.about
        );
        for file in &secrets.unread {
            let _ = writeln!(text, "Not read, so that its secrets are not known: {file}");
        }
        let text = self.redaction.text(&text);
        [vec![Entry { name: "README.txt", text }], self.entries].concat()
    }
}

async fn collect(bundle: &mut Bundle, args: &Diagnose, snapshot: &Snapshot) {
    bundle.add("platform.txt", "version, platform, clock", &facts::platform());
    bundle.add("configuration.txt", "variables without secrets", &facts::configuration(snapshot));
    bundle.add_document("files.json", "modes of the configured files", &facts::files(snapshot));
    bundle.add_document(
        "certificates.json",
        "certificates in the configured files",
        &facts::certificates(snapshot),
    );
    // Before the doctor, whose questions would be in the metrics.
    let Answers { requests, status, metrics } = server::ask(snapshot).await;
    output::note("Running the doctor: a slave's backends are started for it and stopped again.");
    let started = Instant::now();
    let report = doctor::examine(args.mode, snapshot, doctor::Format::ExplainedJson).await.json();
    let took = millis(started.elapsed());
    bundle.add_document("doctor.json", "report of mcp-relay doctor", &report);
    let network = json!({ "doctorMs": took, "server": requests, "steps": network_steps(&report) });
    bundle.add_document("network.json", "path and time of each step of the network", &network);
    bundle.add_document("status.json", "status of the running server", &status);
    bundle.add("metrics.txt", "metrics of the running server", &metrics);
    bundle.add("log.txt", "last lines of the log", &logs::tail(args.log.as_deref()).await);
}

/// Returns the steps of the report that are about the network, without explanations.
fn network_steps(report: &Value) -> Value {
    let steps = report["steps"].as_array().into_iter().flatten();
    let of_network = |step: &&Value| {
        step["ms"].is_number() || step["step"].as_str().is_some_and(|name| NETWORK_STEPS.contains(&name))
    };
    let short = |step: &Value| json!({ "step": step["step"], "state": step["state"], "ms": step["ms"], "text": step["text"] });
    steps.filter(of_network).map(short).collect()
}
