//! What a request is about, and the patterns by which rules name it. Must not know who asks.

use std::borrow::Cow;

use protocol::mcp::kind::Kind;
use runtime::glob::{Glob, any_matches};
use url::Url;

/// Kind of what a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SubjectKind {
    /// Tool.
    Tool,
    /// Prompt.
    Prompt,
    /// Resource or resource template, by its URI.
    Resource,
    /// Method that the specifications do not name.
    Method,
}

impl SubjectKind {
    /// Returns the kind of what a request names; `None`: a task.
    pub fn of(kind: Option<Kind>) -> Option<Self> {
        match kind {
            None => Some(Self::Method),
            Some(Kind::Tool) => Some(Self::Tool),
            Some(Kind::Prompt) => Some(Self::Prompt),
            Some(Kind::Resource | Kind::Template) => Some(Self::Resource),
            Some(Kind::Task) => None,
        }
    }

    /// Returns the stable name, as metrics and explanations have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tool => "tool",
            Self::Prompt => "prompt",
            Self::Resource => "resource",
            Self::Method => "method",
        }
    }
}

/// What a request is about, by all the names that it goes by: an allowing rule must name each, a denying rule any of them.
#[derive(Clone, Debug)]
pub struct Subject<'a> {
    pub(crate) kind: SubjectKind,
    pub(crate) names: Vec<Cow<'a, str>>,
    /// Names for denying rules only.
    pub(crate) aside: Vec<Cow<'a, str>>,
}

impl<'a> Subject<'a> {
    /// A tool or prompt by the clients' and the slaves' name, or a method by its name.
    pub fn named(kind: SubjectKind, shown: &'a str, own: &'a str) -> Self {
        if kind == SubjectKind::Resource {
            return Self::resource([shown, own]);
        }
        let mut names = vec![Cow::Borrowed(shown)];
        if own != shown {
            names.push(Cow::Borrowed(own));
        }
        Self { kind, names, aside: Vec::new() }
    }

    /// A resource by its URI. Spellings that a server may take for the same resource are
    /// names of it, too.
    pub fn resource(uris: impl IntoIterator<Item = &'a str>) -> Self {
        let mut names = Vec::new();
        for uri in uris {
            for name in [Some(Cow::Borrowed(uri)), resolved(uri)].into_iter().flatten() {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        Self { kind: SubjectKind::Resource, names, aside: Vec::new() }
    }

    /// Returns the same resource, reached by a template: what denies the template denies it, too.
    #[must_use]
    pub fn reached_by(mut self, template: &'a str) -> Self {
        self.aside.push(Cow::Borrowed(template));
        self
    }
}

/// Returns a URI as a server would resolve it: dot segments removed, the scheme in lower case, percent-encoded characters decoded;
/// `None` where it is no URI. A template has braces and stands as it is.
fn resolved(uri: &str) -> Option<Cow<'static, str>> {
    if uri.contains('{') {
        return None;
    }
    let plain = decode(uri).replace('\\', "/");
    let mut url = Url::parse(&plain).ok()?;
    if url.cannot_be_a_base() {
        return Some(Cow::Owned(plain));
    }
    // Schemes that the URL standard does not know keep their dot segments unless they have an authority.
    let path = without_dots(&decode(url.path()));
    url.set_path(&path);
    Some(Cow::Owned(decode(url.as_str())))
}

/// Decodes percent-encoded characters, also those that were encoded several times.
fn decode(text: &str) -> String {
    let mut text = text.to_owned();
    for _ in 0..4 {
        let next = decode_once(&text);
        if next == text {
            break;
        }
        text = next;
    }
    text
}

fn decode_once(text: &str) -> String {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let bytes = text.as_bytes();
    let (mut plain, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        let pair = (bytes[at] == b'%').then(|| Some((*bytes.get(at + 1)?, *bytes.get(at + 2)?))).flatten();
        if let Some(byte) = pair.and_then(|(high, low)| Some(digit(high)? << 4 | digit(low)?)) {
            plain.push(byte);
            at += 3;
        } else {
            plain.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "." => {}
            ".." => {
                if kept.len() > 1 {
                    kept.pop();
                }
            }
            segment => kept.push(segment),
        }
    }
    kept.join("/")
}

/// What a rule is about: patterns for each kind. A kind without patterns is not named.
#[derive(Clone, Debug, Default)]
pub(crate) struct What {
    pub(crate) tools: Vec<Glob>,
    pub(crate) prompts: Vec<Glob>,
    pub(crate) resources: Vec<Glob>,
    pub(crate) methods: Vec<Glob>,
}

impl What {
    fn globs(&self, kind: SubjectKind) -> &[Glob] {
        match kind {
            SubjectKind::Tool => &self.tools,
            SubjectKind::Prompt => &self.prompts,
            SubjectKind::Resource => &self.resources,
            SubjectKind::Method => &self.methods,
        }
    }

    /// Returns whether every name is one of the rule's.
    pub(crate) fn names_all(&self, subject: &Subject<'_>) -> bool {
        let globs = self.globs(subject.kind);
        subject.names.iter().all(|name| any_matches(globs, name))
    }

    /// Returns whether any name is one of the rule's.
    pub(crate) fn names_any(&self, subject: &Subject<'_>) -> bool {
        let globs = self.globs(subject.kind);
        subject.names.iter().chain(&subject.aside).any(|name| any_matches(globs, name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resources(glob: &str) -> What {
        What { resources: vec![Glob::new(glob)], ..What::default() }
    }

    #[test]
    fn no_spelling_of_a_uri_leads_out_of_what_is_allowed() {
        let docs = resources("file:///docs/*");
        for uri in ["file:///docs/a", "file:///docs/a/./b", "file:///docs/x/../a", "file:///docs/a%20b"] {
            assert!(docs.names_all(&Subject::resource([uri])), "{uri}");
        }
        for uri in [
            "file:///docs/../etc/passwd",
            "file:///docs/%2e%2e/etc/passwd",
            "file:///docs/%252e%252e/etc/passwd",
            "file:///docs/..%2fetc/passwd",
            "file:///docs/..\\etc\\passwd",
            "file:///docs/x/../../etc",
            "FILE:///docs/a",
        ] {
            assert!(!docs.names_all(&Subject::resource([uri])), "{uri}");
        }
        let custom = resources("repo://main/*");
        assert!(custom.names_all(&Subject::resource(["repo://main/a"])));
        assert!(
            !custom.names_all(&Subject::resource(["repo://main/../x"]))
                || custom.names_all(&Subject::resource(["repo://main/x"]))
        );
    }

    #[test]
    fn no_spelling_of_a_uri_evades_a_denial() {
        let secret = resources("file:///secret/*");
        for uri in [
            "file:///secret/a",
            "FILE:///secret/a",
            "file:///docs/../secret/a",
            "file:///%73ecret/a",
            "file:///docs/%2e%2e/secret/a",
        ] {
            assert!(secret.names_any(&Subject::resource([uri])), "{uri}");
        }
        assert!(!secret.names_any(&Subject::resource(["file:///docs/a"])));
    }

    #[test]
    fn a_name_made_up_for_a_collision_neither_evades_a_denial_nor_uses_a_permission() {
        let git = What { tools: vec![Glob::new("git_*")], ..What::default() };
        let shown = Subject::named(SubjectKind::Tool, "evil__git_push", "git_push");
        assert!(git.names_any(&shown) && !git.names_all(&shown));
        let derived = Subject::named(SubjectKind::Tool, "git_x__rm", "rm");
        assert!(git.names_any(&derived) && !git.names_all(&derived));
        assert!(git.names_all(&Subject::named(SubjectKind::Tool, "git_push", "git_push")));
        assert!(!git.names_any(&Subject::named(SubjectKind::Prompt, "git_push", "git_push")));
    }
}
