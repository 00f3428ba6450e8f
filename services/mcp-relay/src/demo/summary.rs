//! What the proxy counted during the demo, as five lines for people. Knows no step of the scenario.

use anyhow::ensure;

use super::metrics::MetricsSnapshot;

/// Histogram of the calls' durations.
const DURATION: &str = "mcp_relay_forward_duration_seconds";

/// The change of one metric between two scrapes.
struct Change<'a> {
    before: &'a MetricsSnapshot,
    after: &'a MetricsSnapshot,
}

impl Change<'_> {
    fn of(&self, name: &str, labels: &[&str]) -> f64 {
        self.after.sum(name, labels) - self.before.sum(name, labels)
    }
}

/// Five lines: what was counted, how much, and the metric that says so.
///
/// # Errors
/// The counters do not tell what the scenario did.
pub(super) fn lines(before: &MetricsSnapshot, after: &MetricsSnapshot) -> anyhow::Result<[String; 5]> {
    let change = Change { before, after };
    let ok = change.of("mcp_relay_forwards_total", &["outcome=\"ok\""]);
    let unknown = change.of("mcp_relay_forwards_total", &["outcome=\"outcome_unknown\""]);
    ensure!(ok >= 3.0 && unknown >= 1.0, "the proxy counted {ok} calls as ok, {unknown} as outcome_unknown");
    let echo: &[&str] = &["tool=\"echo\""];
    let count = change.of(&format!("{DURATION}_count"), echo);
    ensure!(count >= 2.0, "the proxy measured {count} calls of echo");
    let mean = change.of(&format!("{DURATION}_sum"), echo) / count;
    let ready: &[&str] = &["state=\"ready\""];
    let slaves = [before, after].map(|snapshot| snapshot.sum("mcp_relay_slave_state", ready));
    let lost = change.of("mcp_relay_link_disconnects_total", &["reason=\"lost\""]);
    ensure!(lost >= 1.0, "the proxy did not count the lost link");
    let sent = change.of("mcp_relay_link_bytes_total", &["direction=\"to_slave\""]);
    let received = change.of("mcp_relay_link_bytes_total", &["direction=\"from_slave\""]);
    Ok([
        line("calls", &format!("{ok:.0} ok, {unknown:.0} outcome unknown"), "mcp_relay_forwards_total"),
        line("mean time of an echo", &format!("{:.1} ms", mean * 1e3), DURATION),
        line("slaves ready", &format!("{:.0}, then {:.0}", slaves[0], slaves[1]), "mcp_relay_slave_state"),
        line("links lost", &format!("{lost:.0}"), "mcp_relay_link_disconnects_total"),
        line(
            "bytes on the links",
            &format!("{:.1} KiB out, {:.1} KiB in", sent / 1024.0, received / 1024.0),
            "mcp_relay_link_bytes_total",
        ),
    ])
}

fn line(what: &str, value: &str, metric: &str) -> String {
    format!("{what:22}{value:28}{metric}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "mcp_relay_slave_state{slave=\"a\",state=\"ready\"} 1\n\
        mcp_relay_slave_state{slave=\"b\",state=\"ready\"} 1\n\
        mcp_relay_link_bytes_total{direction=\"to_slave\"} 100\n";

    const COUNTERS: &str = "mcp_relay_slave_state{slave=\"a\",state=\"ready\"} 1\n\
        mcp_relay_slave_state{slave=\"b\",state=\"ready\"} 0\n\
        mcp_relay_forwards_total{tool=\"echo\",outcome=\"ok\"} 2\n\
        mcp_relay_forwards_total{tool=\"sleep\",outcome=\"ok\"} 1\n\
        mcp_relay_forwards_total{tool=\"sleep\",outcome=\"outcome_unknown\"} 1\n\
        mcp_relay_link_disconnects_total{slave=\"b\",reason=\"lost\"} 1\n\
        mcp_relay_link_bytes_total{direction=\"to_slave\"} 2148\n\
        mcp_relay_link_bytes_total{direction=\"from_slave\"} 1024\n";

    fn after() -> MetricsSnapshot {
        let of_echo = |kind: &str, value: &str| format!("{DURATION}_{kind}{{tool=\"echo\"}} {value}\n");
        MetricsSnapshot::parse(&(COUNTERS.to_owned() + &of_echo("count", "2") + &of_echo("sum", "0.0076")))
    }

    #[test]
    fn values_are_rounded_and_named_in_words() {
        let [calls, echo, ready, lost, bytes] = lines(&MetricsSnapshot::parse(BEFORE), &after()).unwrap();
        let rows = [
            (calls, "3 ok, 1 outcome unknown"),
            (echo, "3.8 ms"),
            (ready, "2, then 1"),
            (lost, "1 "),
            (bytes, "2.0 KiB out, 1.0 KiB in"),
        ];
        for (line, value) in rows {
            assert!(line[22..].starts_with(value), "{line}");
        }
    }

    #[test]
    fn counters_that_did_not_move_are_an_error() {
        assert!(lines(&after(), &after()).is_err());
    }
}
