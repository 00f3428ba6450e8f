//! Who may use an operators' endpoint. Must not know how that is checked.

/// Who may use an endpoint. The server that serves [`super::Ops`] enforces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthPolicy {
    /// Anybody: health checks, public keys.
    Open,
    /// Anybody but web pages of foreign origins: static content without data of this server.
    Page,
    /// Clients with a key, where keys are configured.
    Key,
    /// Operators with the role to operate, from a page of this server or a program.
    Operate,
}
