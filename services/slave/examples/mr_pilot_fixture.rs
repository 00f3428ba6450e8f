//! A stand-in for the `mr-pilot` CLI in tests: the real report format, and runs that fail. Not shipped.
//!
//! The last path segment of the positional argument selects the behaviour, since the environment is limited. Must not know
//! the slave's code.

use std::process::{Command, exit};
use std::time::Duration;

const RULE: &str = "==================================================";

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let target = args.first().cloned().unwrap_or_default();
    match target.rsplit('/').next().unwrap_or_default() {
        "fail" => {
            eprintln!("GitLab said no to {}", std::env::var("GITLAB_TOKEN").unwrap_or_default());
            exit(7);
        }
        "quiet" => println!("nothing to see"),
        "unclear" => report("MOSTLY_MET", "140", &args, &[]),
        "uncommented" => {
            report("UNMET", "12", &args, &["Bad.".into()]);
            println!("Posting comment to MR...");
            let token = std::env::var("GITLAB_TOKEN").unwrap_or_default();
            eprintln!("\n\u{274c} Error: Failed to post comment with {token}: Request timeout");
            exit(1);
        }
        "hang" => hang(&args),
        "flood" => loop {
            println!("{}", "f".repeat(1000));
        },
        "environment" => {
            let mut names: Vec<String> = std::env::vars().map(|(name, _)| name).collect();
            names.sort();
            report("PARTIALLY_MET", "72", &args, &[names.join(" ")]);
        }
        "folder" => {
            let folder = std::env::current_dir().map(|path| path.display().to_string());
            report("PARTIALLY_MET", "72", &args, &[folder.unwrap_or_default()]);
        }
        _ => report("PARTIALLY_MET", "72", &args, &describe(&args)),
    }
}

/// Returns the arguments, and the contents of the files that they name.
fn describe(args: &[String]) -> Vec<String> {
    let mut lines = vec![format!("args: {args:?}")];
    for pair in args.windows(2) {
        if pair[0].ends_with("-file") {
            lines.push(format!("{}: {}", pair[0], std::fs::read_to_string(&pair[1]).unwrap_or_default()));
        }
    }
    lines
}

/// Prints the process ids of itself and of a child and the path of its file, and never exits.
fn hang(args: &[String]) {
    let child = Command::new("sleep").arg("1000").spawn().map_or(0, |child| child.id());
    let file = args.iter().position(|arg| arg == "--input-file").and_then(|at| args.get(at + 1));
    println!("hanging {} {child} {}", std::process::id(), file.map_or("", String::as_str));
    loop {
        std::thread::sleep(Duration::from_hours(1));
    }
}

/// Prints what the CLI prints, the acceptance criteria that it was given included.
fn report(goal: &str, score: &str, args: &[String], remarks: &[String]) {
    println!("AI Code Review Bot\n\nFetching MR 7 from project a/b...");
    println!("Sending to LLM for analysis (openai)...\n\u{2713} Analysis complete\n");
    println!("\n{RULE}\n         MR REVIEW REPORT\n{RULE}\n");
    println!("Goal Status: {goal}\nQuality Score: {score}/100");
    let criteria = args.iter().position(|arg| arg == "--acceptance-criteria");
    if let Some(criteria) = criteria.and_then(|at| args.get(at + 1)) {
        println!("Acceptance Criteria: {criteria}");
    }
    println!(
        "\n\u{26a0}\u{fe0f}  Potential Issues:\n   1. No test for the error path\n   2. Magic number 42\n"
    );
    println!("\u{1f4dd} Remarks:\n   {}\n\n{RULE}", remarks.join("\n"));
}
