//! `mcp-relay users`: the users of the OAuth broker in their file. Must not know proxies.

use std::fs::File;
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use broker::users::{OneTimeSecret, User, UsersFile, is_name, url_of};
use runtime::env::Snapshot;
use runtime::io_fault::describe;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use crate::cli::{UsersCommand, UsersFileArg};
use crate::command_error::CommandError;
use crate::output;

/// Longest input that is read as a password, in bytes.
const MAX_INPUT: u64 = 4096;

/// Returns the text to print.
pub(crate) fn run(command: UsersCommand, snapshot: &Snapshot) -> Result<String, CommandError> {
    match command {
        UsersCommand::Add { name, groups, totp, file } => {
            add(&path(file, snapshot)?, &name, groups, totp.then_some(()))
        }
        UsersCommand::Passwd { name, file } => passwd(&path(file, snapshot)?, &name),
        UsersCommand::Remove { name, file } => remove(&path(file, snapshot)?, &name),
        UsersCommand::List { file } => list(&path(file, snapshot)?),
    }
}

fn config(text: impl Into<String>) -> CommandError {
    CommandError::Config(text.into())
}

fn path(file: UsersFileArg, snapshot: &Snapshot) -> Result<PathBuf, CommandError> {
    let from_env = || snapshot.get("BROKER_USERS_FILE").filter(|path| !path.is_empty()).map(PathBuf::from);
    file.path.or_else(from_env).ok_or_else(|| config("expected --file FILE, or BROKER_USERS_FILE"))
}

/// The file under a lock, so that two commands do not overwrite each other.
struct Locked {
    users: UsersFile,
    path: PathBuf,
    _lock: File,
}

impl Locked {
    fn open(path: &Path) -> Result<Self, CommandError> {
        // A mounted file may be a link; what it leads to is replaced, not the link.
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let lock_path = path.with_extension("lock");
        let lock = File::options().write(true).create(true).truncate(false).mode(0o600).open(&lock_path);
        let lock = lock.and_then(|file| file.lock().map(|()| file));
        let lock = lock.with_context(|| format!("{} cannot be locked", lock_path.display()))?;
        let users = match UsersFile::read(&path) {
            Ok((users, _)) => users,
            Err(_) if !path.exists() => UsersFile::default(),
            Err(why) => return Err(config(format!("{}: {why}", path.display()))),
        };
        Ok(Self { users, path, _lock: lock })
    }

    fn find(&mut self, name: &str) -> Result<&mut User, CommandError> {
        let name = name.to_ascii_lowercase();
        let user = self.users.users.iter_mut().find(|user| user.name == name);
        user.ok_or_else(|| config(format!("no user has the name {name:?}")))
    }

    /// Replaces the file in one step. Its mode stays; a new one is its owner's alone.
    fn write(&self) -> Result<(), CommandError> {
        let text = self.users.to_text();
        let new = self.path.with_extension("new");
        let mode = std::fs::metadata(&self.path).map_or(0o600, |meta| meta.permissions().mode() & 0o777);
        let written = || -> io::Result<()> {
            let _ = std::fs::remove_file(&new);
            let mut file = File::options().write(true).create_new(true).mode(mode).open(&new)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&new, &self.path)
        };
        let failed = |error: io::Error| {
            anyhow::anyhow!("{} cannot be written: {}", self.path.display(), describe(&error))
        };
        written().map_err(|error| failed(error).into())
    }
}

fn add(path: &Path, name: &str, groups: Vec<String>, totp: Option<()>) -> Result<String, CommandError> {
    if let Some(bad) =
        std::iter::once(name).chain(groups.iter().map(String::as_str)).find(|text| !is_name(text))
    {
        let expected =
            "expected 1 to 64 letters, digits, '.', '_', '@', '+' and '-', the first a letter or digit";
        return Err(config(format!("{bad:?}: {expected}")));
    }
    let name = name.to_ascii_lowercase();
    let mut file = Locked::open(path)?;
    if file.find(&name).is_ok() {
        return Err(config(format!(
            "{name:?} is a user already: mcp-relay users passwd sets another password"
        )));
    }
    let one_time = match totp {
        None => None,
        Some(()) => Some(OneTimeSecret::random().context("the system has no random numbers")?),
    };
    let password = hash(&password()?)?;
    let mut text = format!("{name} was added\n");
    if let Some(secret) = &one_time {
        text.extend(["For the authenticator, once:\n", &url_of(&name, secret), "\n"]);
    }
    file.users.users.push(User { name, password, one_time, groups });
    file.users.users.sort_by(|a, b| a.name.cmp(&b.name));
    file.write()?;
    Ok(text)
}

fn passwd(path: &Path, name: &str) -> Result<String, CommandError> {
    let mut file = Locked::open(path)?;
    file.find(name)?;
    let password = hash(&password()?)?;
    let user = file.find(name)?;
    user.password = password;
    let text = format!("{} has another password\n", user.name);
    file.write()?;
    Ok(text)
}

fn remove(path: &Path, name: &str) -> Result<String, CommandError> {
    let mut file = Locked::open(path)?;
    let name = file.find(name)?.name.clone();
    file.users.users.retain(|user| user.name != name);
    file.write()?;
    Ok(format!("{name} was removed\n"))
}

fn list(path: &Path) -> Result<String, CommandError> {
    let (file, _) = UsersFile::read(path).map_err(|why| config(format!("{}: {why}", path.display())))?;
    let line = |user: &User| {
        let code = if user.one_time.is_some() { "  one-time codes" } else { "" };
        format!("{}{code}  {}", user.name, user.groups.join(",")).trim_end().to_owned() + "\n"
    };
    Ok(file.users.iter().map(line).collect())
}

fn hash(password: &str) -> Result<String, CommandError> {
    broker::hash_password(password).map_err(|expected| config(format!("expected {expected}")))
}

/// Reads a password from standard input: a line of a terminal, without showing it, or all of a pipe but the last newline.
fn password() -> Result<String, CommandError> {
    let input = io::stdin();
    let mut text = String::new();
    let read = if input.is_terminal() {
        output::note("Password (it is not shown):");
        hidden(|| input.lock().take(MAX_INPUT).read_line(&mut text))
    } else {
        input.lock().take(MAX_INPUT).read_to_string(&mut text)
    };
    read.map_err(|error| config(format!("the password cannot be read: {}", describe(&error))))?;
    let password = text.strip_suffix('\n').unwrap_or(&text);
    Ok(password.strip_suffix('\r').unwrap_or(password).to_owned())
}

/// Runs `read` while the terminal does not show what is typed.
fn hidden<T>(read: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let before = tcgetattr(io::stdin())?;
    let mut quiet = before.clone();
    quiet.local_modes.remove(LocalModes::ECHO);
    tcsetattr(io::stdin(), OptionalActions::Flush, &quiet)?;
    let result = read();
    tcsetattr(io::stdin(), OptionalActions::Flush, &before)?;
    result
}
