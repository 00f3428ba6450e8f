//! A stand-in for the `mr-pilot` CLI in tests: the real report format, and runs that fail. Not shipped.
//!
//! The last path segment of the positional argument selects the behaviour, since the environment is limited. Must not know
//! the slave's code.

use std::process::{Command, exit};
use std::time::Duration;

const RULE: &str = "================================================================================";

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let target = args.first().cloned().unwrap_or_default();
    match target.rsplit('/').next().unwrap_or_default() {
        "fail" => {
            eprintln!("GitLab said no to {}", std::env::var("GITLAB_TOKEN").unwrap_or_default());
            exit(7);
        }
        "quiet" => println!("nothing to see"),
        "hang" => hang(&args),
        "flood" => loop {
            println!("{}", "f".repeat(1000));
        },
        "environment" => {
            let mut names: Vec<String> = std::env::vars().map(|(name, _)| name).collect();
            names.sort();
            report(&[names.join(" ")]);
        }
        _ => report(&describe(&args)),
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

fn report(remarks: &[String]) {
    println!("\u{1f50d} Fetching merge request...");
    println!("\u{1f916} Analyzing with LLM...\n");
    println!("{RULE}\n\u{1f4cb} MR REVIEW REPORT\n{RULE}\n");
    println!(
        "\u{1f3af} Goal Status: PARTIALLY_MET\n\u{2b50} Quality Score: 72/100\n\u{2705} Acceptance Criteria: Provided\n"
    );
    println!(
        "\u{26a0}\u{fe0f}  Potential Issues:\n   1. No test for the error path\n   2. Magic number 42\n"
    );
    println!("\u{1f4ac} Remarks:");
    for line in remarks {
        println!("   {line}");
    }
    println!("\n{RULE}");
}
