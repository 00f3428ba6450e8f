//! Routing of a review that is named by a number only: to the slaves with the one default project that it can mean, never to
//! one of several at random. Must not know calls beyond that, nor what a slave is.
//!
//! Slaves say by labels which default they have ([`REVIEW_DEFAULTS`]); a slave with a default of both platforms means GitHub,
//! as the command line of mr-pilot does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use protocol::link::handshake::REVIEW_DEFAULTS;
use protocol::mcp::failure::Failure;

use super::labelled::Labelled;
use super::review::{LABEL, Platform};
use super::route::{Priorities, Route, priorities};
use super::rule::Rule;
use super::selector::{LabelMatch, Selector};

/// The routes of such reviews among the slaves of one pool, by the platform that the call names.
pub(super) struct NumberRoutes<S>([Result<Known<S>, Ambiguous>; 3]);

/// The slaves that a number can only mean.
struct Known<S> {
    rule: Arc<Rule>,
    priorities: Priorities<S>,
}

/// Why a number could mean several things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ambiguous {
    /// A project of either platform.
    Platform,
    /// Several projects, as far as the proxy knows.
    Project,
}

/// What a number means to one slave.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Meaning {
    /// This project or repository.
    Of(Platform, String),
    /// Nothing: it has no default.
    Nothing,
    /// It cannot say.
    Unknown,
}

/// What is known of a slave.
struct Candidate {
    /// Its label `platform`.
    platform: Option<String>,
    meaning: Meaning,
}

impl Candidate {
    /// Returns what is known of a slave. `None`: it is one of another platform than the one that the call names.
    fn of(named: Option<Platform>, slave: &impl Labelled) -> Option<Self> {
        slave.with_labels(|labels| {
            let platform = labels.get(LABEL).cloned();
            let can = |of: Platform| platform.as_deref().is_none_or(|label| label == of.as_str());
            if named.is_some_and(|named| !can(named)) {
                return None;
            }
            let asked =
                Platform::BY_PRECEDENCE.into_iter().filter(|of| named.is_none_or(|named| named == *of));
            let mut defaults = asked.filter(|of| can(*of)).filter_map(|of| {
                labels.get(default_label(of)).map(|project| Meaning::Of(of, project.clone()))
            });
            let otherwise = if slave.tells_defaults() { Meaning::Nothing } else { Meaning::Unknown };
            let meaning = defaults.next().unwrap_or(otherwise);
            Some(Self { platform, meaning })
        })
    }
}

/// Returns the label by which a slave says its default project on a platform.
fn default_label(platform: Platform) -> &'static str {
    match platform {
        Platform::Github => REVIEW_DEFAULTS[0],
        Platform::Gitlab => REVIEW_DEFAULTS[1],
    }
}

/// Returns the labels of the slaves that a number can only mean.
pub(super) fn select<S: Labelled>(
    named: Option<Platform>,
    slaves: &[Arc<S>],
) -> Result<Vec<Selector>, Ambiguous> {
    let candidates: Vec<Candidate> =
        slaves.iter().filter_map(|slave| Candidate::of(named, slave.as_ref())).collect();
    let meanings: BTreeSet<&Meaning> = candidates.iter().map(|candidate| &candidate.meaning).collect();
    let mut known = meanings.iter().filter_map(|meaning| match meaning {
        Meaning::Of(platform, project) => Some((*platform, project.as_str())),
        Meaning::Nothing | Meaning::Unknown => None,
    });
    match (known.next(), known.next()) {
        (Some((platform, project)), None) => Ok(with_default(platform, project)),
        (Some((first, _)), Some(_)) => {
            let differ = meanings
                .iter()
                .any(|meaning| matches!(meaning, Meaning::Of(platform, _) if *platform != first));
            Err(if differ { Ambiguous::Platform } else { Ambiguous::Project })
        }
        (None, _) => without_default(named, &candidates),
    }
}

/// Returns the labels of slaves with this default.
fn with_default(platform: Platform, project: &str) -> Vec<Selector> {
    let conditions = [LabelMatch::OneOf(vec![platform.as_str().into()]), LabelMatch::Absent];
    let selector = |condition| {
        Selector(BTreeMap::from([
            (default_label(platform).to_owned(), LabelMatch::OneOf(vec![project.to_owned()])),
            (LABEL.to_owned(), condition),
        ]))
    };
    conditions.map(selector).to_vec()
}

/// Returns the labels of the slaves that a number can only mean where none is known to have a default.
fn without_default(named: Option<Platform>, candidates: &[Candidate]) -> Result<Vec<Selector>, Ambiguous> {
    let labels: BTreeSet<&str> =
        candidates.iter().filter_map(|candidate| candidate.platform.as_deref()).collect();
    let is_unsaid =
        |candidate: &&Candidate| candidate.platform.is_none() && candidate.meaning == Meaning::Unknown;
    let is_unsaid = candidates.len() > 1 && candidates.iter().any(|candidate| is_unsaid(&candidate));
    let mut labels = labels.into_iter();
    match (labels.next(), labels.next()) {
        (Some(_), Some(_)) => Err(Ambiguous::Platform),
        (_, None) if is_unsaid => Err(Ambiguous::Project),
        (Some(label), None) => Ok(vec![Selector::label(LABEL, LabelMatch::OneOf(vec![label.to_owned()]))]),
        (None, _) => Ok(named.map_or_else(|| vec![Selector::default()], Platform::selectors)),
    }
}

impl<S: Labelled> NumberRoutes<S> {
    /// Works out the routes among these slaves. `rule` is the built-in rule.
    pub(super) fn new(rule: &Rule, members: &[Arc<S>]) -> Self {
        Self(Platform::OR_NONE.map(|named| {
            let rule = Arc::new(Rule { priorities: vec![select(named, members)?], ..rule.clone() });
            let priorities = priorities(&rule, members.iter());
            Ok(Known { rule, priorities })
        }))
    }

    /// Returns the route of a call that names this platform.
    ///
    /// # Errors
    /// The number could mean several things; the failure says what to add.
    pub(super) fn route(&self, named: Option<Platform>) -> Result<Route<S>, Failure> {
        let index = Platform::OR_NONE.iter().position(|known| *known == named).unwrap_or_default();
        match &self.0[index] {
            Ok(known) => Ok(Route::new(Some(Arc::clone(&known.rule)), Arc::clone(&known.priorities))),
            Err(ambiguous) => Err(ambiguous.failure()),
        }
    }
}

impl Ambiguous {
    /// Returns what is wrong and what to add, for the one who made the call.
    pub(super) fn advice(self) -> &'static str {
        match self {
            Self::Platform => {
                "mrUrlOrId is only a number, which could mean a GitHub pull request or a GitLab merge request: \
                 add \"platform\" (\"github\" or \"gitlab\") or \"project\" (\"owner/repo\" or \"group/sub/project\"), \
                 or give the whole URL"
            }
            Self::Project => {
                "mrUrlOrId is only a number, which could mean a request of several projects: add \"project\" \
                 (\"owner/repo\" on GitHub; \"group/project\" with \"platform\": \"gitlab\" on GitLab), or give the whole URL"
            }
        }
    }

    fn failure(self) -> Failure {
        Failure::InvalidParams(self.advice().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct TestSlave {
        labels: BTreeMap<String, String>,
        tells: bool,
    }

    impl Labelled for TestSlave {
        fn with_labels<R>(&self, read: impl FnOnce(&BTreeMap<String, String>) -> R) -> R {
            read(&self.labels)
        }

        fn tells_defaults(&self) -> bool {
            self.tells
        }
    }

    /// A slave by its labels; `plain` before them: one that cannot say its defaults.
    fn slave(text: &str) -> Arc<TestSlave> {
        let labels = text.split_whitespace().filter_map(|word| word.split_once('='));
        Arc::new(TestSlave {
            labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            tells: !text.starts_with("plain"),
        })
    }

    /// The slaves that a number goes to, or why none.
    fn goes(named: Option<Platform>, slaves: &[&str]) -> Result<Vec<usize>, Ambiguous> {
        let slaves: Vec<Arc<TestSlave>> = slaves.iter().map(|text| slave(text)).collect();
        let selectors = select(named, &slaves)?;
        let selected = |slave: &TestSlave| selectors.iter().any(|selector| selector.selects(&slave.labels));
        Ok((0..slaves.len()).filter(|index| selected(&slaves[*index])).collect())
    }

    const GITHUB: &str = "github-default=o/r";
    const GITLAB: &str = "gitlab-default=g/p";
    const BOTH: &str = "github-default=o/r gitlab-default=g/p";

    #[test]
    fn a_number_goes_to_the_one_default_or_nowhere() {
        use Ambiguous::{Platform, Project};
        for (slaves, expected) in [
            // One default, whoever else is there.
            (&[GITHUB][..], Ok(vec![0])),
            (&[GITHUB, ""], Ok(vec![0])),
            (&["", GITLAB, "plain"], Ok(vec![1])),
            (&["platform=gitlab", GITHUB], Ok(vec![1])),
            // The same default twice is one.
            (&[GITLAB, "platform=gitlab gitlab-default=g/p", ""], Ok(vec![0, 1])),
            // GitHub first, within one slave.
            (&[BOTH], Ok(vec![0])),
            (&[BOTH, GITHUB], Ok(vec![0, 1])),
            // Two could be meant.
            (&[GITHUB, GITLAB], Err(Platform)),
            (&[BOTH, GITLAB], Err(Platform)),
            (&[GITHUB, "github-default=o/other"], Err(Project)),
            (&[GITLAB, "gitlab-default=g/other"], Err(Project)),
            (&["platform=gitlab", "platform=github"], Err(Platform)),
            (&["platform=gitlab", "platform=github", ""], Err(Platform)),
            // What a slave says beyond its label does not count.
            (&["platform=gitlab github-default=o/r", "platform=gitlab"], Ok(vec![0, 1])),
            (&["platform=gitlab github-default=o/r gitlab-default=g/p", ""], Ok(vec![0])),
            // Slaves that cannot say it.
            (&["plain"], Ok(vec![0])),
            (&["plain", "plain"], Err(Project)),
            (&["plain", ""], Err(Project)),
            (&["plain platform=github", "plain platform=github"], Ok(vec![0, 1])),
            (&["plain platform=github", "plain"], Err(Project)),
            (&["plain platform=github", ""], Ok(vec![0])),
            // Nobody has one: each says so.
            (&["", ""], Ok(vec![0, 1])),
            (&[], Ok(vec![])),
        ] {
            assert_eq!(goes(None, slaves), expected, "{slaves:?}");
        }
    }

    #[test]
    fn a_number_with_its_platform_goes_to_the_default_of_that_platform() {
        use Ambiguous::Project;
        let github = Some(Platform::Github);
        let gitlab = Some(Platform::Gitlab);
        for (named, slaves, expected) in [
            (github, &[GITHUB, GITLAB][..], Ok(vec![0])),
            (gitlab, &[GITHUB, GITLAB], Ok(vec![1])),
            (gitlab, &[BOTH, GITLAB, ""], Ok(vec![0, 1])),
            (gitlab, &[GITHUB, "platform=gitlab"], Ok(vec![1])),
            (github, &["platform=gitlab", "platform=github", ""], Ok(vec![1])),
            (github, &["platform=gitlab"], Ok(vec![])),
            (github, &["platform=gitlab", ""], Ok(vec![1])),
            (github, &[GITHUB, "github-default=o/other"], Err(Project)),
            (github, &["plain", "plain"], Err(Project)),
        ] {
            assert_eq!(goes(named, slaves), expected, "{named:?} {slaves:?}");
        }
    }

    #[test]
    fn the_refusal_says_what_to_add() {
        assert!(Ambiguous::Platform.advice().contains("\"platform\""));
        for ambiguous in [Ambiguous::Platform, Ambiguous::Project] {
            assert!(ambiguous.advice().contains("\"project\""));
            assert_eq!(ambiguous.failure().spec().kind, "invalid_params");
        }
    }
}
