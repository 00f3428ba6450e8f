//! A request that nobody has made: what tests of a policy and explanations ask about. Must not know files.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::annotations::Annotations;
use crate::place::Place;
use crate::requester::Requester;
use crate::subject::{Subject, SubjectKind};

/// A request as a test or an explanation describes it.
#[derive(Clone, Debug)]
pub struct Probe {
    /// The client.
    pub client: Requester<'static>,
    /// Kind of what it asks for.
    pub kind: SubjectKind,
    /// The clients' name of it.
    pub name: String,
    /// The slaves' own name, if it is another.
    pub own_name: Option<String>,
    /// Arguments, a JSON object.
    pub arguments: Option<String>,
    /// Annotations of the tool, a JSON object.
    pub annotations: Option<String>,
    /// Name of the slave's code.
    pub code: String,
    /// Labels of the slave.
    pub labels: BTreeMap<String, String>,
}

impl Probe {
    pub(crate) fn subject(&self) -> Subject<'_> {
        Subject::named(self.kind, &self.name, self.own_name.as_deref().unwrap_or(&self.name))
    }

    pub(crate) fn place(&self) -> Place<'_> {
        Place { code: &self.code, labels: &self.labels }
    }

    pub(crate) fn annotations(&self) -> Option<Annotations> {
        let text = format!(r#"{{"annotations":{}}}"#, self.annotations.as_deref().unwrap_or("{}"));
        let given =
            RawValue::from_string(text).map_or_else(|_| Annotations::default(), |raw| Annotations::of(&raw));
        (self.kind == SubjectKind::Tool).then_some(given)
    }

    pub(crate) fn message(&self) -> String {
        let arguments = self.arguments.as_deref().unwrap_or("{}");
        format!(r#"{{"params":{{"arguments":{arguments}}}}}"#)
    }
}

/// A test of the file.
#[derive(Clone, Debug)]
pub(crate) struct PolicyTest {
    pub(crate) name: String,
    pub(crate) line: u64,
    pub(crate) probe: Probe,
    pub(crate) expected: &'static str,
}
