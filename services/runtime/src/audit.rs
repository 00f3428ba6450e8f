//! The audit stream: connections, refusals and calls with their outcomes, written to a target of its own as one JSON
//! object per line.
//!
//! While off, the stream costs one load of a static ([`is_on`]). While on, lines go into a bounded queue that a thread of
//! its own empties: a full or slow disk costs lines, which are counted, and never a call, unless calls must be written down
//! ([`is_required`]): then a call begins only after [`confirm`]. Knows no event by name but those
//! of the stream itself and of files.

mod line;
mod losses;
mod redact;
mod sink;
mod writer;

use std::io;
use std::sync::OnceLock;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::config::AuditConfig;
use crate::repeats;
pub use line::{AuditLine, Payload};
pub use losses::METRICS;
use losses::record_lost;
use redact::Redaction;
use sink::Sink;
use writer::{Command, Writer};

/// Largest number of lines that wait for the writer.
const MAX_QUEUED: usize = 8192;

/// Time limit for a line that a call waits for.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(2);

/// Time limit for writing the last lines at the end of the process.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

static AUDIT: OnceLock<Queue> = OnceLock::new();

struct Queue {
    commands: SyncSender<Command>,
    payloads: bool,
    required: bool,
}

/// Why a line is not with the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotWritten {
    /// Too many lines wait for the writer.
    QueueFull,
    /// The target took no line.
    Failed,
    /// The target did not take the line in time.
    TimedOut,
}

impl NotWritten {
    /// Returns the reason, for clients and people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "too many audit lines wait to be written",
            Self::Failed => "AUDIT_LOG cannot be written",
            Self::TimedOut => "AUDIT_LOG was not written in time",
        }
    }
}

/// The reason that the audit stream could not be started.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The file cannot be opened, or the writer's thread cannot be started.
    #[error("AUDIT_LOG cannot be used: {0}")]
    Open(#[from] io::Error),
    /// The stream is open already.
    #[error("the audit stream is set up already")]
    Twice,
}

/// Returns whether the stream is on.
pub fn is_on() -> bool {
    AUDIT.get().is_some()
}

/// Returns whether lines contain arguments and results (`AUDIT_PAYLOADS`).
pub fn with_payloads() -> bool {
    AUDIT.get().is_some_and(|queue| queue.payloads)
}

/// Returns whether calls must be written down before they begin (`AUDIT_REQUIRED`).
pub fn is_required() -> bool {
    AUDIT.get().is_some_and(|queue| queue.required)
}

/// Writes a line and waits until the target has taken it; does nothing where the stream is off. Takes at most
/// [`CONFIRM_TIMEOUT`]. Dropping the future loses the answer, not the line.
///
/// # Errors
/// The line is not with the target, or not known to be: it may still be written after [`NotWritten::TimedOut`].
pub async fn confirm(line: AuditLine) -> Result<(), NotWritten> {
    let Some(queue) = AUDIT.get() else { return Ok(()) };
    let (done, written) = oneshot::channel();
    if queue.commands.try_send(Command::Confirm(line, done)).is_err() {
        record_lost("dropped", 1);
        return Err(NotWritten::QueueFull);
    }
    match tokio::time::timeout(CONFIRM_TIMEOUT, written).await {
        Ok(Ok(true)) => Ok(()),
        Ok(Ok(false) | Err(_)) => Err(NotWritten::Failed),
        Err(_) => Err(NotWritten::TimedOut),
    }
}

/// Records that a file of the configuration was read again. `outcome`: `ok`, or `failed` where the previous content stays.
pub fn record_reload(file: &'static str, outcome: &'static str) {
    if is_on() {
        write_line(AuditLine::new("config_reloaded").with("file", file).with("outcome", outcome));
    }
}

/// Queues a line for the writer; does nothing where the stream is off. Never waits: a line that finds the queue full is
/// dropped and counted.
pub fn write_line(line: AuditLine) {
    let Some(queue) = AUDIT.get() else { return };
    if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) =
        queue.commands.try_send(Command::Line(line))
    {
        record_lost("dropped", 1);
    }
}

/// The open stream of this process.
#[derive(Debug)]
pub struct Audit {
    commands: SyncSender<Command>,
    reopening: JoinHandle<()>,
}

impl Audit {
    /// Starts the stream. `service` is the running mode in upper case, for example `PROXY`. A file is opened again at
    /// SIGHUP. Needs a tokio runtime.
    pub fn start(
        config: &AuditConfig,
        service: &'static str,
        version: &'static str,
    ) -> Result<Self, AuditError> {
        let (commands, inbox) = sync_channel(MAX_QUEUED);
        let redaction = Redaction::new(&config.redact, config.redact_text.clone());
        let writer = Writer::new(Sink::open(&config.target)?, redaction, service);
        let mut hangup = signal(SignalKind::hangup())?;
        AUDIT
            .set(Queue { commands: commands.clone(), payloads: config.payloads, required: config.required })
            .map_err(|_| AuditError::Twice)?;
        write_line(
            AuditLine::new("audit_started")
                .with("version", version)
                .with("payloads", config.payloads)
                .with("required", config.required),
        );
        std::thread::Builder::new().name("audit".into()).spawn(move || writer.run(&inbox))?;
        tracing::info!(target = %config.target, payloads = config.payloads, "Audit stream is written");
        let reopen = commands.clone();
        let reopening = tokio::spawn(async move {
            while hangup.recv().await.is_some() {
                // With a full queue the signal is lost: the old file takes the lines until the next signal.
                let _ = reopen.try_send(Command::Reopen);
            }
        });
        Ok(Self { commands, reopening })
    }

    /// Writes the queued lines, within [`FLUSH_TIMEOUT`].
    pub async fn finish(self) {
        self.reopening.abort();
        repeats::flush();
        write_line(AuditLine::new("audit_stopped"));
        let (done, written) = oneshot::channel();
        let commands = self.commands;
        // A thread rather than a blocking task: when the runtime ends, it waits for blocking tasks without a limit.
        let asked = std::thread::Builder::new().spawn(move || commands.send(Command::Finish(done)));
        if asked.is_err() || !matches!(tokio::time::timeout(FLUSH_TIMEOUT, written).await, Ok(Ok(()))) {
            tracing::warn!("The last audit lines could not be written within {} s", FLUSH_TIMEOUT.as_secs());
        }
    }
}
