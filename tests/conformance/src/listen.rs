//! Clients that want to hear of changes: subscriptions of modern clients, sessions and resource subscriptions of legacy ones.
//!
//! Knows rmcp's peers; must not know tools.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use rmcp::RoleServer;
use rmcp::model::ResourceUpdatedNotificationParam;
use rmcp::service::{Peer, SubscriptionSink};

/// What changed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    /// The list of tools.
    Tools,
    /// The list of prompts.
    Prompts,
    /// A resource.
    Resource(&'static str),
}

#[derive(Default)]
struct Kept {
    subscriptions: HashMap<u64, SubscriptionSink>,
    peers: Vec<Peer<RoleServer>>,
    uris: HashSet<String>,
}

/// All of them.
#[derive(Default)]
pub(crate) struct Listeners {
    kept: Mutex<Kept>,
    next: AtomicU64,
}

impl Listeners {
    /// Keeps a subscription until [`Self::leave`] with the number that is returned.
    pub(crate) fn enter(&self, sink: SubscriptionSink) -> u64 {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.with(|kept| kept.subscriptions.insert(number, sink));
        number
    }

    /// Forgets a subscription.
    pub(crate) fn leave(&self, number: u64) {
        self.with(|kept| kept.subscriptions.remove(&number));
    }

    /// Keeps a legacy client that has initialized, and forgets those that left.
    pub(crate) fn greet(&self, peer: Peer<RoleServer>) {
        self.with(|kept| {
            kept.peers.retain(|peer| !peer.is_transport_closed());
            kept.peers.push(peer);
        });
    }

    /// Subscribes legacy clients to a resource. One set for all of them: the suite is one client.
    pub(crate) fn subscribe(&self, uri: &str) {
        self.with(|kept| kept.uris.insert(uri.to_owned()));
    }

    /// Ends that.
    pub(crate) fn unsubscribe(&self, uri: &str) {
        self.with(|kept| kept.uris.remove(uri));
    }

    /// Tells everybody who wants to hear it.
    pub(crate) async fn tell(&self, change: Change) {
        let (subscriptions, peers, uris) = self.with(|kept| {
            let subscriptions: Vec<_> = kept.subscriptions.values().cloned().collect();
            (subscriptions, kept.peers.clone(), kept.uris.clone())
        });
        // Who left or did not ask for it hears nothing: both are errors here.
        for subscription in subscriptions {
            let _ = match change {
                Change::Tools => subscription.notify_tool_list_changed().await,
                Change::Prompts => subscription.notify_prompt_list_changed().await,
                Change::Resource(uri) => subscription.notify_resource_updated(uri).await,
            };
        }
        for peer in peers {
            let _ = match change {
                Change::Tools => peer.notify_tool_list_changed().await,
                Change::Prompts => peer.notify_prompt_list_changed().await,
                Change::Resource(uri) if uris.contains(uri) => {
                    peer.notify_resource_updated(ResourceUpdatedNotificationParam::new(uri)).await
                }
                Change::Resource(_) => Ok(()),
            };
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Kept) -> T) -> T {
        act(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
