//! `make bench`: measures what the relay costs, judges it by its targets and writes docs/BENCHMARKS.md.
//!
//! A benchmark, not a timed test: the exit code is non-zero only if something could not be measured or an answer was
//! wrong. Knows the relay only as a binary with environment variables and ports.

mod bounds;
mod client;
mod error;
mod fleet;
mod idle_slaves;
mod load;
mod machine;
mod nginx;
mod plot;
mod process;
mod program;
mod relay;
mod report;
mod request;
mod response;
mod sections;
mod stats;
mod stdio_server;
mod storm_slaves;
mod system_calls;
mod tls;
mod tunnel;

#[path = "../../src/delay.rs"]
#[expect(unreachable_pub, reason = "a part of the tests' harness")]
mod delay;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, ValueEnum};

use bounds::Bounds;
use report::{Chapter, Plot};
use sections::{
    Effort, against, arrangements, busy, calls, check, distance, flat, idle, kinds, large, storm,
};

/// Measures mcp-relay on this machine.
#[derive(Debug, Parser)]
struct Options {
    /// The mcp-relay binary to measure [default: beside this program].
    #[arg(long)]
    relay: Option<PathBuf>,
    /// Compare with this other mcp-relay binary, in turns, and do nothing else.
    #[arg(long, conflicts_with = "only")]
    against: Option<PathBuf>,
    /// A short run; its numbers are rough.
    #[arg(long)]
    quick: bool,
    /// Measure one section only.
    #[arg(long)]
    only: Option<Section>,
    /// Keep one relay busy for so many seconds, for a profiler, and do nothing else.
    #[arg(long, value_name = "SECONDS", conflicts_with_all = ["only", "against"])]
    busy: Option<u64>,
    /// Which of the report's shapes of call `--busy` makes, from 0.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(..calls::SHAPES.len() as i64))]
    shape: u8,
    /// Compare what a call costs with the bounds of this file, and fail where it is more.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["only", "against", "busy"])]
    check: Option<PathBuf>,
    /// Write what is measured to the file of `--check` as the new bounds.
    #[arg(long, requires = "check")]
    record: bool,
    /// Be a stdio MCP server with the tool `echo`, and do nothing else.
    #[arg(long, hide = true)]
    stdio_server: bool,
    /// Where a full run writes its report; short and partial runs only print.
    #[arg(long, default_value = "docs/BENCHMARKS.md")]
    out: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Section {
    /// CPU time, rate and latency of calls.
    Calls,
    /// CPU time of calls with other backends, and with TLS.
    Arrangements,
    /// Prompts, resources, elicitation and subscriptions.
    Kinds,
    /// Memory and small calls while a 50 MB result passes.
    Large,
    /// Results of several sizes where slave and proxy are far from each other.
    Distance,
    /// Memory of idle slaves and streams, and small calls beside them.
    Idle,
    /// Memory over many calls and abandoned sessions.
    Flat,
    /// Thousands of slaves that lose their proxy and come back.
    Storm,
}

impl Section {
    fn run(self, binary: &Path, effort: &Effort) -> error::Result<Chapter> {
        match self {
            Self::Calls => calls::run(binary, effort),
            Self::Arrangements => arrangements::run(binary, effort),
            Self::Kinds => kinds::run(binary, effort),
            Self::Large => large::run(binary, effort),
            Self::Distance => distance::run(binary, effort),
            Self::Idle => idle::run(binary, effort),
            Self::Flat => flat::run(binary, effort),
            Self::Storm => storm::run(binary, effort),
        }
    }
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    if options.stdio_server {
        return Ok(stdio_server::serve(std::io::stdin().lock(), std::io::stdout().lock())?);
    }
    let binary = match &options.relay {
        Some(binary) => binary.clone(),
        None => std::env::current_exe().context("finding this program")?.with_file_name("mcp-relay"),
    };
    anyhow::ensure!(
        binary.is_file(),
        "no mcp-relay binary to measure: build it with `cargo build --release`, or name one with --relay"
    );
    let effort = if options.quick { Effort::QUICK } else { Effort::FULL };
    if let Some(file) = &options.check {
        return options.check(&binary, &effort, file);
    }
    let facts = machine::facts();
    let chapters = options.measure(&binary, &effort)?;
    let text = report::render(&facts, &chapters);
    print!("{text}");
    if !options.is_full() {
        eprintln!("bench: a short or partial run, {} stays as it is", options.out.display());
        return Ok(());
    }
    let folder = options.out.parent().unwrap_or_else(|| Path::new(".")).join(Plot::FOLDER);
    for plot in chapters.iter().flat_map(|chapter| &chapter.plots) {
        let file = folder.join(plot.file);
        std::fs::write(&file, &plot.svg).with_context(|| format!("writing {}", file.display()))?;
    }
    std::fs::write(&options.out, text).with_context(|| format!("writing {}", options.out.display()))
}

impl Options {
    fn measure(&self, binary: &Path, effort: &Effort) -> error::Result<Vec<Chapter>> {
        if let Some(other) = &self.against {
            return Ok(vec![against::run(binary, other, effort)?]);
        }
        if let Some(seconds) = self.busy {
            let shape = calls::SHAPES[usize::from(self.shape)];
            return Ok(vec![busy::run(binary, shape, Duration::from_secs(seconds))?]);
        }
        let wanted = self.only.map_or_else(|| Section::value_variants().to_vec(), |only| vec![only]);
        wanted.into_iter().map(|section| section.run(binary, effort)).collect()
    }

    /// Judges what a call costs by the bounds of a file, or writes it to the file.
    fn check(&self, binary: &Path, effort: &Effort, file: &Path) -> anyhow::Result<()> {
        let measured = check::run(binary, effort)?;
        if self.record {
            Bounds::of(&measured).write(file)?;
        }
        let (table, exceeded) = Bounds::read(file)?.judge(&measured);
        print!("{table}");
        anyhow::ensure!(
            exceeded.is_empty(),
            "a call costs more than its bound in {}: {}. Where that is meant, run `make bench-check RECORD=1` and commit the file",
            file.display(),
            exceeded.join("; ")
        );
        Ok(())
    }

    /// Whether the run measures everything with full effort.
    fn is_full(&self) -> bool {
        !self.quick && self.only.is_none() && self.against.is_none() && self.busy.is_none()
    }
}
