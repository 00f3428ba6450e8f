//! The reader of an entry's `confine`: `false`, or an object of rules. Must not know how they are applied.
//!
//! Unknown members are a problem here, other than in the rest of an entry: a rule that is misspelt would not hold.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use serde_json::{Map, Value};

use super::entry::EntryReader;
use crate::launcher::{Confinement, FileAccess, Limits, PortAccess, Rules};

/// Members of `confine`.
const MEMBERS: &[&str] = &["limits", "uid", "gid", "read", "write", "connect", "bind"];

/// Members of `confine.limits`.
const LIMITS: &[&str] = &["memory", "files", "processes", "cpu"];

/// Units of `confine.limits.memory`.
const UNITS: [(char, u64); 3] = [('K', 1 << 10), ('M', 1 << 20), ('G', 1 << 30)];

/// Bytes of the smallest memory limit: below it no program starts.
const MIN_MEMORY: u64 = 1 << 20;

/// The numbers of users and groups; the largest stands for "unchanged" in the system's calls.
const IDS: RangeInclusive<u64> = 0..=u32::MAX as u64 - 1;

impl EntryReader<'_> {
    /// Returns the confinement; the default without the member.
    pub(super) fn confinement(&mut self) -> Confinement {
        let value = self.value;
        match value.get("confine") {
            None | Some(Value::Null | Value::Bool(true)) => Confinement::default(),
            Some(Value::Bool(false)) => Confinement::Off,
            Some(Value::Object(members)) => Confinement::On(self.rules(members)),
            Some(_) => {
                self.report("confine", "an object of rules, or false for none");
                Confinement::default()
            }
        }
    }

    fn rules(&mut self, members: &Map<String, Value>) -> Rules {
        self.check_names("confine", members, MEMBERS);
        let limits = match members.get("limits") {
            None | Some(Value::Null) => Limits::default(),
            Some(Value::Object(limits)) => self.limits(limits),
            Some(_) => {
                self.report("confine.limits", "an object of limits");
                Limits::default()
            }
        };
        let id = |number: u64| u32::try_from(number).ok();
        Rules {
            limits,
            uid: self.whole("confine.uid", members.get("uid"), IDS).and_then(id),
            gid: self.whole("confine.gid", members.get("gid"), IDS).and_then(id),
            files: self.files(members),
            ports: PortAccess {
                connect: self.ports("confine.connect", members.get("connect")),
                bind: self.ports("confine.bind", members.get("bind")),
            },
        }
    }

    fn limits(&mut self, limits: &Map<String, Value>) -> Limits {
        self.check_names("confine.limits", limits, LIMITS);
        let memory = limits.get("memory").filter(|value| !value.is_null());
        let bytes = memory.and_then(bytes).filter(|bytes| *bytes >= MIN_MEMORY);
        if memory.is_some() && bytes.is_none() {
            self.report(
                "confine.limits.memory",
                "bytes, or a text such as \"512M\" or \"2G\", from \"1M\" up",
            );
        }
        let mut whole = |name: &str| {
            self.whole(&format!("confine.limits.{name}"), limits.get(name), 1..=i64::MAX.unsigned_abs())
        };
        Limits { memory: bytes, files: whole("files"), processes: whole("processes"), cpu: whole("cpu") }
    }

    /// Returns the file rules; `None` if there are none. Without `read` and `write` files are not restricted.
    fn files(&mut self, members: &Map<String, Value>) -> Option<FileAccess> {
        let read = self.paths("confine.read", members.get("read"));
        let write = self.paths("confine.write", members.get("write"));
        if read.is_none() && write.is_none() {
            return None;
        }
        Some(FileAccess { read: read.unwrap_or_default(), write: write.unwrap_or_default() })
    }

    fn paths(&mut self, member: &str, value: Option<&Value>) -> Option<Vec<PathBuf>> {
        let items = self.list(member, value, "a list of absolute paths")?;
        let mut paths = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let member = format!("{member}[{index}]");
            let path = item.as_str().map(|text| PathBuf::from(self.expand(&member, text)));
            match path.filter(|path| path.is_absolute()) {
                Some(path) => paths.push(path),
                None => self.report(&member, "an absolute path (${HOME}/… for the home folder)"),
            }
        }
        Some(paths)
    }

    fn ports(&mut self, member: &str, value: Option<&Value>) -> Option<Vec<u16>> {
        let items = self.list(member, value, "a list of TCP ports")?;
        let mut ports = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let port = self.whole(&format!("{member}[{index}]"), Some(item), 0..=u64::from(u16::MAX));
            ports.extend(port.and_then(|port| u16::try_from(port).ok()));
        }
        Some(ports)
    }

    fn list<'v>(&mut self, member: &str, value: Option<&'v Value>, expected: &str) -> Option<&'v [Value]> {
        match value? {
            Value::Null => None,
            Value::Array(items) => Some(items),
            _ => {
                self.report(member, expected);
                None
            }
        }
    }

    fn whole(&mut self, member: &str, value: Option<&Value>, range: RangeInclusive<u64>) -> Option<u64> {
        let value = value.filter(|value| !value.is_null())?;
        let found = value.as_u64().filter(|number| range.contains(number));
        if found.is_none() {
            self.report(member, &format!("a whole number from {} to {}", range.start(), range.end()));
        }
        found
    }

    fn check_names(&mut self, at: &str, members: &Map<String, Value>, known: &[&str]) {
        for name in members.keys().filter(|name| !known.contains(&name.as_str())) {
            self.report(&format!("{at}.{name}"), &format!("one of {}", known.join(", ")));
        }
    }
}

/// The confinement of a program that is no server, and what is wrong with it.
#[derive(Debug, Default)]
pub(in crate::backends) struct ConfineMember {
    pub(in crate::backends) confinement: Confinement,
    /// The problems, each with its member and what was expected. Without values.
    pub(in crate::backends) problems: Vec<String>,
}

/// Returns what `confine` of an object says; the default without the member.
pub(in crate::backends) fn read_confine(
    entry: &Value,
    variable: &dyn Fn(&str) -> Option<String>,
) -> ConfineMember {
    let mut reader = EntryReader::new("", entry, variable);
    let confinement = reader.confinement();
    let prefix = "entry \"\", member ";
    let bare = |problem: &String| problem.strip_prefix(prefix).unwrap_or(problem).to_owned();
    ConfineMember { confinement, problems: reader.problems.iter().map(bare).collect() }
}

/// Returns the bytes that a number, or a text with a unit, stands for.
fn bytes(value: &Value) -> Option<u64> {
    let Some(text) = value.as_str() else { return value.as_u64() };
    let (number, unit) =
        UNITS.iter().find_map(|(unit, bytes)| Some((text.strip_suffix(*unit)?, *bytes))).unwrap_or((text, 1));
    number.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backends::servers_file::parse;

    fn read(confine: &str) -> Result<Confinement, Vec<String>> {
        let text = format!(r#"{{"mcpServers":{{"x":{{"command":"c","confine":{confine}}}}}}}"#);
        let variable = |name: &str| (name == "HOME").then(|| "/home/u".to_owned());
        let mut file = parse(&text, &variable)?;
        if file.problems.is_empty() { Ok(file.servers.remove(0).confinement) } else { Err(file.problems) }
    }

    #[test]
    fn without_rules_the_defaults_hold_and_false_turns_them_off() {
        for text in ["null", "true", "{}", r#"{"limits":{},"uid":null,"connect":null}"#] {
            assert_eq!(read(text), Ok(Confinement::default()), "{text}");
        }
        assert_eq!(read("false"), Ok(Confinement::Off));
        assert!(!Confinement::default().has_rules() && !Confinement::Off.has_rules());
    }

    #[test]
    fn every_rule_is_read() {
        let text = r#"{"limits":{"memory":"512M","files":256,"processes":64,"cpu":3600},"uid":1000,"gid":1001,
            "read":["${HOME}/docs"],"write":["/tmp"],"connect":[443,8080],"bind":[]}"#;
        let expected = Rules {
            limits: Limits {
                memory: Some(512 << 20),
                files: Some(256),
                processes: Some(64),
                cpu: Some(3600),
            },
            uid: Some(1000),
            gid: Some(1001),
            files: Some(FileAccess { read: vec!["/home/u/docs".into()], write: vec!["/tmp".into()] }),
            ports: PortAccess { connect: Some(vec![443, 8080]), bind: Some(Vec::new()) },
        };
        assert_eq!(read(text), Ok(Confinement::On(expected)));
        let Ok(Confinement::On(rules)) = read(r#"{"read":[]}"#) else { panic!("read alone") };
        assert_eq!(rules.files, Some(FileAccess::default()), "an empty list allows nothing more");
    }

    #[test]
    fn sizes_have_units() {
        let memory = |text: &str| read(&format!(r#"{{"limits":{{"memory":{text}}}}}"#));
        for (text, expected) in [("1048576", 1 << 20), (r#""2G""#, 2 << 30), (r#""2048K""#, 2 << 20)] {
            let Ok(Confinement::On(rules)) = memory(text) else { panic!("{text}") };
            assert_eq!(rules.limits.memory, Some(expected), "{text}");
        }
        for bad in ["1", "-1", r#""2g""#, r#""M""#, r#""99999999999999G""#, "1.5", r#""""#, "[]"] {
            assert!(memory(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn whatever_is_wrong_is_reported_with_its_member() {
        for (text, member) in [
            ("3", "confine"),
            (r#"{"reads":["/"]}"#, "confine.reads"),
            (r#"{"limits":{"cores":1}}"#, "confine.limits.cores"),
            (r#"{"limits":7}"#, "confine.limits"),
            (r#"{"limits":{"files":0}}"#, "confine.limits.files"),
            (r#"{"uid":4294967295}"#, "confine.uid"),
            (r#"{"gid":"root"}"#, "confine.gid"),
            (r#"{"read":"/"}"#, "confine.read"),
            (r#"{"write":["here"]}"#, "confine.write[0]"),
            (r#"{"read":["${NOPE}"]}"#, "confine.read[0]"),
            (r#"{"connect":[70000]}"#, "confine.connect[0]"),
            (r#"{"bind":443}"#, "confine.bind"),
        ] {
            let problems = read(text).unwrap_err().join("; ");
            assert!(problems.contains(&format!("entry \"x\", member {member:?}: ")), "{text}: {problems}");
        }
    }
}
