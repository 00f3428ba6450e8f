//! Prints what the check of a call's messages costs, by the form of the payload, and beside it what `serde_json` takes to skip the same
//! bytes: `cargo run --release -p mcp-relay-protocol --example scan`. Must not know links.
#![allow(clippy::unwrap_used, reason = "a measurement fails by a panic")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

use protocol::link::limits::MAX_CHUNK;
use protocol::mcp::call_message::{CallRules, MessageCheck, MessageShape, ProgressToken};
use protocol::mcp::era::Era;
use serde::de::IgnoredAny;

const TIME: Duration = Duration::from_millis(300);
const LARGE: usize = 100_000;

/// Returns a tool's result with one text block made of `part`.
fn text(part: &str, length: usize) -> Vec<u8> {
    let content = part.repeat(length.div_ceil(part.len()));
    format!(r#"{{"content":[{{"type":"text","text":"{content}"}}],"isError":false}}"#).into_bytes()
}

/// Returns a tool's result with many small members and numbers.
fn structured(length: usize) -> Vec<u8> {
    let mut rows = String::new();
    for index in 0.. {
        if rows.len() >= length {
            break;
        }
        let comma = if index > 0 { "," } else { "" };
        let _ = write!(
            rows,
            r#"{comma}{{"id":{index},"name":"row {index}","ratio":{}.25e-3,"tags":["a","bc"],"open":true,"next":null}}"#,
            index * 7
        );
    }
    format!(r#"{{"content":[],"structuredContent":{{"rows":[{rows}]}}}}"#).into_bytes()
}

/// Returns nanoseconds for one run, the least of several rounds: others may use the machine.
fn nanoseconds(mut run: impl FnMut()) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let (mut count, since) = (0_u32, Instant::now());
        while since.elapsed() < TIME / 5 {
            for _ in 0..8 {
                run();
            }
            count += 8;
        }
        best = best.min(since.elapsed().as_secs_f64() * 1e9 / f64::from(count));
    }
    best
}

fn print(what: &str, shape: MessageShape, message: &[u8]) {
    let token = ProgressToken::parse("7");
    let rules = CallRules { era: Era::Modern, label: None, token: token.as_ref() };
    let ours = nanoseconds(|| {
        let mut check = MessageCheck::new(shape);
        for chunk in black_box(message).chunks(MAX_CHUNK) {
            check.feed(chunk, rules).unwrap();
        }
        check.finish(rules).unwrap();
    });
    let theirs = nanoseconds(|| {
        black_box(serde_json::from_slice::<IgnoredAny>(black_box(message)).unwrap());
    });
    let kilobytes = message.len() as f64 / 1000.0;
    println!(
        "{what:<28} {:>7} bytes  {ours:>9.0} ns  {:>7.1} ns/kB  (serde_json skips: {:>7.1} ns/kB)",
        message.len(),
        ours / kilobytes,
        theirs / kilobytes
    );
}

fn main() {
    use MessageShape::{Event, Result};
    print("small result", Result, &text("x", 40));
    let progress =
        br#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":7,"progress":1}}"#;
    print("progress", Event, progress);
    print("string, ASCII", Result, &text("plain text of a tool, ", LARGE));
    print("string, lines of code", Result, &text("    let value = compute(\\\"x\\\");\\n", LARGE));
    print("string, not ASCII", Result, &text("Größe und Länge, ", LARGE));
    print("string, Cyrillic", Result, &text("простой текст, ", LARGE));
    print("structured", Result, &structured(LARGE));
}
