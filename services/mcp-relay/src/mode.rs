//! Which mode the environment asks for. Knows nothing of what a mode does.

use proxy::Setup;
use runtime::config::{MODE, ModeSettings};
use runtime::env::{Problem, Problems, Reader, Snapshot, parse};
use slave::config::{Role, SlaveConfig};

/// What this process is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Takes clients and slaves.
    Proxy,
    /// Dials a proxy and runs tools.
    Slave,
    /// Runs tools for clients of its own port.
    #[default]
    Standalone,
}

impl Mode {
    /// As `PROXY_MODE` and `PROXY_SLAVE` say. The error holds all other problems of the environment as well.
    pub(crate) fn of(snapshot: &Snapshot) -> Result<Self, Problems> {
        let tables = [MODE];
        let mut reader = Reader::new("mode", snapshot, &tables);
        let settings = ModeSettings::read(&mut reader);
        let proxy = settings.proxy_mode.text().is_some_and(is_on);
        let slave = settings.proxy_slave.text().is_some_and(is_on);
        if proxy && slave {
            let expected = "only one of PROXY_MODE=1 and PROXY_SLAVE=1: a process is either proxy or slave";
            reader.reject(&settings.proxy_slave, expected);
        }
        let mode = match (proxy, slave) {
            (true, _) => Self::Proxy,
            (false, true) => Self::Slave,
            (false, false) => Self::Standalone,
        };
        match reader.finish(mode) {
            Ok(loaded) => Ok(loaded.config),
            Err(mut problems) => {
                let also_proxy = if proxy { Self::Proxy.problems(snapshot) } else { Vec::new() };
                let other = if slave { Self::Slave } else { Self::Standalone };
                for problem in also_proxy.into_iter().chain(other.problems(snapshot)) {
                    if !problems.list.contains(&problem) {
                        problems.list.push(problem);
                    }
                }
                Err(problems)
            }
        }
    }

    /// Returns the mode whose subcommand this environment is for, and the variable that shows it, where neither `PROXY_MODE` nor
    /// `PROXY_SLAVE` is set: `mcp-relay proxy` and `mcp-relay slave` need neither.
    pub(crate) fn of_subcommand(snapshot: &Snapshot) -> Option<(Self, &'static str)> {
        let set = |names: &[&'static str]| names.iter().copied().find(|name| snapshot.get(name).is_some());
        if set(&["PROXY_MODE", "PROXY_SLAVE"]).is_some() {
            return None;
        }
        match (set(&["SLAVE_CODES", "SLAVE_CODES_FILE"]), set(&["PROXY_SERVER_URL"])) {
            (Some(codes), None) => Some((Self::Proxy, codes)),
            (None, Some(url)) => Some((Self::Slave, url)),
            _ => None,
        }
    }

    /// Returns what has to be said of `PROXY_MODE` and `PROXY_SLAVE` where they look as if they should turn a mode on and do not.
    pub(crate) fn warnings(self, snapshot: &Snapshot) -> Vec<String> {
        let warning = |name: &str| {
            let value = snapshot.get(name).filter(|value| !is_on(value) && !is_off(value))?;
            let mode = self.name();
            Some(format!(
                "{name}={value:?} does not turn the mode on, only 1 does, as in the existing server: this process runs as {mode}"
            ))
        };
        ["PROXY_MODE", "PROXY_SLAVE"].into_iter().filter_map(warning).collect()
    }

    /// Name in messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Proxy => "proxy",
            Self::Slave => "slave",
            Self::Standalone => "standalone",
        }
    }

    /// Prefix of log lines.
    pub(crate) fn service(self) -> &'static str {
        match self {
            Self::Proxy => "PROXY",
            Self::Slave => "SLAVE",
            Self::Standalone => "SERVER",
        }
    }

    /// `service.name` of its spans.
    pub(crate) fn traced_as(self) -> &'static str {
        match self {
            Self::Proxy => "mcp-relay-proxy",
            Self::Slave => "mcp-relay-slave",
            Self::Standalone => "mcp-relay-server",
        }
    }

    fn problems(self, snapshot: &Snapshot) -> Vec<Problem> {
        let result = match self {
            Self::Proxy => Setup::load(snapshot).map(|_| ()),
            Self::Slave => SlaveConfig::load(snapshot, Role::Slave).map(|_| ()),
            Self::Standalone => SlaveConfig::load(snapshot, Role::Standalone).map(|_| ()),
        };
        result.err().map(|problems| problems.list).unwrap_or_default()
    }
}

/// Returns whether a variable of a mode turns it on. Only `1` does, as in the existing server.
pub(crate) fn is_on(text: &str) -> bool {
    text == "1"
}

/// Returns whether a variable of a mode says plainly that it is off.
fn is_off(text: &str) -> bool {
    text.is_empty() || parse::flag(text) == Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Result<Mode, Problems> {
        Mode::of(&Snapshot::of(pairs.iter().copied()))
    }

    #[test]
    fn an_environment_for_a_subcommand_is_known_by_what_only_one_mode_reads() {
        let of = |pairs: &[(&str, &str)]| Mode::of_subcommand(&Snapshot::of(pairs.iter().copied()));
        assert_eq!(of(&[("SLAVE_CODES", "a")]), Some((Mode::Proxy, "SLAVE_CODES")));
        assert_eq!(of(&[("SLAVE_CODES_FILE", "f")]), Some((Mode::Proxy, "SLAVE_CODES_FILE")));
        assert_eq!(of(&[("PROXY_SERVER_URL", "ws://h")]), Some((Mode::Slave, "PROXY_SERVER_URL")));
        assert_eq!(of(&[("PROXY_SERVER_URL", "ws://h"), ("SLAVE_CODES", "a")]), None);
        assert_eq!(of(&[("PROXY_SLAVE", "0"), ("SLAVE_CODES", "a")]), None, "somebody chose");
        assert_eq!(of(&[("SLAVE_CODES", " "), ("DEMO_TOOLS", "1")]), None);
    }

    #[test]
    fn the_document_s_variables_choose_the_mode() {
        assert_eq!(of(&[]), Ok(Mode::Standalone));
        assert_eq!(of(&[("PROXY_MODE", "1")]), Ok(Mode::Proxy));
        assert_eq!(of(&[("PROXY_MODE", "0"), ("PROXY_SLAVE", "1")]), Ok(Mode::Slave));
        // Kubernetes, for a Service named `proxy`.
        assert_eq!(
            of(&[("PROXY_PORT", "tcp://10.0.0.1:80"), ("PROXY_SERVICE_HOST", "10.0.0.1")]),
            Ok(Mode::Standalone)
        );
    }

    #[test]
    fn both_at_once_are_refused_together_with_all_else_that_is_wrong() {
        let pairs = [
            ("PROXY_MODE", "1"),
            ("PROXY_SLAVE", "1"),
            ("PROXY_WS_PORT", "x"),
            ("SLAVE_NAME", "a b"),
            ("LOG_FORMAT", "?"),
        ];
        let problems = of(&pairs).unwrap_err();
        let names: Vec<&str> = problems.list.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["PROXY_SLAVE", "LOG_FORMAT", "PROXY_WS_PORT", "SLAVE_CODE", "SLAVE_NAME"]);
    }

    #[test]
    fn only_1_turns_a_mode_on_and_what_looks_like_it_is_warned_of() {
        for (value, warned) in [
            ("1", false),
            ("", false),
            ("0", false),
            ("false", false),
            ("No", false),
            ("true", true),
            ("yes", true),
            ("on", true),
            ("01", true),
            ("2", true),
            ("proxy", true),
        ] {
            for (name, on) in [("PROXY_MODE", Mode::Proxy), ("PROXY_SLAVE", Mode::Slave)] {
                let expected = if value == "1" { on } else { Mode::Standalone };
                assert_eq!(of(&[(name, value)]), Ok(expected), "{name}={value}");
                let warnings = expected.warnings(&Snapshot::of([(name, value)]));
                assert_eq!(!warnings.is_empty(), warned, "{name}={value}: {warnings:?}");
                assert!(warnings.iter().all(|text| text.contains(name) && text.ends_with("standalone")));
            }
        }
        assert_eq!(of(&[("PROXY_MODE", "1"), ("PROXY_SLAVE", "true")]), Ok(Mode::Proxy));
    }
}
