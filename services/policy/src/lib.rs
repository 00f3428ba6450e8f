//! Who may use what: the policy file, its compiled form, and the decision on a call.
//!
//! Pure, but for the reading of the file. Must not know slaves' links, HTTP or how an identity was proven.

mod annotations;
mod argument;
mod client_rules;
mod contents;
mod decision;
mod examination;
mod file;
mod place;
mod pointer;
mod policy;
mod probe;
mod quota;
mod requester;
mod roles;
mod rule;
mod rule_set;
mod side;
mod source;
mod store;
mod subject;
mod summary;
mod tests_section;
mod who;

pub use annotations::Annotations;
pub use client_rules::{Clearance, ClientRules};
pub use decision::Decision;
pub use examination::{RuleCheck, TestReport};
pub use place::Place;
pub use policy::{Policy, RuleRef};
pub use probe::Probe;
pub use quota::{Quota, QuotaShare};
pub use requester::Requester;
pub use roles::Role;
pub use rule_set::RuleSet;
pub use side::Side;
pub use source::{PolicyError, PolicyFile, Reload, follow};
pub use store::PolicyStore;
pub use subject::{Subject, SubjectKind};
pub use summary::RuleSummary;
