//! Whose policy a file is. Must not know its content.

/// Whose policy a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// A proxy's (`POLICY`).
    Proxy,
    /// A slave's (`SLAVE_POLICY`), whose rules name no slaves.
    Slave,
}
