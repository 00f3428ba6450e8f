//! Child processes of the demo: this binary as proxy and slaves, without the caller's environment. Knows nothing of MCP.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, anyhow};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::watch;
use tokio::time::timeout;

/// Longest wait for a log line of a child.
const STEP_TIMEOUT: Duration = Duration::from_secs(15);

/// Longest time that a child may take to end after SIGTERM.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// The processes that were started and not yet stopped.
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

    /// Number of lines that `name` has logged: the `from` of [`Fleet::wait_for_line`].
    pub(super) fn lines(&self, name: &str) -> anyhow::Result<usize> {
        Ok(self.member(name)?.log.borrow().len())
    }

    /// Waits for a line of `name`'s log, from line `from` on, that contains `phrase`.
    pub(super) async fn wait_for_line(
        &self,
        name: &str,
        phrase: &str,
        from: usize,
    ) -> anyhow::Result<String> {
        let mut log = self.member(name)?.log.clone();
        let find = |lines: &Vec<String>| lines.iter().skip(from).find(|line| line.contains(phrase)).cloned();
        match timeout(STEP_TIMEOUT, log.wait_for(|lines| find(lines).is_some())).await {
            Ok(Ok(lines)) => Ok(find(&lines).unwrap_or_default()),
            Ok(Err(_)) => Err(anyhow!("{name} ended early; its log:\n{}", self.log(name)?)),
            Err(_) => Err(anyhow!("{name} did not say {phrase:?} in time; its log:\n{}", self.log(name)?)),
        }
    }

    /// Waits for `phrase` in `name`'s log and returns the `host:port` after it.
    pub(super) async fn address(&self, name: &str, phrase: &str) -> anyhow::Result<String> {
        let line = self.wait_for_line(name, phrase, 0).await?;
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

    /// Stops all processes, slaves first: SIGTERM, then SIGKILL after a time limit.
    pub(super) async fn stop(&mut self) {
        while let Some(mut member) = self.members.pop() {
            if let Some(pid) = member.child.id().and_then(|id| i32::try_from(id).ok()) {
                // A process that has ended already is only reaped below.
                let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
            }
            if timeout(STOP_TIMEOUT, member.child.wait()).await.is_err() {
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
