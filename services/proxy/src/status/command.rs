//! Commands of the status page (`UI=full`). Must not know HTTP, nor who may give them.

use runtime::ops::Operator;
use serde::Deserialize;
use serde_json::json;

use crate::links::Registry;

/// Path of the command that drains a slave or ends that.
pub(super) const DRAIN_PATH: &str = "/api/v1/slaves/drain";

/// Body of the command.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Drain {
    /// The slave's `id`.
    id: String,
    draining: bool,
}

/// Drains a slave, or ends that.
///
/// # Errors
/// The reason, in words.
pub(super) fn drain(registry: &Registry, operator: &Operator, body: &[u8]) -> Result<String, String> {
    let Drain { id, draining } = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let name =
        registry.hold(&id, draining, operator).ok_or("this proxy knows no slave of this id (any more)")?;
    Ok(json!({ "id": id, "name": name, "draining": draining }).to_string())
}
