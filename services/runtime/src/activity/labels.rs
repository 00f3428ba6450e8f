//! Labels of a call, for people and for the audit stream. Must not know how calls run.

use std::net::IpAddr;

use serde_json::{Map, Value};

use crate::printable;

/// Characters of a label that are kept.
pub(super) const MAX_LABEL_CHARS: usize = 128;

/// The function that explains an outcome: what happened, and advice, which may be empty. `None`: there is nothing to
/// explain. The texts are constants of the program, so that no word of a peer is among them.
pub type Explain = fn(&str) -> Option<[&'static str; 2]>;

/// Names of a call.
#[derive(Clone, Debug, Default)]
pub struct Labels {
    /// The call's id, as log lines have it.
    pub id: String,
    /// The called tool.
    pub tool: String,
    /// Name of the client.
    pub client: String,
    /// Id of the client's key, for the audit stream only.
    pub key_id: Option<String>,
    /// Issuer of the client's token, for the audit stream only.
    pub issuer: Option<String>,
    /// Subject of the client at the issuer, for the audit stream only.
    pub subject: Option<String>,
    /// Address of the client, for the audit stream only.
    pub peer: Option<IpAddr>,
    /// Id of the trace that the call is part of.
    pub trace: Option<String>,
}

impl Labels {
    /// Cuts labels that are too long and escapes characters that command a terminal or hide. Clients and peers choose labels.
    pub(super) fn printable(self) -> Self {
        let cut = |label: String| {
            let mut label = printable::line(&label).into_owned();
            if let Some((at, _)) = label.char_indices().nth(MAX_LABEL_CHARS) {
                label.truncate(at);
                label.push('…');
            }
            label
        };
        Self {
            id: cut(self.id),
            tool: cut(self.tool),
            client: cut(self.client),
            trace: self.trace.map(cut),
            ..self
        }
    }

    /// Returns the members that a call has in JSON, whether it runs or has ended. `id` is its current id.
    pub(super) fn to_json(&self, id: &str) -> Map<String, Value> {
        let mut object = Map::new();
        object.insert("id".into(), id.into());
        object.insert("tool".into(), self.tool.as_str().into());
        object.insert("client".into(), self.client.as_str().into());
        object.insert("trace".into(), self.trace.as_deref().into());
        object
    }
}
