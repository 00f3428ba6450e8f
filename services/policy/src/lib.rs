//! Who may use what: the policy file, its compiled form, and the decision on a call.
//!
//! Pure, but for the reading of the file. Must not know slaves' links, HTTP or how an identity was proven.

mod annotations;
mod argument;
mod asker;
mod decision;
mod file;
mod glob;
mod place;
mod pointer;
mod policy;
mod probe;
mod requester;
mod roles;
mod rule;
mod rule_set;
mod source;
mod store;
mod subject;
mod tests_section;
mod who;

pub use annotations::Annotations;
pub use asker::{Asker, Clearance};
pub use decision::Decision;
pub use place::Place;
pub use policy::{Policy, RuleRef};
pub use probe::{Probe, RuleCheck};
pub use requester::Requester;
pub use roles::Role;
pub use rule_set::RuleSet;
pub use source::{PolicyError, PolicyFile, Reload, Side, follow};
pub use store::PolicyStore;
pub use subject::{Subject, SubjectKind};
pub use tests_section::TestReport;
