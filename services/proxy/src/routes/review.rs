//! Platform of a `review_merge_request` call, which the built-in rules match on.
//!
//! The `platform` argument decides, else the form of the URL, else the project's path. Must not know slaves.

use std::fmt;

use url::Url;

use super::match_input::MatchInput;
use super::pointer::{member, scalar};

/// Name of the tool.
pub(super) const TOOL: &str = "review_merge_request";

/// Label that names a slave's platform.
pub(super) const LABEL: &str = "platform";

/// Host of merge or pull requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Platform {
    Gitlab,
    Github,
}

impl Platform {
    pub(super) const ALL: [Self; 2] = [Self::Gitlab, Self::Github];

    /// Returns the value of the argument and the label.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Gitlab => "gitlab",
            Self::Github => "github",
        }
    }

    /// Returns the platform that the call's arguments imply; `None` if they imply none.
    pub(super) fn of(call: &MatchInput<'_>) -> Option<Self> {
        let arguments = call.arguments()?.get();
        let argument = |name| member(arguments, name).and_then(scalar);
        let named = argument("platform");
        let named =
            named.and_then(|named| Self::ALL.into_iter().find(|platform| *named == *platform.as_str()));
        named
            .or_else(|| argument("mrUrlOrId").and_then(|input| platform_of_url(&input)))
            .or_else(|| argument("project").and_then(|project| platform_of_project(&project)))
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
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

/// A path of two segments is a GitHub repository, a longer one a GitLab project.
fn platform_of_project(project: &str) -> Option<Platform> {
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

    use super::super::match_input::ClientIdentity;
    use super::*;

    fn of(arguments: &str) -> Option<Platform> {
        let (headers, params) = (HeaderMap::new(), BTreeMap::new());
        let message = format!(r#"{{"id":1,"params":{{"name":"{TOOL}","arguments":{arguments}}}}}"#);
        Platform::of(&MatchInput::new(ClientIdentity::Anonymous, &headers, &params, message.as_bytes()))
    }

    #[test]
    fn the_argument_decides_then_the_url_then_the_project() {
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
