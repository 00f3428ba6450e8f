//! The command that starts a backend, through the launcher where there is one. Must not know what the backend is.

use std::ffi::OsStr;
use std::io;
use std::path::PathBuf;

use tokio::process::Command;

use super::huge_pages::of_backends;
use super::plan::{Confinement, OWN_PROGRAM, PLAN, PROCESS_NAME, Plan, SUBCOMMAND};

/// Returns the running program, also where its file was replaced meanwhile; `None` on systems other than Linux, where there
/// is no launcher.
pub fn this_program() -> Option<PathBuf> {
    cfg!(target_os = "linux").then(|| OWN_PROGRAM.into())
}

/// The program that starts backends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Launcher {
    /// None: backends are children of the slave, and are ended by their process group. Some outlive a slave that is killed.
    #[default]
    Absent,
    /// A program whose `exec-backend` is [`main`](crate::launcher::main).
    Program(PathBuf),
}

impl Launcher {
    /// Returns the command of a backend, in a process group of its own and without its environment. Fails if rules are asked for that only a launcher can
    /// apply.
    pub(crate) fn command<A: AsRef<OsStr>>(
        &self,
        program: &OsStr,
        args: impl IntoIterator<Item = A>,
        confinement: &Confinement,
    ) -> io::Result<Command> {
        let Self::Program(launcher) = self else {
            if confinement.has_rules() {
                let text = "the rules of its \"confine\" need a slave on Linux";
                return Err(io::Error::new(io::ErrorKind::Unsupported, text));
            }
            let mut command = Command::new(program);
            command.args(args).kill_on_drop(true).process_group(0);
            return Ok(command);
        };
        let parent = i32::try_from(std::process::id()).ok();
        let plan = serde_json::to_string(&Plan {
            parent,
            huge_pages: of_backends(),
            confinement: confinement.clone(),
        })?;
        let mut command = Command::new(launcher);
        command
            .arg0(PROCESS_NAME)
            .process_group(0)
            .args([SUBCOMMAND, PLAN, &plan, "--"])
            .arg(program)
            .args(args);
        // Not killed on drop: a launcher that is killed cannot end what is below it.
        Ok(command)
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::{FileAccess, PortAccess, Rules};
    use super::*;

    #[test]
    fn without_a_launcher_rules_are_refused_and_nothing_starts_unconfined() {
        let start = |confinement| Launcher::Absent.command(OsStr::new("true"), ["x"], &confinement);
        let rules = [
            Rules { uid: Some(1), ..Rules::default() },
            Rules { files: Some(FileAccess::default()), ..Rules::default() },
            Rules {
                ports: PortAccess { connect: Some(vec![443]), ..PortAccess::default() },
                ..Rules::default()
            },
        ];
        for rules in rules {
            let error = start(Confinement::On(rules)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::Unsupported);
            assert!(error.to_string().contains("\"confine\" need a slave on Linux"), "{error}");
        }
        for confinement in [Confinement::default(), Confinement::Off] {
            assert_eq!(start(confinement).unwrap().as_std().get_program(), "true");
        }
    }
}
