//! Which crate may depend on which, by their manifests; `imports` reads the code itself.

use crate::source::{self, has_word, read};

/// Crate, its folder, and those of ours that it may import.
pub(crate) const CRATES: [(&str, &str, &[&str]); 9] = [
    ("protocol", "services/protocol", &[]),
    ("runtime", "services/runtime", &[]),
    ("policy", "services/policy", &["protocol", "runtime"]),
    ("front", "services/front", &["protocol", "runtime", "policy"]),
    ("broker", "services/broker", &["protocol", "runtime"]),
    ("link", "services/link", &["protocol", "runtime"]),
    ("proxy", "services/proxy", &["protocol", "runtime", "policy", "front", "broker", "link"]),
    ("slave", "services/slave", &["protocol", "runtime", "policy", "front", "link"]),
    (
        "mcp-relay",
        "services/mcp-relay",
        &["protocol", "runtime", "policy", "front", "broker", "link", "proxy", "slave"],
    ),
];

/// Names in `[dependencies]` and `[build-dependencies]`; tests may know more.
fn dependencies(manifest: &str) -> Vec<String> {
    let mut section = "";
    let mut names = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
        } else if section.ends_with("dependencies]")
            && !section.starts_with("[dev-")
            && !line.starts_with('#')
        {
            names.extend(
                line.split(['.', '=', ' ']).next().filter(|name| !name.is_empty()).map(str::to_owned),
            );
        }
    }
    names
}

#[test]
fn crates_depend_only_downwards() {
    let ours: Vec<&str> = CRATES.iter().map(|(name, ..)| *name).collect();
    for (name, folder, allowed) in CRATES {
        for dependency in dependencies(&read(&format!("{folder}/Cargo.toml"))) {
            let bare = dependency.trim_start_matches("mcp-relay-");
            let known = !ours.contains(&bare) || allowed.contains(&bare);
            assert!(known, "{name} must not depend on {dependency}: see docs/ARCHITECTURE.md");
        }
    }
}

#[test]
fn the_protocol_has_no_runtime_no_socket_and_no_clock() {
    let found = dependencies(&read("services/protocol/Cargo.toml"));
    for banned in ["tokio", "axum", "hyper", "tokio-tungstenite", "tracing", "metrics", "getrandom", "rand"] {
        assert!(!found.iter().any(|name| name == banned), "protocol must not depend on {banned}");
    }
    for file in source::all().iter().filter(|file| file.path.starts_with("services/protocol/src/")) {
        for banned in [
            "tokio",
            "std::net",
            "std::fs",
            "std::thread",
            "std::env",
            "Instant::now",
            "SystemTime::now",
            "println!",
        ] {
            assert!(
                !has_word(file.shipped(), banned),
                "{}: {banned} has no place in the protocol",
                file.path
            );
        }
    }
}

#[test]
fn dependencies_are_read_in_every_form() {
    let manifest = "[package]\nname = \"x\"\n[dependencies]\nfront.workspace = true\nproxy = { path = \"p\" }\n# slave\n[dev-dependencies]\nslave = \"1\"\n";
    assert_eq!(dependencies(manifest), ["front", "proxy"]);
}
