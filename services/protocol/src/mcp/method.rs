//! The table of MCP's requests: what each one is about, which eras have it, and who answers it (MCP 2024-11-05 to 2026-07-28). Must not
//! know HTTP, slaves or backends.
//!
//! A method that is not in the table belongs to an extension: it goes unaltered to the backend that owns it.

use crate::mcp::era::Era;
use crate::mcp::kind::Kind;

/// What a request names as its subject, and where in `params`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Nothing.
    Nothing,
    /// An entry of this kind, by `params.name`.
    Name(Kind),
    /// A resource, by `params.uri`: exactly, else by a template, else by the only owner of resources.
    Uri,
    /// A prompt or a resource template, by `params.ref`.
    Reference,
    /// A task, by `params.taskId`.
    Task,
}

/// Who answers a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnsweredBy {
    /// The edge, from catalogs and its own state.
    Edge,
    /// The backend that owns the subject.
    Backend,
}

/// Row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Method {
    /// Name of the method.
    pub name: &'static str,
    /// What it is about.
    pub subject: Subject,
    /// Who answers it.
    pub answered_by: AnsweredBy,
    /// A legacy client may send it.
    pub legacy: bool,
    /// A modern client may send it.
    pub modern: bool,
}

const fn edge(name: &'static str, legacy: bool, modern: bool) -> Method {
    Method { name, subject: Subject::Nothing, answered_by: AnsweredBy::Edge, legacy, modern }
}

const fn backend(name: &'static str, subject: Subject, legacy: bool, modern: bool) -> Method {
    Method { name, subject, answered_by: AnsweredBy::Backend, legacy, modern }
}

/// Every request of a client that the specifications name.
pub const METHODS: [Method; 22] = [
    edge("initialize", true, false),
    edge("server/discover", false, true),
    edge("ping", true, false),
    edge("logging/setLevel", true, false),
    edge("tools/list", true, true),
    edge("prompts/list", true, true),
    edge("resources/list", true, true),
    edge("resources/templates/list", true, true),
    edge("subscriptions/listen", false, true),
    backend("resources/subscribe", Subject::Uri, true, false),
    backend("resources/unsubscribe", Subject::Uri, true, false),
    backend("tools/call", Subject::Name(Kind::Tool), true, true),
    backend("prompts/get", Subject::Name(Kind::Prompt), true, true),
    backend("resources/read", Subject::Uri, true, true),
    backend("completion/complete", Subject::Reference, true, true),
    backend("tasks/get", Subject::Task, true, true),
    backend("tasks/cancel", Subject::Task, true, true),
    backend("tasks/result", Subject::Task, true, false),
    backend("tasks/update", Subject::Task, false, true),
    backend("tasks/list", Subject::Nothing, true, false),
    // Requests that only servers send: a client that sends one gets "method not found" from the edge.
    edge("sampling/createMessage", false, false),
    edge("elicitation/create", false, false),
];

impl Method {
    /// Returns the row of a method; `None`: the specifications do not name it.
    pub fn find(name: &str) -> Option<&'static Self> {
        METHODS.iter().find(|method| method.name == name)
    }

    /// Returns whether a client of this era may send it.
    pub fn is_for(&self, era: Era) -> bool {
        match era {
            Era::Legacy => self.legacy,
            Era::Modern => self.modern,
        }
    }

    /// Returns the name of a method as a label of metrics and spans; `other` for those that the specifications do not name.
    pub fn label(name: &str) -> &'static str {
        Self::find(name).map_or("other", |method| method.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_method_stands_once_and_what_a_backend_answers_is_for_some_era() {
        for (at, method) in METHODS.iter().enumerate() {
            assert!(METHODS[at + 1..].iter().all(|other| other.name != method.name), "{}", method.name);
            let asked = method.legacy || method.modern;
            assert!(asked || method.answered_by == AnsweredBy::Edge, "{}", method.name);
        }
        assert_eq!(Method::label("tools/call"), "tools/call");
        assert_eq!(Method::label("skills/list"), "other");
        assert!(
            Method::find("ping").is_some_and(|ping| ping.is_for(Era::Legacy) && !ping.is_for(Era::Modern))
        );
    }
}
