//! The audit stream: who connected, who was refused, who called which tool where with what outcome. One JSON object a
//! line, to a target of its own.
//!
//! Off, it costs one look at a static ([`is_on`]). On, lines go into a bounded queue that a thread of its own empties: a
//! disk that is full or slow costs lines, which are counted, never a call. Knows no event by name.

mod line;
mod redact;
mod sink;
mod writer;

use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use metrics::counter;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::config::AuditConfig;
use crate::metrics::{Label, Metric};
pub use line::{Line, Payload};
use redact::Redaction;
use sink::Sink;
use writer::{Command, Writer};

/// Lines that wait for the writer at most.
const QUEUE: usize = 8192;

/// How long the last lines may take to be written at the end.
const FLUSH: Duration = Duration::from_secs(2);

const LINES: &str = "mcp_relay_audit_lines_total";

/// What is counted of lines.
pub const METRICS: &[Metric] = &[Metric::counter(
    LINES,
    &[Label::of("outcome", &["written", "failed", "dropped"])],
    "Audit lines by what became of them: written, failed (AUDIT_LOG could not be written), dropped (too many waited).",
)];

static AUDIT: OnceLock<Queue> = OnceLock::new();

/// Lines that were lost since the stream last said so.
static LOST: AtomicU64 = AtomicU64::new(0);

struct Queue {
    told: SyncSender<Command>,
    payloads: bool,
}

/// The audit stream could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The file, or the thread that writes it.
    #[error("AUDIT_LOG cannot be used: {0}")]
    Open(#[from] io::Error),
    /// It is open already.
    #[error("the audit stream is set up already")]
    Twice,
}

/// Whether lines are wanted.
pub fn is_on() -> bool {
    AUDIT.get().is_some()
}

/// Whether arguments and results are wanted too (`AUDIT_PAYLOADS`).
pub fn with_payloads() -> bool {
    AUDIT.get().is_some_and(|queue| queue.payloads)
}

/// Writes a line, soon; nothing where the stream is off. Never waits: a line too many is lost and counted.
pub fn tell(line: Line) {
    let Some(queue) = AUDIT.get() else { return };
    if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) =
        queue.told.try_send(Command::Line(line))
    {
        lost("dropped", 1);
    }
}

fn lost(outcome: &'static str, lines: u64) {
    counter!(LINES, "outcome" => outcome).increment(lines);
    LOST.fetch_add(lines, Ordering::Relaxed);
}

/// The open stream of this process.
#[derive(Debug)]
pub struct Audit {
    told: SyncSender<Command>,
    reopening: JoinHandle<()>,
}

impl Audit {
    /// Lines are written from now on; `service` is what runs, in upper case, say `PROXY`. A file is opened anew at
    /// SIGHUP. Needs a tokio runtime.
    pub fn start(config: &AuditConfig, service: (&'static str, &'static str)) -> Result<Self, AuditError> {
        let (told, inbox) = sync_channel(QUEUE);
        let redaction = Redaction::new(&config.redact, config.redact_text.clone());
        let writer = Writer::new(Sink::open(&config.target)?, redaction, service.0);
        let mut hangups = signal(SignalKind::hangup())?;
        AUDIT.set(Queue { told: told.clone(), payloads: config.payloads }).map_err(|_| AuditError::Twice)?;
        tell(Line::new("audit_started").with("version", service.1).with("payloads", config.payloads));
        std::thread::Builder::new().name("audit".into()).spawn(move || writer.run(&inbox))?;
        tracing::info!(target = %config.target, payloads = config.payloads, "Audit stream is written");
        let again = told.clone();
        let reopening = tokio::spawn(async move {
            while hangups.recv().await.is_some() {
                // The queue is full of lines that the old file takes as well; the next signal comes.
                let _ = again.try_send(Command::Reopen);
            }
        });
        Ok(Self { told, reopening })
    }

    /// Writes what is left, for 2 s at most.
    pub async fn finish(self) {
        self.reopening.abort();
        tell(Line::new("audit_stopped"));
        let (done, written) = oneshot::channel();
        let told = self.told;
        // A thread of its own: the runtime would wait for one of its own at the end, however long that takes.
        let asked = std::thread::Builder::new().spawn(move || told.send(Command::Finish(done)));
        if asked.is_err() || !matches!(tokio::time::timeout(FLUSH, written).await, Ok(Ok(()))) {
            tracing::warn!("The last audit lines could not be written within {} s", FLUSH.as_secs());
        }
    }
}

/// Lines that were lost since this was last asked.
fn take_lost() -> u64 {
    LOST.swap(0, Ordering::Relaxed)
}

/// The stream could not say so after all.
fn still_lost(lines: u64) {
    LOST.fetch_add(lines, Ordering::Relaxed);
}
