//! Lists of tasks (2025-11-25, Tasks, "Listing Tasks"): what each slave that can list tasks tells of one client's, as one list. A slave that
//! does not answer is left out. Must not know HTTP, nor whose a task is: each slave knows that of its own.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use policy::Requester;
use protocol::link::call::ResponseEvent;
use protocol::link::header::{CallHeader, Purpose};
use protocol::link::ids::CallId;
use protocol::mcp::call_message::{CallRules, MessageCheck, MessageShape};
use protocol::mcp::entry_array::MAX_PAGE;
use protocol::mcp::envelope::Text;
use protocol::mcp::era::Era;
use protocol::mcp::failure::Failure;
use protocol::mcp::kind::Kind;
use protocol::mcp::task_list::{self, TaskPage};
use serde::Deserialize;
use tokio::time::{interval, timeout};

use super::forwarder::Forwarder;
use crate::links::{Recv, ResponseRx, Slave};

/// Longest wait for a slave, which itself waits for its backends for 2 s.
const SLAVE_TIMEOUT: Duration = Duration::from_secs(3);

/// Interval at which slaves are looked after that have not answered: one that owes an answer for so long that it may be paused is left out.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Most bytes of the list of one slave.
const MAX_LIST: usize = 8 * 1024 * 1024;

/// A question to one slave. Dropping it cancels the call.
struct Asked {
    slave: Arc<Slave>,
    id: CallId,
    response: Arc<ResponseRx>,
    list: Vec<u8>,
    is_over: bool,
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.slave.cancel(self.id);
    }
}

/// Returns the page of a client's tasks that its request asks for, as a result. The header names the client.
pub(super) async fn list(
    forwarder: Arc<Forwarder>,
    header: CallHeader,
    message: Bytes,
    client: Requester<'static>,
) -> Result<Bytes, Failure> {
    let mut slaves = forwarder.registry.all();
    slaves.retain(|slave| slave.catalog().servers.iter().any(|server| server.facts.lists_tasks()));
    if slaves.is_empty() {
        return Err(Failure::MethodNotFound(header.method));
    }
    let may_list = |slave: &Arc<Slave>| {
        slave.accepts_calls() && forwarder.may_use(|| client.clone(), Kind::Task, "", slave)
    };
    slaves.retain(may_list);
    slaves.sort_by(|one, other| (&one.name, one.key).cmp(&(&other.name, other.key)));
    let mut asked = ask(&forwarder, header, slaves)?;
    let all = async {
        let mut look = interval(LOOK_INTERVAL);
        loop {
            tokio::select! {
                biased;
                () = poll_fn(|cx| poll_all(&mut asked, cx)) => return,
                _ = look.tick() => {
                    for one in asked.iter_mut().filter(|one| !one.is_over && one.slave.is_overdue()) {
                        one.give_up("it does not answer at the moment");
                    }
                }
            }
        }
    };
    if timeout(SLAVE_TIMEOUT, all).await.is_err() {
        let late = asked.iter_mut().filter(|one| !one.is_over);
        late.for_each(|one| one.give_up("it did not answer in time"));
    }
    let mut tasks: Vec<(String, &str)> = Vec::new();
    for one in &asked {
        let listed = TaskPage::read(&one.list).map(|page| page.tasks).unwrap_or_default();
        let named = listed.into_iter().filter_map(|task| Some((task.id()?, task.json)));
        // Decided by the tools that made them, as each request about one is.
        let may_use =
            |(id, _): &(String, &str)| forwarder.may_use(|| client.clone(), Kind::Task, id, &one.slave);
        tasks.extend(named.filter(may_use));
    }
    let cursor = cursor_of(&message);
    let page =
        task_list::page(tasks.iter().map(|(id, json)| (id.as_str(), *json)), cursor.as_deref(), MAX_PAGE);
    page.map_err(|error| Failure::InvalidParams(error.to_string()))
}

/// Returns the cursor of a request.
fn cursor_of(message: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Request<'a> {
        #[serde(borrow, default)]
        params: Params<'a>,
    }
    #[derive(Default, Deserialize)]
    struct Params<'a> {
        #[serde(borrow, default)]
        cursor: Option<Text<'a>>,
    }
    let Request { params } = serde_json::from_slice(message).ok()?;
    params.cursor.map(|cursor| cursor.as_str().to_owned())
}

fn ask(forwarder: &Forwarder, header: CallHeader, slaves: Vec<Arc<Slave>>) -> Result<Vec<Asked>, Failure> {
    let header = CallHeader { purpose: Purpose::TaskList, resumable: false, ..header };
    let header = Bytes::from(serde_json::to_vec(&header).map_err(|_| Failure::Internal)?);
    let ask = |slave: Arc<Slave>| {
        let (id, response) = (forwarder.next_id(), Arc::new(ResponseRx::default()));
        slave.listen(id, &header, &Bytes::new(), &response).ok()?;
        Some(Asked { slave, id, response, list: Vec::new(), is_over: false })
    };
    Ok(slaves.into_iter().filter_map(ask).collect())
}

/// Resolves when every slave has answered or was given up.
fn poll_all(asked: &mut [Asked], cx: &mut Context<'_>) -> Poll<()> {
    let mut open = false;
    for one in asked {
        open |= one.poll_list(cx).is_pending();
    }
    if open { Poll::Pending } else { Poll::Ready(()) }
}

/// Returns whether an answer has the form of a result.
fn is_sound(answer: &[u8]) -> bool {
    let rules = CallRules { era: Era::Legacy, label: None, token: None };
    MessageCheck::whole(MessageShape::Result, answer, rules).is_ok()
}

impl Asked {
    /// Resolves when the list is there, or there will be none.
    fn poll_list(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.is_over {
            match ready!(self.response.poll_recv(cx)) {
                Recv::ResponseEvent(ResponseEvent::End { seq, more, error, payload, .. }) => {
                    self.slave.acknowledge(self.id, seq + 1, payload.len(), true);
                    self.list.extend_from_slice(&payload);
                    self.is_over = !more;
                    if error || self.list.len() > MAX_LIST {
                        self.give_up("it answered with an error, or with too much");
                    } else if self.is_over && !is_sound(&self.list) {
                        self.give_up("its answer has not the form of a result");
                    }
                }
                Recv::ResponseEvent(ResponseEvent::Event { seq, payload, .. }) => {
                    self.slave.acknowledge(self.id, seq + 1, payload.len(), true);
                }
                Recv::ResponseEvent(ResponseEvent::Failed(_)) | Recv::Unsent | Recv::ProbablyLost => {
                    self.give_up("it is lost");
                }
            }
        }
        Poll::Ready(())
    }

    /// Takes nothing of a slave that has not answered, or not in order.
    fn give_up(&mut self, why: &str) {
        tracing::debug!(slave = self.slave.name, "Left the slave out of a list of tasks: {why}");
        self.is_over = true;
        self.list.clear();
    }
}
