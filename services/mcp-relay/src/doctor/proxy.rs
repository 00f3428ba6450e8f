//! Checks of a proxy: configuration, secrets, certificates and ports, and the slaves of one that runs already.

use ::proxy::Setup;
use ::proxy::access::Codes;
use ::proxy::config::{ProxyConfig, SlaveMode};
use runtime::env::Snapshot;
use runtime::secret::KeyOrigin;
use runtime::tls::{CertificateUse, ServerTls};

use super::issuers::{self, Server};
use super::port::{self, Listener, Ports};
use super::report::Report;
use super::{access, broker, certificate, configuration, ways};
use crate::mode::Mode;

/// Runs all checks of a proxy of this environment.
pub(super) async fn examine(report: &mut Report, snapshot: &Snapshot) {
    let loaded = match Setup::load(snapshot) {
        Ok(loaded) => loaded,
        Err(problems) => {
            configuration::report_problems(report, &problems);
            return configuration::skip_rest(report);
        }
    };
    let config = &loaded.config.config;
    report.good("configuration", "every variable can be used");
    // Codes and key are reported in steps of their own.
    let others: Vec<String> = loaded
        .warnings
        .iter()
        .filter(|w| !w.starts_with("SLAVE_CODES is empty") && !w.starts_with("SESSION_KEY is not set"))
        .cloned()
        .collect();
    configuration::report_warnings(report, &others, snapshot);
    secrets(report, &loaded.config);
    certificates(report, config);
    ways::examine(report, &config.common);
    let tls = if config.common.ops.port.is_some() { &config.tls.ops } else { &config.tls.http };
    let ports = Ports::of(&config.common, tls.as_ref().map(|files| files.certificate.as_path()));
    let listener = port::http(report, &ports, Mode::Proxy).await;
    let server = match (&listener, config.tls.client_certificates) {
        (Some(Listener::Running(_)), Some(CertificateUse::Required)) => Server::Closed,
        (Some(Listener::Running(_)), _) => Server::Running,
        _ => Server::Absent,
    };
    match listener {
        Some(Listener::Running(state)) => {
            port::readiness(report, &state);
            slaves(report, state["slaves"].as_u64());
            report.skipped("WebSocket port", "the running server has it");
        }
        Some(Listener::Free) | None => port::check_free(report, "WebSocket port", &config.ws).await,
    }
    issuers::examine(report, &config.common, server).await;
    if let Some(broker) = &config.broker {
        broker::examine(report, broker, &config.common.ways, server).await;
    }
}

fn secrets(report: &mut Report, Setup { config, codes_file, .. }: &Setup) {
    let codes = Codes::new(&config.slave_codes, codes_file.as_ref()).len();
    match codes {
        0 => report.bad(
            "slave codes",
            "SLAVE_CODES and SLAVE_CODES_FILE have none: no slave can connect",
            "set SLAVE_CODES to one or more codes, separated by commas, for example from: openssl rand -hex 16",
        ),
        count => report.good("slave codes", format!("{count} accepted")),
    }
    match config.common.session.keys.seal().origin() {
        KeyOrigin::Given => report.good("session key", "SESSION_KEY is set"),
        KeyOrigin::Random => report.warn(
            "session key",
            "SESSION_KEY is not set: sessions end with the process, and replicas do not know each other's",
        ),
    }
    let certificates = config.tls.client_certificates;
    let others = access::OtherCredentials { certificates, broker: config.broker.is_some() };
    access::examine(report, &config.common, others);
    if config.slave_mode == SlaveMode::Single && codes > 1 {
        report.warn("slave mode", "SLAVE_MODE=single with several codes: slaves will replace each other");
    }
}

/// Reports the proxy's certificate, and the ports that do not use TLS.
fn certificates(report: &mut Report, config: &ProxyConfig) {
    let files = config.tls.http.as_ref().or(config.tls.ws.as_ref());
    let Some(tls) = files.and_then(|files| ServerTls::load(files.clone()).ok()) else {
        return report.note(
            "TLS",
            "not used on either port: put something before them that does, or set TLS_CERT and TLS_KEY",
        );
    };
    certificate::check(report, "TLS certificate", &tls.certificate());
    for (port, files) in [("clients", &config.tls.http), ("slaves", &config.tls.ws)] {
        if files.is_none() {
            report.note("TLS", format!("the {port}' port is plain (TLS_HTTP, TLS_WS)"));
        }
    }
    if config.tls.ws.as_ref().is_some_and(|files| files.client_roots.is_some()) {
        report.good("slave certificates", "asked for (TLS_CLIENT_CA)");
    }
}

fn slaves(report: &mut Report, count: Option<u64>) {
    match count {
        Some(0) => report.bad(
            "slaves",
            "the running proxy has no slave",
            "start one with PROXY_SERVER_URL and SLAVE_CODE; on its machine run: mcp-relay doctor slave",
        ),
        Some(count) => report.good("slaves", format!("{count} connected")),
        None => report.warn("slaves", "the running server names no number of slaves: is it a proxy?"),
    }
}
