//! Releases are made from pinned inputs: images by digest, actions by commit, the job that signs apart from the job that builds.

use std::collections::BTreeSet;

use crate::source::{read, report, root};

/// Files that name images, with what stands before an image's name in a line.
const IMAGES: &[(&str, &[&str])] = &[
    ("Dockerfile", &["ARG RUST_IMAGE=", "ARG RUNTIME_IMAGE="]),
    ("docker-compose.yml", &["image: "]),
    ("scripts/image", &["BINFMT=", "BUILDKIT=", "SBOM_SCANNER="]),
    ("helm/proxy/values.yaml", &["image: "]),
];

fn is_pinned(image: &str) -> bool {
    image.split_once("@sha256:").is_some_and(|(name, digest)| {
        name.contains(':') && digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit())
    })
}

#[test]
fn images_are_pinned_by_digest() {
    let mut faults = BTreeSet::new();
    for (file, marks) in IMAGES {
        let text = read(file);
        let mut seen = 0;
        for line in text.lines() {
            let Some(image) = marks.iter().find_map(|mark| line.trim_start().strip_prefix(mark)) else {
                continue;
            };
            seen += 1;
            // Our own image is built from this folder.
            if !["mcp-relay}", "mcp-relay-pilot}"].iter().any(|own| image.contains(own))
                && !is_pinned(image.trim())
            {
                faults.insert(format!("{file}: {image}: add its digest, as scripts/pin-images says"));
            }
        }
        assert!(seen >= marks.len(), "{file} names its images in another way now");
    }
    let dockerfile = read("Dockerfile");
    for from in dockerfile.lines().filter(|line| line.starts_with("FROM ")) {
        if !from.starts_with("FROM ${") {
            faults.insert(format!("Dockerfile: {from}: name the image by an argument with its digest"));
        }
    }
    report(&faults);
}

/// Every workflow with its name.
fn workflows() -> Vec<(String, String)> {
    let folder = root().join(".github/workflows");
    let found: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .flatten()
        .map(|file| {
            (file.file_name().to_string_lossy().into_owned(), std::fs::read_to_string(file.path()).unwrap())
        })
        .collect();
    assert!(found.len() >= 3, "the workflows have moved");
    found
}

#[test]
fn actions_are_pinned_by_commit() {
    let mut faults = BTreeSet::new();
    for (name, text) in workflows() {
        for used in
            text.lines().filter_map(|line| line.trim_start().trim_start_matches("- ").strip_prefix("uses: "))
        {
            let commit = used.split(['@', ' ']).nth(1).unwrap_or_default();
            if commit.len() != 40 || !commit.bytes().all(|b| b.is_ascii_hexdigit()) || !used.contains(" # v")
            {
                faults.insert(format!("{name}: {used}: pin it by commit, with its version as a comment"));
            }
        }
    }
    report(&faults);
}

/// The jobs of a workflow, by name.
fn jobs(workflow: &str) -> Vec<(&str, String)> {
    let (_, text) = workflow.split_once("\njobs:\n").expect("jobs");
    let mut jobs: Vec<(&str, String)> = Vec::new();
    for line in text.lines() {
        let name = line
            .strip_prefix("  ")
            .filter(|rest| !rest.starts_with(' '))
            .and_then(|rest| rest.strip_suffix(':'));
        match (name, jobs.last_mut()) {
            (Some(name), _) => jobs.push((name, String::new())),
            (None, Some((_, body))) => body.extend([line, "\n"]),
            (None, None) => {}
        }
    }
    jobs
}

#[test]
fn the_job_that_signs_does_not_build_and_no_other_job_can_sign() {
    let mut faults = BTreeSet::new();
    let mut signing = 0;
    for (name, text) in workflows() {
        let head = text.split("\njobs:\n").next().unwrap_or_default();
        if head.contains("write") {
            faults.insert(format!("{name}: rights are given to single jobs"));
        }
        for (job, body) in jobs(&text) {
            let signs = body.contains("image sign") || body.contains("release sign");
            signing += usize::from(signs);
            if signs != body.contains("id-token: write") {
                faults.insert(format!("{name}: job {job}: whoever signs has an identity, and nobody else"));
            }
            if signs && (body.contains("make ") || body.contains("cargo ")) {
                faults.insert(format!("{name}: job {job} signs and builds"));
            }
        }
    }
    report(&faults);
    assert_eq!(signing, 3, "image, charts and packages are signed");
}
