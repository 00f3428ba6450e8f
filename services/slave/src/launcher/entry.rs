//! The launcher's command line. Must not know how a backend is confined or ended.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use nix::sys::prctl;

use super::error::LaunchError;
use super::plan::{
    CONFINED, CommandLine, ERROR_PREFIX, GUARD, HugePages, OWN_PROGRAM, PLAN, PROCESS_NAME, Plan,
    START_FAILED, SUBCOMMAND,
};
use super::{confine, guard};

/// Runs the launcher with the arguments behind `exec-backend`, and returns its exit code: that of the backend, or 125 where
/// the backend could not be started. Ends by the signal that ended the backend. Must be called from the only thread of the
/// process.
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    match run(args) {
        Ok(code) => code,
        Err(error) => {
            // A reader that is gone needs no reason.
            let _ = writeln!(io::stderr(), "{ERROR_PREFIX}{error}");
            ExitCode::from(START_FAILED)
        }
    }
}

/// Turns transparent huge pages off for the guard and starts it again: with them the allocator's first touch costs 4 MiB in
/// every guard. Returns the plan where they are off already, or cannot be turned off.
fn without_huge_pages(mut plan: Plan, command: &CommandLine) -> Result<Plan, LaunchError> {
    if plan.huge_pages == HugePages::OnAgain {
        return Ok(plan);
    }
    if prctl::get_thp_disable().unwrap_or(true) {
        plan.huge_pages = HugePages::Off;
        return Ok(plan);
    }
    if prctl::set_thp_disable(true).is_ok() {
        let text = serde_json::to_string(&plan)?;
        let mut again = Command::new(OWN_PROGRAM);
        again
            .arg0(PROCESS_NAME)
            .args([SUBCOMMAND, GUARD, &text, "--"])
            .arg(&command.program)
            .args(&command.args);
        // Returns only if it failed; then the guard costs some memory more.
        drop(again.exec());
    }
    Ok(plan)
}

fn run(mut args: impl Iterator<Item = OsString>) -> Result<ExitCode, LaunchError> {
    let first = args.next().ok_or(LaunchError::Usage)?;
    let stage = first.to_str().filter(|option| [PLAN, GUARD, CONFINED].contains(option)).map(str::to_owned);
    let plan: Plan = match &stage {
        None => Plan::default(),
        Some(_) => serde_json::from_str(args.next().ok_or(LaunchError::Usage)?.to_string_lossy().as_ref())?,
    };
    let separator = if stage.is_some() { args.next() } else { Some(first) };
    if separator.is_none_or(|text| text != "--") {
        return Err(LaunchError::Usage);
    }
    let program = args.next().ok_or(LaunchError::Usage)?;
    let command = CommandLine { program, args: args.collect() };
    match stage.as_deref() {
        Some(CONFINED) => Err(confine::become_backend(&plan, command)),
        Some(GUARD) => guard::run(plan, command),
        _ => guard::run(without_huge_pages(plan, &command)?, command),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(args: &[&str]) -> String {
        run(args.iter().map(OsString::from)).map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn a_command_line_without_a_command_is_refused() {
        for args in
            [&[][..], &["--"], &["ls"], &["--plan"], &["--plan", "{}"], &["--other", "{}", "--", "ls"]]
        {
            let text = error(args);
            assert!(text.starts_with("usage:") || text.contains("plan cannot be read"), "{args:?}: {text}");
        }
    }
}
