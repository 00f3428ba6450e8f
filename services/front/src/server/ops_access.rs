//! Access to the operators' endpoints: origin, host, key and role. Must not know what the endpoints answer.

use axum::http::request::Parts;
use policy::Role;
use protocol::mcp::failure::Failure;
use runtime::ops::AuthPolicy;

use crate::config::EdgeConfig;
use crate::http::client_address::ClientAddress;
use crate::http::guard::{
    Audience, authenticate, check_certificate, check_host, check_origin, check_own_page, check_page_key,
};
use crate::principal::Credential;

/// Paths that the status page reads. Its views of the log and of codes, certificates and rules need the role for the whole API.
const STATUS_PAGE: [&str; 4] = ["/api/v1/status", "/api/v1/slaves", "/api/v1/calls", "/api/v1/catalog"];

/// Returns who sent a request, if an endpoint with this policy is for them.
pub(super) fn check_access(
    config: &EdgeConfig,
    access: AuthPolicy,
    client: ClientAddress,
    head: &Parts,
) -> Result<Credential, Failure> {
    let sender = check_sender(config, access, client, head)?;
    check_role(config, access, head.uri.path(), &sender)?;
    Ok(sender)
}

/// Checks origin and host of browsers' requests and the key, as far as the policy asks for them.
fn check_sender(
    config: &EdgeConfig,
    access: AuthPolicy,
    client: ClientAddress,
    head: &Parts,
) -> Result<Credential, Failure> {
    let headers = &head.headers;
    if access == AuthPolicy::Open {
        return Ok(Credential::ANONYMOUS);
    }
    check_origin(config, headers)?;
    check_host(config, Audience::Operators, &head.uri, headers)?;
    match access {
        AuthPolicy::Open => return Ok(Credential::ANONYMOUS),
        AuthPolicy::Page => return check_page_key(config, headers).map(|()| Credential::ANONYMOUS),
        AuthPolicy::Operate => check_own_page(headers)?,
        AuthPolicy::Key => {}
    }
    // A certificate opens nothing here; roles may ask for one beside the key.
    let certificate = check_certificate(config, &head.extensions)?;
    let credential = authenticate(config, Audience::Operators, client.connection, headers)?;
    Ok(Credential { certificate, ..credential })
}

/// Checks whether the policy gives an operator a role for the endpoint at this path.
fn check_role(
    config: &EdgeConfig,
    access: AuthPolicy,
    path: &str,
    sender: &Credential,
) -> Result<(), Failure> {
    let roles: &[Role] = match (access, path) {
        (AuthPolicy::Open | AuthPolicy::Page, _) => return Ok(()),
        (AuthPolicy::Operate, _) => &[Role::Operate],
        (AuthPolicy::Key, "/metrics") => &[Role::Metrics],
        (AuthPolicy::Key, path) if STATUS_PAGE.contains(&path) => &[Role::Api, Role::Ui],
        (AuthPolicy::Key, _) => &[Role::Api],
    };
    let sender = sender.requester();
    let is_allowed = match &config.policy {
        Some(policy) => {
            let policy = policy.current();
            roles.iter().any(|role| policy.allows_operator(*role, &sender))
        }
        None => access != AuthPolicy::Operate,
    };
    if is_allowed {
        return Ok(());
    }
    Err(Failure::Forbidden(match access {
        AuthPolicy::Operate => {
            "this operator may not operate: the role operate in the section operators of POLICY has to name it"
        }
        _ => "the policy gives this operator no role for this endpoint (POLICY)",
    }
    .into()))
}
