//! Platform of a `review_merge_request` call, which the built-in rules match on.
//!
//! The `platform` argument decides, else the form of the URL, else the project's path. Must not know slaves.

use std::fmt;

use serde_json::value::RawValue;
use url::Url;

use super::match_input::MatchInput;
use super::pointer::{member, scalar};
use super::selector::{LabelMatch, Selector};

/// Name of the tool.
pub(super) const TOOL: &str = "review_merge_request";

/// Label that names a slave's platform.
pub(super) const LABEL: &str = "platform";

/// Host of merge or pull requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Platform {
    Gitlab,
    Github,
}

impl Platform {
    pub(super) const ALL: [Self; 2] = [Self::Gitlab, Self::Github];

    /// The platforms in the order in which a default of theirs counts.
    pub(super) const BY_PRECEDENCE: [Self; 2] = [Self::Github, Self::Gitlab];

    /// What a call can name.
    pub(super) const OR_NONE: [Option<Self>; 3] = [None, Some(Self::Gitlab), Some(Self::Github)];

    /// Returns the value of the argument and the label.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Gitlab => "gitlab",
            Self::Github => "github",
        }
    }

    /// Returns the selectors of slaves that review on this platform.
    pub(super) fn selectors(self) -> Vec<Selector> {
        let named = LabelMatch::OneOf(vec![self.as_str().to_owned()]);
        [named, LabelMatch::Absent].map(|condition| Selector::label(LABEL, condition)).to_vec()
    }

    /// Returns the platform that the argument of this name says.
    fn named(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|platform| text.trim().eq_ignore_ascii_case(platform.as_str()))
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the arguments of a review say of where it belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// A request of this platform.
    Of(Platform),
    /// A number without a project, and the platform if it is named.
    Number(Option<Platform>),
    /// Nothing is said.
    Unsaid,
}

impl Subject {
    /// Reads the arguments of a review.
    pub(super) fn of(call: &MatchInput<'_>) -> Self {
        let Some(arguments) = call.arguments().map(RawValue::get) else { return Self::Unsaid };
        let argument = |name| member(arguments, name).and_then(scalar).filter(|text| !text.trim().is_empty());
        let named = argument("platform").and_then(|text| Platform::named(&text));
        let (input, project) = (argument("mrUrlOrId"), argument("project"));
        if project.is_none() && input.as_ref().is_some_and(|input| is_number(input)) {
            return Self::Number(named);
        }
        named
            .or_else(|| input.and_then(|input| platform_of_url(&input)))
            .or_else(|| project.and_then(|project| platform_of_project(&project)))
            .map_or(Self::Unsaid, Self::Of)
    }
}

/// Recognises `17`, `#17`, `!17` and `17.0`, as people and models write numbers of requests.
fn is_number(input: &str) -> bool {
    let text = input.trim();
    let text = text.strip_prefix(['#', '!']).unwrap_or(text).trim();
    let text = text.strip_suffix(".0").unwrap_or(text);
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// Recognises `…/-/merge_requests/<n>` as GitLab and `/<owner>/<repo>/pull/<n>` on a GitHub host as GitHub.
fn platform_of_url(input: &str) -> Option<Platform> {
    let input = input.trim();
    let url = if input.contains("://") {
        Url::parse(input).ok()?
    } else if input.contains('/') {
        Url::parse(&format!("https://{input}")).ok()?
    } else {
        return None;
    };
    let path: Vec<&str> = url.path().split('/').collect();
    let number = |text: &&str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if path.windows(3).any(|part| part[0] == "-" && part[1] == "merge_requests" && number(&part[2])) {
        return Some(Platform::Gitlab);
    }
    let is_pull = path.windows(2).any(|part| part[0] == "pull" && number(&part[1]));
    (is_pull && is_github(url.host_str()?)).then_some(Platform::Github)
}

/// Recognises github.com, hosts with a label `github` (GitHub Enterprise Server), and subdomains of ghe.com.
fn is_github(host: &str) -> bool {
    host.split('.').any(|part| part == "github") || host.ends_with(".ghe.com")
}

/// A path of two segments is a GitHub repository, any other a GitLab project, as to mr-pilot itself.
fn platform_of_project(project: &str) -> Option<Platform> {
    match project.trim().split('/').filter(|part| !part.is_empty()).count() {
        0 => None,
        2 => Some(Platform::Github),
        _ => Some(Platform::Gitlab),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use front::calls::HeaderMap;

    use super::super::match_input::ClientIdentity;
    use super::*;

    fn of(arguments: &str) -> Subject {
        let (headers, params) = (HeaderMap::new(), BTreeMap::new());
        let message = format!(r#"{{"id":1,"params":{{"name":"{TOOL}","arguments":{arguments}}}}}"#);
        Subject::of(&MatchInput::new(ClientIdentity::Anonymous, &headers, &params, message.as_bytes()))
    }

    #[test]
    fn the_argument_decides_then_the_url_then_the_project() {
        use Platform::{Github, Gitlab};
        use Subject::{Number, Of, Unsaid};
        for (arguments, expected) in [
            (r#"{"mrUrlOrId":"https://gitlab.com/g/p/-/merge_requests/7"}"#, Of(Gitlab)),
            (r#"{"mrUrlOrId":"https://code.corp/a/b/c/-/merge_requests/7/diffs?x#y"}"#, Of(Gitlab)),
            (r#"{"mrUrlOrId":"https://github.com/o/r/pull/7"}"#, Of(Github)),
            (r#"{"mrUrlOrId":"github.com/o/r/pull/7/files"}"#, Of(Github)),
            (r#"{"mrUrlOrId":"https://github.corp.example/o/r/pull/7"}"#, Of(Github)),
            (r#"{"mrUrlOrId":"https://octo.ghe.com/o/r/pull/7"}"#, Of(Github)),
            (r#"{"mrUrlOrId":"https://gitea.example/o/r/pull/7"}"#, Unsaid),
            (r#"{"mrUrlOrId":"https://github.com@evil.example/o/r/pull/7"}"#, Unsaid),
            (r#"{"mrUrlOrId":"https://github.com/o/r/pull/x"}"#, Unsaid),
            (r#"{"mrUrlOrId":"https://gitlab.com/g/p/-/merge_requests/"}"#, Unsaid),
            (r#"{"mrUrlOrId":"12","project":"owner/repo"}"#, Of(Github)),
            (r#"{"mrUrlOrId":12,"project":"group/sub/project"}"#, Of(Gitlab)),
            (r#"{"mrUrlOrId":"12","project":"/a/b/"}"#, Of(Github)),
            (r#"{"mrUrlOrId":"12","project":"77"}"#, Of(Gitlab)),
            (r#"{"mrUrlOrId":"12"}"#, Number(None)),
            (r#"{"mrUrlOrId":12}"#, Number(None)),
            (r#"{"mrUrlOrId":12.0,"project":null}"#, Number(None)),
            (r#"{"mrUrlOrId":" #12 ","project":"  "}"#, Number(None)),
            (r#"{"mrUrlOrId":"!12","platform":""}"#, Number(None)),
            (r#"{"mrUrlOrId":"12","platform":" GitLab "}"#, Number(Some(Gitlab))),
            (r#"{"mrUrlOrId":"12","platform":"github","project":""}"#, Number(Some(Github))),
            (r#"{"mrUrlOrId":"12","platform":"gitlab","project":"a/b"}"#, Of(Gitlab)),
            (r#"{"mrUrlOrId":"12","platform":"bitbucket"}"#, Number(None)),
            (r#"{"mrUrlOrId":"twelve"}"#, Unsaid),
            (r#"{"mrUrlOrId":"","platform":"github"}"#, Of(Github)),
            (r#"{"mrUrlOrId":"https://github.com/o/r/pull/7","platform":"gitlab"}"#, Of(Gitlab)),
            (r#"{"mrUrlOrId":"https://github.com/o/r/pull/7","project":"a/b/c"}"#, Of(Github)),
            (r#"{"mrUrlOrId":"12","project":"a/b","platform":5}"#, Of(Github)),
            (r#"{"platform":"other"}"#, Unsaid),
            ("[]", Unsaid),
            ("null", Unsaid),
        ] {
            assert_eq!(of(arguments), expected, "{arguments}");
        }
    }
}
