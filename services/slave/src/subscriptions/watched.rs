//! The resources of one backend of which somebody wants to learn the updates. Must not know how the backend is asked.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use protocol::mcp::subscription::ResourceUpdate;
use serde_json::value::RawValue;
use tokio::sync::watch;

use super::mailbox::Mailbox;
use super::watched_tasks::WatchedTasks;

/// What the backend was asked for a resource, and what it said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// It is to be asked, or was asked and has not answered.
    Asked,
    /// It was restarted and is to be asked again.
    AskedAgain,
    /// It tells of updates.
    Watched,
    /// It refused, with this error object.
    Refused(Bytes),
}

/// One who wants updates: the mailbox, and the URI as the slave's clients know it.
struct Subscriber {
    mailbox: Arc<Mailbox>,
    shown: String,
}

/// A resource with those who want its updates.
struct Resource {
    subscribers: HashMap<u64, Subscriber>,
    status: Status,
}

#[derive(Default)]
struct State {
    /// By the backend's own URI.
    resources: HashMap<String, Resource>,
    last: u64,
}

/// The watched resources of one backend, whether it runs or not, and its watched tasks.
pub(crate) struct WatchedResources {
    /// Its tasks.
    pub(crate) tasks: Arc<WatchedTasks>,
    state: Mutex<State>,
    /// The number of changes of resources and of their status.
    changes: watch::Sender<u64>,
}

/// The subscription of one client to the updates of one resource, until it is dropped.
pub(crate) struct Watch {
    watched: Arc<WatchedResources>,
    own: String,
    number: u64,
}

impl Default for WatchedResources {
    fn default() -> Self {
        Self { tasks: Arc::default(), state: Mutex::default(), changes: watch::Sender::new(0) }
    }
}

impl WatchedResources {
    /// Puts updates of the resource with the backend's URI `own` into a mailbox, under the URI `shown`, from now on.
    pub(crate) fn watch(self: &Arc<Self>, own: &str, shown: &str, mailbox: &Arc<Mailbox>) -> Watch {
        let number = {
            let state = &mut *self.state.lock();
            state.last += 1;
            let resource = state
                .resources
                .entry(own.to_owned())
                .or_insert_with(|| Resource { subscribers: HashMap::new(), status: Status::Asked });
            // Another client may be luckier than the one before.
            if matches!(resource.status, Status::Refused(_)) {
                resource.status = Status::Asked;
            }
            resource
                .subscribers
                .insert(state.last, Subscriber { mailbox: Arc::clone(mailbox), shown: shown.to_owned() });
            state.last
        };
        self.notify();
        Watch { watched: Arc::clone(self), own: own.to_owned(), number }
    }

    /// Returns what the backend is to be asked for, in order: all but what it has refused.
    pub(crate) fn uris(&self) -> Vec<String> {
        let state = self.state.lock();
        let wanted = state.resources.iter().filter(|(_, resource)| !resource.is_refused());
        let mut uris: Vec<String> = wanted.map(|(uri, _)| uri.clone()).collect();
        uris.sort_unstable();
        uris
    }

    /// Returns the changes of [`Self::uris`] and of each status.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Records what the backend says of a resource. One that is watched again after a restart may have been updated in between: its
    /// readers are told so.
    pub(crate) fn set_status(&self, uri: &str, status: Status) {
        let missed = {
            let mut state = self.state.lock();
            let Some(resource) = state.resources.get_mut(uri) else { return };
            if resource.status == status {
                return;
            }
            let before = std::mem::replace(&mut resource.status, status);
            before == Status::AskedAgain && resource.status == Status::Watched
        };
        self.notify();
        if missed {
            self.deliver(&ResourceUpdate::of_uri(uri));
        }
    }

    /// Records that the backend does not run any more: it is to be asked again.
    pub(crate) fn reset(&self) {
        self.tasks.reset();
        for resource in self.state.lock().resources.values_mut() {
            let was_watched = matches!(resource.status, Status::Watched | Status::AskedAgain);
            resource.status = if was_watched { Status::AskedAgain } else { Status::Asked };
        }
        self.notify();
    }

    /// Passes on the parameters of an update that the backend told of. Returns false where nobody wants it.
    pub(crate) fn on_updated(&self, params: &RawValue) -> bool {
        ResourceUpdate::of_params(params).is_some_and(|update| self.deliver(&update))
    }

    /// Puts an update into the mailboxes of those who watch the resource, or one that it is a part of (2025-11-25, Resources, "Subscriptions").
    fn deliver(&self, update: &ResourceUpdate) -> bool {
        let state = self.state.lock();
        let mut found = false;
        for (own, resource) in &state.resources {
            let Some(rest) = update.uri.strip_prefix(own.as_str()) else { continue };
            let is_part = rest.is_empty() || own.ends_with('/') || rest.starts_with(['/', '?', '#']);
            if !is_part {
                continue;
            }
            for subscriber in resource.subscribers.values() {
                subscriber.mailbox.put(update.renamed(&format!("{}{rest}", subscriber.shown)));
                found = true;
            }
        }
        found
    }

    fn notify(&self) {
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }
}

impl Resource {
    fn is_refused(&self) -> bool {
        matches!(self.status, Status::Refused(_))
    }
}

impl Watch {
    /// Returns whether this is the wish for that resource of that backend.
    pub(crate) fn is_of(&self, watched: &Arc<WatchedResources>, own: &str) -> bool {
        Arc::ptr_eq(&self.watched, watched) && self.own == own
    }

    /// Returns a future of the backend's answer: `Err` with its error object where it refused. It waits for a backend that does not run.
    /// Cancel-safe.
    pub(crate) fn confirmed(&self) -> impl Future<Output = Result<(), Bytes>> + Send + use<> {
        let (watched, own) = (Arc::clone(&self.watched), self.own.clone());
        async move {
            let mut changes = watched.changes();
            loop {
                changes.mark_unchanged();
                match watched.state.lock().resources.get(&own).map(|resource| &resource.status) {
                    Some(Status::Watched) | None => return Ok(()),
                    Some(Status::Refused(error)) => return Err(error.clone()),
                    Some(Status::Asked | Status::AskedAgain) => {}
                }
                if changes.changed().await.is_err() {
                    return Ok(());
                }
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        {
            let state = &mut *self.watched.state.lock();
            let Some(resource) = state.resources.get_mut(&self.own) else { return };
            resource.subscribers.remove(&self.number);
            if resource.subscribers.is_empty() {
                state.resources.remove(&self.own);
            }
        }
        self.watched.notify();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subscriptions::mailbox::Mail;
    use futures_util::FutureExt;

    async fn next(mailbox: &Arc<Mailbox>) -> ResourceUpdate {
        match mailbox.reader().next().await {
            Mail::Update(update) => update,
            Mail::Notice(notice) => panic!("{notice:?}"),
        }
    }

    fn updated(watched: &WatchedResources, params: &str) -> bool {
        watched.on_updated(&serde_json::from_str::<Box<RawValue>>(params).unwrap())
    }

    #[tokio::test]
    async fn a_backend_is_asked_once_for_a_resource_until_the_last_reader_leaves() {
        let watched = Arc::new(WatchedResources::default());
        let (one, two) = (Mailbox::new(), Mailbox::new());
        let first = watched.watch("a:1", "a:1", &one);
        let second = watched.watch("a:1", "shown:1", &two);
        assert_eq!(watched.uris(), ["a:1"]);
        assert!(first.confirmed().now_or_never().is_none());
        watched.set_status("a:1", Status::Watched);
        assert_eq!(first.confirmed().now_or_never(), Some(Ok(())));
        assert!(updated(&watched, r#"{"uri":"a:1","x":1e400}"#));
        assert!(!updated(&watched, r#"{"uri":"a:2"}"#) && !updated(&watched, r#"{"uri":1}"#));
        assert_eq!(next(&one).await.params, r#"{"uri":"a:1","x":1e400}"#);
        assert_eq!(next(&two).await.params, r#"{"uri":"shown:1","x":1e400}"#);
        drop(first);
        assert_eq!(watched.uris(), ["a:1"]);
        drop(second);
        assert_eq!(watched.uris(), [""; 0]);
        assert!(!updated(&watched, r#"{"uri":"a:1"}"#));
    }

    #[tokio::test]
    async fn an_update_of_a_part_is_one_of_the_whole_and_of_nothing_that_is_only_named_alike() {
        for (own, uri, told) in [
            ("file:///d", "file:///d", true),
            ("file:///d", "file:///d/x", true),
            ("file:///d/", "file:///d/x", true),
            ("file:///d", "file:///d#part", true),
            ("file:///d", "file:///d?a=1", true),
            ("file:///d", "file:///dx", false),
            ("file:///d/x", "file:///d", false),
        ] {
            let (watched, mailbox) = (Arc::new(WatchedResources::default()), Mailbox::new());
            let _watch = watched.watch(own, own, &mailbox);
            assert_eq!(updated(&watched, &format!(r#"{{"uri":"{uri}"}}"#)), told, "{own} {uri}");
            assert_eq!(mailbox.reader().next().now_or_never().is_some(), told, "{own} {uri}");
        }
    }

    #[tokio::test]
    async fn a_backend_that_comes_back_is_asked_again_and_what_may_have_been_missed_is_told() {
        let (watched, mailbox) = (Arc::new(WatchedResources::default()), Mailbox::new());
        let watch = watched.watch("a:1", "a:1", &mailbox);
        watched.reset();
        watched.set_status("a:1", Status::Watched);
        assert!(mailbox.reader().next().now_or_never().is_none(), "its first start");
        watched.reset();
        assert!(watch.confirmed().now_or_never().is_none());
        watched.set_status("a:1", Status::Watched);
        assert_eq!(next(&mailbox).await, ResourceUpdate::of_uri("a:1"));
        watched.set_status("a:1", Status::Refused(Bytes::from_static(b"{}")));
        assert_eq!(watch.confirmed().now_or_never(), Some(Err(Bytes::from_static(b"{}"))));
        assert_eq!(watched.uris(), [""; 0]);
        let again = watched.watch("a:1", "a:1", &mailbox);
        assert_eq!(watched.uris(), ["a:1"], "another one asks again");
        drop((watch, again));
    }
}
