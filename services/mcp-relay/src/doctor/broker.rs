//! Checks of the OAuth broker as a client would meet it: the way from its first request to the metadata of the authorization server, and the
//! paths that the metadata name. Must not know issuers of others.

use ::proxy::config::BrokerConfig;
use runtime::outbound::OutboundRules;
use runtime::tokens::{Discovered, Fetcher};
use url::Url;

use super::issuers::{self, ABSENT, CLOSED, Server};
use super::report::{Fault, Report};

const STEP: &str = "OAuth broker";

/// What leads nowhere where an ingress keeps paths to itself.
const ROUTE: &str = "have what stands before this proxy send /oauth/ and /.well-known/, and all below them, to this proxy, too";

/// Walks the way of a client that has no token, if the proxy runs.
pub(super) async fn examine(
    report: &mut Report,
    config: &BrokerConfig,
    ways: &OutboundRules,
    server: Server,
) {
    let (resource, issuer) = (config.settings.url.resource(), config.settings.url.issuer());
    report.note(STEP, format!("clients register and users sign in at {issuer} (PUBLIC_URL)"));
    match server {
        Server::Running => {
            issuers::walk(report, resource, ways).await;
            report.step(STEP, authorization_server(issuer, ways).await);
        }
        Server::Closed => report.skipped(STEP, CLOSED),
        Server::Absent => report.skipped(STEP, ABSENT),
    }
}

/// Reads the metadata of the authorization server as clients do, and asks at one of the paths that they name.
async fn authorization_server(issuer: &str, ways: &OutboundRules) -> Result<((), String), Fault> {
    let fetcher = Fetcher::new(None, ways.clone());
    let found = Discovered::fetch(&fetcher, issuer).await;
    let found = found.map_err(|error| Fault::new(format!("{issuer}: {error}"), ROUTE))?;
    if found.registration_endpoint.is_none() {
        let what = format!("{issuer} has metadata without a registration_endpoint: another server answers");
        return Err(Fault::new(what, ROUTE));
    }
    let keys = found.jwks_uri.as_deref().and_then(|url| Url::parse(url).ok());
    let keys = keys.ok_or_else(|| Fault::new(format!("{issuer} has metadata without a jwks_uri"), ROUTE))?;
    match fetcher.get(&keys).await {
        Ok(_) => Ok(((), format!("metadata at {issuer} lead to endpoints that this proxy answers"))),
        Err(error) => Err(Fault::new(format!("{keys}: {error}"), ROUTE)),
    }
}
