//! What each step of the doctor tries, what its failure means and what to do: for `doctor --explain` and
//! docs/operate/diagnose.md. Must not know what was found.

use std::fmt::Write;

/// The page with a section for each step.
const PAGE: &str = "docs/operate/diagnose.md";

/// The explanation of a step.
#[derive(Debug)]
pub(super) struct Explanation {
    step: &'static str,
    /// What the doctor does.
    pub(super) tried: &'static str,
    /// What it means where it is not good.
    pub(super) means: &'static str,
    /// What to do then.
    pub(super) advice: &'static str,
}

const fn step(
    step: &'static str,
    tried: &'static str,
    means: &'static str,
    advice: &'static str,
) -> Explanation {
    Explanation { step, tried, means, advice }
}

/// Every step, in the order in which people meet them.
const STEPS: &[Explanation] = &[
    step(
        "configuration",
        "Every variable of the environment was read as the server reads it, with the files that it names.",
        "The server would not start, or would start with a setting that is probably not meant.",
        "Set the variable to what is expected; docs/CONFIGURATION.md has all of them. A name that looks misspelt is one that nothing reads.",
    ),
    step(
        "everything else",
        "Nothing: the other steps need a configuration.",
        "The report is not complete.",
        "Correct the lines above and run the doctor again.",
    ),
    step(
        "slave codes",
        "The codes of SLAVE_CODES and SLAVE_CODES_FILE were counted.",
        "Without a code no slave can connect.",
        "Make one (openssl rand -hex 16), set it on the proxy, and give it to one slave as SLAVE_CODE.",
    ),
    step(
        "session key",
        "SESSION_KEY and SESSION_KEY_FILE were looked at.",
        "A random key ends all sessions with the process, and replicas do not know each other's sessions.",
        "Set the same SESSION_KEY, of at least 32 characters, on every replica of the proxy.",
    ),
    step(
        "client certificates",
        "TLS_HTTP_CLIENT_CA and TLS_HTTP_CLIENT_CERT were looked at.",
        "It says whether clients may or must show a certificate.",
        "With required, each client needs a certificate of that authority besides its key or token.",
    ),
    step(
        "client keys",
        "AUTH_BEARER_KEYS, AUTH_ISSUERS, OAUTH_BROKER, ALLOW_ANONYMOUS and the address of the port were compared.",
        "Whoever reaches the port may call every tool, or nobody but this machine and private networks may.",
        "Set AUTH_BEARER_KEYS, AUTH_ISSUERS or OAUTH_BROKER before the port is reachable by others.",
    ),
    step(
        "operators' keys",
        "OPS_KEYS was looked at.",
        "Keys of clients, or addresses nearby, read metrics, API and status page, too.",
        "Set OPS_KEYS where clients are not operators.",
    ),
    step(
        "slave mode",
        "SLAVE_MODE was compared with the number of codes.",
        "With SLAVE_MODE=single a slave replaces the one before it, whatever its code.",
        "Leave SLAVE_MODE unset where more than one slave is to be connected.",
    ),
    step(
        "TLS",
        "A TLS handshake was made with the proxy, and its certificate verified; on a proxy the settings of its ports were looked at.",
        "The name in the URL is not one of the certificate's, its authority is not trusted here, it has expired, or the port does not speak TLS.",
        "Name the authority in PROXY_CA_FILE, use a name of the certificate in PROXY_SERVER_URL, and ws:// for a port without TLS.",
    ),
    step(
        "TLS certificate",
        "The certificate of TLS_CERT was read: names, expiry, chain.",
        "Clients and slaves refuse the certificate, or will soon.",
        "Put a new certificate with its chain into the file; a running server takes it over by itself.",
    ),
    step(
        "proxy's certificate",
        "The certificate that the proxy showed was read: names, expiry, chain.",
        "Slaves refuse the certificate, or will soon.",
        "Renew it at the proxy, or at what speaks TLS in front of it.",
    ),
    step(
        "slave certificates",
        "TLS_CLIENT_CA was looked at.",
        "Slaves must show a certificate of that authority besides their code.",
        "Set PROXY_CLIENT_CERT and PROXY_CLIENT_KEY on each slave.",
    ),
    step(
        "proxy URL",
        "PROXY_SERVER_URL was read.",
        "It is where the slave dials to.",
        "It names the proxy's port for slaves (PROXY_WS_PORT), or the path /link of its clients' port where SLAVES_ON_CLIENT_PORT=1 is set there.",
    ),
    step(
        "way out",
        "HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY and PROXY_TUNNEL_URL were asked for the way to the server.",
        "A variable names a forward proxy that cannot be used.",
        "Correct the variable, or except the server by NO_PROXY.",
    ),
    step(
        "name",
        "The host of the server, or of the forward proxy before it, was looked up in DNS.",
        "This machine does not know the name: it is misspelt, or known in another network only.",
        "Try the name with getent hosts; where only a forward proxy knows it, set HTTPS_PROXY or PROXY_TUNNEL_URL.",
    ),
    step(
        "TCP",
        "A TCP connection was opened to every address of the name.",
        "Refused: nothing listens there. No answer: a firewall or security group drops packets, or the route is missing.",
        "Start the proxy, compare the port with its PROXY_WS_PORT, bind it to a reachable address (PROXY_WS_HOST), and let the firewall pass it.",
    ),
    step(
        "tunnel",
        "The forward proxy was asked for a tunnel (CONNECT) to the server.",
        "It wants other credentials (407), does not allow the target or its port (403), or does not reach it (502, 504).",
        "Put user and password into the variable that names it, and have its operator allow the target.",
    ),
    step(
        "WebSocket",
        "The connection was upgraded to WebSocket at the path of the URL.",
        "Something answers that is no proxy's port for slaves: the clients' port, an ingress that does not pass upgrades or the path, a login page.",
        "Let PROXY_SERVER_URL lead to PROXY_WS_PORT, and have what stands between pass Upgrade, path and host on.",
    ),
    step(
        "slave code",
        "The code was sent, marked as a probe: an mcp-relay proxy checks it and registers nothing.",
        "The proxy does not know the code, or the code may not be used from here or now.",
        "Set SLAVE_CODE to one of the proxy's codes, letter by letter; the proxy's log says why it refused one.",
    ),
    step(
        "HTTP port",
        "The port MCP_SERVER_PORT was bound and released, or what listens there was asked who it is.",
        "Another program has the port, or this user may not bind it.",
        "Choose another port, or end the program that has it.",
    ),
    step(
        "ops port",
        "The port OPS_PORT was bound and released.",
        "Another program has the port, or this user may not bind it.",
        "Choose another port, or end the program that has it.",
    ),
    step(
        "WebSocket port",
        "The port PROXY_WS_PORT was bound and released.",
        "Another program has the port, or this user may not bind it.",
        "Choose another port, or end the program that has it.",
    ),
    step(
        "running server",
        "The server that runs already was asked for /readyz.",
        "It takes no calls now: it starts, it ends, or it has no slave or no link.",
        "See the reason in the line, and mcp-relay status for more.",
    ),
    step(
        "slaves",
        "The running proxy was asked how many slaves it has.",
        "No tool can be called.",
        "Start a slave with PROXY_SERVER_URL and SLAVE_CODE; on its machine run mcp-relay doctor slave.",
    ),
    step(
        "backends",
        "The file of SLAVE_BACKENDS was read.",
        "An entry cannot be used, and the slave leaves it out; with SLAVE_STRICT=1 it does not start.",
        "Correct the entry that the line names.",
    ),
    step(
        "backend",
        "Each backend was started as the slave starts it, asked for its tools, and stopped.",
        "Its command does not start, ends, or does not answer MCP on standard output.",
        "Run the command by hand with the variables of its entry only; what it wrote to standard error is in the lines below.",
    ),
    step(
        "tools",
        "The tools of all backends and of SLAVE_TOOLS were listed.",
        "Clients see no tool of this slave, or one less.",
        "Set SLAVE_BACKENDS or SLAVE_TOOLS, or DEMO_TOOLS=1 to try things out.",
    ),
    step(
        "access tokens",
        "PUBLIC_URL was asked as a client without a token asks it, and the metadata that the answer leads to were read.",
        "Clients do not find out where to get a token, or get one that is for another server.",
        "Let PUBLIC_URL be the URL that clients use, and have what stands in front pass /.well-known/ and WWW-Authenticate on.",
    ),
    step(
        "issuer",
        "The metadata and keys of each issuer of AUTH_ISSUERS were fetched.",
        "Tokens of that issuer cannot be checked, or clients cannot get one.",
        "Compare the issuer letter by letter with its own metadata, and see that this machine reaches it.",
    ),
    step(
        "OAuth broker",
        "The metadata of the broker, and the paths that they name, were asked for at PUBLIC_URL.",
        "Clients cannot register, or users cannot sign in.",
        "Have what stands in front send /oauth/ and /.well-known/ to this proxy.",
    ),
];

const UNKNOWN: Explanation = step("", "", "", "");

/// Returns the explanation of a step.
pub(super) fn of(name: &str) -> &'static Explanation {
    let found = STEPS.iter().find(|explanation| explanation.step == name);
    debug_assert!(found.is_some(), "the step {name:?} has no explanation");
    found.unwrap_or(&UNKNOWN)
}

/// Returns the section about a step.
pub(super) fn page(name: &str) -> String {
    let kept = |c: char| c.is_ascii_alphanumeric() || c == ' ' || c == '-';
    let anchor: String = name.to_ascii_lowercase().chars().filter(|c| kept(*c)).collect();
    format!("{PAGE}#{}", anchor.replace(' ', "-"))
}

/// Returns the sections of all steps in Markdown.
pub(crate) fn document() -> String {
    let mut text = String::new();
    for Explanation { step, tried, means, advice } in STEPS {
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "### {step}\n\n- **Tried:** {tried}\n- **Means, where it is not good:** {means}\n- **Do:** {advice}\n\n"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_the_sections_that_the_code_generates() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operate/diagnose.md");
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            written.trim_end().ends_with(document().trim_end()),
            "docs/operate/diagnose.md lacks the text that `mcp-relay doctor --steps` prints"
        );
    }

    #[test]
    fn each_step_has_one_explanation_and_a_place() {
        let mut names: Vec<&str> = STEPS.iter().map(|explanation| explanation.step).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
        assert_eq!(page("proxy's certificate"), "docs/operate/diagnose.md#proxys-certificate");
        for Explanation { tried, means, advice, .. } in STEPS {
            assert!([tried, means, advice].iter().all(|text| text.ends_with('.')), "{tried}");
        }
    }
}
