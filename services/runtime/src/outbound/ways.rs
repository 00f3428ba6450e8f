//! The decision which way a connection takes. Must not know sockets.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::fault::{WayFault, WayFaultKind};
use super::forward_proxy::ForwardProxy;
use super::no_proxy::NoProxy;

/// The kind of a connection, which decides the variable that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// Unencrypted: `http` and `ws` (`HTTP_PROXY`).
    Plain,
    /// TLS: `https` and `wss` (`HTTPS_PROXY`).
    Tls,
}

/// A forward proxy of a kind that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnusableProxy {
    /// The variable that names it.
    pub variable: &'static str,
}

impl UnusableProxy {
    /// Builds the failure of every way through it, here to the server `target`.
    pub fn to(self, target: &str) -> WayFault {
        let kind = WayFaultKind::Unusable;
        WayFault { proxy: String::new(), variable: self.variable, target: target.to_owned(), kind }
    }
}

/// What a variable says.
#[derive(Clone, Debug)]
pub enum Choice {
    /// A forward proxy.
    Proxy(ForwardProxy),
    /// A proxy that cannot be used, say one of SOCKS: connections that it is for fail, rather than go out unseen.
    Unusable(UnusableProxy),
    /// No proxy, whatever other variables say.
    Direct {
        /// The variable that says so.
        variable: &'static str,
    },
}

/// The way of one connection.
#[derive(Clone, Debug)]
pub enum Way {
    /// Straight to the server. `because`: the variable that excludes it from a proxy.
    Direct {
        /// `None`: no variable names a proxy for it.
        because: Option<&'static str>,
    },
    /// Through a forward proxy.
    Through(ForwardProxy),
    /// None, as the proxy cannot be used.
    Unusable(UnusableProxy),
}

impl fmt::Display for Way {
    /// Writes the way as a part of a sentence, without credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct { because: None } => f.write_str("directly"),
            Self::Direct { because: Some(variable) } => write!(f, "directly ({variable})"),
            Self::Through(proxy) => write!(f, "through {proxy} ({})", proxy.variable()),
            Self::Unusable(proxy) => {
                write!(f, "no way: the proxy of {} is of a kind that cannot be used", proxy.variable)
            }
        }
    }
}

/// The forward proxies of a process. Cheap to clone. The default: all connections are direct.
#[derive(Clone, Debug, Default)]
pub struct OutboundRules(Arc<Table>);

/// The variables' choices.
#[derive(Clone, Debug, Default)]
struct Table {
    tls: Option<Choice>,
    plain: Option<Choice>,
    except: NoProxy,
    extra_roots: Option<PathBuf>,
}

impl OutboundRules {
    /// Returns the ways of these choices: `tls` and `plain` for their channels but to the servers of `except`.
    pub fn new(tls: Option<Choice>, plain: Option<Choice>, except: NoProxy) -> Self {
        Self(Arc::new(Table { tls, plain, except, extra_roots: None }))
    }

    /// Returns the same ways, for connections that trust the authorities of a PEM file beside the system's.
    #[must_use]
    pub fn with_extra_roots(self, extra_roots: Option<PathBuf>) -> Self {
        Self(Arc::new(Table { extra_roots, ..Table::clone(&self.0) }))
    }

    /// Returns one way for all connections, with the same extra roots.
    #[must_use]
    pub fn only(&self, choice: Choice) -> Self {
        let ways = Self::new(Some(choice.clone()), Some(choice), NoProxy::default());
        ways.with_extra_roots(self.0.extra_roots.clone())
    }

    /// Returns the PEM file of authorities that are trusted beside the system's (`EXTRA_CA_FILE`).
    pub fn extra_roots(&self) -> Option<&Path> {
        self.0.extra_roots.as_deref()
    }

    /// Decides the way to a server; `host` is a name or an address, IPv6 in brackets or not.
    pub fn to(&self, channel: Channel, host: &str, port: u16) -> Way {
        let choice = match channel {
            Channel::Tls => &self.0.tls,
            Channel::Plain => &self.0.plain,
        };
        match choice {
            None => Way::Direct { because: None },
            Some(Choice::Direct { variable }) => Way::Direct { because: Some(variable) },
            Some(_) if self.0.except.has(host, port) => Way::Direct { because: Some("NO_PROXY") },
            Some(Choice::Proxy(proxy)) => Way::Through(proxy.clone()),
            Some(Choice::Unusable(proxy)) => Way::Unusable(*proxy),
        }
    }
}
