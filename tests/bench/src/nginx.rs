//! nginx as a plain reverse proxy before the same upstream: the cost of a call that is only forwarded.
//!
//! Configured for the lowest cost: one worker, keep-alive connections on both sides, no access log, and
//! buffers large enough that no body goes through a file.

use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::client::wait_for_echo;
use crate::error::{BenchError, Doing, Result};
use crate::load::single_thread;
use crate::process::Process;
use crate::tls::Target;

/// How the report describes the configuration.
pub(crate) const DESCRIPTION: &str =
    "`worker_processes 1`, upstream keep-alive, no access log, bodies buffered in memory";

/// A running nginx with its own prefix and configuration.
#[derive(Debug)]
pub(crate) struct Nginx {
    /// Master; its worker counts with it.
    pub(crate) process: Process,
    /// Address for clients.
    pub(crate) http: SocketAddr,
    _prefix: TempDir,
}

impl Nginx {
    /// Starts nginx before `upstream`; installs it where it is missing and apt can.
    pub(crate) fn start(upstream: SocketAddr) -> Result<Self> {
        let binary = find_or_install()?;
        let prefix = tempfile::tempdir().doing("making a temporary directory")?;
        // The port is free again when the listener drops; on loopback nobody takes it in between.
        let http = TcpListener::bind("127.0.0.1:0")
            .and_then(|free| free.local_addr())
            .doing("finding a free port")?;
        let file = prefix.path().join("nginx.conf");
        std::fs::write(&file, configuration(http, upstream)).doing("writing nginx.conf")?;
        let mut command = Command::new(binary);
        command.arg("-p").arg(prefix.path()).arg("-c").arg(&file).args(["-e", "error.log"]);
        let process = Process::start("nginx", &mut command, prefix.path().join("out.log"))?;
        single_thread()?.block_on(wait_for_echo(&Target::plain(http), Duration::from_secs(10)))?;
        Ok(Self { process, http, _prefix: prefix })
    }
}

/// Version of nginx, for example `nginx/1.22.1`, or "not found".
pub(crate) fn version() -> String {
    let output = find().and_then(|binary| Command::new(binary).arg("-v").output().ok());
    let text = output.map(|output| String::from_utf8_lossy(&output.stderr).into_owned()).unwrap_or_default();
    text.split_once(": ").map_or_else(|| "not found".to_owned(), |(_, version)| version.trim().to_owned())
}

fn configuration(http: SocketAddr, upstream: SocketAddr) -> String {
    let mut text = String::from(
        "worker_processes 1;\ndaemon off;\npid nginx.pid;\nevents { worker_connections 2048; }\nhttp {\n  access_log off;\n",
    );
    if nix::unistd::geteuid().is_root() {
        // The worker keeps its user, or it could not use the private prefix.
        text.insert_str(0, "user root;\n");
    }
    for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        let _ = writeln!(text, "  {kind}_temp_path {kind};");
    }
    let _ = write!(
        text,
        "  keepalive_requests 1000000000;
  client_max_body_size 64m;
  client_body_buffer_size 256k;
  upstream slave {{ server {upstream}; keepalive 64; keepalive_requests 1000000000; }}
  server {{
    listen {http};
    location / {{
      proxy_pass http://slave;
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";
      proxy_set_header Host $http_host;
      proxy_buffers 32 16k;
    }}
  }}
}}
"
    );
    text
}

fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(system).map(|dir| dir.join("nginx")).find(|file| file.is_file())
}

fn find_or_install() -> Result<PathBuf> {
    if let Some(binary) = find() {
        return Ok(binary);
    }
    eprintln!("nginx is missing: apt-get install -y --no-install-recommends nginx-light");
    let mut apt = Command::new("apt-get");
    apt.args(["install", "-y", "--no-install-recommends", "nginx-light"])
        .env("DEBIAN_FRONTEND", "noninteractive");
    let done = apt.stdin(Stdio::null()).stdout(Stdio::null()).status().is_ok_and(|status| status.success());
    find().filter(|_| done).ok_or_else(|| {
        BenchError::Process(
            "nginx is missing and could not be installed: install it and run again".to_owned(),
        )
    })
}
