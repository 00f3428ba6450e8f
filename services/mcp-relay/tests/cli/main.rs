//! Tests of the binary as a process: command line, exit codes, doctor, health check, demo, calls. Knows nothing of the
//! services.

#![allow(clippy::unwrap_used, reason = "tests")]

mod call;
mod command_line;
mod connect;
mod demo;
mod doctor;
mod install;
mod pages;
mod server;
mod service_manager;
mod signals;
mod up;

use std::process::{Command, Output};

pub(crate) const CODE: &str = "code-that-must-not-be-shown";

/// Runs the binary with exactly these variables until it exits.
pub(crate) fn run(args: &[&str], env: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcp-relay"));
    command.args(args).env_clear().envs(env.iter().copied()).output().unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

pub(crate) fn proxy_env<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut env = vec![
        ("PROXY_MODE", "1"),
        ("SLAVE_CODES", CODE),
        ("MCP_SERVER_PORT", "0"),
        ("PROXY_WS_HOST", "127.0.0.1"),
        ("PROXY_WS_PORT", "0"),
        // Calls without a slave fail at once.
        ("START_WINDOW", "0"),
    ];
    env.extend_from_slice(more);
    env
}

pub(crate) fn slave_env<'a>(url: &'a str, code: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("PROXY_SLAVE", "1"),
        ("SLAVE_CODE", code),
        ("PROXY_SERVER_URL", url),
        ("MCP_SERVER_PORT", "0"),
        ("DEMO_TOOLS", "1"),
    ]
}
