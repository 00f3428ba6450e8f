//! The tasks of one backend of which somebody wants to learn the status (the extension `io.modelcontextprotocol/tasks`, "Task Status
//! Notifications"). Must not know how the backend is asked, nor how ids look to clients.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::mailbox::{Mailbox, Notice, NoticedTask};

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

/// A task: processes of a backend may give out the same ids.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct TaskKey {
    generation: u64,
    /// The backend's own id.
    id: String,
}

/// What is watched of a task, and who reads it.
struct Task {
    noticed: NoticedTask,
    readers: HashMap<u64, Arc<Mailbox>>,
    consent: Consent,
}

#[derive(Default)]
struct State {
    tasks: HashMap<TaskKey, Task>,
    /// Number of the process that runs; `None`: none does, or its number is not known yet.
    generation: Option<u64>,
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
    key: TaskKey,
    reader: u64,
}

impl Default for WatchedTasks {
    fn default() -> Self {
        Self { state: Mutex::default(), changes: watch::Sender::new(0) }
    }
}

impl WatchedTasks {
    /// Puts notifications of the task with the backend's id `id` into a mailbox from now on. One of a process that has ended is refused.
    pub(crate) fn watch(
        self: &Arc<Self>,
        id: &str,
        noticed: NoticedTask,
        mailbox: &Arc<Mailbox>,
    ) -> TaskWatch {
        let key = TaskKey { generation: noticed.origin.generation, id: id.to_owned() };
        let reader = {
            let state = &mut *self.state.lock();
            state.last_reader += 1;
            let is_over = state.generation.is_some_and(|running| running != key.generation);
            let consent = if is_over { Consent::Refused } else { Consent::Asked };
            let new = || Task { noticed, readers: HashMap::new(), consent };
            let task = state.tasks.entry(key.clone()).or_insert_with(new);
            if task.consent == Consent::Refused {
                task.consent = consent;
            }
            task.readers.insert(state.last_reader, Arc::clone(mailbox));
            state.last_reader
        };
        self.notify();
        TaskWatch { watched: Arc::clone(self), key, reader }
    }

    /// Returns what the backend is to be asked for, in order: all but what it has refused.
    pub(crate) fn ids(&self) -> Vec<String> {
        let state = self.state.lock();
        let wanted = state.tasks.iter().filter(|(_, task)| task.consent != Consent::Refused);
        let mut ids: Vec<String> = wanted.map(|(key, _)| key.id.clone()).collect();
        ids.sort_unstable();
        ids
    }

    /// Returns the changes of [`Self::ids`] and of what the backend says.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Records that the process of this number runs: tasks of others are over.
    pub(crate) fn begin(&self, generation: u64) {
        {
            let state = &mut *self.state.lock();
            state.generation = Some(generation);
            for (_, task) in state.tasks.iter_mut().filter(|(key, _)| key.generation != generation) {
                task.consent = Consent::Refused;
            }
        }
        self.notify();
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
            let Some(generation) = state.generation else { return };
            for id in asked {
                let key = TaskKey { generation, id: id.clone() };
                if let Some(task) = state.tasks.get_mut(&key) {
                    task.consent = if is_given(id) { Consent::Given } else { Consent::Refused };
                }
            }
        }
        self.notify();
    }

    /// Passes a notification of a task on. Returns false where nobody gets it.
    pub(crate) fn deliver(&self, id: &str, message: &Bytes) -> bool {
        let state = self.state.lock();
        let Some(generation) = state.generation else { return false };
        let Some(task) = state.tasks.get(&TaskKey { generation, id: id.to_owned() }) else { return false };
        let notice = Notice { message: message.clone(), task: Some(task.noticed.clone()) };
        // Each one, whether or not one before it has room.
        let taken = task.readers.values().filter(|mailbox| mailbox.put_notice(notice.clone()));
        taken.count() > 0
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
        let (watched, key) = (Arc::clone(&self.watched), self.key.clone());
        async move {
            let mut changes = watched.changes();
            loop {
                changes.mark_unchanged();
                match watched.state.lock().tasks.get(&key).map(|task| task.consent) {
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
            let Some(task) = state.tasks.get_mut(&self.key) else { return };
            task.readers.remove(&self.reader);
            if task.readers.is_empty() {
                state.tasks.remove(&self.key);
            }
        }
        self.watched.notify();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::call::TaskOrigin;
    use crate::subscriptions::mailbox::Mail;

    fn ids(ids: &[&str]) -> Vec<String> {
        ids.iter().map(|id| (*id).to_owned()).collect()
    }

    fn noticed(generation: u64) -> NoticedTask {
        NoticedTask { backend: "backend".into(), origin: TaskOrigin { generation, tool: "tool".into() } }
    }

    /// Watched tasks of a backend whose process of this number runs.
    fn of_process(generation: u64) -> Arc<WatchedTasks> {
        let watched = Arc::new(WatchedTasks::default());
        watched.begin(generation);
        watched
    }

    fn mail(text: &'static str, generation: u64) -> Mail {
        Mail::Notice(Notice { message: text.into(), task: Some(noticed(generation)) })
    }

    #[tokio::test]
    async fn the_answer_to_the_last_request_says_which_tasks_are_told_of() {
        let (watched, mailbox) = (of_process(1), Mailbox::new());
        let (one, two) = (watched.watch("1", noticed(1), &mailbox), watched.watch("2", noticed(1), &mailbox));
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
        let again = watched.watch("1", noticed(1), &mailbox);
        assert_eq!(watched.ids(), ["1", "2"], "another one asks again");
        watched.on_asked(9, &ids(&["1", "2"]));
        watched.on_refused(9);
        assert_eq!([again.confirmed().now_or_never(), two.confirmed().now_or_never()], [Some(false); 2]);
        drop((one, two, again));
        assert!(watched.state.lock().tasks.is_empty());
    }

    #[tokio::test]
    async fn all_readers_of_a_task_get_what_the_backend_says_and_none_after_its_process() {
        let (watched, boxes) = (of_process(1), [Mailbox::new(), Mailbox::new(), Mailbox::new()]);
        let reading = boxes.each_ref().map(|mailbox| watched.watch("1", noticed(1), mailbox));
        let mut readers = [boxes[0].reader(), boxes[2].reader()];
        assert!(watched.deliver("1", &"a".into()), "though nobody reads the second");
        for reader in &mut readers {
            assert_eq!(reader.next().now_or_never(), Some(mail("a", 1)));
        }
        assert!(!watched.deliver("2", &"b".into()));
        watched.reset();
        assert!(!watched.deliver("1", &"c".into()), "an id of the next process may be another's task");
        assert_eq!(reading[0].confirmed().now_or_never(), Some(false));
        watched.begin(2);
        let (old, next) =
            (watched.watch("1", noticed(1), &boxes[2]), watched.watch("1", noticed(2), &boxes[0]));
        assert_eq!(old.confirmed().now_or_never(), Some(false), "its process has ended");
        assert_eq!(watched.ids(), ["1"]);
        drop(reading);
        assert!(watched.deliver("1", &"d".into()), "those of before take nothing with them");
        assert_eq!(readers[0].next().now_or_never(), Some(mail("d", 2)));
        assert!(readers[1].next().now_or_never().is_none());
        drop(next);
    }
}
