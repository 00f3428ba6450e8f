//! Links between the documents: each leads to a file of the repository, and to a heading that is there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::source::{report, root};

/// Folders whose documents are read, besides those at the root.
const FOLDERS: [&str; 4] = ["docs", "helm/proxy", "helm/slave", "k8s"];

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
    let folders = std::iter::once(root()).chain(FOLDERS.iter().map(|folder| root().join(folder)));
    let files = folders.flat_map(|folder| std::fs::read_dir(folder).expect("a folder of documents"));
    let paths = files.map(|file| file.expect("a file").path());
    paths.filter(|path| path.extension().is_some_and(|kind| kind == "md")).map(Document::read).collect()
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
