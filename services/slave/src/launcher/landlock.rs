//! Landlock rules of a backend (landlock(7)). Must not know the other parts of a confinement.
//!
//! Whatever its rules allow, a process in a Landlock domain can neither read the environment or memory of a process outside
//! it nor trace it, and since Linux 6.12 not signal it. So every confined backend gets a domain of its own, by default one
//! that restricts nothing else.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, NetPort, PathBeneath, PathFd,
    Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, Scope,
};

use super::error::LaunchError;
use super::plan::{FileAccess, PortAccess, Rules};

/// The version whose file rights are restricted: the first that covers truncation (Linux 6.2).
const FILES: ABI = ABI::V3;

/// Files of the system that a backend with file rules may read and execute: programs, libraries, what resolves names and
/// verifies certificates, and facts of the machine. `/proc` is held by the domain. Missing ones are left out.
const SYSTEM: &[&str] = &[
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/usr",
    "/opt",
    "/nix/store",
    "/proc",
    "/sys",
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/crypto-policies",
    "/etc/gai.conf",
    "/etc/group",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/passwd",
    "/etc/pki",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssl",
    "/etc/timezone",
];

/// Devices that hold no data, which may be written too.
const DEVICES: &[&str] = &["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];

/// A domain that is ready to be entered.
pub(super) struct Domain(RulesetCreated);

impl Domain {
    /// Enters the domain, for good and for all processes that are started from now on.
    pub(super) fn enter(self) -> Result<(), LaunchError> {
        self.0
            .restrict_self()
            .map(|_| ())
            .map_err(|error| unsupported("read, write, connect or bind", "5.19")(&error))
    }
}

/// Returns whether the kernel can give a backend a domain of its own.
pub(crate) fn is_supported() -> bool {
    matches!(own_domain(), Ok(Some(_)))
}

/// Prepares the domain that the rules ask for. `None`: they ask for nothing, and the kernel has no suitable Landlock.
pub(super) fn prepare(rules: &Rules) -> Result<Option<Domain>, LaunchError> {
    let PortAccess { connect, bind } = &rules.ports;
    if rules.files.is_none() && connect.is_none() && bind.is_none() {
        return own_domain()
            .map_err(|error| unsupported("read", "5.19")(&error))
            .map(|found| found.map(Domain));
    }
    let mut ruleset = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    if rules.files.is_some() {
        ruleset = ruleset
            .handle_access(AccessFs::from_all(FILES))
            .map_err(|error| unsupported("read and confine.write", "6.2")(&error))?;
    }
    for (ports, member, access) in
        [(connect, "connect", AccessNet::ConnectTcp), (bind, "bind", AccessNet::BindTcp)]
    {
        if ports.is_some() {
            ruleset = ruleset.handle_access(access).map_err(|error| unsupported(member, "6.7")(&error))?;
        }
    }
    let created = ruleset
        .set_compatibility(CompatLevel::BestEffort)
        .scope(Scope::Signal)
        .and_then(Ruleset::create)
        .map_err(|error| unsupported("read, write, connect or bind", "6.7")(&error))?;
    let created = match &rules.files {
        Some(files) => allow_files(created, files)?,
        None => created,
    };
    allow_ports(created, &rules.ports).map(|created| Some(Domain(created)))
}

/// Returns a domain that restricts no file and no port; `None` if the kernel has none that would not.
fn own_domain() -> Result<Option<RulesetCreated>, RulesetError> {
    let hard = || Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    if let Ok(ruleset) = hard().scope(Scope::Signal) {
        return ruleset.create().map(Some);
    }
    // Linux 5.19 to 6.11: some right must be handled. This one is refused in every domain that does not allow it.
    let Ok(ruleset) = hard().handle_access(AccessFs::Refer) else { return Ok(None) };
    let Ok(root) = PathFd::new("/") else { return Ok(None) };
    ruleset.create()?.add_rule(PathBeneath::new(root, AccessFs::Refer)).map(Some)
}

fn allow_files(created: RulesetCreated, files: &FileAccess) -> Result<RulesetCreated, LaunchError> {
    let (read, all) = (AccessFs::from_read(FILES), AccessFs::from_all(FILES));
    let mut created = created;
    for (paths, access) in [(SYSTEM, read), (DEVICES, read | AccessFs::WriteFile)] {
        for path in paths {
            if let Ok(open) = PathFd::new(path) {
                created = add(created, open, applicable(Path::new(path), access), "read")?;
            }
        }
    }
    for (member, paths, access) in [("read", &files.read, read), ("write", &files.write, all)] {
        for path in paths {
            let open = PathFd::new(path).map_err(|error| cannot_open(member, path, &error))?;
            created = add(created, open, applicable(path, access), member)?;
        }
    }
    Ok(created)
}

fn add(
    created: RulesetCreated,
    open: PathFd,
    access: BitFlags<AccessFs>,
    member: &'static str,
) -> Result<RulesetCreated, LaunchError> {
    created.add_rule(PathBeneath::new(open, access)).map_err(|error| unsupported(member, "6.2")(&error))
}

fn allow_ports(created: RulesetCreated, ports: &PortAccess) -> Result<RulesetCreated, LaunchError> {
    let mut created = created;
    for (member, ports, access) in
        [("connect", &ports.connect, AccessNet::ConnectTcp), ("bind", &ports.bind, AccessNet::BindTcp)]
    {
        for port in ports.iter().flatten() {
            let rule = NetPort::new(*port, access);
            created = created.add_rule(rule).map_err(|error| unsupported(member, "6.7")(&error))?;
        }
    }
    Ok(created)
}

/// Returns the rights that make sense for this path: the kernel refuses rights of folders for files.
fn applicable(path: &Path, access: BitFlags<AccessFs>) -> BitFlags<AccessFs> {
    if path.is_dir() { access } else { access & AccessFs::from_file(FILES) }
}

fn cannot_open(member: &'static str, path: &Path, error: &landlock::PathFdError) -> LaunchError {
    let landlock::PathFdError::OpenCall { source, .. } = error else {
        return LaunchError::Path { member, path: PathBuf::from(path), why: error.to_string() };
    };
    LaunchError::Path { member, path: PathBuf::from(path), why: source.to_string() }
}

fn unsupported(member: &'static str, since: &'static str) -> impl Fn(&RulesetError) -> LaunchError {
    move |error| LaunchError::Landlock { member, since, why: error.to_string() }
}
