//! The binary as a child process whose log lines can be waited for. Knows no log phrase.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Longest wait for a line or for the end of a child.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A running child process. Dropping it kills and reaps the process.
pub(crate) struct Server {
    child: Child,
    incoming: Receiver<String>,
    lines: Vec<String>,
}

impl Server {
    /// Starts the binary with exactly these variables and reads its standard error.
    pub(crate) fn start(args: &[&str], env: &[(&str, &str)]) -> Self {
        let mut child = command(args, env).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let stream = child.stderr.take().unwrap();
        Self::new(child, stream)
    }

    /// Starts the binary and reads its standard output.
    pub(crate) fn start_on_stdout(args: &[&str], env: &[(&str, &str)]) -> Self {
        let mut child = command(args, env).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let stream = child.stdout.take().unwrap();
        Self::new(child, stream)
    }

    fn new(child: Child, stream: impl Read + Send + 'static) -> Self {
        let (sender, incoming) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, incoming, lines: Vec::new() }
    }

    /// Waits for a line with `phrase` and returns the first one.
    pub(crate) fn wait_for(&mut self, phrase: &str) -> String {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            if let Some(line) = self.lines.iter().find(|line| line.contains(phrase)) {
                return line.clone();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.incoming.recv_timeout(left);
            let line =
                line.unwrap_or_else(|error| panic!("no {phrase:?} ({error}):\n{}", self.lines.join("\n")));
            self.lines.push(line);
        }
    }

    /// Waits for `phrase` and returns the `host:port` after it.
    pub(crate) fn address(&mut self, phrase: &str) -> String {
        let line = self.wait_for(phrase);
        line.split_once(phrase).unwrap().1.split_whitespace().next().unwrap().to_owned()
    }

    /// Sends SIGINT.
    pub(crate) fn interrupt(&self) {
        self.signal(Signal::SIGINT);
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    /// Sends SIGINT again and again until the process is gone.
    pub(crate) fn interrupt_until_it_ends(&mut self) {
        let deadline = Instant::now() + TIMEOUT;
        while self.child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "it does not end:\n{}", self.lines.join("\n"));
            self.interrupt();
            if let Ok(line) = self.incoming.recv_timeout(Duration::from_millis(20)) {
                self.lines.push(line);
            }
        }
    }

    /// Waits for the end and returns the exit code. All lines are read then.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        let deadline = Instant::now() + TIMEOUT;
        // The stream closes when the process, and every process that inherited the stream, has ended.
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.incoming.recv_timeout(left) {
                Ok(line) => self.lines.push(line),
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => {
                    return self.child.wait().unwrap().code();
                }
                Err(error) => panic!("it does not end ({error}):\n{}", self.lines.join("\n")),
            }
        }
    }

    /// The lines that were read so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A child that has ended by itself is only reaped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(args: &[&str], env: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcp-relay"));
    command.args(args).env_clear().envs(env.iter().copied()).stdin(Stdio::null());
    command
}
