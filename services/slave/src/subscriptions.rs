//! Subscriptions to updates of resources: who wants to be told of which resource of which backend, and the updates that wait for them.
//!
//! A backend is asked once for each resource, whatever number of clients wants its updates ([`watched`]). Updates wait in a [`mailbox`] each
//! client has, one for each resource. [`sessions`] keeps what legacy sessions subscribed to. Must not know links, executors or backends.

mod mailbox;
mod sessions;
mod watched;
mod watched_tasks;

pub(crate) use mailbox::{Mail, Mailbox, Notice, NoticedTask};
pub(crate) use sessions::{Addressee, SessionSubscriptions, WatchSet};
pub(crate) use watched::{Status, WatchedResources};
pub(crate) use watched_tasks::{TaskWatch, WatchedTasks};
