//! Failures of the way through a forward proxy, as sentences with what to do. Must not know sockets. No text has a credential.

use crate::printable;

/// What failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WayFaultKind {
    /// The proxy's name has no address.
    Unresolved(String),
    /// No TCP connection to the proxy.
    Unreachable(String),
    /// No TLS with the proxy: what happened, and what to do.
    Tls(String, String),
    /// The connection broke during the request.
    Broken(String),
    /// The proxy closed the connection without an answer.
    Closed,
    /// The proxy did not answer in time, in seconds.
    Silent(u64),
    /// The answer is no HTTP; where `tls`, it is TLS.
    NotHttp {
        /// It looks like TLS.
        tls: bool,
    },
    /// The head of the answer has more bytes than are read.
    TooLong(usize),
    /// The proxy asks for credentials (407) and there are none.
    Anonymous,
    /// The proxy refuses the credentials (407).
    Credentials,
    /// The proxy asks for credentials (407) of schemes that this program does not speak.
    Schemes(String),
    /// The proxy found no address of the server.
    ServerUnresolved(u16),
    /// The proxy found no way to the server: with Squid 5, mostly since the name has no address.
    Unforwarded(u16),
    /// Any other status.
    Status(u16),
    /// The variable's proxy is of a kind that cannot be used.
    Unusable,
}

/// A failure of the way through a forward proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WayFault {
    /// The proxy as `scheme://host:port`.
    pub proxy: String,
    /// The variable that names the proxy.
    pub variable: &'static str,
    /// The server, as `host:port`.
    pub target: String,
    /// What failed.
    pub kind: WayFaultKind,
}

impl std::error::Error for WayFault {}

impl std::fmt::Display for WayFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}. {}", self.what(), capital(&self.fix()))
    }
}

/// Returns a sentence's begin in upper case, except for names of variables and schemes, which have it already.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

impl WayFault {
    /// Returns what happened, as a sentence without a full stop.
    pub fn what(&self) -> String {
        let Self { proxy, variable, target, kind } = self;
        let subject = format!("the proxy {proxy} ({variable})");
        match kind {
            WayFaultKind::Unresolved(why) => format!("{subject} has no address: {why}"),
            WayFaultKind::Unreachable(why) => format!("{subject} cannot be reached: {why}"),
            WayFaultKind::Tls(what, _) => format!("TLS to {subject} failed: {what}"),
            WayFaultKind::Unusable => {
                format!("no way to {target}: the proxy of {variable} is of a kind that cannot be used")
            }
            kind => format!("{subject} opens no way to {target}: {}", because(kind)),
        }
    }

    /// Returns what to do, as a sentence without a full stop.
    pub fn fix(&self) -> String {
        let Self { variable, target, kind, .. } = self;
        match kind {
            WayFaultKind::Unresolved(_) => {
                format!("check the host name in {variable} and this machine's name resolution")
            }
            WayFaultKind::Unreachable(_) => {
                format!(
                    "check host and port in {variable}, that the proxy runs, and that no firewall is in between"
                )
            }
            WayFaultKind::Tls(_, fix) => fix.clone(),
            WayFaultKind::Broken(_) | WayFaultKind::Closed => {
                format!(
                    "check host and port in {variable}, and http:// or https:// as the proxy has it; its log tells more"
                )
            }
            WayFaultKind::Silent(_) => {
                format!("check that the proxy reaches {target}, and host and port in {variable}")
            }
            WayFaultKind::NotHttp { tls: true } => format!("use https:// in {variable}"),
            WayFaultKind::NotHttp { tls: false } | WayFaultKind::TooLong(_) => {
                format!("check that {variable} names an HTTP proxy, and its port")
            }
            WayFaultKind::Anonymous => {
                format!(
                    "set {variable} to http://user:password@host:port, with special characters percent-encoded"
                )
            }
            WayFaultKind::Credentials => format!(
                "correct user and password in {variable}; @ : / ? # % in them must be percent-encoded (%40 for @)"
            ),
            WayFaultKind::Schemes(_) => format!(
                "have the proxy accept Basic, or run a local proxy that speaks the other scheme for this program and name it in {variable}"
            ),
            WayFaultKind::ServerUnresolved(_) | WayFaultKind::Unforwarded(_) => {
                format!(
                    "check the name of {target}, and whether the proxy's name servers know it, or {}",
                    bypass(variable)
                )
            }
            WayFaultKind::Status(status) => status_fix(*status, variable, target),
            WayFaultKind::Unusable => {
                format!("set {variable} to an http:// or https:// proxy, or {}", bypass(variable))
            }
        }
    }
}

fn because(kind: &WayFaultKind) -> String {
    match kind {
        WayFaultKind::Broken(why) => format!("the connection broke ({why})"),
        WayFaultKind::Closed => "it closed the connection without an answer".to_owned(),
        WayFaultKind::Silent(seconds) => format!("no answer within {seconds} s"),
        WayFaultKind::NotHttp { tls: true } => "its answer is TLS, not HTTP".to_owned(),
        WayFaultKind::NotHttp { tls: false } => "its answer is not HTTP".to_owned(),
        WayFaultKind::TooLong(bytes) => format!("the head of its answer has more than {bytes} bytes"),
        WayFaultKind::Anonymous => "it wants credentials (HTTP 407)".to_owned(),
        WayFaultKind::Credentials => "it refuses the credentials (HTTP 407)".to_owned(),
        WayFaultKind::Schemes(schemes) => format!(
            "it wants credentials of the scheme {} (HTTP 407), and this program speaks Basic",
            printable::line(schemes)
        ),
        WayFaultKind::ServerUnresolved(status) => {
            format!("it finds no address for that name (HTTP {status})")
        }
        WayFaultKind::Unforwarded(status) => {
            format!(
                "it finds no way to that server, as a rule since the name has no address there (HTTP {status})"
            )
        }
        WayFaultKind::Status(status) => match status {
            403 => "its rules do not allow it (HTTP 403)".to_owned(),
            502..=504 => format!("it cannot reach that server (HTTP {status})"),
            300..=399 => format!("it redirects to another page (HTTP {status})"),
            status => format!("it answers HTTP {status}"),
        },
        _ => "it failed".to_owned(),
    }
}

/// Returns how a server is reached without the proxy.
fn bypass(variable: &str) -> &'static str {
    match variable {
        "PROXY_TUNNEL_URL" => "set PROXY_TUNNEL_URL=none to go there directly",
        _ => "name the server in NO_PROXY to go there directly",
    }
}

fn status_fix(status: u16, variable: &str, target: &str) -> String {
    match status {
        403 => format!(
            "have its administrator allow CONNECT to {target} (many proxies allow port 443 alone), or {}",
            bypass(variable)
        ),
        502..=504 => format!("check that {target} is right and runs, and that the proxy may connect to it"),
        300..=399 => "sign in to the network, or ask its administrator".to_owned(),
        400 | 404 | 405 | 426 | 501 => {
            format!("check that {variable} names a forward proxy, which knows CONNECT, and its port")
        }
        _ => "ask its administrator; its log tells more".to_owned(),
    }
}
