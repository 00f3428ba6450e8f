//! The one binary: reads the command line, runs what it asks for, and turns the end into an exit code.
//!
//! Everything it runs lives in the services; here are the command line, the doctor, the demo, the health check
//! and a client.

mod call;
mod cli;
mod demo;
mod doctor;
mod health;
mod http;
mod install;
mod mcp;
mod mode;
mod own;
mod reference;
mod routes;
mod series;
mod serve;
mod status;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use runtime::env::Snapshot;

use call::Outcome;
use cli::{Cli, Command, Format};
use mode::Mode;
use serve::Stop;

/// A call makes some dozens of small allocations on threads that pass them on to each other: what this allocator is for.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Not as it should be, or failed at run time.
const FAILED: u8 = 1;

/// The tool says that it failed.
const TOOL_FAILED: u8 = 2;

/// `EX_USAGE` of sysexits.h: command line or configuration need correction.
const USAGE: u8 = 64;

/// How long blocking work may hold up the exit.
const LINGER: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Nowhere is left to report that the message could not be written.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    match cli.env_help {
        Some(Format::Text) => return print(&reference::terminal()),
        Some(Format::Markdown) => return print(&reference::markdown()),
        None => {}
    }
    if cli.metrics_help {
        return print(&series::document());
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(FAILED, &format!("the async runtime cannot start: {error}")),
    };
    let code = runtime.block_on(obey(cli.command, &Snapshot::of_process()));
    runtime.shutdown_timeout(LINGER);
    code
}

async fn obey(command: Option<Command>, snapshot: &Snapshot) -> ExitCode {
    match command {
        None => match Mode::of(snapshot) {
            Ok(mode) => serve(mode, snapshot).await,
            Err(problems) => fail(USAGE, &problems.to_string()),
        },
        Some(Command::Proxy) => serve(Mode::Proxy, snapshot).await,
        Some(Command::Slave) => serve(Mode::Slave, snapshot).await,
        Some(Command::Doctor { mode, json }) => {
            let format = if json { doctor::Format::Json } else { doctor::Format::Lines };
            let report = doctor::examine(mode, snapshot, format).await;
            report.finish();
            if report.is_good() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }
        }
        Some(Command::Routes { command }) => match routes::run(command, snapshot).await {
            Ok(text) => print(&text),
            Err(stop) => stopped(stop),
        },
        Some(Command::Demo) => match demo::run().await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(FAILED, &format!("the demo failed: {error:#}")),
        },
        Some(Command::Status(asked)) => match status::run(&asked, snapshot).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(Stop::Config(text)) => fail(USAGE, &text),
            Err(Stop::Failed(error)) => fail(FAILED, &format!("{error:#}")),
        },
        Some(Command::Health) => match health::ask(snapshot).await {
            Ok(text) => print(&format!("{text}\n")),
            Err(error) => fail(FAILED, &format!("{error:#}")),
        },
        Some(Command::Call(call)) => match call::run(call, snapshot).await {
            Ok(Outcome::Answered(text)) => print(&text),
            Ok(Outcome::ToolFailed(text)) => {
                print(&text);
                ExitCode::from(TOOL_FAILED)
            }
            Ok(Outcome::SomeFailed(text)) => {
                print(&text);
                ExitCode::from(FAILED)
            }
            Err(stop) => stopped(stop),
        },
        Some(Command::Install { folder }) => match install::into(&folder) {
            Ok(path) => print(&format!("{}\n", path.display())),
            Err(error) => fail(FAILED, &format!("{error:#}")),
        },
    }
}

fn stopped(stop: Stop) -> ExitCode {
    match stop {
        Stop::Config(text) => fail(USAGE, &text),
        Stop::Failed(error) => fail(FAILED, &format!("{error:#}")),
    }
}

async fn serve(mode: Mode, snapshot: &Snapshot) -> ExitCode {
    match serve::run(mode, snapshot).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(stop) => stopped(stop),
    }
}

/// To standard output; a reader that went away is no failure.
fn print(text: &str) -> ExitCode {
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn fail(code: u8, text: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{text}");
    ExitCode::from(code)
}
