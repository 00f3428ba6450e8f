//! The confined stage: applies limits, user, capabilities and Landlock to itself, and becomes the backend by exec. Must not
//! know what happens around it.

use std::convert::Infallible;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::{Gid, Pid, Uid, getppid, setgid, setgroups, setuid};
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

use super::error::{LaunchError, step};
use super::landlock;
use super::plan::{CommandLine, Confinement, HugePages, Limits, Plan, Rules};

/// Capabilities that a backend of a privileged slave keeps: they concern files and processes of its own. All others, those
/// for reading other processes among them, are dropped.
const KEPT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::NET_RAW)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SYS_CHROOT);

/// Becomes the backend. Returns only with the reason why that failed.
pub(super) fn become_backend(plan: &Plan, command: CommandLine) -> LaunchError {
    match confine(plan) {
        Ok(()) => exec(plan, command),
        Err(error) => error,
    }
}

fn confine(plan: &Plan) -> Result<(), LaunchError> {
    if let Confinement::On(rules) = &plan.confinement {
        // Paths are opened with the slave's rights, which the user may not have.
        let domain = landlock::prepare(rules)?;
        change_user(rules)?;
        prctl::set_no_new_privs().map_err(step("set no_new_privs"))?;
        if let Some(domain) = domain {
            domain.enter()?;
        }
        drop_capabilities()?;
        // Limits only fall, which needs no rights; what stands above needs files.
        set_limits(&rules.limits)?;
    }
    if plan.huge_pages != HugePages::Off {
        prctl::set_thp_disable(false).map_err(step("turn huge pages on again"))?;
    }
    // Set last: a change of the user clears it. The kernel sends it, so Landlock does not hold it back.
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(step("ask for the parent-death signal"))?;
    match plan.parent {
        Some(parent) if getppid() != Pid::from_raw(parent) => Err(LaunchError::NoParent),
        _ => Ok(()),
    }
}

/// Sets the limits; one above the slave's own becomes the slave's own. Core dumps are off.
fn set_limits(limits: &Limits) -> Result<(), LaunchError> {
    let asked = [
        ("memory", Resource::RLIMIT_DATA, limits.memory),
        ("files", Resource::RLIMIT_NOFILE, limits.files),
        ("processes", Resource::RLIMIT_NPROC, limits.processes),
        ("cpu", Resource::RLIMIT_CPU, limits.cpu),
        ("core", Resource::RLIMIT_CORE, Some(0)),
    ];
    for (member, resource, limit) in asked {
        let Some(limit) = limit else { continue };
        let set = getrlimit(resource).and_then(|(_, hard)| {
            let limit = limit.min(hard);
            setrlimit(resource, limit, limit)
        });
        set.map_err(|errno| LaunchError::Limit { member, source: errno.into() })?;
    }
    Ok(())
}

fn change_user(rules: &Rules) -> Result<(), LaunchError> {
    let Some(gid) = rules.gid.or(rules.uid) else { return Ok(()) };
    let failed = |member| move |errno: nix::errno::Errno| LaunchError::User { member, source: errno.into() };
    let member = if rules.gid.is_some() { "gid" } else { "uid" };
    setgroups(&[]).and_then(|()| setgid(Gid::from_raw(gid))).map_err(failed(member))?;
    rules.uid.map_or(Ok(()), |uid| setuid(Uid::from_raw(uid)).map_err(failed("uid")))
}

/// Drops what is not in [`KEPT`]. With `no_new_privs` an exec gives nothing back, to root neither.
fn drop_capabilities() -> Result<(), LaunchError> {
    let failed =
        |source: rustix::io::Errno| LaunchError::Step { step: "drop capabilities", source: source.into() };
    let now = capabilities(None).map_err(failed)?;
    let kept = CapabilitySets {
        effective: now.effective & KEPT,
        permitted: now.permitted & KEPT,
        inheritable: now.inheritable & KEPT,
    };
    if now == kept { Ok(()) } else { set_capabilities(None, kept).map_err(failed) }
}

fn exec(plan: &Plan, CommandLine { program, args }: CommandLine) -> LaunchError {
    let Err::<Infallible, _>(source) = Err(Command::new(&program).args(args).exec());
    let restricted = matches!(&plan.confinement, Confinement::On(Rules { files: Some(_), .. }));
    match source.kind() {
        io::ErrorKind::NotFound => LaunchError::NotFound { command: program },
        io::ErrorKind::PermissionDenied if restricted => LaunchError::Exec {
            command: program,
            source,
            hint: Some(
                ": confine.read must contain the program and what interprets it, unless they belong to the system",
            ),
        },
        _ => LaunchError::Exec { command: program, source, hint: None },
    }
}
