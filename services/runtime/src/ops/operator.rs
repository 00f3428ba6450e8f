//! The operator who gives a command, as the server that checked it found out. Must not know how that is checked.

use std::net::IpAddr;

/// Who gives a command.
#[derive(Clone, Debug, Default)]
pub struct Operator {
    /// Id of the key that was presented, for the audit stream; `None` where none is asked for.
    pub key_id: Option<String>,
    /// Address of the operator, where it is known.
    pub peer: Option<IpAddr>,
}
