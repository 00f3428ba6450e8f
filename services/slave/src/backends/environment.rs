//! The environment of a backend's process: a safe base, the way to the network, and what its configuration names; nothing
//! else of the slave's. Must not know what the processes are.

use std::ffi::OsString;
use std::path::PathBuf;

use tokio::process::Command;

use runtime::secret::Secret;
use runtime::traces::TraceContext;

use crate::config;

/// Variables of the slave that every backend inherits: what programs need to find other programs and to write text, and
/// how they reach the network: proxies and certificate authorities. Only a proxy's URL may hold a credential
/// ([`secrets`]).
pub const INHERITED: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "FTP_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "ftp_proxy",
    "no_proxy",
    "npm_config_proxy",
    "npm_config_https_proxy",
    "npm_config_noproxy",
    "NPM_CONFIG_PROXY",
    "NPM_CONFIG_HTTPS_PROXY",
    "NPM_CONFIG_NOPROXY",
    "PIP_PROXY",
    "NODE_USE_ENV_PROXY",
    "NODE_USE_SYSTEM_CA",
    "DENO_TLS_CA_STORE",
    "UV_NATIVE_TLS",
    "UV_SYSTEM_CERTS",
    "NODE_EXTRA_CA_CERTS",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "AWS_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
    "PIP_CERT",
    "npm_config_cafile",
    "NPM_CONFIG_CAFILE",
    "DENO_CERT",
    "CARGO_HTTP_CAINFO",
    "HTTPLIB2_CA_CERTS",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "NIX_SSL_CERT_FILE",
];

/// The first of [`INHERITED`] that names files or folders of certificates; so do all that follow.
const FIRST_OF_FILES: &str = "NODE_EXTRA_CA_CERTS";

/// Returns the slave's own values of [`INHERITED`].
fn inherited() -> impl Iterator<Item = (&'static str, OsString)> {
    INHERITED.iter().filter_map(|name| Some((*name, std::env::var_os(name)?)))
}

/// Returns the credentials within the inherited values.
pub(super) fn secrets() -> Vec<Secret> {
    let proxies = inherited().filter(|(name, _)| name.to_ascii_lowercase().ends_with("proxy"));
    proxies.flat_map(|(_, value)| config::secrets_in(&value.to_string_lossy())).collect()
}

/// Returns the files and folders of certificates that the inherited variables name, as far as they exist: a backend whose
/// files are restricted must be able to read what it is told to.
pub(super) fn certificates() -> Vec<PathBuf> {
    let of_files = inherited().skip_while(|(name, _)| !is_of_files(name));
    let paths = of_files.flat_map(|(_, value)| std::env::split_paths(&value).collect::<Vec<_>>());
    paths.filter(|path| path.is_absolute() && path.exists()).collect()
}

fn is_of_files(name: &str) -> bool {
    let place = |of: &str| INHERITED.iter().position(|name| *name == of);
    place(name) >= place(FIRST_OF_FILES)
}

/// Limits the command's environment to [`INHERITED`] and `own`; `own` wins where both have a name.
pub(super) fn restrict(command: &mut Command, own: &[(String, Secret)]) {
    command.env_clear();
    command.envs(inherited());
    for (name, value) in own {
        command.env(name, value.expose());
    }
}

/// Passes a trace context to the command, as the parent of its spans (OpenTelemetry, "Environment Variables as Context
/// Propagation Carriers").
pub(super) fn inherit(command: &mut Command, context: Option<&TraceContext>) {
    let Some(TraceContext { traceparent, tracestate }) = context else { return };
    command.env("TRACEPARENT", traceparent);
    if let Some(state) = tracestate {
        command.env("TRACESTATE", state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_certificates_stand_behind_all_others() {
        for name in [
            "SSL_CERT_FILE",
            "SSL_CERT_DIR",
            "NODE_EXTRA_CA_CERTS",
            "REQUESTS_CA_BUNDLE",
            "NIX_SSL_CERT_FILE",
        ] {
            assert!(is_of_files(name), "{name}");
        }
        for name in ["PATH", "HOME", "https_proxy", "NODE_USE_SYSTEM_CA", "UV_NATIVE_TLS"] {
            assert!(INHERITED.contains(&name) && !is_of_files(name), "{name}");
        }
    }
}
