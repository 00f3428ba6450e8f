//! Facts about this program, machine and environment. Asks no server.

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::SystemTime;

use runtime::env::{Content, Secrecy, Snapshot, misspelt};
use runtime::io_fault::describe;
use runtime::moment;
use runtime::tls::certificate_info;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};

use crate::reference::TABLES;
use crate::version;

/// Files that say what the machine is, each with what it is called here.
const MACHINE: [(&str, &str); 6] = [
    ("kernel", "/proc/sys/kernel/osrelease"),
    ("uptime and idle seconds", "/proc/uptime"),
    ("load", "/proc/loadavg"),
    ("memory limit of the container", "/sys/fs/cgroup/memory.max"),
    ("CPU limit of the container", "/sys/fs/cgroup/cpu.max"),
    ("control group", "/proc/self/cgroup"),
];

/// Lines of files that matter, each with its file.
const LINES: [(&str, &str); 6] = [
    ("PRETTY_NAME=", "/etc/os-release"),
    ("MemTotal:", "/proc/meminfo"),
    ("MemAvailable:", "/proc/meminfo"),
    ("Max open files", "/proc/self/limits"),
    ("Max processes", "/proc/self/limits"),
    ("Seccomp:", "/proc/self/status"),
];

/// There once a clock was set by a time server (systemd-timesyncd).
const CLOCK_IS_SET: &str = "/run/systemd/timesync/synchronized";

/// Returns version, platform and clock.
pub(super) fn platform() -> String {
    let mut text = format!("mcp-relay {}\n\n", version::long());
    let mut row = |name: &str, value: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name}: {}", value.trim().replace('\n', "; "));
    };
    row("time (UTC)", &moment::text(SystemTime::now()));
    let is_set = if Path::new(CLOCK_IS_SET).exists() { "yes" } else { "not known (no systemd-timesyncd)" };
    row("clock set by a time server", is_set);
    row("processors", &std::thread::available_parallelism().map_or(0, usize::from).to_string());
    row("user and group", &format!("{} {}", nix::unistd::geteuid(), nix::unistd::getegid()));
    for (name, path) in MACHINE {
        if let Ok(value) = fs::read_to_string(path) {
            row(name, &value);
        }
    }
    for (start, path) in LINES {
        let content = fs::read_to_string(path).unwrap_or_default();
        if let Some(line) = content.lines().find(|line| line.starts_with(start)) {
            row(path, line);
        }
    }
    text
}

/// Returns the variables that are set: values of those that are declared and no secret, names of all others.
pub(super) fn configuration(snapshot: &Snapshot) -> String {
    let mut text = String::from("# Variables of mcp-relay that are set. All others have their defaults.\n");
    let declared = TABLES.iter().copied().flatten();
    for var in declared.clone() {
        let Some(value) = var.value_in(snapshot) else { continue };
        let shown = if var.secrecy == Secrecy::Secret { "(a secret, set)" } else { value };
        let _ = writeln!(text, "{}={shown}", var.name);
    }
    text.push_str("\n# Other variables that are set, by name.\n");
    for name in snapshot.names().filter(|name| !declared.clone().any(|var| var.is_named(name))) {
        let _ = writeln!(text, "{name}");
    }
    for warning in misspelt(snapshot, &TABLES) {
        let _ = writeln!(text, "\n# {warning}");
    }
    text
}

/// Returns what the configured paths lead to: kind, mode, owner, size, and whether this process can read it.
pub(super) fn files(snapshot: &Snapshot) -> Value {
    let mut list = Vec::new();
    for var in TABLES.iter().copied().flatten().filter(|var| var.content != Content::Setting) {
        // AUDIT_LOG may be a stream.
        let path = var.value_in(snapshot).filter(|path| !["stdout", "stderr"].contains(path));
        if let Some(path) = path {
            let secrets = var.content == Content::SecretFile;
            list.push(json!({ "variable": var.name, "path": path, "holdsSecrets": secrets, "is": file(Path::new(path)) }));
        }
    }
    list.into()
}

fn file(path: &Path) -> Value {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => return json!({ "error": describe(&error) }),
    };
    let mode = |metadata: &fs::Metadata| format!("{:04o}", metadata.permissions().mode() & 0o7777);
    let folder = path.parent().and_then(|folder| fs::metadata(folder).ok());
    let is_file = metadata.is_file();
    let read = if is_file { fs::File::open(path).map(|_| ()) } else { Ok(()) };
    json!({
        "kind": if is_file { "file" } else if metadata.is_dir() { "folder" } else { "other" },
        "mode": mode(&metadata),
        "folderMode": folder.as_ref().map(mode),
        "owner": metadata.uid(),
        "group": metadata.gid(),
        "bytes": metadata.len(),
        "changed": metadata.modified().ok().map(moment::text),
        "readable": read.as_ref().err().map_or(json!(true), |error| json!(describe(error))),
    })
}

/// Returns the certificates in the configured files: names, expiry, chain. Files of keys are not opened for it.
pub(super) fn certificates(snapshot: &Snapshot) -> Value {
    let mut list = Vec::new();
    for var in TABLES.iter().copied().flatten().filter(|var| var.content == Content::File) {
        let Some(content) = var.value_in(snapshot).and_then(|path| fs::read(path).ok()) else { continue };
        let chain: Vec<CertificateDer<'_>> =
            CertificateDer::pem_slice_iter(&content).filter_map(Result::ok).collect();
        if let Ok(info) = certificate_info(&chain) {
            let now = SystemTime::now();
            list.push(json!({
                "variable": var.name,
                "certificates": chain.len(),
                "names": info.names,
                "notAfter": moment::text(info.not_after),
                "is": info.expiry_text(now),
                "selfSigned": info.self_signed,
                "chained": info.chained,
            }));
        }
    }
    list.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_declared_values_that_are_no_secrets_are_shown() {
        let snapshot = Snapshot::of([
            ("MCP_SERVER_PORT", "9000"),
            ("AUTH_BEARER_KEYS", "hush-hush"),
            ("https_proxy", "http://u:pw@h"),
            ("MCP_SERVER_PROT", "1"),
            ("OTHER", "value-of-another"),
        ]);
        let text = configuration(&snapshot);
        assert!(text.contains("\nMCP_SERVER_PORT=9000\n") && text.contains("\nOTHER\n"), "{text}");
        assert!(
            text.contains("AUTH_BEARER_KEYS=(a secret, set)") && text.contains("HTTPS_PROXY=(a"),
            "{text}"
        );
        for hidden in ["hush", "pw@", "value-of-another"] {
            assert!(!text.contains(hidden), "{text}");
        }
        assert!(text.contains("MCP_SERVER_PROT") && text.contains("# "), "{text}");
    }

    #[test]
    fn files_are_told_with_their_modes_and_faults() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("codes");
        fs::write(&path, "x").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let missing = folder.path().join("none");
        let (path, missing) = (path.to_str().unwrap(), missing.to_str().unwrap());
        let found =
            files(&Snapshot::of([("SLAVE_CODES_FILE", path), ("ROUTES", missing), ("AUDIT_LOG", "stderr")]));
        let of = |name: &str| found.as_array().unwrap().iter().find(|file| file["variable"] == name).cloned();
        assert_eq!(of("SLAVE_CODES_FILE").unwrap()["is"]["mode"], "0640");
        assert_eq!(of("SLAVE_CODES_FILE").unwrap()["holdsSecrets"], true);
        assert!(of("ROUTES").unwrap()["is"]["error"].is_string() && of("AUDIT_LOG").is_none(), "{found}");
    }
}
