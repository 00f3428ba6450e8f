//! Limits of files and functions, the head comment of files, and waiting in tests.

use crate::source::{self, Source, has_word};

const MAX_FILE_LINES: usize = 400;
const MAX_FUNCTION_LINES: usize = 60;

fn report(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn every_file_opens_with_what_it_is_for() {
    let missing = source::all().into_iter().filter(|file| !file.text.starts_with("//! "));
    report(
        &missing
            .map(|file| {
                format!("{}: open the file with `//!`: its purpose, and what it must not know", file.path)
            })
            .collect::<Vec<_>>(),
    );
}

#[test]
fn no_file_is_longer_than_the_limit_without_its_tests() {
    let mut faults = Vec::new();
    for file in source::all() {
        let lines = file.shipped().lines().count();
        if lines > MAX_FILE_LINES {
            faults
                .push(format!("{}: {lines} lines, at most {MAX_FILE_LINES}: split it by subject", file.path));
        }
    }
    report(&faults);
}

#[test]
fn no_function_is_longer_than_the_limit() {
    let mut faults = Vec::new();
    for file in source::all() {
        for (name, line, length) in functions(&file.code) {
            if length > MAX_FUNCTION_LINES {
                faults.push(format!(
                    "{}:{line}: fn {name} has {length} lines, at most {MAX_FUNCTION_LINES}",
                    file.path
                ));
            }
        }
    }
    report(&faults);
}

/// Name, first line and number of lines of every function with a body.
fn functions(code: &str) -> Vec<(String, usize, usize)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        if code[..at].bytes().next_back().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_') {
            continue;
        }
        let name: String = code[at + 3..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if let Some(length) = body_end(&code[at..]).filter(|_| !name.is_empty()) {
            let lines = code[at..at + length].lines().count();
            found.push((name, code[..at].lines().count().max(1), lines));
        }
    }
    found
}

/// Where the body ends that follows a signature; `None` for a signature without one.
fn body_end(code: &str) -> Option<usize> {
    let (mut nested, mut braces) = (0_i32, 0_i32);
    for (at, byte) in code.bytes().enumerate() {
        match byte {
            b'(' | b'[' if braces == 0 => nested += 1,
            b')' | b']' if braces == 0 => nested -= 1,
            b';' | b',' | b'>' if braces == 0 && nested == 0 && byte == b';' => return None,
            b'{' => braces += 1,
            b'}' => {
                braces -= 1;
                if braces <= 0 {
                    return (braces == 0).then_some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

#[test]
fn no_module_has_a_name_without_a_subject() {
    let mut faults = Vec::new();
    for Source { path, .. } in source::all() {
        let drawer = path
            .split(['/', '.'])
            .find(|part| ["utils", "util", "common", "helpers", "helper", "misc"].contains(part));
        if let Some(name) = drawer {
            faults.push(format!("{path}: {name:?} has no subject: name the module after its contents"));
        }
    }
    report(&faults);
}

#[test]
fn nothing_is_left_for_later() {
    let mut faults = Vec::new();
    for file in source::all().iter().filter(|file| !file.path.starts_with("tests/tests/tidy")) {
        for mark in ["TODO", "FIXME", "XXX", "todo!(", "unimplemented!(", "#[ignore"] {
            if file.text.contains(mark) {
                faults.push(format!("{}: {mark}", file.path));
            }
        }
    }
    report(&faults);
}

#[test]
fn tests_wait_on_conditions_and_do_not_sleep() {
    let mut faults = Vec::new();
    for file in source::all() {
        let tests = if file.path.starts_with("tests/") && !file.path.starts_with("tests/bench")
            || file.path.contains("/tests/")
        {
            file.code.as_str()
        } else {
            &file.code[file.shipped().len()..]
        };
        // With a paused clock a sleep takes no time and decides nothing by luck.
        let virtual_time = file.text.contains("start_paused");
        let sleeps = tests.lines().any(|line| {
            let clock = ["time::", "thread::"].iter().any(|path| line.contains(path));
            clock && ["sleep", "sleep_until"].iter().any(|word| has_word(line, word))
        });
        if sleeps
            && !virtual_time
            && file.path != "tests/src/wait.rs"
            // A long way takes time: that is what it is.
            && file.path != "tests/src/delay.rs"
            // A server that takes its time is what the conformance suite asks for.
            && !file.path.starts_with("tests/conformance/")
            && !file.path.contains("/tests/harness/")
        {
            faults.push(format!("{}: wait on a condition (harness::wait), do not sleep", file.path));
        }
    }
    report(&faults);
}

#[test]
fn functions_are_measured_from_signature_to_brace() {
    let code = "trait T { fn a(&self) -> [u8; 4]; }\nfn b<F: Fn()>(\n x: [u8; 2],\n) {\n if x {}\n}\n";
    assert_eq!(functions(code), [("b".to_owned(), 1, 5)]);
}
