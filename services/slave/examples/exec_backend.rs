//! The launcher as a program of its own, as `mcp-relay exec-backend` is: for this crate's tests. Not shipped.

use std::process::ExitCode;

fn main() -> ExitCode {
    slave::launcher::main(std::env::args_os().skip(2))
}
