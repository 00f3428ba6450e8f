//! Explanations of the rate limits that a client's calls of a tool meet. Must not know how they are enforced.

use runtime::keys::Key;

use super::file::Routes;
use crate::config::Rate;

/// A client and a tool whose limits are asked for.
#[derive(Clone, Debug, Default)]
pub struct LimitsRequest {
    /// Name of the client's key; `None`: a client that shows none.
    pub key: Option<String>,
    /// The clients' and the slaves' name of the tool; `None`: something else than a tool.
    pub tool: Option<[String; 2]>,
    /// `RATE_LIMIT_CLIENT`.
    pub client_rate: Option<Rate>,
    /// `RATE_LIMIT_TOOL`.
    pub tool_rate: Option<Rate>,
}

/// A rate limit, and where it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Whose calls it counts, `client` or `tool`.
    pub of: &'static str,
    /// The rate.
    pub rate: Rate,
    /// The section of the `ROUTES` file, or the variable.
    pub from: String,
}

/// Returns the rate limits that a client's calls meet: at most one of the client and one of the tool.
pub fn explain_limits(routes: &Routes, asked: &LimitsRequest) -> Vec<RateLimit> {
    let identity = asked.key.as_deref().map(Key::identity_of_name);
    let is_own = |name: &str| {
        let keys = routes.clients.get(name);
        identity.is_some_and(|identity| keys.is_some_and(|keys| keys.contains(&identity)))
    };
    let limits = &routes.limits;
    let own = limits.clients.iter().find(|(name, _)| is_own(name));
    let client = match (own, limits.other_clients) {
        (Some((name, rate)), _) => Some((*rate, format!("limits.clients.{name} of ROUTES"))),
        (None, Some(rate)) => Some((rate, "limits.clients.default of ROUTES".to_owned())),
        (None, None) => asked.client_rate.map(|rate| (rate, "RATE_LIMIT_CLIENT".to_owned())),
    };
    let tool = asked.tool.as_ref().and_then(|[shown, own]| {
        let of_file = limits.of_tool([shown, own]).map(|rate| (rate, "limits.tools of ROUTES".to_owned()));
        of_file.or_else(|| Some((asked.tool_rate?, "RATE_LIMIT_TOOL".to_owned())))
    });
    let limit = |of, found: Option<(Rate, String)>| found.map(|(rate, from)| RateLimit { of, rate, from });
    limit("client", client).into_iter().chain(limit("tool", tool)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_particular_limit_of_client_and_tool_is_named_with_its_place() {
        let routes = Routes::parse(
            "clients: { ci: [key:ci] }\nlimits:\n  clients: { ci: 5/s, default: 2/s }\n  tools: [{ tool: deploy, rate: 1/m }]\n",
        )
        .unwrap();
        let rate = |text| Some(Rate::parse(text).unwrap());
        let of = |routes: &Routes, key: Option<&str>, tool: Option<&str>| {
            let tool = tool.map(|tool| ["shown".to_owned(), tool.to_owned()]);
            let (key, client_rate, tool_rate) = (key.map(str::to_owned), rate("7/s"), rate("9/s"));
            let all = explain_limits(routes, &LimitsRequest { key, tool, client_rate, tool_rate });
            all.iter().map(|one| format!("{} {} {}", one.of, one.rate, one.from)).collect::<Vec<_>>()
        };
        assert_eq!(
            of(&routes, Some("ci"), Some("deploy")),
            ["client 5/s limits.clients.ci of ROUTES", "tool 1/m limits.tools of ROUTES"]
        );
        assert_eq!(
            of(&routes, Some("cd"), Some("search")),
            ["client 2/s limits.clients.default of ROUTES", "tool 9/s RATE_LIMIT_TOOL"]
        );
        assert_eq!(of(&Routes::default(), None, None), ["client 7/s RATE_LIMIT_CLIENT"]);
        assert_eq!(explain_limits(&Routes::default(), &LimitsRequest::default()), []);
    }
}
