//! The binary `mcp-relay`: reads the command line, runs the subcommand, and turns its result into an exit code.
//!
//! The services live in crates of their own; here are the command line, the doctor, the demo, the health check, the status
//! printer and a small MCP client.

mod call;
mod cli;
mod command_error;
mod connect;
mod demo;
mod diagnose;
mod digest;
mod doctor;
mod health;
mod http;
mod import;
mod install;
mod local_server;
mod mcp;
mod mode;
mod output;
mod pages;
mod policy;
mod reference;
mod routes;
mod series;
mod serve;
mod status;
mod up;
mod users;
mod version;

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use runtime::config::{LogFormat, log_format};
use runtime::env::Snapshot;
use runtime::telemetry::fatal_line;

use call::CallOutput;
use cli::{Cli, Command, DoctorMode, Format};
use command_error::{CommandError, FAILED, USAGE};
use health::Question;
use mode::Mode;
use output::Text;

/// The allocator of the binary: a call makes some dozens of small allocations, many of them freed by another thread. What a burst used goes
/// back to the system while the process idles (`.cargo/config.toml`). Other systems have their own.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Exit code of `mcp-relay call` for a result with `isError`.
const TOOL_FAILED: u8 = 2;

/// Longest time that blocking tasks of the runtime may delay the exit.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    if let Some(args) = launcher_args() {
        return slave::launcher::main(args);
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // It quotes the arguments, which a script may have from anybody.
        Err(error) if error.use_stderr() => return fail(USAGE, error.render().to_string().trim_end()),
        Err(help) => {
            // Help that cannot be written cannot be reported either.
            let _ = help.print();
            return ExitCode::SUCCESS;
        }
    };
    match cli.env_help {
        Some(Format::Text) => return print(reference::terminal()),
        Some(Format::Markdown) => return print(reference::markdown()),
        None => {}
    }
    if cli.metrics_help {
        return print(series::document());
    }
    slave::launcher::turn_huge_pages_off();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(FAILED, &format!("the async runtime cannot start: {error}")),
    };
    let code = runtime.block_on(run(cli.command, &Snapshot::of_process()));
    runtime.shutdown_timeout(SHUTDOWN_TIMEOUT);
    code
}

/// Returns the arguments of the launcher, if it is asked for more than its help. It must start before there is any other
/// thread, and it stays for as long as its backend: so it starts before everything else, and needs none of it.
fn launcher_args() -> Option<impl Iterator<Item = OsString>> {
    let mut args = std::env::args_os().skip(1).peekable();
    args.next_if(|name| name == slave::launcher::SUBCOMMAND)?;
    let help = args.peek().is_none_or(|first| first == "--help" || first == "-h");
    (!help).then_some(args)
}

async fn run(command: Option<Command>, snapshot: &Snapshot) -> ExitCode {
    let result = match command {
        None => match Mode::of(snapshot) {
            Ok(mode) => return serve(mode, snapshot).await,
            Err(problems) => return fail_service(Mode::default(), snapshot, &problems.into()),
        },
        Some(Command::Proxy) => return serve(Mode::Proxy, snapshot).await,
        Some(Command::Slave) => return serve(Mode::Slave, snapshot).await,
        Some(Command::Doctor { steps: true, .. }) => Ok(print(doctor::steps())),
        Some(Command::Doctor { mode, json, explain, .. }) => {
            Ok(examine(mode, doctor::Format::of(json, explain), snapshot).await)
        }
        Some(Command::Diagnose(args)) => diagnose::run(args, snapshot).await.map(print),
        Some(Command::Routes { command }) => routes::run(command, snapshot).await.map(print),
        Some(Command::Policy { command }) => policy::run(command, snapshot).map(print),
        Some(Command::Demo) => match demo::run().await {
            Ok(()) => Ok(ExitCode::SUCCESS),
            Err(error) => Err(error.context("the demo failed").into()),
        },
        Some(Command::Status(args)) => status::run(&args, snapshot).await.map(|()| ExitCode::SUCCESS),
        Some(Command::Health { ready }) => {
            let asked = if ready { Question::Ready } else { Question::Alive };
            health::check(asked, snapshot)
                .await
                .map(|text| print(format!("{text}\n")))
                .map_err(CommandError::Failed)
        }
        Some(Command::Call(args)) => call::run(args, snapshot).await.map(exit_code_of_call),
        Some(Command::ExecBackend(cli::ExecBackend { command })) => {
            Err(CommandError::Config(format!("exec-backend must be the first argument, before {command:?}")))
        }
        Some(Command::Users { command }) => users::run(command, snapshot).map(print),
        Some(Command::Up(args)) => return serve_prepared(Mode::Standalone, up::up(&args, snapshot)).await,
        Some(Command::Share(args)) => return serve_prepared(Mode::Slave, up::share(&args, snapshot)).await,
        Some(Command::Import(args)) => import::run(&args, snapshot).map(print),
        Some(Command::Connect(args)) => connect::run(args, snapshot).await.map(print),
        Some(Command::Digest(args)) => digest::run(args, snapshot).await.map(print),
        Some(Command::Completions(args)) => Ok(print(pages::completions(args))),
        Some(Command::Man(args)) => pages::man(&args).map(print).map_err(CommandError::Failed),
        Some(Command::Install { folder }) => install::into(&folder)
            .map(|path| print(format!("{}\n", path.display())))
            .map_err(CommandError::Failed),
    };
    result.unwrap_or_else(|error| fail(error.exit_code(), &error.to_string()))
}

/// Runs the doctor and prints what it finds.
async fn examine(mode: Option<DoctorMode>, format: doctor::Format, snapshot: &Snapshot) -> ExitCode {
    let report = doctor::examine(mode, snapshot, format).await;
    report.finish();
    if report.is_good() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }
}

/// Runs a service. An error that keeps it from running is written in the format of its log.
async fn serve(mode: Mode, snapshot: &Snapshot) -> ExitCode {
    match serve::run(mode, snapshot).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail_service(mode, snapshot, &error),
    }
}

/// Runs a service in an environment that a command line made.
async fn serve_prepared(mode: Mode, prepared: Result<up::Prepared, CommandError>) -> ExitCode {
    match prepared {
        Ok(prepared) => {
            output::note(prepared.intro.trim_end());
            serve(mode, &prepared.snapshot).await
        }
        Err(error) => fail(error.exit_code(), &error.to_string()),
    }
}

fn fail_service(mode: Mode, snapshot: &Snapshot, error: &CommandError) -> ExitCode {
    let text = error.to_string();
    match log_format(snapshot) {
        LogFormat::Text => output::note(text),
        LogFormat::Json => output::note(Text::json(&fatal_line(mode.service(), &text))),
    }
    ExitCode::from(error.exit_code())
}

/// Prints the outcome of `mcp-relay call` and returns its exit code.
fn exit_code_of_call(outcome: CallOutput) -> ExitCode {
    match outcome {
        CallOutput::Answered(text) => print(text),
        CallOutput::NothingListed(text) => {
            output::note(
                "no tool is listed: no slave or backend is ready yet, or this client may see none (see mcp-relay status and mcp-relay doctor)",
            );
            print(text)
        }
        CallOutput::ToolFailed(text) => {
            print(text);
            ExitCode::from(TOOL_FAILED)
        }
        CallOutput::SomeFailed(text) => {
            print(text);
            ExitCode::from(FAILED)
        }
    }
}

/// Writes `text` to standard output and returns success, also where the reader is gone.
fn print(text: impl Into<Text>) -> ExitCode {
    output::print(text);
    ExitCode::SUCCESS
}

/// Writes `text` to standard error and returns `code`.
fn fail(code: u8, text: &str) -> ExitCode {
    output::note(text);
    ExitCode::from(code)
}
