//! Which platform a review is about: `review_merge_request` goes by it without any rule of the operator's.
//!
//! The `platform` argument, else the kind of the URL, else the project's path (EXISTING.md, "The tool
//! `review_merge_request`"). Must not know slaves.

use std::fmt;

use url::Url;

use super::pointer::{member, scalar};
use super::question::Question;

/// The tool.
pub(super) const TOOL: &str = "review_merge_request";

/// The label that slaves say their platform with.
pub(super) const LABEL: &str = "platform";

/// Where merge and pull requests are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Platform {
    Gitlab,
    Github,
}

impl Platform {
    pub(super) const ALL: [Self; 2] = [Self::Gitlab, Self::Github];

    /// As the argument and the label have it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Gitlab => "gitlab",
            Self::Github => "github",
        }
    }

    /// What the arguments of a call say; `None` if they leave it open.
    pub(super) fn of(call: &Question<'_>) -> Option<Self> {
        let arguments = call.arguments()?.get();
        let argument = |name| member(arguments, name).and_then(scalar);
        let named = argument("platform");
        let named =
            named.and_then(|named| Self::ALL.into_iter().find(|platform| *named == *platform.as_str()));
        named
            .or_else(|| argument("mrUrlOrId").and_then(|input| of_url(&input)))
            .or_else(|| argument("project").and_then(|project| of_project(&project)))
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `…/-/merge_requests/<n>` is GitLab, `/<owner>/<repo>/pull/<n>` on a GitHub host is GitHub.
fn of_url(input: &str) -> Option<Platform> {
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

/// github.com, hosts with `github` for a part of their name (GitHub Enterprise), and GitHub's own cloud below ghe.com.
fn is_github(host: &str) -> bool {
    host.split('.').any(|part| part == "github") || host.ends_with(".ghe.com")
}

/// Two segments are GitHub's, three or more GitLab's.
fn of_project(project: &str) -> Option<Platform> {
    match project.trim().split('/').filter(|part| !part.is_empty()).count() {
        0 | 1 => None,
        2 => Some(Platform::Github),
        _ => Some(Platform::Gitlab),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use front::calls::HeaderMap;

    use super::super::question::Who;
    use super::*;

    fn of(arguments: &str) -> Option<Platform> {
        let (headers, params) = (HeaderMap::new(), BTreeMap::new());
        let message = format!(r#"{{"id":1,"params":{{"name":"{TOOL}","arguments":{arguments}}}}}"#);
        Platform::of(&Question::new(Who::Anyone, (&headers, &params), message.as_bytes()))
    }

    #[test]
    fn argument_then_url_then_project() {
        use Platform::{Github, Gitlab};
        for (arguments, expected) in [
            (r#"{"mrUrlOrId":"https://gitlab.com/g/p/-/merge_requests/7"}"#, Some(Gitlab)),
            (r#"{"mrUrlOrId":"https://code.corp/a/b/c/-/merge_requests/7/diffs?x#y"}"#, Some(Gitlab)),
            (r#"{"mrUrlOrId":"https://github.com/o/r/pull/7"}"#, Some(Github)),
            (r#"{"mrUrlOrId":"github.com/o/r/pull/7/files"}"#, Some(Github)),
            (r#"{"mrUrlOrId":"https://github.corp.example/o/r/pull/7"}"#, Some(Github)),
            (r#"{"mrUrlOrId":"https://octo.ghe.com/o/r/pull/7"}"#, Some(Github)),
            (r#"{"mrUrlOrId":"https://gitea.example/o/r/pull/7"}"#, None),
            (r#"{"mrUrlOrId":"https://github.com@evil.example/o/r/pull/7"}"#, None),
            (r#"{"mrUrlOrId":"https://github.com/o/r/pull/x"}"#, None),
            (r#"{"mrUrlOrId":"https://gitlab.com/g/p/-/merge_requests/"}"#, None),
            (r#"{"mrUrlOrId":"12","project":"owner/repo"}"#, Some(Github)),
            (r#"{"mrUrlOrId":12,"project":"group/sub/project"}"#, Some(Gitlab)),
            (r#"{"mrUrlOrId":"12","project":"/a/b/"}"#, Some(Github)),
            (r#"{"mrUrlOrId":"12","project":"77"}"#, None),
            (r#"{"mrUrlOrId":"12"}"#, None),
            (r#"{"mrUrlOrId":"https://github.com/o/r/pull/7","platform":"gitlab"}"#, Some(Gitlab)),
            (r#"{"mrUrlOrId":"https://github.com/o/r/pull/7","project":"a/b/c"}"#, Some(Github)),
            (r#"{"mrUrlOrId":"12","project":"a/b","platform":5}"#, Some(Github)),
            (r#"{"platform":"other"}"#, None),
            ("[]", None),
            ("null", None),
        ] {
            assert_eq!(of(arguments), expected, "{arguments}");
        }
    }
}
