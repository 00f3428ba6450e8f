//! The children of a process, as `/proc` lists them. Must not know why they are looked for.

use std::fs;

use nix::unistd::Pid;

/// Returns the children of a process, oldest first. Some may be missing while others end: callers look again.
pub(super) fn of(parent: Pid) -> Vec<Pid> {
    // Only kernels with CONFIG_PROC_CHILDREN have the file.
    match fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")) {
        Ok(text) => text.split_whitespace().filter_map(number).collect(),
        Err(_) => scan(parent),
    }
}

/// Returns the process id of the oldest child of a process, if it has one.
pub(crate) fn oldest(parent: u32) -> Option<u32> {
    let children = of(Pid::from_raw(i32::try_from(parent).ok()?));
    children.first().and_then(|pid| u32::try_from(pid.as_raw()).ok())
}

/// Looks at every process.
fn scan(parent: Pid) -> Vec<Pid> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let ids = processes.filter_map(|entry| number(entry.ok()?.file_name().to_str()?));
    let mut found: Vec<Pid> = ids.filter(|pid| parent_of(*pid) == Some(parent)).collect();
    found.sort_unstable();
    found
}

/// Returns the parent of a process (proc(5), `/proc/pid/stat`, field 4).
fn parent_of(pid: Pid) -> Option<Pid> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in field 2 may contain anything.
    let (_, fields) = stat.rsplit_once(") ")?;
    number(fields.split_whitespace().nth(1)?)
}

fn number(text: &str) -> Option<Pid> {
    text.parse().ok().map(Pid::from_raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_find_a_child() {
        let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        let (own, pid) = (Pid::this(), Pid::from_raw(i32::try_from(child.id()).unwrap()));
        // Tests of other threads have children as well.
        assert!(scan(own).contains(&pid));
        assert_eq!(parent_of(pid), Some(own));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(parent_of(pid), None);
    }
}
