//! Keeps one stdio server running: start, greet, list, watch, stop, and start again after a pause. Must not know calls.

use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::link::backoff::Backoff;
use protocol::mcp::era::Era;
use protocol::mcp::failure::Failure;
use tokio::task::{AbortHandle, JoinHandle, JoinSet};

use super::child::{self, Pipes, Running};
use super::handshake::{self, Approach, Greeting, HandshakeError};
use super::incoming::{ReadEnd, Reader};
use super::session::Session;
use super::{Live, Pace, StdioBackend, errors_log, probe};
use crate::backends::Leaving;
use crate::executor::{Registry, SlotId, State};
use crate::metrics::{self, Exit};
use crate::trace::BackendStart;

/// What was written before a child ended is still read for so long.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How a life ended.
enum Ended {
    Stopped,
    Failed(String),
}

/// One server and its place among the backends.
pub(super) struct Supervisor {
    pub(super) backend: Arc<StdioBackend>,
    pub(super) registry: Arc<Registry>,
    pub(super) slot: SlotId,
    pub(super) leaving: Leaving,
    pub(super) pace: Pace,
}

/// A child with the tasks that serve its pipes.
struct Life {
    running: Running,
    session: Arc<Session>,
    reader: JoinHandle<ReadEnd>,
    writer: AbortHandle,
    tasks: JoinSet<()>,
}

impl Supervisor {
    /// Runs until the slave stops, or the backend has left and its last call has ended. The child and its group are gone when it returns.
    pub(super) async fn run(self) {
        let name = &*self.backend.name;
        let mut backoff = Backoff::new(self.pace.restart_first, self.pace.restart_cap);
        let mut approach = Approach::Probe;
        loop {
            let started = Instant::now();
            let Ended::Failed(reason) = self.live(&mut approach).await else { break };
            if started.elapsed() >= self.pace.stable {
                backoff.reset();
            }
            let after = backoff.next(random());
            tracing::warn!(backend = name, "backend failed, started again in {after:.1?}: {reason}");
            self.registry.down(self.slot, State::Restarting { after, reason });
            tokio::select! {
                () = tokio::time::sleep(after) => metrics::record_backend_restart(name),
                () = self.leaving.begun() => break,
            }
        }
        self.registry.down(self.slot, State::Stopped);
        tracing::info!(backend = name, "backend stopped");
    }

    /// One child from its start to its end.
    async fn live(&self, approach: &mut Approach) -> Ended {
        let name = &self.backend.name;
        metrics::record_backend_start(name);
        self.backend.diary.starts();
        let mut start = BackendStart::start(name);
        let mut life = match self.start() {
            Ok(life) => life,
            Err(error) => {
                metrics::record_backend_exit(name, "start_failed");
                start.end("start_failed");
                return Ended::Failed(error.to_string());
            }
        };
        let session = Arc::clone(&life.session);
        let ended = tokio::select! {
            reason = self.serve((&session, &mut start), approach) => Err(reason),
            reason = life.ended() => Ok(reason),
            () = self.leaving.begun() => {
                metrics::record_backend_exit(name, "stopped");
                start.end("stopped");
                let patience = self.leaving.grace().map_or(self.pace.patience, |grace| grace / 3);
                self.end(life, self.leaving.why(), patience).await;
                return Ended::Stopped;
            }
        };
        let reason = match ended {
            // It failed us and still runs.
            Err(reason) => {
                *approach = other(*approach);
                metrics::record_backend_exit(name, "unusable");
                start.end("unusable");
                reason
            }
            Ok((reason, label)) => {
                // A legacy server may not survive a question before `initialize`.
                if self.backend.current.load().is_none() {
                    *approach = other(*approach);
                }
                metrics::record_backend_exit(name, label);
                start.end(label.reason());
                reason
            }
        };
        // It may quote what the child said.
        let reason = self.backend.mask.apply(&reason).into_owned();
        self.end(life, &reason, self.pace.patience).await;
        Ended::Failed(reason)
    }

    fn start(&self) -> std::io::Result<Life> {
        let (running, Pipes { stdin, stdout, stderr }) = child::spawn(&self.backend.server)?;
        self.backend.diary.process(running.pid());
        let (session, messages) = Session::new(Arc::clone(&self.backend.name));
        let mut tasks = JoinSet::new();
        let writer = tasks.spawn(child::write(stdin, messages));
        let backend = Arc::clone(&self.backend);
        tasks.spawn(
            async move { errors_log::log(&backend.name, stderr, (&backend.mask, &backend.diary)).await },
        );
        let reader = Reader::new(Arc::clone(&session), self.backend.mask.clone(), self.backend.max_output);
        let reader = tokio::spawn(reader.run(stdout));
        Ok(Life { running, session, reader, writer, tasks })
    }

    /// Greets the child, offers its tools and follows their changes. Returns only with a reason to give the child up.
    async fn serve(
        &self,
        (session, start): (&Arc<Session>, &mut BackendStart),
        approach: &mut Approach,
    ) -> String {
        let begun = tokio::time::timeout(self.pace.start, self.begin(session, *approach)).await;
        let greeting = match begun {
            Ok(Ok(greeting)) => greeting,
            Ok(Err(error)) => return error.to_string(),
            Err(_) => return format!("it was not ready within {:?}", self.pace.start),
        };
        start.ready(greeting.version);
        // A server whose era is known is not kept waiting by the question again.
        *approach = if greeting.era == Era::Legacy { Approach::Initialize } else { Approach::Probe };
        let follow = async {
            loop {
                session.tools_changed.notified().await;
                match handshake::list_tools(session, greeting.era).await {
                    Ok(tools) => self.registry.ready(self.slot, tools),
                    Err(error) => tracing::warn!(
                        backend = &*self.backend.name,
                        "its changed tools cannot be listed: {error}"
                    ),
                }
            }
        };
        let subscribe = async {
            if greeting.era == Era::Modern && greeting.announces_changes {
                handshake::subscribe(session).await;
            }
        };
        tokio::select! {
            reason = async { tokio::join!(follow, subscribe).0 } => reason,
            reason = self.probe(session, greeting.era) => reason,
        }
    }

    /// Asks the child now and then whether it still answers, if that is wanted.
    async fn probe(&self, session: &Arc<Session>, era: Era) -> String {
        let Some(interval) = self.pace.check else { return std::future::pending().await };
        let ailing = |what: Option<String>| {
            if let Some(what) = &what {
                tracing::warn!(backend = &*self.backend.name, "backend does not answer: {what}");
            }
            self.registry.ailing(self.slot, what);
        };
        probe::watch((session, era), interval, ailing).await
    }

    async fn begin(&self, session: &Arc<Session>, approach: Approach) -> Result<Greeting, HandshakeError> {
        let greeting = handshake::greet(session, approach, self.pace.probe).await?;
        let tools =
            if greeting.has_tools { handshake::list_tools(session, greeting.era).await? } else { Vec::new() };
        tracing::info!(backend = &*self.backend.name, era = ?greeting.era, tools = tools.len(), "backend ready");
        self.backend.current.store(Some(Arc::new(Live {
            session: Arc::clone(session),
            era: greeting.era,
            version: greeting.version,
        })));
        self.registry.ready(self.slot, tools);
        Ok(greeting)
    }

    /// Takes the tools away, fails whoever waits and ends the processes.
    async fn end(&self, life: Life, reason: &str, patience: Duration) {
        self.backend.current.store(None);
        self.registry.down(self.slot, State::Restarting { after: Duration::ZERO, reason: reason.to_owned() });
        let failure =
            Failure::BackendFailed { backend: self.backend.name.to_string(), reason: reason.to_owned() };
        life.session.close(&failure);
        life.reader.abort();
        // Closes standard input, which asks the child to go; standard error is read to the last.
        life.writer.abort();
        let Life { running, mut tasks, .. } = life;
        running.stop(patience).await;
        self.backend.diary.process(None);
        let _ = tokio::time::timeout(LAST_WORDS, async { while tasks.join_next().await.is_some() {} }).await;
    }
}

impl Life {
    /// Resolves when the child is of no more use, with the reason and its label. What it wrote before is delivered.
    async fn ended(&mut self) -> (String, Exit) {
        tokio::select! {
            status = self.running.ended() => {
                let _ = tokio::time::timeout(LAST_WORDS, &mut self.reader).await;
                match status {
                    Ok(status) => exit(status),
                    Err(error) => (format!("it cannot be waited for: {error}"), "closed".into()),
                }
            }
            read = &mut self.reader => match read {
                Ok(ReadEnd::Closed) => match tokio::time::timeout(LAST_WORDS, self.running.ended()).await {
                    Ok(Ok(status)) => exit(status),
                    _ => ("it closed its standard output".into(), "closed".into()),
                },
                Ok(ReadEnd::LineTooLong) => {
                    ("it wrote a message beyond MAX_OUTPUT_BYTES that belongs to no known call".into(), "line_too_long".into())
                }
                Ok(ReadEnd::Failed(error)) => (format!("its standard output cannot be read: {error}"), "closed".into()),
                Err(_) => ("its reader failed".into(), "closed".into()),
            },
        }
    }
}

fn exit(status: ExitStatus) -> (String, Exit) {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => (format!("it exited with code {code}"), Exit::Code(code)),
        (None, Some(signal)) => (format!("it was killed by signal {signal}"), Exit::Signal(signal)),
        (None, None) => ("it ended".into(), Exit::Other("exited")),
    }
}

fn other(approach: Approach) -> Approach {
    match approach {
        Approach::Probe => Approach::Initialize,
        Approach::Initialize => Approach::Probe,
    }
}

fn random() -> u64 {
    // Without randomness the full pause is the safe one.
    getrandom::u64().unwrap_or(u64::MAX)
}
