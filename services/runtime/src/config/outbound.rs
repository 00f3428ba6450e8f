//! Forward proxies, by the variables that programs share. Must not know what is connected to.

use std::path::PathBuf;

use crate::env::{Problems, Reader, Setting, Snapshot};
use crate::outbound::{Choice, ForwardProxy, NoProxy, OutboundRules, ProxyUrlError, UnusableProxy};
use crate::tls::ClientFiles;

crate::variables! {
    /// The variables of the ways out.
    pub const OUTBOUND: Every;
    /// Texts of [`OUTBOUND`].
    struct Settings;
    https_proxy secret in_either_case = Says("ALL_PROXY"), "Forward proxy for connections with TLS: the link of a slave (wss://), HTTP backends, the OTLP collector. http://[user:password@]host[:port], or https:// for TLS to the proxy; user and password percent-encoded. The name in lower case counts, too, here and below.";
    http_proxy secret in_either_case = Says("ALL_PROXY"), "The same for connections without TLS (ws://, http://).";
    all_proxy secret in_either_case = Says("no proxy"), "The same for all connections without a variable of their own.";
    no_proxy in_either_case = Says("none"), "Servers that are reached without a forward proxy, separated by commas: names (with their subdomains), .suffix, *.suffix (only subdomains), addresses, networks (10.0.0.0/8), each with :port or without; * for all.";
    extra_ca_file path = Says("the system's roots alone"), "PEM file of authorities that are trusted in addition to the system's: for TLS to forward proxies, and for all outbound connections, unless another variable replaces the system's roots. For example that of a proxy that inspects TLS.";
}

/// Returns the ways of an environment, for programs that read nothing else of it.
///
/// # Errors
/// A variable cannot be used.
pub fn ways_of(snapshot: &Snapshot) -> Result<OutboundRules, Problems> {
    let tables = [OUTBOUND];
    let mut reader = Reader::new("forward proxies", snapshot, &tables);
    let ways = read(&mut reader);
    Ok(reader.finish(ways)?.config)
}

/// Reads the variables of [`OUTBOUND`], which the reader's tables must contain.
pub(super) fn read(reader: &mut Reader<'_>) -> OutboundRules {
    let settings = Settings::read(reader);
    let extra_roots = reader.optional(&settings.extra_ca_file, |text| {
        let files = ClientFiles { extra_roots: Some(PathBuf::from(text)), ..ClientFiles::default() };
        match files.check().into_iter().next() {
            None => Ok(PathBuf::from(text)),
            Some(error) => Err(format!("a PEM file of certificates ({error})")),
        }
    });
    let mut choice = |setting| read_choice(reader, setting, extra_roots.as_ref());
    let (tls, plain) = (choice(&settings.https_proxy), choice(&settings.http_proxy));
    let all = choice(&settings.all_proxy);
    let (except, strange) = NoProxy::parse(settings.no_proxy.text().unwrap_or_default());
    for entry in strange {
        reader.warn(format!("NO_PROXY: {entry:?} is no name, address or network and counts for nothing"));
    }
    OutboundRules::new(tls.or_else(|| all.clone()), plain.or(all), except).with_extra_roots(extra_roots)
}

/// Reads a forward proxy. One of another kind is no problem until a connection needs it, since the variables are those of many
/// programs.
fn read_choice(reader: &mut Reader<'_>, setting: &Setting, extra_roots: Option<&PathBuf>) -> Option<Choice> {
    let variable = setting.name();
    match ForwardProxy::parse(setting.text()?, variable, extra_roots.cloned()) {
        Ok(proxy) => Some(Choice::Proxy(proxy)),
        Err(error @ ProxyUrlError::Scheme) => {
            reader.warn(format!(
                "{variable} cannot be used, so that connections that it is for fail: expected {error}"
            ));
            Some(Choice::Unusable(UnusableProxy { variable }))
        }
        Err(error) => {
            reader.reject(setting, error.to_string());
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Loaded;
    use crate::outbound::Channel;

    fn load(pairs: &[(&str, &str)]) -> Result<Loaded<OutboundRules>, Problems> {
        let snapshot = Snapshot::of(pairs.iter().copied());
        let tables = [OUTBOUND];
        let mut reader = Reader::new("test", &snapshot, &tables);
        let ways = read(&mut reader);
        reader.finish(ways)
    }

    #[test]
    fn each_server_has_the_way_that_the_variables_say() {
        let (https, http, all) =
            (("HTTPS_PROXY", "http://ann:hush@t:1"), ("HTTP_PROXY", "p:2"), ("ALL_PROXY", "https://a:3"));
        let no = ("NO_PROXY", "in.example, 10.0.0.0/8");
        let (through_t, through_p) = ("through http://t:1 (HTTPS_PROXY)", "through http://p:2 (HTTP_PROXY)");
        let through_a = "through https://a:3 (ALL_PROXY)";
        let lower = ("https_proxy", "http://l:4");
        for (pairs, tls, plain) in [
            (&[][..], "directly", "directly"),
            (&[https], through_t, "directly"),
            (&[http], "directly", through_p),
            (&[all], through_a, through_a),
            (&[https, http, all], through_t, through_p),
            (&[https, all], through_t, through_a),
            (&[https, http, no], through_t, through_p),
            (&[lower], "through http://l:4 (HTTPS_PROXY)", "directly"),
            (&[lower, https], through_t, "directly"),
            (&[("HTTPS_PROXY", " "), lower], "through http://l:4 (HTTPS_PROXY)", "directly"),
            (&[("no_proxy", "*"), all], "directly (NO_PROXY)", "directly (NO_PROXY)"),
            (&[("NO_PROXY", "out.example:443"), all], "directly (NO_PROXY)", through_a),
        ] {
            let ways = load(pairs).unwrap().config;
            let way = |channel, port| ways.to(channel, "out.example", port).to_string();
            assert_eq!(
                (way(Channel::Tls, 443), way(Channel::Plain, 80)),
                (tls.to_owned(), plain.to_owned()),
                "{pairs:?}"
            );
            if pairs.contains(&no) {
                for host in ["a.in.example", "10.1.1.1"] {
                    assert_eq!(ways.to(Channel::Tls, host, 443).to_string(), "directly (NO_PROXY)");
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_used_is_reported_without_its_text() {
        let problems = load(&[("HTTP_PROXY", "http://ann:hush/x@h"), ("EXTRA_CA_FILE", "/nowhere.pem")]);
        let text = problems.unwrap_err().to_string();
        assert!(
            text.contains("HTTP_PROXY") && text.contains("%40") && text.contains("EXTRA_CA_FILE"),
            "{text}"
        );
        assert!(!text.contains("hush") && !text.contains("ann:"), "{text}");
        let loaded =
            load(&[("ALL_PROXY", "socks5://ann:hush@h:1080"), ("NO_PROXY", "a.example,10.*")]).unwrap();
        let warnings = loaded.warnings.join("\n");
        assert!(warnings.contains("ALL_PROXY") && warnings.contains("10.*"), "{warnings}");
        assert!(!warnings.contains("hush"), "{warnings}");
        let way = loaded.config.to(Channel::Tls, "b.example", 443).to_string();
        assert!(way.contains("ALL_PROXY") && !way.contains("directly"), "{way}");
        assert!(!format!("{loaded:?}").contains("hush"));
    }
}
