//! Members of an entry that have no effect here. Must not know values.

use super::curate;
use super::entry::EntryReader;
use super::sharing;

/// Members that are read.
const READ: &[&str] =
    &["command", "args", "env", "cwd", "type", "disabled", "enabled", "confine", "concurrency", "identity"];

/// Members that are read of an entry with a `url`.
const READ_OF_REMOTE: &[&str] =
    &["url", "type", "headers", "tls", "disabled", "enabled", "concurrency", "identity"];

/// Members of other programs that concern these programs alone: what they show, ask their user, or wait for.
const OF_OTHER_PROGRAMS: &[&str] = &[
    "alwaysAllow",
    "autoApprove",
    "autoapprove",
    "autoApproveTools",
    "trust",
    "icon",
    "iconUrl",
    "logo",
    "name",
    "title",
    "description",
    "displayName",
    "gallery",
    "homepage",
    "provider",
    "tags",
    "version",
    "timeout",
    "initTimeout",
    "startupTimeout",
    "networkTimeout",
    "transport",
    "transportType",
    "isActive",
    "id",
    "longRunning",
    "registryUrl",
    "dev",
    "watchPaths",
    "$schema",
];

impl EntryReader<'_> {
    /// Warns of members that have no effect.
    pub(super) fn check_members(&mut self) {
        let Some(members) = self.value.as_object() else { return };
        let read = if members.contains_key("command") { READ } else { READ_OF_REMOTE };
        let known = |name: &str| {
            read.contains(&name)
                || curate::MEMBERS.contains(&name)
                || sharing::MEMBERS.contains(&name)
                || OF_OTHER_PROGRAMS.contains(&name)
        };
        for name in members.keys().filter(|name| !known(name)) {
            let printable: String = name.chars().take(64).collect();
            self.warnings.push(format!("entry {:?}: member {printable:?} has no effect", self.name));
        }
    }
}
