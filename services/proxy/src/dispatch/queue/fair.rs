//! A queue that is fair between clients: clients are served in turn, each client's calls in their order. Must not know
//! slaves and time.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// Number of a waiting call, which rises with each call.
pub(super) type Ticket = u64;

/// The waiting calls of one client by queue, then by ticket.
struct ClientCalls<Q, T> {
    /// Order in the round.
    order: u64,
    queues: BTreeMap<Q, BTreeMap<Ticket, T>>,
}

/// Waiting calls of many clients (`C`) in queues (`Q`); calls of one queue wait for the same slaves.
pub(super) struct FairQueue<C, Q, T> {
    clients: HashMap<C, ClientCalls<Q, T>>,
    /// The clients in the order in which they are served.
    round: BTreeMap<u64, C>,
    last_order: u64,
}

/// Position of a waiting call.
#[derive(Clone, Debug)]
pub(super) struct Position<C, Q> {
    pub(super) client: C,
    pub(super) queue: Q,
    pub(super) ticket: Ticket,
}

impl<C: Copy + Eq + Hash, Q: Clone + Ord, T> FairQueue<C, Q, T> {
    pub(super) fn new() -> Self {
        Self { clients: HashMap::new(), round: BTreeMap::new(), last_order: 0 }
    }

    /// Adds a call. A client without calls goes to the end of the round.
    pub(super) fn add(&mut self, at: Position<C, Q>, call: T) {
        let (last_order, round) = (&mut self.last_order, &mut self.round);
        let client = self.clients.entry(at.client).or_insert_with(|| {
            *last_order += 1;
            round.insert(*last_order, at.client);
            ClientCalls { order: *last_order, queues: BTreeMap::new() }
        });
        client.queues.entry(at.queue).or_default().insert(at.ticket, call);
    }

    /// Returns the next call to be served of the queues that `is_open` accepts.
    pub(super) fn next(&self, is_open: impl Fn(&Q) -> bool) -> Option<Position<C, Q>> {
        self.round.values().find_map(|client| {
            let queues = self.clients.get(client)?.queues.iter().filter(|(queue, _)| is_open(queue));
            let firsts = queues.filter_map(|(queue, calls)| Some((*calls.first_key_value()?.0, queue)));
            let (ticket, queue) = firsts.min_by_key(|(ticket, _)| *ticket)?;
            Some(Position { client: *client, queue: queue.clone(), ticket })
        })
    }

    /// Removes a call that is served; its client goes to the end of the round.
    pub(super) fn serve(&mut self, at: &Position<C, Q>) -> Option<T> {
        let call = self.remove(at)?;
        if let Some(client) = self.clients.get_mut(&at.client) {
            self.round.remove(&client.order);
            self.last_order += 1;
            client.order = self.last_order;
            self.round.insert(self.last_order, at.client);
        }
        Some(call)
    }

    /// Removes a call that is not served; its client keeps its place in the round.
    pub(super) fn remove(&mut self, at: &Position<C, Q>) -> Option<T> {
        let client = self.clients.get_mut(&at.client)?;
        let calls = client.queues.get_mut(&at.queue)?;
        let call = calls.remove(&at.ticket)?;
        if calls.is_empty() {
            client.queues.remove(&at.queue);
        }
        if client.queues.is_empty() {
            self.round.remove(&client.order);
            self.clients.remove(&at.client);
        }
        Some(call)
    }

    /// Removes all calls of a queue.
    pub(super) fn remove_queue(&mut self, queue: &Q) -> Vec<T> {
        let mut all = Vec::new();
        self.clients.retain(|_, client| {
            all.extend(client.queues.remove(queue).into_iter().flat_map(BTreeMap::into_values));
            let is_empty = client.queues.is_empty();
            if is_empty {
                self.round.remove(&client.order);
            }
            !is_empty
        });
        all
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.clients.is_empty() && self.round.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type TestQueue = FairQueue<char, u8, (char, Ticket)>;

    fn at(client: char, queue: u8, ticket: Ticket) -> Position<char, u8> {
        Position { client, queue, ticket }
    }

    fn served(fair: &mut TestQueue, open: impl Fn(&u8) -> bool) -> Option<(char, Ticket)> {
        let next = fair.next(open)?;
        fair.serve(&next)
    }

    #[test]
    fn a_client_with_many_calls_does_not_delay_other_clients() {
        let mut fair = TestQueue::new();
        for ticket in 0..100 {
            fair.add(at('f', 0, ticket), ('f', ticket));
        }
        fair.add(at('a', 0, 100), ('a', 100));
        fair.add(at('b', 0, 101), ('b', 101));
        fair.add(at('a', 0, 102), ('a', 102));
        let order: String = (0..7).filter_map(|_| served(&mut fair, |_| true)).map(|(c, _)| c).collect();
        assert_eq!(order, "fabfaff");
    }

    #[test]
    fn calls_of_closed_queues_are_skipped() {
        let mut fair = TestQueue::new();
        fair.add(at('a', 1, 0), ('a', 0));
        fair.add(at('a', 2, 1), ('a', 1));
        fair.add(at('b', 2, 2), ('b', 2));
        assert_eq!(served(&mut fair, |queue| *queue == 2), Some(('a', 1)));
        assert_eq!(served(&mut fair, |queue| *queue == 2), Some(('b', 2)));
        assert_eq!(served(&mut fair, |queue| *queue == 2), None);
        assert_eq!(fair.remove_queue(&1), [('a', 0)]);
        assert!(fair.is_empty());
    }

    #[test]
    fn a_requeued_call_is_the_first_of_its_client() {
        let mut fair = TestQueue::new();
        for ticket in 0..3 {
            fair.add(at('a', 0, ticket), ('a', ticket));
        }
        let first = served(&mut fair, |_| true).unwrap();
        fair.add(at('a', 0, first.1), first);
        assert_eq!(served(&mut fair, |_| true), Some(first));
    }

    proptest! {
        /// The client that was served longest ago (or came first) is next, with its oldest call.
        #[test]
        fn clients_are_served_in_turn(steps in proptest::collection::vec((0_u8..4, 0_u8..3, 0_u8..4), 1..200)) {
            let mut fair = TestQueue::new();
            let mut waiting: Vec<(char, u8, Ticket)> = Vec::new();
            let mut last_served: HashMap<char, usize> = HashMap::new();
            for (step, (client, queue, action)) in steps.into_iter().enumerate() {
                let client = char::from(b'a' + client);
                match action {
                    0 | 1 => {
                        fair.add(at(client, queue, step as u64), (client, step as u64));
                        waiting.push((client, queue, step as u64));
                        last_served.entry(client).or_insert(step);
                    }
                    2 => {
                        let before: Vec<char> = waiting.iter().filter(|w| w.1 == queue).map(|w| w.0).collect();
                        match served(&mut fair, |q| *q == queue) {
                            None => prop_assert!(before.is_empty()),
                            Some((client, ticket)) => {
                                // The client of this queue that was served longest ago, with its oldest call.
                                let due = before.iter().min_by_key(|c| last_served[*c]);
                                prop_assert_eq!(Some(&client), due);
                                let oldest = waiting.iter().filter(|w| w.0 == client && w.1 == queue).map(|w| w.2).min();
                                prop_assert_eq!(Some(ticket), oldest);
                                waiting.retain(|w| w.2 != ticket);
                                last_served.insert(client, step);
                            }
                        }
                    }
                    _ => {
                        if let Some((client, queue, ticket)) = waiting.pop() {
                            prop_assert!(fair.remove(&at(client, queue, ticket)).is_some());
                        }
                    }
                }
                last_served.retain(|client, _| waiting.iter().any(|w| w.0 == *client));
            }
            while served(&mut fair, |_| true).is_some() {
                waiting.pop();
            }
            prop_assert!(waiting.is_empty() && fair.is_empty());
        }
    }
}
