//! The reader of an entry's members that say how clients share its processes: `sessions`, `maxChildren`, `idle`. Must not know processes.

use std::num::NonZeroUsize;
use std::time::Duration;

use serde_json::Value;

use super::entry::EntryReader;
use crate::backends::stdio::{ChildOwner, ChildRules, DEFAULT_IDLE, DEFAULT_MOST, Sharing};

/// Members that are read here.
pub(super) const MEMBERS: &[&str] = &["sessions", "maxChildren", "idle"];

/// Largest number of processes of one entry.
const MAX_CHILDREN: u64 = 1000;

/// Longest time without a call: a week.
const MAX_IDLE: Duration = Duration::from_hours(7 * 24);

impl EntryReader<'_> {
    /// Returns how clients share the entry's processes; [`Sharing::Shared`] without the members.
    pub(super) fn sharing(&mut self) -> Sharing {
        let owner = match self.member("sessions") {
            None => None,
            Some(Value::String(text)) if text == "shared" => None,
            Some(Value::String(text)) if text == "per-session" => Some(ChildOwner::Session),
            Some(Value::String(text)) if text == "per-client" => Some(ChildOwner::Client),
            Some(_) => {
                self.report("sessions", "\"shared\" (the default), \"per-session\" or \"per-client\"");
                return Sharing::Shared;
            }
        };
        let (most, idle) = (self.most_children(), self.idle());
        if let Some(owner) = owner {
            let rules =
                ChildRules { owner, most: most.unwrap_or(DEFAULT_MOST), idle: idle.unwrap_or(DEFAULT_IDLE) };
            return Sharing::Apart(rules);
        }
        let (name, value) = (self.name, self.value);
        let is_there = |member: &&str| value.get(member).is_some_and(|value| !value.is_null());
        for member in ["maxChildren", "idle"].into_iter().filter(is_there) {
            self.warnings.push(format!(
                "entry {name:?}: member {member:?} has no effect without \"sessions\": \"per-session\" or \"per-client\""
            ));
        }
        Sharing::Shared
    }

    fn member(&self, name: &str) -> Option<&Value> {
        self.value.get(name).filter(|value| !value.is_null())
    }

    fn most_children(&mut self) -> Option<NonZeroUsize> {
        let number = self.member("maxChildren")?.as_u64().filter(|number| *number <= MAX_CHILDREN);
        let most = number.and_then(|number| usize::try_from(number).ok()).and_then(NonZeroUsize::new);
        if most.is_none() {
            self.report("maxChildren", &format!("the largest number of processes, from 1 to {MAX_CHILDREN}"));
        }
        most
    }

    fn idle(&mut self) -> Option<Duration> {
        let time = match self.member("idle")? {
            Value::Number(number) => number.as_f64().and_then(seconds),
            Value::String(text) => duration(text),
            _ => None,
        };
        let time = time.filter(|time| !time.is_zero() && *time <= MAX_IDLE);
        if time.is_none() {
            self.report(
                "idle",
                "a time of up to a week: a number of seconds, or a text such as \"90s\" or \"10m\"",
            );
        }
        time
    }
}

fn seconds(number: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(number).ok()
}

/// Returns the time that a text says: a number with `ms`, `s`, `m` or `h`, or of seconds.
fn duration(text: &str) -> Option<Duration> {
    let units = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    let text = text.trim();
    let with_unit =
        units.into_iter().find_map(|(unit, scale)| Some((text.strip_suffix(unit)?.trim_end(), scale)));
    let (number, scale) = with_unit.unwrap_or((text, 1.0));
    if !number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return None;
    }
    seconds(number.parse::<f64>().ok()? * scale)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(members: &Value) -> (Sharing, String, String) {
        let mut reader = EntryReader::new("e", members, &|_| None);
        let sharing = reader.sharing();
        (sharing, reader.problems.join("; "), reader.warnings.join("; "))
    }

    #[test]
    fn members_say_whom_processes_are_for_and_how_many_there_may_be() {
        let apart = |owner, most: usize, idle| {
            Sharing::Apart(ChildRules { owner, most: NonZeroUsize::new(most).unwrap(), idle })
        };
        let (session, client) = (ChildOwner::Session, ChildOwner::Client);
        for (members, expected) in [
            (json!({}), Sharing::Shared),
            (json!({"sessions": null, "idle": null, "maxChildren": null}), Sharing::Shared),
            (json!({"sessions": "shared"}), Sharing::Shared),
            (json!({"sessions": "per-session"}), apart(session, 16, Duration::from_mins(10))),
            (
                json!({"sessions": "per-client", "maxChildren": 1, "idle": 0.5}),
                apart(client, 1, Duration::from_millis(500)),
            ),
            (
                json!({"sessions": "per-session", "maxChildren": 1000, "idle": "7 m"}),
                apart(session, 1000, Duration::from_mins(7)),
            ),
            (json!({"sessions": "per-session", "idle": "1.5h"}), apart(session, 16, Duration::from_mins(90))),
            (json!({"sessions": "per-session", "idle": "30"}), apart(session, 16, Duration::from_secs(30))),
            (
                json!({"sessions": "per-session", "idle": "250ms"}),
                apart(session, 16, Duration::from_millis(250)),
            ),
        ] {
            assert_eq!(read(&members), (expected, String::new(), String::new()), "{members}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_a_problem_with_its_member() {
        for (member, value) in [
            ("sessions", json!("per_session")),
            ("sessions", json!("")),
            ("sessions", json!(true)),
            ("sessions", json!(["per-session"])),
            ("maxChildren", json!(0)),
            ("maxChildren", json!(-1)),
            ("maxChildren", json!(1.5)),
            ("maxChildren", json!("16")),
            ("maxChildren", json!(1001)),
            ("idle", json!(0)),
            ("idle", json!(-1)),
            ("idle", json!(604_801)),
            ("idle", json!("")),
            ("idle", json!("soon")),
            ("idle", json!("10 days")),
            ("idle", json!("infs")),
            ("idle", json!("-1s")),
            ("idle", json!({})),
        ] {
            let mut members = json!({"sessions": "per-session"});
            members[member] = value.clone();
            let (_, problems, _) = read(&members);
            assert!(problems.contains(&format!("member {member:?}")), "{member} {value}: {problems:?}");
        }
    }

    #[test]
    fn limits_of_an_entry_that_is_shared_have_no_effect() {
        let (sharing, problems, warnings) = read(&json!({"maxChildren": 3, "idle": "1m"}));
        assert_eq!((sharing, problems.as_str()), (Sharing::Shared, ""));
        assert!(warnings.contains("\"maxChildren\"") && warnings.contains("\"idle\""), "{warnings}");
    }
}
