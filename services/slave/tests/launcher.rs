//! Tests of the launcher by itself: whose end it follows, and how it ends what is below it.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "tests")]

mod harness;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use harness::{fixture, is_alive, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// A shell that ignores SIGTERM, with a child in a session of its own that ignores it too. Both write their ids.
const STUBBORN: &str = r#"trap "" TERM
setsid sh -c 'trap "" TERM; echo $$ > "$0/child"; while :; do sleep 1000; done' "$0" < /dev/null > /dev/null 2>&1 &
echo $$ > "$0/own"
while :; do sleep 1000; done"#;

/// Starts a launcher with this process as its parent.
fn launch(script: &str, folder: &TempDir) -> Child {
    launch_below(std::process::id(), script, folder)
}

fn launch_below(parent: u32, script: &str, folder: &TempDir) -> Child {
    use std::os::unix::process::CommandExt;
    let plan = format!(r#"{{"parent":{parent},"confinement":{{"On":{{"limits":{{}},"ports":{{}}}}}}}}"#);
    let mut command = Command::new(fixture("exec_backend"));
    command.args(["exec-backend", "--plan", &plan, "--", "sh", "-c", script]).arg(folder.path());
    command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
}

/// Waits for the ids that [`STUBBORN`] writes.
async fn ids(folder: &TempDir) -> [String; 2] {
    let read = |name| std::fs::read_to_string(folder.path().join(name)).unwrap_or_default();
    until(|| read("own").ends_with('\n') && read("child").ends_with('\n')).await;
    ["own", "child"].map(|name| read(name).trim().to_owned())
}

#[tokio::test]
async fn all_processes_are_killed_on_demand_also_those_that_ignore_sigterm() {
    let folder = tempfile::tempdir().unwrap();
    let mut launcher = launch(STUBBORN, &folder);
    let ids = ids(&folder).await;
    signal(&launcher, Signal::SIGTERM);
    assert!(ids.iter().all(|id| is_alive(id)), "both ignore it");
    signal(&launcher, Signal::SIGUSR1);
    until(|| launcher.try_wait().unwrap().is_some()).await;
    assert!(!ids.iter().any(|id| is_alive(id)), "nothing is left when the launcher is gone");
}

/// Returns whether the backend of a launcher with this plan may have transparent huge pages.
fn huge_pages_of_backend(plan: &str) -> String {
    let mut command = Command::new(fixture("exec_backend"));
    command.args([
        "exec-backend",
        "--plan",
        plan,
        "--",
        "sed",
        "-n",
        "s/^THP_enabled:\\s*//p",
        "/proc/self/status",
    ]);
    String::from_utf8(command.stdin(Stdio::null()).output().unwrap().stdout).unwrap().trim().to_owned()
}

#[test]
fn a_backend_has_huge_pages_though_its_slave_has_turned_them_off_for_itself() {
    let confinement = r#""confinement":{"On":{"limits":{},"ports":{}}}"#;
    let (plain, again) =
        (format!("{{{confinement}}}"), format!(r#"{{"huge_pages":"OnAgain",{confinement}}}"#));
    assert_eq!(huge_pages_of_backend(&plain), "1");
    // Inherited by the launchers, as from a slave.
    nix::sys::prctl::set_thp_disable(true).unwrap();
    let seen = [huge_pages_of_backend(&plain), huge_pages_of_backend(&again)];
    nix::sys::prctl::set_thp_disable(false).unwrap();
    assert_eq!(seen, ["0", "1"], "off where the slave's own starter wants it so");
}

#[tokio::test]
async fn a_launcher_that_is_killed_takes_its_backend_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut launcher = launch("echo $$ > \"$0/own\"; echo x > \"$0/child\"; exec sleep 1000", &folder);
    let [own, _] = ids(&folder).await;
    launcher.kill().unwrap();
    launcher.wait().unwrap();
    until(|| !is_alive(&own)).await;
}

#[tokio::test]
async fn the_end_of_the_thread_that_started_it_does_not_end_a_launcher() {
    let folder = tempfile::tempdir().unwrap();
    let start = || launch("while read line; do echo \"$line\"; done; exit 3", &folder);
    // The parent-death signal is sent at the end of this thread.
    let mut launcher = std::thread::scope(|scope| scope.spawn(start).join().unwrap());
    let end = Instant::now() + Duration::from_millis(300);
    let mut lines = BufReader::new(launcher.stdout.take().unwrap()).lines();
    let mut stdin = launcher.stdin.take().unwrap();
    while Instant::now() < end {
        std::io::Write::write_all(&mut stdin, b"ping\n").unwrap();
        assert_eq!(lines.next().unwrap().unwrap(), "ping");
    }
    drop(stdin);
    assert_eq!(launcher.wait().unwrap().code(), Some(3));
}

#[tokio::test]
async fn a_launcher_whose_slave_is_gone_already_starts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let launcher = launch_below(1, "echo $$ > \"$0/own\"", &folder);
    let output = launcher.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(125), "{text}");
    assert!(text.contains("the slave is gone already"), "{text}");
    assert!(!folder.path().join("own").exists());
}
