//! Labels of this process at each proxy, put in front of each `requestState` that a backend gives out and taken off those that come
//! back (docs/PROTOCOL.md, "requestState"). Must not know links.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use protocol::link::header::CallHeader;
use protocol::link::ids::InstanceId;
use protocol::mcp::failure::Failure;
use protocol::mcp::kind::Kind;
use protocol::mcp::request_state::{StateLabel, is_label, without_label};

use super::proven_proxy::ProvenProxy;

/// Proxies whose labels are remembered: a call may end after its link.
const MAX_LABELS: usize = 256;

/// The labels, the newest first.
#[derive(Debug, Default)]
pub(super) struct StateLabels(VecDeque<(InstanceId, Arc<str>)>);

impl StateLabels {
    /// Takes the label of a proxy's first message. One that cannot be put into a JSON string as it is counts as none.
    pub(super) fn on_link(&mut self, proxy: &ProvenProxy) {
        self.0.retain(|(known, _)| *known != proxy.instance);
        let label = proxy.hello.state_label.as_deref().filter(|label| is_label(label));
        if let Some(label) = label {
            self.0.truncate(MAX_LABELS - 1);
            self.0.push_front((proxy.instance, label.into()));
        }
    }

    /// Returns the label for results of this proxy's calls.
    pub(super) fn of(&self, proxy: InstanceId) -> Option<Arc<str>> {
        self.0.iter().find(|(known, _)| *known == proxy).map(|(_, label)| Arc::clone(label))
    }
}

/// Returns the client's message as the executor may get it: without the label that the header tells of. Of a task the name in the header
/// loses it, which wins over the message's.
pub(super) fn unlabelled(header: &mut CallHeader, message: Bytes) -> Result<Bytes, Failure> {
    if header.state_label == 0 {
        return Ok(message);
    }
    if header.kind == Some(Kind::Task) {
        let name = header.name.take().filter(|name| StateLabel::at_start(name.as_bytes()).is_some());
        let own = name.and_then(|name| name.get(header.state_label..).map(str::to_owned));
        header.name = Some(own.ok_or_else(|| Failure::UnknownTask("its id has no label".into()))?);
        return Ok(message);
    }
    without_label(&message, header.state_label)
        .ok_or_else(|| Failure::InvalidParams("params.requestState is shorter than its label".into()))
}

#[cfg(test)]
mod tests {
    use protocol::link::fleet::FleetKeys;
    use protocol::link::handshake::ProxyHello;

    use super::*;

    fn proxy(instance: u64, label: &str) -> ProvenProxy {
        let hello = ProxyHello { state_label: Some(label.to_owned()), ..ProxyHello::default() };
        ProvenProxy { hello, instance: InstanceId(instance), fleet: FleetKeys::default() }
    }

    #[test]
    fn each_proxy_s_label_outlives_its_links_and_only_a_plain_text_is_one() {
        let mut labels = StateLabels::default();
        let of = |labels: &StateLabels, proxy| labels.of(InstanceId(proxy)).map(|label| label.to_string());
        labels.on_link(&proxy(1, "a."));
        labels.on_link(&proxy(2, "b."));
        assert_eq!((of(&labels, 1).as_deref(), of(&labels, 2).as_deref()), (Some("a."), Some("b.")));
        assert_eq!(of(&labels, 3), None);
        labels.on_link(&proxy(1, "\""));
        assert_eq!(of(&labels, 1), None);
        (3..1000).for_each(|instance| labels.on_link(&proxy(instance, "c.")));
        assert_eq!(labels.0.len(), MAX_LABELS);
    }
}
