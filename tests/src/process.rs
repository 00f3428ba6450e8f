//! The built binary as a child process: environment, signals, exit, and its log.
//!
//! Knows nothing of what the program does with its environment.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::wait;

/// Lines of a process so far, from standard output and standard error.
#[derive(Clone, Debug, Default)]
pub struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn push(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }

    /// All lines so far.
    pub fn text(&self) -> String {
        self.0.lock().unwrap().join("\n")
    }

    /// Number of lines so far: the `from` of [`Self::wait_for_after`].
    pub fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// Whether nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of lines that contain `needle`.
    pub fn count(&self, needle: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|line| line.contains(needle)).count()
    }

    /// Waits for a line that contains `needle` and returns the first one.
    pub async fn wait_for(&self, needle: &str) -> String {
        self.wait_for_after(needle, 0).await
    }

    /// Waits for a line that contains `needle`, from line `from` on, and returns the first one.
    pub async fn wait_for_after(&self, needle: &str, from: usize) -> String {
        let what = format!("log line with {needle:?}");
        wait::until(&what, async || {
            self.0.lock().unwrap().iter().skip(from).find(|line| line.contains(needle)).cloned()
        })
        .await
    }
}

/// A running child process. Dropping it kills and reaps the process, and prints its log if the test fails.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    /// What it has written. All of it once [`Self::exit`] has returned.
    pub log: Log,
    /// Read its standard output and standard error into the log, and end with them.
    readers: [JoinHandle<()>; 2],
}

impl Process {
    /// Starts the relay with `args` and exactly these variables.
    pub fn relay(name: &str, args: &[&str], env: &[(String, String)]) -> Self {
        let mut command = Command::new(binary());
        command.args(args).env_clear().envs(env.iter().map(|(k, v)| (k, v)));
        // Commands on PATH can become backends, so the PATH of the machine is not passed on.
        if !env.iter().any(|(key, _)| key == "PATH") {
            command.env("PATH", "/usr/bin:/bin");
        }
        Self::start(name, command)
    }

    /// Starts any command with its standard input closed.
    pub fn start(name: &str, mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        let log = Log::default();
        let output = follow(child.stdout.take().unwrap(), log.clone());
        let errors = follow(child.stderr.take().unwrap(), log.clone());
        Self { name: name.to_owned(), child, log, readers: [output, errors] }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal; the process may already be gone.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        let _ = kill(pid, signal);
    }

    /// Waits until the process has exited and all that it wrote is in its log.
    pub async fn exit(&mut self, limit: Duration) -> ExitStatus {
        let what = format!("{} to exit", self.name);
        let child = &mut self.child;
        let status = wait::until_within(&what, limit, async || child.try_wait().unwrap()).await;
        let what = format!("the end of what {} and its children write", self.name);
        let readers = &self.readers;
        wait::until(&what, async || readers.iter().all(JoinHandle::is_finished).then_some(())).await;
        status
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Resident memory in bytes.
    pub fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS in /proc/PID/status");
        let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib * 1024
    }

    /// Open file descriptors.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // `kill` sends SIGKILL, which ends a stopped process too.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- log of {} ---\n{}\n---", self.name, self.log.text());
        }
    }
}

fn follow(from: impl Read + Send + 'static, log: Log) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
            log.push(String::from_utf8_lossy(&line).into_owned());
        }
    })
}

/// Path of the binary: `MCP_RELAY_BIN`, or the one of this profile, which is built first.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| std::env::var_os("MCP_RELAY_BIN").map_or_else(build, PathBuf::from))
}

/// Folder of this profile's binaries, `target/<profile>`, for tests (in its `deps`) as for binaries.
pub fn profile_folder() -> PathBuf {
    let own = std::env::current_exe().expect("a running program");
    let folder = own.parent().expect("programs stand in folders");
    let folder = if folder.ends_with("deps") { folder.parent().expect("target/<profile>") } else { folder };
    folder.to_owned()
}

fn build() -> PathBuf {
    let folder = profile_folder();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    // The whole workspace, as the Makefile selects it: with another selection, dependencies would have other features and be compiled again.
    command.args(["build", "--quiet", "--workspace", "--bin", "mcp-relay", "--manifest-path"]);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"));
    if folder.ends_with("release") {
        command.arg("--release");
    }
    let status = command.status().expect("cargo runs");
    assert!(status.success(), "the relay does not build");
    folder.join("mcp-relay")
}
