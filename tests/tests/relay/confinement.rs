//! Backends are confined, and end with their slave: what they cannot read, what they may be limited to, and what becomes of
//! the processes that they start.

use std::path::Path;
use std::process::{Command, Output};

use harness::client::Client;
use harness::fixture::Fixture;
use harness::process::binary;
use harness::relay::{Proxy, Setup, Slave};
use harness::wait;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// Secret in the environment of the second backend.
const CANARY: &str = "canary-of-the-sibling";

/// A slave with two fixtures that try things out, `one__…` and `two__…`. Rules for the first.
struct Scene {
    proxy: Proxy,
    slave: Slave,
    fixture: Fixture,
    client: Client,
}

impl Scene {
    async fn start(confine: Value) -> Self {
        let (fixture, sibling) = (Fixture::default(), Fixture::default());
        let mut one = fixture.entry(&[("FIXTURE_PROBE", "1"), ("FIXTURE_PREFIX", "one_")]);
        one["confine"] = confine;
        let two = sibling.entry(&[("FIXTURE_PREFIX", "two_"), ("CANARY", CANARY)]);
        let path = fixture.write_backends(&json!({ "one": one, "two": two }));
        let proxy = Setup::proxy().start_proxy().await;
        let setup = Setup::slave("one", proxy.link).env("DEMO_TOOLS", "0").env("GITLAB_TOKEN", CANARY);
        let slave = setup.env("SLAVE_BACKENDS", path.to_str().unwrap()).start_slave().await;
        proxy.offers("one_read").await;
        proxy.offers("two_run").await;
        let client = Client::modern(proxy.http);
        // The sibling's folder is not needed for more than its process id.
        let pid = sibling.pids()[0];
        std::fs::write(fixture.folder().join("sibling"), pid.to_string()).unwrap();
        Self { proxy, slave, fixture, client }
    }

    async fn call(&self, tool: &str, arguments: Value) -> String {
        self.client.call(&format!("one_{tool}"), arguments).await.text().to_owned()
    }

    async fn read(&self, path: impl AsRef<Path>) -> String {
        self.call("read", json!({ "path": path.as_ref() })).await
    }

    fn sibling(&self) -> i32 {
        std::fs::read_to_string(self.fixture.folder().join("sibling")).unwrap().parse().unwrap()
    }

    /// Starts a process that left the backend's session and group.
    async fn detach(&self, name: &str) -> i32 {
        let path = self.fixture.folder().join(name);
        let pid = self.call("detach", json!({ "path": path })).await;
        pid.parse().unwrap_or_else(|_| panic!("{pid}"))
    }
}

/// Runs the launcher by hand.
fn launcher(args: &[&str]) -> Output {
    Command::new(binary()).arg("exec-backend").args(args).output().unwrap()
}

/// Runs the launcher with rules as a slave writes them.
fn launched_with(rules: &Value, command: &[&str]) -> Output {
    let mut all = json!({ "limits": {}, "ports": {} });
    for (key, value) in rules.as_object().unwrap() {
        all[key] = value.clone();
    }
    let plan = json!({ "confinement": { "On": all } }).to_string();
    launcher(&[&["--plan", plan.as_str(), "--"], command].concat())
}

/// Whether this kernel has Landlock for files.
fn has_landlock() -> bool {
    launched_with(&json!({ "files": { "read": [], "write": [] } }), &["true"]).status.success()
}

fn is_alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

async fn gone(what: &str, pid: i32) {
    wait::until(&format!("{what} to be gone"), async || (!is_alive(pid)).then_some(())).await;
}

/// Parent of a process.
fn parent(pid: i32) -> i32 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(") ").unwrap().1.split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_backend_reads_neither_its_slave_nor_a_sibling() {
    let scene = Scene::start(Value::Null).await;
    let (slave, sibling) = (scene.slave.pid(), scene.sibling());
    let mut hidden = vec![format!("/proc/{slave}/environ"), format!("/proc/{slave}/mem")];
    if has_landlock() {
        for pid in [sibling, parent(sibling)] {
            hidden.extend([format!("/proc/{pid}/environ"), format!("/proc/{pid}/mem")]);
        }
    }
    for path in hidden {
        let seen = scene.read(&path).await;
        assert!(seen.starts_with("error: Permission denied"), "{path}: {seen}");
    }
    let own = scene.read("/proc/self/environ").await;
    assert!(own.contains("FIXTURE_PROBE=1") && !own.contains(CANARY), "{own}");
    let ours = parent(scene.fixture.pids()[0]);
    assert_eq!(parent(ours), i32::try_from(slave).unwrap(), "the launcher is between slave and backend");
    let launcher = std::fs::read_to_string(format!("/proc/{ours}/environ")).unwrap();
    assert!(!launcher.contains(CANARY), "{launcher}");
}

#[tokio::test]
async fn without_confinement_a_sibling_can_be_read() {
    let scene = Scene::start(json!(false)).await;
    let seen = scene.read(format!("/proc/{}/environ", scene.sibling())).await;
    assert!(seen.contains(CANARY), "{seen}");
}

#[tokio::test]
async fn a_backend_cannot_signal_what_is_not_its_own() {
    let scene = Scene::start(Value::Null).await;
    let own = scene.fixture.pids()[0];
    assert_eq!(scene.call("signal", json!({ "pid": own })).await, "sent");
    let scoped = launched_with(&json!({}), &["sh", "-c", "kill -0 $PPID"]);
    if scoped.status.success() {
        // Before Linux 6.12.
        return;
    }
    for pid in [scene.slave.pid().cast_signed(), parent(own), scene.sibling()] {
        let seen = scene.call("signal", json!({ "pid": pid })).await;
        assert!(seen.starts_with("error: ") && seen.contains("not permitted"), "{pid}: {seen}");
    }
}

#[tokio::test]
async fn privileges_and_core_dumps_are_gone_and_limits_are_set() {
    let confine = json!({ "limits": { "memory": "1G", "files": 100, "cpu": 3600 } });
    let scene = Scene::start(confine).await;
    let status = scene.read("/proc/self/status").await;
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:\t")).unwrap();
    let effective = u64::from_str_radix(effective, 16).unwrap();
    for (capability, bit) in [("SYS_PTRACE", 19), ("SYS_ADMIN", 21), ("PERFMON", 38)] {
        assert_eq!(effective & 1 << bit, 0, "CAP_{capability}");
    }
    let limits = scene.read("/proc/self/limits").await;
    for (name, value) in [
        ("Max core file size", "0"),
        ("Max data size", "1073741824"),
        ("Max open files", "100"),
        ("Max cpu time", "3600"),
    ] {
        let line = limits.lines().find(|line| line.starts_with(name)).unwrap();
        let fields: Vec<&str> = line[name.len()..].split_whitespace().collect();
        assert_eq!((fields[0], fields[1]), (value, value), "{line}");
    }
}

#[tokio::test]
async fn processes_in_a_session_of_their_own_end_with_their_backend() {
    let scene = Scene::start(Value::Null).await;
    let detached = scene.detach("first").await;
    assert!(is_alive(detached));
    let ours = parent(scene.fixture.pids()[0]);
    assert_eq!(parent(detached), ours, "the launcher has adopted it");
    scene.client.call("one_die", json!({})).await;
    gone("the detached process", detached).await;
    gone("the launcher", ours).await;
    scene.slave.log.wait_for("it exited with code 7").await;
}

#[tokio::test]
async fn everything_ends_with_the_slave_also_when_it_is_killed() {
    for (signal, confine) in
        [(Signal::SIGTERM, Value::Null), (Signal::SIGKILL, Value::Null), (Signal::SIGKILL, json!(false))]
    {
        let mut scene = Scene::start(confine.clone()).await;
        let detached = scene.detach("first").await;
        let mut all = vec![detached, scene.sibling()];
        all.extend(scene.fixture.pids());
        let launchers: Vec<i32> = all[1..].iter().map(|pid| parent(*pid)).collect();
        all.extend(launchers);
        assert!(all.iter().all(|pid| is_alive(*pid)));
        scene.slave.signal(signal);
        scene.slave.exit(wait::TIMEOUT).await;
        for pid in all {
            gone(&format!("{pid} after {signal} with {confine}"), pid).await;
        }
        drop(scene.proxy);
    }
}

#[tokio::test]
async fn file_rules_leave_the_system_and_what_is_listed() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in ["open", "closed"] {
        std::fs::create_dir(at(name)).unwrap();
        std::fs::write(at(name).join("file"), "content").unwrap();
    }
    let rules = json!({ "files": { "read": [at("open")], "write": [] } });
    let cat = |name: &str| launched_with(&rules, &["cat", at(name).join("file").to_str().unwrap()]);
    if !has_landlock() {
        let output = cat("open");
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(125), "{text}");
        assert!(text.contains("confine.read") && text.contains("needs Landlock"), "{text}");
        return;
    }
    assert_eq!(cat("open").stdout, b"content", "{:?}", cat("open"));
    assert!(!cat("closed").status.success());
    let target = at("open").join("file");
    let script = format!("echo changed > '{}'", target.display());
    assert!(!launched_with(&rules, &["sh", "-c", &script]).status.success());
    let rules = json!({ "files": { "read": [], "write": [at("open")] } });
    assert!(launched_with(&rules, &["sh", "-c", &script]).status.success());
    assert_eq!(std::fs::read_to_string(target).unwrap(), "changed\n");
    let missing = launched_with(&json!({ "files": { "read": ["/no/such/folder"], "write": [] } }), &["true"]);
    let text = String::from_utf8_lossy(&missing.stderr);
    assert!(
        missing.status.code() == Some(125) && text.contains("\"/no/such/folder\" cannot be opened"),
        "{text}"
    );
}

#[tokio::test]
async fn port_rules_allow_what_is_listed() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let rules = json!({ "ports": { "connect": [], "bind": null } });
    if launched_with(&rules, &["true"]).status.code() == Some(125) {
        return;
    }
    for (ports, expected) in [(json!([]), "error: Permission denied"), (json!([address.port()]), "connected")]
    {
        let scene = Scene::start(json!({ "connect": ports })).await;
        let seen = scene.call("connect", json!({ "address": address.to_string() })).await;
        assert!(seen.starts_with(expected), "{ports}: {seen}");
    }
}

#[tokio::test]
async fn a_user_is_changed_or_refused_with_what_to_do() {
    let output = launched_with(&json!({ "uid": 65534 }), &["sh", "-c", "id -u; id -g; id -G"]);
    if nix::unistd::geteuid().is_root() {
        assert_eq!(String::from_utf8_lossy(&output.stdout), "65534\n65534\n65534\n", "{output:?}");
    } else {
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(125) && text.contains("confine.uid is not possible"), "{text}");
        assert!(text.contains("runs as root"), "{text}");
    }
}

#[test]
fn the_launcher_ends_as_its_backend_does() {
    use std::os::unix::process::ExitStatusExt;
    let output = launcher(&["--", "sh", "-c", "cat; echo out; echo err >&2; exit 7"]);
    assert_eq!(
        (output.status.code(), &*output.stdout, &*output.stderr),
        (Some(7), &b"out\n"[..], &b"err\n"[..])
    );
    let output = launcher(&["--", "sh", "-c", "kill -9 $$"]);
    assert_eq!(output.status.signal(), Some(9));
    let output = launcher(&["--", "no-such-command-anywhere"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(125));
    assert!(text.contains("\"no-such-command-anywhere\" is not found"), "{text}");
}

#[tokio::test]
async fn a_backend_that_cannot_be_started_says_why() {
    let fixture = Fixture::default();
    let mut ruled = fixture.entry(&[]);
    ruled["confine"] = json!({ "read": ["/no/such/folder"] });
    let servers = json!({ "missing": { "command": "no-such-command-anywhere" }, "ruled": ruled });
    let path = fixture.write_backends(&servers);
    let proxy = Setup::proxy().start_proxy().await;
    let setup = Setup::slave("one", proxy.link).env("SLAVE_BACKENDS", path.to_str().unwrap());
    let slave = setup.start_slave().await;
    let line = slave.log.wait_for("its command \"no-such-command-anywhere\" is not found").await;
    assert!(line.contains("backend"), "{line}");
    slave.log.wait_for("confine.read").await;
    let series = harness::metrics::Scrape::of(slave.http).await;
    assert!(series.text().contains("start_failed"), "{}", series.text());
}

#[tokio::test]
async fn a_bad_rule_is_refused_at_the_start() {
    let fixture = Fixture::default();
    let mut entry = fixture.entry(&[]);
    entry["confine"] = json!({ "reads": ["/"] });
    let path = fixture.write_backends(&json!({ "x": entry }));
    let proxy = Setup::proxy().start_proxy().await;
    let mut slave = Setup::slave("one", proxy.link).env("SLAVE_BACKENDS", path.to_str().unwrap()).spawn();
    assert_eq!(slave.exit(wait::TIMEOUT).await.code(), Some(64));
    assert!(slave.log.text().contains("entry \"x\", member \"confine.reads\""), "{}", slave.log.text());
}
