//! Which way each connection out goes: directly, or through a forward proxy. Opens none.

use std::time::Instant;

use runtime::config::CommonConfig;
use runtime::outbound::{Channel, OutboundRules, Way};

use super::report::{Fault, Report};

/// Reports the way to a server. Returns whether there is one.
pub(super) fn report(report: &mut Report, server: &str, way: &Way) -> bool {
    if let Way::Unusable(proxy) = way {
        let fault = proxy.to(server);
        report.bad("way out", fault.what(), fault.fix());
        return false;
    }
    report.good("way out", format!("{server} is reached {way}"));
    true
}

/// Reports the tunnel to a server, where the way has one.
pub(super) fn step<T>(
    report: &mut Report,
    way: &Way,
    started: Instant,
    tunneled: Result<(T, String), Fault>,
) -> Option<T> {
    match (way, tunneled) {
        (Way::Through(_), tunneled) => report.timed("tunnel", started, tunneled),
        (_, tunneled) => tunneled.ok().map(|(stream, _)| stream),
    }
}

/// Reports the way to the server of an `http://` or `https://` URL, which is shown without path and credentials.
pub(super) fn url(report: &mut Report, what: &str, url: &url::Url, ways: &OutboundRules) {
    let channel = if url.scheme() == "https" { Channel::Tls } else { Channel::Plain };
    let (host, port) = (url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default());
    let server = format!("{what} ({}://{host}:{port})", url.scheme());
    self::report(report, &server, &ways.to(channel, host, port));
}

/// Reports the ways of every mode.
pub(super) fn examine(report: &mut Report, common: &CommonConfig) {
    if let Some(traces) = &common.traces {
        url(report, "the OTLP collector", &traces.endpoint, &common.ways);
    }
}
