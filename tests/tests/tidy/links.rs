//! Links between the documents: each leads to a file of the repository, and to a heading that is there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::source::{read, report, root, walk};

/// Folders whose documents are read, besides those at the root.
const FOLDERS: [&str; 4] = ["docs", "helm", "k8s", ".github"];
/// Folders with texts that cite pages by their path below the root, or by their address.
const CITING: [&str; 9] =
    ["docs", "helm", "k8s", "grafana", "services", "tests", "scripts", ".github", "fuzz"];
/// Address below which the book is published; charts and dashboards put the operator's own in its place.
const SITE: &str = "https://mcp-relay.example/docs/";

/// A document without its code blocks.
struct Document {
    path: PathBuf,
    text: String,
}

impl Document {
    fn read(path: PathBuf) -> Self {
        let text = std::fs::read_to_string(&path).expect("a document");
        let mut in_code = false;
        let prose = text.lines().filter(|line| {
            let is_fence = line.trim_start().starts_with("```");
            in_code ^= is_fence;
            !is_fence && !in_code
        });
        Self { path, text: prose.collect::<Vec<_>>().join("\n") }
    }

    /// Returns whether a heading has this anchor, as forges make anchors of headings.
    fn has(&self, anchor: &str) -> bool {
        self.text.lines().filter_map(|line| line.strip_prefix('#')).any(|line| slug(line) == anchor)
    }

    /// Returns the targets of links, other sites left out.
    fn links(&self) -> impl Iterator<Item = &str> {
        let targets = self.text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        targets.filter(|target| !target.contains(':') && !target.contains(' ') && !target.is_empty())
    }
}

fn slug(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn documents() -> Vec<Document> {
    let at_root = std::fs::read_dir(root()).expect("the root").map(|file| file.expect("a file").path());
    let mut paths: Vec<PathBuf> = at_root.filter(|path| path.is_file()).collect();
    for folder in FOLDERS {
        walk(&root().join(folder), &mut |path| paths.push(path.to_owned()));
    }
    paths.retain(|path| path.extension().is_some_and(|kind| kind == "md"));
    paths.into_iter().map(Document::read).collect()
}

/// Returns what is wrong with a link, if anything.
fn fault(from: &Document, target: &str, all: &[Document]) -> Option<&'static str> {
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let folder = from.path.parent().unwrap_or(Path::new("."));
    let path = if file.is_empty() { from.path.clone() } else { folder.join(file) };
    let Ok(path) = path.canonicalize() else { return Some("there is no such file") };
    let document = all.iter().find(|one| one.path.canonicalize().is_ok_and(|other| other == path));
    let is_there = anchor.is_empty() || document.is_none_or(|document| document.has(anchor));
    (!is_there).then_some("there is no such heading")
}

#[test]
fn links_of_documents_lead_somewhere() {
    let all = documents();
    assert!(all.iter().map(|document| document.links().count()).sum::<usize>() > 50, "links are found");
    let mut faults = BTreeSet::new();
    for document in &all {
        for target in document.links() {
            if let Some(fault) = fault(document, target, &all) {
                faults.insert(format!("{}: {target}: {fault}", document.path.display()));
            }
        }
    }
    report(&faults);
}

/// The sections of runbooks that a page leads to.
fn runbooks_in(markup: &str) -> impl Iterator<Item = &str> {
    let values = markup.split("data-runbook=\"").skip(1).filter_map(|rest| rest.split('"').next());
    values
        .flat_map(|value| value.split(';'))
        .map(|one| one.split_once('=').map_or("", |(_, section)| section))
}

#[test]
fn runbooks_of_the_status_page_are_sections_of_the_document() {
    let document = Document::read(root().join("docs/operate/runbooks.md"));
    let (mut found, mut faults) = (0, BTreeSet::new());
    walk(&root().join("services"), &mut |path| {
        if path.extension().is_some_and(|kind| kind == "html") {
            let markup = std::fs::read_to_string(path).expect("a page");
            for section in runbooks_in(&markup) {
                found += 1;
                if !document.has(section) {
                    faults.insert(format!("{}: {section:?} is no runbook", path.display()));
                }
            }
        }
    });
    assert!(found > 10, "runbooks are found");
    report(&faults);
    assert!(!document.has(runbooks_in("<a data-runbook=\"x=gone\">").next().unwrap()));
}

#[test]
fn a_link_to_nothing_is_found() {
    let path = root().join("README.md");
    let text = "# One thing: `it`\n[a](#one-thing-it) [b](#gone) [c](docs/gone.md) [d](https://x.example)"
        .to_owned();
    let all = [Document { path, text }];
    let links: Vec<&str> = all[0].links().collect();
    assert_eq!(links, ["#one-thing-it", "#gone", "docs/gone.md"]);
    let faults: Vec<_> = links.iter().map(|target| fault(&all[0], target, &all)).collect();
    assert_eq!(faults, [None, Some("there is no such heading"), Some("there is no such file")]);
}

/// A page that a text names outside of links.
struct Citation {
    page: String,
    /// `None`: the page as a whole.
    place: Option<Place>,
}

enum Place {
    /// The anchor of an address.
    Anchor(String),
    /// A heading in words, which may leave out its number and its end.
    Title(String),
}

/// Pages that a text names outside of links: `docs/…md`, perhaps with a heading in quotes behind it, and addresses of the book.
fn citations(text: &str) -> Vec<Citation> {
    let is_path = |c: char| c.is_ascii_alphanumeric() || "/_-.".contains(c);
    let mut found = Vec::new();
    for (at, _) in text.match_indices("docs/") {
        let path = &text[at..];
        let path = &path[..path.find(|c| !is_path(c)).unwrap_or(path.len())];
        let rest = &text[at + path.len()..];
        let path = path.trim_end_matches('.');
        if let Some(page) = path.strip_suffix(".md") {
            let quoted = rest.strip_prefix(", ").map(|rest| rest.trim_start_matches('\\'));
            let heading = quoted.and_then(|rest| rest.strip_prefix('"')?.split(['"', '\\']).next());
            let place = heading.map(|heading| Place::Title(slug(heading)));
            found.push(Citation { page: format!("{page}.md"), place });
        } else if let Some(page) = path.strip_suffix(".html").filter(|_| text[..at + 5].ends_with(SITE)) {
            let is_anchor = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
            let anchor = rest.strip_prefix('#');
            let anchor = anchor.map(|rest| &rest[..rest.find(|c| !is_anchor(c)).unwrap_or(rest.len())]);
            let place = anchor.map(|anchor| Place::Anchor(anchor.to_owned()));
            found.push(Citation { page: format!("{page}.md"), place });
        }
    }
    found
}

/// Returns what is wrong with a citation, if anything.
fn citation_fault(citation: &Citation) -> Option<String> {
    let page = &citation.page;
    let path = root().join(page);
    if !path.is_file() {
        return Some(format!("{page} does not exist"));
    }
    let document = Document::read(path);
    match citation.place.as_ref()? {
        Place::Anchor(anchor) => (!document.has(anchor)).then(|| format!("{page} has no anchor {anchor:?}")),
        Place::Title(words) => {
            // A phrase in bold at the beginning of a paragraph or an item is a heading to whoever searches for it.
            let titles = document.text.lines().filter_map(|line| {
                let bold =
                    line.trim_start_matches("- ").strip_prefix("**").and_then(|line| line.split("**").next());
                bold.or_else(|| line.strip_prefix('#'))
            });
            let is_number = |c: char| c.is_ascii_digit() || c == '-';
            let is_there =
                titles.map(slug).any(|title| title.trim_start_matches(is_number).starts_with(words.as_str()));
            (!is_there).then(|| format!("{page} has no heading {words:?}"))
        }
    }
}

#[test]
fn pages_that_code_charts_and_alerts_cite_exist() {
    let (mut faults, mut seen) = (BTreeSet::new(), 0);
    let mut look = |path: &Path| {
        let Ok(text) = std::fs::read_to_string(path) else { return };
        if path.ends_with("tidy/links.rs") {
            return;
        }
        for citation in citations(&text) {
            seen += 1;
            let fault = citation_fault(&citation);
            faults.extend(fault.map(|fault| format!("{}: {fault}", path.display())));
        }
    };
    for folder in CITING {
        walk(&root().join(folder), &mut look);
    }
    for file in ["Makefile", "Cargo.toml", "docker-compose.yml", ".env.example", "Dockerfile"] {
        look(&root().join(file));
    }
    assert!(seen > 100, "citations are found: {seen}");
    report(&faults);
}

#[test]
fn a_citation_of_nothing_is_found() {
    let text = r#"docs/METRICS.md, \"Gone\" docs/gone.md. https://mcp-relay.example/docs/operate/runbooks.html#mcprelaygone
        https://mcp-relay.example/docs/operate/runbooks.html#mcprelaynoslave docs/operate/health.md, "States of a slave"."#;
    let faults: Vec<_> = citations(text).iter().map(|citation| citation_fault(citation).is_some()).collect();
    assert_eq!(faults, [true, true, true, false, false]);
}

/// Every page stands in the book's table of contents: what is missing there is not built and in no index.
#[test]
fn every_page_is_in_the_book() {
    let summary = Document { path: root().join("docs/SUMMARY.md"), text: read("docs/SUMMARY.md") };
    let listed: BTreeSet<PathBuf> = summary.links().map(|target| root().join("docs").join(target)).collect();
    let mut faults = BTreeSet::new();
    walk(&root().join("docs"), &mut |path| {
        let is_page = path.extension().is_some_and(|kind| kind == "md") && !path.ends_with("SUMMARY.md");
        if is_page && !listed.contains(path) {
            faults.insert(format!("docs/SUMMARY.md does not list {}", path.display()));
        }
    });
    report(&faults);
}
