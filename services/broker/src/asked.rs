//! What a client asks for, as it travels through the steps of a sign-in. Must not know the steps.

use serde::{Deserialize, Serialize};

/// A client's request that was checked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Asked {
    /// Digest of the client's id.
    #[serde(rename = "c")]
    pub(crate) client: String,
    /// What the client calls itself.
    #[serde(rename = "n")]
    pub(crate) name: String,
    #[serde(rename = "d")]
    pub(crate) redirect: String,
    #[serde(rename = "t")]
    pub(crate) state: Option<String>,
    #[serde(rename = "k")]
    pub(crate) challenge: String,
    #[serde(rename = "s")]
    pub(crate) scopes: Vec<String>,
    #[serde(rename = "r")]
    pub(crate) refresh: bool,
}
