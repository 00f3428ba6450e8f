//! Checks of access tokens as a client would meet them: its first request, the metadata of this server, and that of each issuer. Knows no mode.

use runtime::config::CommonConfig;
use runtime::outbound::OutboundRules;
use runtime::tokens::{Discovered, Fetcher, Issuer, KeyLocation, Probe};
use serde_json::Value;
use url::Url;

use super::report::{Fault, Report};

const STEP: &str = "access tokens";

/// Why nobody is asked.
pub(super) const ABSENT: &str = "no server of this environment runs: start it, and run the doctor again";

/// Why a server that runs is not asked.
pub(super) const CLOSED: &str = "TLS_HTTP_CLIENT_CERT=required: the server answers nobody without a certificate, and the doctor has none; a client gets its 401 only after it showed one";

/// Whether a server of this environment runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Server {
    /// It runs: it is asked as clients ask it.
    Running,
    /// It runs, and answers nobody who shows no certificate (`TLS_HTTP_CLIENT_CERT=required`), of which the doctor has none.
    Closed,
    /// It does not.
    Absent,
}

/// Walks the way of a client that has no token: to `PUBLIC_URL`, if a server runs, and to each issuer.
pub(super) async fn examine(report: &mut Report, common: &CommonConfig, server: Server) {
    let Some(config) = &common.access.issuers else { return };
    report.note(STEP, format!("tokens must be for {} (PUBLIC_URL)", config.resource));
    match server {
        Server::Running => walk(report, &config.resource, &config.ways).await,
        Server::Closed => report.skipped(STEP, CLOSED),
        Server::Absent => report.skipped(STEP, ABSENT),
    }
    for issuer in config.issuers.issuers() {
        report.step("issuer", examine_issuer(issuer, &config.ways).await);
    }
}

/// Asks `PUBLIC_URL` as a client does that was never there before.
pub(super) async fn walk(report: &mut Report, resource: &str, ways: &OutboundRules) {
    let fetcher = Fetcher::new(None, ways.clone());
    let Ok(public) = Url::parse(resource) else { return };
    let probe = match fetcher.probe(&public).await {
        Ok(probe) => probe,
        Err(error) => {
            // Not every network lets a machine reach itself by its public name.
            return report.warn(STEP, format!("{public} cannot be asked from this machine: {error}"));
        }
    };
    let Some(metadata) = report.step(STEP, metadata_url(resource, &probe)) else { return };
    let read = match fetcher.probe(&metadata).await {
        Ok(probe) => check_metadata(resource, &metadata, &probe),
        Err(error) => Err(Fault::new(format!("{metadata} cannot be asked: {error}"), ROUTE)),
    };
    report.step(STEP, read);
}

const ROUTE: &str = "have what stands before this server send /.well-known/oauth-protected-resource, and all below it, to this server, too";

/// Returns where the answer to a request without a token leads.
fn metadata_url(public: &str, probe: &Probe) -> Result<(Url, String), Fault> {
    if let Some(to) = &probe.location {
        let what = format!(
            "{public} redirects to {to}: clients follow no redirect with a POST, or lose their token"
        );
        return Err(Fault::new(
            what,
            "set PUBLIC_URL to the URL that answers by itself (https, with or without the slash at its end), and give that one to clients",
        ));
    }
    if probe.status != 401 {
        let what = format!("{public} answers status {} to a request without a token, not 401", probe.status);
        return Err(Fault::new(
            what,
            "see that PUBLIC_URL leads to this server, and restart it with this environment",
        ));
    }
    let challenge = probe.challenge.as_deref().unwrap_or_default();
    let named = challenge.split("resource_metadata=\"").nth(1).and_then(|rest| rest.split('"').next());
    let Some(metadata) = named.and_then(|url| Url::parse(url).ok()) else {
        let what = format!("{public} answers 401 without metadata (resource_metadata in WWW-Authenticate)");
        return Err(Fault::new(
            what,
            "see that no login of an ingress answers in this server's place, and that none removes the header; restart the server with this environment",
        ));
    };
    if Url::parse(public).is_ok_and(|public| public.origin() != metadata.origin()) {
        let what = format!("the metadata is said to be at {metadata}, another origin than that of {public}");
        return Err(Fault::new(
            what,
            "restart the server with this PUBLIC_URL: scheme, host and port as clients use them",
        ));
    }
    Ok((metadata, format!("{public} answers 401 and leads to its metadata")))
}

fn check_metadata(public: &str, url: &Url, probe: &Probe) -> Result<((), String), Fault> {
    if probe.status != 200 {
        return Err(Fault::new(format!("{url} answers status {}", probe.status), ROUTE));
    }
    let document: Value = serde_json::from_slice(&probe.body).unwrap_or_default();
    let resource = document["resource"].as_str().unwrap_or_default();
    if resource.trim_end_matches('/') != public.trim_end_matches('/') {
        let what = format!("the metadata names the resource {resource:?}, not {public}");
        return Err(Fault::new(what, "restart the server with this PUBLIC_URL"));
    }
    Ok(((), format!("the metadata at {url} names this server and its issuers")))
}

/// Reads the metadata of an issuer as clients do, whatever this server needs of it.
async fn examine_issuer(issuer: &Issuer, ways: &OutboundRules) -> Result<((), String), Fault> {
    let name = issuer.identifier();
    let fetcher = Fetcher::new(issuer.ca().cloned(), ways.clone());
    let found = Discovered::fetch(&fetcher, name).await;
    let found = match (found, issuer.keys()) {
        (Ok(found), _) => found,
        (Err(error), KeyLocation::File(_)) => {
            return Ok((
                (),
                format!("{name}: keys from jwks_file; not asked, as it is not reached from here ({error})"),
            ));
        }
        (Err(error), _) => {
            let fix = "compare issuer in AUTH_ISSUERS with \"issuer\" in the issuer's own metadata, letter by letter; see that this machine reaches it, and ca_file for its certificate";
            return Err(Fault::new(format!("{name}: {error}"), fix));
        }
    };
    let keys = if let KeyLocation::Url(url) = issuer.keys() { Some(url.clone()) } else { None };
    let keys = keys.or_else(|| Url::parse(found.jwks_uri.as_deref()?).ok());
    if let Some(url) = keys.filter(|_| !matches!(issuer.keys(), KeyLocation::File(_))) {
        let read = fetcher.get(&url).await;
        read.map_err(|error| {
            Fault::new(
                format!("{name}: its keys cannot be read: {error}"),
                "see that this machine reaches its jwks_uri",
            )
        })?;
    }
    if found.authorization_endpoint.is_none() || found.token_endpoint.is_none() {
        let fix = "name the issuer that signs users in; clients cannot get a token here";
        return Err(Fault::new(
            format!("{name}: its metadata has no authorization_endpoint or no token_endpoint"),
            fix,
        ));
    }
    if !found.code_challenge_methods_supported.iter().any(|method| method == "S256") {
        let fix = "have the issuer announce PKCE (code_challenge_methods_supported with S256): MCP clients go no further without it";
        return Err(Fault::new(format!("{name}: its metadata does not announce PKCE"), fix));
    }
    let registers = found.registration_endpoint.is_some() || found.client_id_metadata_document_supported;
    let clients = if registers {
        "clients register themselves"
    } else {
        "clients need an id that the issuer's operator gives them"
    };
    Ok(((), format!("{name}: metadata, keys and PKCE are there; {clients}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLIC: &str = "https://relay.example/mcp";

    fn probe(status: u16, challenge: &str, location: &str, body: &str) -> Probe {
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Probe { status, challenge: text(challenge), location: text(location), body: body.to_owned().into() }
    }

    #[test]
    fn each_way_to_lead_clients_astray_is_named_with_what_mends_it() {
        let good =
            "Bearer resource_metadata=\"https://relay.example/.well-known/oauth-protected-resource/mcp\"";
        let url = metadata_url(PUBLIC, &probe(401, good, "", "")).unwrap().0;
        assert_eq!(url.path(), "/.well-known/oauth-protected-resource/mcp");
        for (probe, says) in [
            (probe(308, "", "https://relay.example/mcp/", ""), "redirects to https://relay.example/mcp/"),
            (probe(200, "", "", ""), "status 200"),
            (probe(404, "", "", ""), "status 404"),
            (probe(401, "Basic realm=\"x\"", "", ""), "401 without metadata"),
            (probe(401, &good.replace("https", "http"), "", ""), "another origin"),
        ] {
            let fault = metadata_url(PUBLIC, &probe).unwrap_err();
            assert!(fault.what.contains(says) && !fault.fix.is_empty(), "{fault:?}");
        }
        let check = |status, body: &str| check_metadata(PUBLIC, &url, &probe(status, "", "", body));
        assert!(check(200, r#"{"resource":"https://relay.example/mcp"}"#).is_ok());
        assert!(check(404, "").unwrap_err().fix.contains("/.well-known/oauth-protected-resource"));
        assert!(check(200, "<html>").unwrap_err().what.contains("names the resource"));
        assert!(check(200, r#"{"resource":"http://relay.example/mcp"}"#).is_err());
    }
}
