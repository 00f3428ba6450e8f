//! The address of a listening socket, and a bind error that names the variable to change. Must not know servers.

use std::net::SocketAddr;
use std::{fmt, io};

use tokio::net::{TcpListener, TcpSocket};

/// A host and a port to listen on, with the variables they come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListenAddr {
    /// IP address or host name, without brackets.
    pub host: String,
    /// 0: any free port.
    pub port: u16,
    /// The variable that sets the host.
    pub host_var: &'static str,
    /// The variable that sets the port.
    pub port_var: &'static str,
}

/// Connections that may wait to be accepted; the system may allow fewer (`net.core.somaxconn`). After a restart thousands of slaves and
/// clients come at once, and one that finds no room waits for seconds until it tries again.
const BACKLOG: u32 = 16 * 1024;

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {}. {advice}", crate::io_fault::describe(.reason))]
pub struct BindError {
    /// The address as `host:port`.
    pub address: String,
    /// Advice for the operator; names the variable.
    pub advice: String,
    /// The error of the system.
    pub reason: std::io::Error,
}

impl ListenAddr {
    /// Binds a listener. Host names are resolved now; the first address that can be bound is used.
    pub async fn bind(&self) -> Result<TcpListener, BindError> {
        let bound = self.bind_first().await;
        bound.map_err(|reason| BindError { address: self.to_string(), advice: self.advice(&reason), reason })
    }

    async fn bind_first(&self) -> io::Result<TcpListener> {
        let mut fault = io::Error::new(io::ErrorKind::InvalidInput, "the host has no address");
        for address in tokio::net::lookup_host((self.host.as_str(), self.port)).await? {
            match listen(address) {
                Ok(listener) => return Ok(listener),
                Err(error) => fault = error,
            }
        }
        Err(fault)
    }

    fn advice(&self, error: &std::io::Error) -> String {
        let Self { host_var, port_var, .. } = self;
        match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                format!("Another process has the port: stop it, or set {port_var} to another port.")
            }
            std::io::ErrorKind::PermissionDenied => {
                format!("Ports below 1024 need a privilege: set {port_var} to a higher port.")
            }
            _ => format!("Set {host_var} to an address of this machine, for example 127.0.0.1 or 0.0.0.0."),
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Elsewhere it would let two processes have one port.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

impl fmt::Display for ListenAddr {
    /// As `host:port`, IPv6 addresses in brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(host: &str, port: u16) -> ListenAddr {
        ListenAddr { host: host.into(), port, host_var: "X_HOST", port_var: "X_PORT" }
    }

    #[test]
    fn ipv6_is_written_in_brackets() {
        assert_eq!(addr("::1", 80).to_string(), "[::1]:80");
        assert_eq!(addr("127.0.0.1", 80).to_string(), "127.0.0.1:80");
    }

    #[tokio::test]
    async fn a_port_in_use_names_the_variable_to_change() {
        let first = addr("127.0.0.1", 0).bind().await.unwrap();
        let port = first.local_addr().unwrap().port();
        let error = addr("127.0.0.1", port).bind().await.unwrap_err().to_string();
        assert!(error.contains(&format!("127.0.0.1:{port}")) && error.contains("set X_PORT"), "{error}");
    }

    #[tokio::test]
    async fn a_foreign_address_names_the_host_variable() {
        // 192.0.2.0/24 is for documentation (RFC 5737): never an address of this machine.
        let error = addr("192.0.2.1", 0).bind().await.unwrap_err().to_string();
        assert!(error.contains("Set X_HOST"), "{error}");
    }
}
