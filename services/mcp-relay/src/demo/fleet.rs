//! The demo's child processes: this same binary as proxy and slaves, with nothing of the caller's environment.
//!
//! Knows the variables and the log phrases; nothing of MCP.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, anyhow};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::watch;
use tokio::time::timeout;

/// Most that a child may take to say or do something.
const PATIENCE: Duration = Duration::from_secs(15);

/// Most that a child may take to end after SIGTERM.
const GOODBYE: Duration = Duration::from_secs(5);

/// All processes that were started and not yet ended.
#[derive(Default)]
pub(super) struct Fleet {
    members: Vec<Member>,
}

struct Member {
    name: String,
    child: Child,
    log: watch::Receiver<Vec<String>>,
}

impl Fleet {
    /// Starts `mcp-relay <mode>` with exactly these variables.
    pub(super) fn start(&mut self, name: &str, mode: &str, env: &[(&str, &str)]) -> anyhow::Result<()> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(mode)
            .env_clear()
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let (lines, log) = watch::channel(Vec::new());
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(follow(stderr, lines));
        }
        self.members.push(Member { name: name.to_owned(), child, log });
        Ok(())
    }

    /// How many lines `name` has written: the `from` of [`Fleet::said`].
    pub(super) fn lines(&self, name: &str) -> anyhow::Result<usize> {
        Ok(self.member(name)?.log.borrow().len())
    }

    /// The first line from line `from` on of `name`'s log that contains `phrase`; waits until there is one.
    pub(super) async fn said(&self, name: &str, phrase: &str, from: usize) -> anyhow::Result<String> {
        let mut log = self.member(name)?.log.clone();
        let find = |lines: &Vec<String>| lines.iter().skip(from).find(|line| line.contains(phrase)).cloned();
        match timeout(PATIENCE, log.wait_for(|lines| find(lines).is_some())).await {
            Ok(Ok(lines)) => Ok(find(&lines).unwrap_or_default()),
            Ok(Err(_)) => Err(anyhow!("{name} ended early; its log:\n{}", self.log(name)?)),
            Err(_) => Err(anyhow!("{name} did not say {phrase:?} in time; its log:\n{}", self.log(name)?)),
        }
    }

    /// The address after `phrase` in `name`'s log, as `host:port`.
    pub(super) async fn address(&self, name: &str, phrase: &str) -> anyhow::Result<String> {
        let line = self.said(name, phrase, 0).await?;
        let rest = line.split_once(phrase).map(|(_, rest)| rest).unwrap_or_default();
        let address = rest.split(|c: char| c.is_whitespace() || c == '/').next().unwrap_or_default();
        Ok(address.to_owned())
    }

    /// Sends SIGKILL and waits until the process is gone.
    pub(super) async fn kill(&mut self, name: &str) -> anyhow::Result<()> {
        let index = self.members.iter().position(|member| member.name == name);
        let mut member = self.members.swap_remove(index.with_context(|| format!("no process {name}"))?);
        member.child.kill().await.with_context(|| format!("cannot kill {name}"))
    }

    /// Ends all of them, slaves first: SIGTERM, then SIGKILL for whoever does not go.
    pub(super) async fn end(&mut self) {
        while let Some(mut member) = self.members.pop() {
            if let Some(pid) = member.child.id().and_then(|id| i32::try_from(id).ok()) {
                // A process that is gone already needs no signal; it is reaped below.
                let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
            }
            if timeout(GOODBYE, member.child.wait()).await.is_err() {
                let _ = member.child.kill().await;
            }
        }
    }

    fn member(&self, name: &str) -> anyhow::Result<&Member> {
        self.members.iter().find(|member| member.name == name).with_context(|| format!("no process {name}"))
    }

    fn log(&self, name: &str) -> anyhow::Result<String> {
        Ok(self.member(name)?.log.borrow().join("\n"))
    }
}

/// Collects lines until the process closes its standard error.
async fn follow(stderr: ChildStderr, lines: watch::Sender<Vec<String>>) {
    let mut reader = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = reader.next_line().await {
        lines.send_modify(|all| all.push(line));
    }
}
