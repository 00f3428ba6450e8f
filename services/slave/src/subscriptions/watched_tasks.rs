//! The tasks of one backend of which somebody wants to learn the status (the extension `io.modelcontextprotocol/tasks`, "Task Status
//! Notifications"). Must not know how the backend is asked, nor how ids look to clients.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::mailbox::{Mailbox, Notice};

/// What the backend says of its notifications of a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Consent {
    /// It has not answered.
    #[default]
    Asked,
    /// It sends them.
    Given,
    /// It sends none.
    Refused,
}

/// A task with those who read of it.
#[derive(Default)]
struct Task {
    readers: HashMap<u64, Arc<Mailbox>>,
    consent: Consent,
}

#[derive(Default)]
struct State {
    /// By the backend's own id.
    tasks: HashMap<String, Task>,
    /// The request by which the backend was asked last, and the tasks that it names.
    asked: Option<(u64, Vec<String>)>,
    last_reader: u64,
}

/// The watched tasks of one backend.
pub(crate) struct WatchedTasks {
    state: Mutex<State>,
    /// The number of changes of tasks and of what the backend says of them.
    changes: watch::Sender<u64>,
}

/// The wish of one client for notifications of one task, until it is dropped.
pub(crate) struct TaskWatch {
    watched: Arc<WatchedTasks>,
    id: String,
    reader: u64,
}

impl Default for WatchedTasks {
    fn default() -> Self {
        Self { state: Mutex::default(), changes: watch::Sender::new(0) }
    }
}

impl WatchedTasks {
    /// Puts notifications of the task with the backend's id `id` into a mailbox from now on.
    pub(crate) fn watch(self: &Arc<Self>, id: &str, mailbox: &Arc<Mailbox>) -> TaskWatch {
        let reader = {
            let state = &mut *self.state.lock();
            state.last_reader += 1;
            let task = state.tasks.entry(id.to_owned()).or_default();
            if task.consent == Consent::Refused {
                task.consent = Consent::Asked;
            }
            task.readers.insert(state.last_reader, Arc::clone(mailbox));
            state.last_reader
        };
        self.notify();
        TaskWatch { watched: Arc::clone(self), id: id.to_owned(), reader }
    }

    /// Returns what the backend is to be asked for, in order: all but what it has refused.
    pub(crate) fn ids(&self) -> Vec<String> {
        let state = self.state.lock();
        let wanted = state.tasks.iter().filter(|(_, task)| task.consent != Consent::Refused);
        let mut ids: Vec<String> = wanted.map(|(id, _)| id.clone()).collect();
        ids.sort_unstable();
        ids
    }

    /// Returns the changes of [`Self::ids`] and of what the backend says.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Records that the backend is asked for these tasks by a request, in place of the one before.
    pub(crate) fn on_asked(&self, request: u64, ids: &[String]) {
        self.state.lock().asked = Some((request, ids.to_vec()));
    }

    /// Records which tasks the backend acknowledges on a request. What it was asked for and does not name is refused.
    pub(crate) fn on_acknowledged(&self, request: u64, acknowledged: &[String]) {
        self.on_answer(request, |id| acknowledged.iter().any(|known| known == id));
    }

    /// Records that the backend has ended a request by an error.
    pub(crate) fn on_refused(&self, request: u64) {
        self.on_answer(request, |_| false);
    }

    fn on_answer(&self, request: u64, is_given: impl Fn(&str) -> bool) {
        {
            let state = &mut *self.state.lock();
            let Some((_, asked)) = state.asked.as_ref().filter(|(known, _)| *known == request) else {
                return;
            };
            for id in asked {
                if let Some(task) = state.tasks.get_mut(id) {
                    task.consent = if is_given(id) { Consent::Given } else { Consent::Refused };
                }
            }
        }
        self.notify();
    }

    /// Passes a notification of a task on. Returns false where nobody gets it.
    pub(crate) fn deliver(&self, id: &str, notice: &Notice) -> bool {
        let state = self.state.lock();
        let readers = state.tasks.get(id).into_iter().flat_map(|task| task.readers.values());
        // Each one, whether or not one before it has room.
        readers.fold(false, |taken, mailbox| mailbox.put_notice(notice.clone()) || taken)
    }

    /// Records that the backend does not run any more. Its tasks end with it, and their ids may come to be others'.
    pub(crate) fn reset(&self) {
        {
            let state = &mut *self.state.lock();
            *state = State { last_reader: state.last_reader, ..State::default() };
        }
        self.notify();
    }

    fn notify(&self) {
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }
}

impl TaskWatch {
    /// Returns a future of whether the backend sends notifications of the task. Cancel-safe.
    pub(crate) fn confirmed(&self) -> impl Future<Output = bool> + Send + use<> {
        let (watched, id) = (Arc::clone(&self.watched), self.id.clone());
        async move {
            let mut changes = watched.changes();
            loop {
                changes.mark_unchanged();
                match watched.state.lock().tasks.get(&id).map(|task| task.consent) {
                    Some(Consent::Given) => return true,
                    Some(Consent::Refused) | None => return false,
                    Some(Consent::Asked) => {}
                }
                if changes.changed().await.is_err() {
                    return false;
                }
            }
        }
    }
}

impl Drop for TaskWatch {
    fn drop(&mut self) {
        {
            let state = &mut *self.watched.state.lock();
            let Some(task) = state.tasks.get_mut(&self.id) else { return };
            task.readers.remove(&self.reader);
            if task.readers.is_empty() {
                state.tasks.remove(&self.id);
            }
        }
        self.watched.notify();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::subscriptions::mailbox::Mail;

    fn ids(ids: &[&str]) -> Vec<String> {
        ids.iter().map(|id| (*id).to_owned()).collect()
    }

    fn notice(text: &'static str) -> Notice {
        Notice { message: text.into(), task_of: Some("backend".into()) }
    }

    #[tokio::test]
    async fn the_answer_to_the_last_request_says_which_tasks_are_told_of() {
        let (watched, mailbox) = (Arc::new(WatchedTasks::default()), Mailbox::new());
        let (one, two) = (watched.watch("1", &mailbox), watched.watch("2", &mailbox));
        assert_eq!(watched.ids(), ["1", "2"]);
        assert!(one.confirmed().now_or_never().is_none());
        watched.on_asked(7, &ids(&["1"]));
        watched.on_asked(8, &ids(&["1", "2"]));
        watched.on_acknowledged(7, &ids(&["1"]));
        assert!(two.confirmed().now_or_never().is_none(), "the one before says nothing of it");
        watched.on_acknowledged(8, &ids(&["2", "3"]));
        assert_eq!(
            [one.confirmed().now_or_never(), two.confirmed().now_or_never()],
            [Some(false), Some(true)]
        );
        assert_eq!(watched.ids(), ["2"], "not what was refused");
        let again = watched.watch("1", &mailbox);
        assert_eq!(watched.ids(), ["1", "2"], "another one asks again");
        watched.on_asked(9, &ids(&["1", "2"]));
        watched.on_refused(9);
        assert_eq!([again.confirmed().now_or_never(), two.confirmed().now_or_never()], [Some(false); 2]);
        drop((one, two, again));
        assert!(watched.state.lock().tasks.is_empty());
    }

    #[tokio::test]
    async fn all_readers_of_a_task_get_what_the_backend_says_and_none_after_its_process() {
        let (watched, boxes) =
            (Arc::new(WatchedTasks::default()), [Mailbox::new(), Mailbox::new(), Mailbox::new()]);
        let watches = boxes.each_ref().map(|mailbox| watched.watch("1", mailbox));
        let mut readers = [boxes[0].reader(), boxes[2].reader()];
        assert!(watched.deliver("1", &notice("a")), "though nobody reads the second");
        for reader in &mut readers {
            assert_eq!(reader.next().now_or_never(), Some(Mail::Notice(notice("a"))));
        }
        assert!(!watched.deliver("2", &notice("b")));
        watched.reset();
        assert!(!watched.deliver("1", &notice("c")), "an id of the next process may be another's task");
        assert_eq!(watches[0].confirmed().now_or_never(), Some(false));
        let next = watched.watch("1", &boxes[0]);
        drop(watches);
        assert!(watched.deliver("1", &notice("d")), "those of before take nothing with them");
        assert_eq!(readers[0].next().now_or_never(), Some(Mail::Notice(notice("d"))));
        assert!(readers[1].next().now_or_never().is_none());
        drop(next);
    }
}
