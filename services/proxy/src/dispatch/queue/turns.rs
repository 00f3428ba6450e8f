//! Whose turn it is: clients one after the other, each client's calls in their order. Knows neither slaves nor time.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// Calls come in by rising tickets.
pub(super) type Ticket = u64;

/// One client's calls: by what they wait for, then by ticket.
struct Turn<L, T> {
    /// Its place in the round.
    stamp: u64,
    lanes: BTreeMap<L, BTreeMap<Ticket, T>>,
}

/// Waiting calls of many clients (`C`) in lanes (`L`): calls of one lane wait for the same slaves.
pub(super) struct Turns<C, L, T> {
    clients: HashMap<C, Turn<L, T>>,
    /// The clients in the order of their turns.
    round: BTreeMap<u64, C>,
    stamps: u64,
}

/// A call whose turn it is.
#[derive(Clone, Debug)]
pub(super) struct Next<C, L> {
    pub(super) client: C,
    pub(super) lane: L,
    pub(super) ticket: Ticket,
}

impl<C: Copy + Eq + Hash, L: Clone + Ord, T> Turns<C, L, T> {
    pub(super) fn new() -> Self {
        Self { clients: HashMap::new(), round: BTreeMap::new(), stamps: 0 }
    }

    /// A call waits. A client without calls gets the last place of the round.
    pub(super) fn add(&mut self, at: Next<C, L>, call: T) {
        let stamps = &mut self.stamps;
        let round = &mut self.round;
        let turn = self.clients.entry(at.client).or_insert_with(|| {
            *stamps += 1;
            round.insert(*stamps, at.client);
            Turn { stamp: *stamps, lanes: BTreeMap::new() }
        });
        turn.lanes.entry(at.lane).or_default().insert(at.ticket, call);
    }

    /// Whose turn it is among those that wait in a lane that `open` lets through.
    pub(super) fn next(&self, open: impl Fn(&L) -> bool) -> Option<Next<C, L>> {
        self.round.values().find_map(|client| {
            let lanes = self.clients.get(client)?.lanes.iter().filter(|(lane, _)| open(lane));
            let firsts = lanes.filter_map(|(lane, calls)| Some((*calls.first_key_value()?.0, lane)));
            let (ticket, lane) = firsts.min_by_key(|(ticket, _)| *ticket)?;
            Some(Next { client: *client, lane: lane.clone(), ticket })
        })
    }

    /// A call waits no longer: it was served, and its client goes to the end of the round.
    pub(super) fn serve(&mut self, at: &Next<C, L>) -> Option<T> {
        let call = self.remove(at)?;
        if let Some(turn) = self.clients.get_mut(&at.client) {
            self.round.remove(&turn.stamp);
            self.stamps += 1;
            turn.stamp = self.stamps;
            self.round.insert(self.stamps, at.client);
        }
        Some(call)
    }

    /// A call waits no longer, for another reason.
    pub(super) fn remove(&mut self, at: &Next<C, L>) -> Option<T> {
        let turn = self.clients.get_mut(&at.client)?;
        let lane = turn.lanes.get_mut(&at.lane)?;
        let call = lane.remove(&at.ticket)?;
        if lane.is_empty() {
            turn.lanes.remove(&at.lane);
        }
        if turn.lanes.is_empty() {
            self.round.remove(&turn.stamp);
            self.clients.remove(&at.client);
        }
        Some(call)
    }

    /// All calls of a lane, which wait no longer.
    pub(super) fn remove_lane(&mut self, lane: &L) -> Vec<T> {
        let mut all = Vec::new();
        self.clients.retain(|_, turn| {
            all.extend(turn.lanes.remove(lane).into_iter().flat_map(BTreeMap::into_values));
            let goes = turn.lanes.is_empty();
            if goes {
                self.round.remove(&turn.stamp);
            }
            !goes
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

    type Test = Turns<char, u8, (char, Ticket)>;

    fn at(client: char, lane: u8, ticket: Ticket) -> Next<char, u8> {
        Next { client, lane, ticket }
    }

    fn served(turns: &mut Test, open: impl Fn(&u8) -> bool) -> Option<(char, Ticket)> {
        let next = turns.next(open)?;
        turns.serve(&next)
    }

    #[test]
    fn one_client_s_flood_does_not_hold_up_the_others() {
        let mut turns = Test::new();
        for ticket in 0..100 {
            turns.add(at('f', 0, ticket), ('f', ticket));
        }
        turns.add(at('a', 0, 100), ('a', 100));
        turns.add(at('b', 0, 101), ('b', 101));
        turns.add(at('a', 0, 102), ('a', 102));
        let order: String = (0..7).filter_map(|_| served(&mut turns, |_| true)).map(|(c, _)| c).collect();
        assert_eq!(order, "fabfaff");
    }

    #[test]
    fn calls_for_other_slaves_are_passed_over() {
        let mut turns = Test::new();
        turns.add(at('a', 1, 0), ('a', 0));
        turns.add(at('a', 2, 1), ('a', 1));
        turns.add(at('b', 2, 2), ('b', 2));
        assert_eq!(served(&mut turns, |lane| *lane == 2), Some(('a', 1)));
        assert_eq!(served(&mut turns, |lane| *lane == 2), Some(('b', 2)));
        assert_eq!(served(&mut turns, |lane| *lane == 2), None);
        assert_eq!(turns.remove_lane(&1), [('a', 0)]);
        assert!(turns.is_empty());
    }

    #[test]
    fn a_call_that_comes_back_is_the_first_of_its_client() {
        let mut turns = Test::new();
        for ticket in 0..3 {
            turns.add(at('a', 0, ticket), ('a', ticket));
        }
        let first = served(&mut turns, |_| true).unwrap();
        turns.add(at('a', 0, first.1), first);
        assert_eq!(served(&mut turns, |_| true), Some(first));
    }

    proptest! {
        /// Served is who was served longest ago, or came first; of its calls the oldest.
        #[test]
        fn turns_go_round(steps in proptest::collection::vec((0_u8..4, 0_u8..3, 0_u8..4), 1..200)) {
            let mut turns = Test::new();
            let mut waiting: Vec<(char, u8, Ticket)> = Vec::new();
            let mut last_served: HashMap<char, usize> = HashMap::new();
            for (step, (client, lane, what)) in steps.into_iter().enumerate() {
                let client = char::from(b'a' + client);
                match what {
                    0 | 1 => {
                        turns.add(at(client, lane, step as u64), (client, step as u64));
                        waiting.push((client, lane, step as u64));
                        last_served.entry(client).or_insert(step);
                    }
                    2 => {
                        let before: Vec<char> = waiting.iter().filter(|w| w.1 == lane).map(|w| w.0).collect();
                        match served(&mut turns, |l| *l == lane) {
                            None => prop_assert!(before.is_empty()),
                            Some((who, ticket)) => {
                                // Who waits for this lane and was served longest ago; its own oldest call.
                                let due = before.iter().min_by_key(|c| last_served[*c]);
                                prop_assert_eq!(Some(&who), due);
                                let oldest = waiting.iter().filter(|w| w.0 == who && w.1 == lane).map(|w| w.2).min();
                                prop_assert_eq!(Some(ticket), oldest);
                                waiting.retain(|w| w.2 != ticket);
                                last_served.insert(who, step);
                            }
                        }
                    }
                    _ => {
                        if let Some((client, lane, ticket)) = waiting.pop() {
                            prop_assert!(turns.remove(&at(client, lane, ticket)).is_some());
                        }
                    }
                }
                last_served.retain(|client, _| waiting.iter().any(|w| w.0 == *client));
            }
            while served(&mut turns, |_| true).is_some() {
                waiting.pop();
            }
            prop_assert!(waiting.is_empty() && turns.is_empty());
        }
    }
}
