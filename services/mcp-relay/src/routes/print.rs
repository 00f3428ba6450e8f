//! The explanation of a routing decision as text. Must not know where the explanation comes from, and does not trust it:
//! names may come from anybody.

use std::fmt::Write;

use ::proxy::routes::{Explanation, Observed};
use runtime::printable::line;

/// Returns the whole text.
pub(super) fn lines(from: &str, explanation: &Explanation) -> String {
    let mut out = String::new();
    // Writing to a String does not fail.
    let _ = write(&mut out, from, explanation);
    out
}

fn write(out: &mut String, from: &str, explanation: &Explanation) -> std::fmt::Result {
    writeln!(out, "A call of {} by {}:\n", line(&explanation.tool), line(from))?;
    for one in &explanation.considered {
        let at = one.line.map_or("built in".into(), |number| format!("line {number}"));
        let (mark, why) = if one.matches { ("+", "this one".into()) } else { ("-", line(&one.why)) };
        writeln!(out, "  {mark} {} ({at}): {why}", line(&one.rule))?;
    }
    match &explanation.rule {
        Some(rule) => writeln!(out, "\nRule \"{}\" sends it to slaves with:", line(rule))?,
        None => writeln!(out, "\nNo rule is for it, so it goes to any slave that offers the tool:")?,
    }
    for (n, priority) in explanation.priorities.iter().enumerate() {
        writeln!(out, "  {}. {}", n + 1, line(&priority.labels))?;
        match priority.slaves.as_deref() {
            Some([]) => writeln!(out, "       none now")?,
            Some(slaves) => slaves.iter().try_for_each(|one| slave(out, one))?,
            None => {}
        }
    }
    if !explanation.others.is_empty() {
        writeln!(out, "  Never to:")?;
        explanation.others.iter().try_for_each(|one| slave(out, one))?;
    }
    if let Some(why) = &explanation.refused {
        writeln!(out, "\nNow it would be refused: {}.", line(why))?;
    }
    Ok(())
}

fn slave(out: &mut String, slave: &Observed) -> std::fmt::Result {
    let labels: Vec<String> =
        slave.labels.iter().map(|(key, value)| format!("{}={}", line(key), line(value))).collect();
    let labels = if labels.is_empty() { "no labels".into() } else { labels.join(",") };
    let state = match (slave.ready, slave.degraded) {
        (false, _) => "not ready",
        (true, true) => "degraded: only where no other can take it",
        (true, false) => "ready",
    };
    writeln!(out, "       {} ({labels}): {state}, {} calls under way", line(&slave.name), slave.calls)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_slaves_and_refusals_are_shown() {
        let explanation: Explanation = serde_json::from_str(
            r#"{"tool":"t","rule":"b","considered":[{"rule":"a","line":3,"matches":false,"why":"argument /x is missing"},
            {"rule":"b","line":null,"matches":true}],"tiers":[{"labels":"p=q","slaves":[]},{"labels":"any labels",
            "slaves":[{"name":"s","labels":{"k":"v"},"ready":true,"degraded":false,"calls":2}]}],
            "others":[{"name":"o","labels":{},"ready":false,"degraded":false,"calls":0}],"refused":"so"}"#,
        )
        .unwrap();
        let text = lines("the file f", &explanation);
        for words in [
            "A call of t by the file f:",
            "  - a (line 3): argument /x is missing",
            "  + b (built in): this one",
            "  1. p=q\n       none now",
            "  2. any labels\n       s (k=v): ready, 2 calls under way",
            "  Never to:\n       o (no labels): not ready",
            "refused: so.",
        ] {
            assert!(text.contains(words), "{words:?} in\n{text}");
        }
    }
}
