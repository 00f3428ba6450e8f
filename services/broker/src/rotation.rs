//! Rotation of refresh tokens: each is used once, as far as this process knows. Must not know what tokens say, nor how others are told.
//!
//! A process that saw a token of a family issued, or was told so by another process, knows which one is valid. A token that is older, or of
//! the same position but another, was copied. So was a code for which a family is known already.

use std::collections::HashMap;
use std::sync::OnceLock;

use parking_lot::Mutex;

/// Most families that are remembered. The ones that end first are forgotten first.
const MAX_FAMILIES: usize = 50_000;

/// Position of a refresh token: its generation, and its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) generation: u64,
    pub(crate) id: [u8; 16],
}

/// A grant with the position of the refresh token that was issued for it last. No token follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RotatedGrant {
    /// Random id of all codes and tokens of the grant.
    pub family: String,
    /// When the grant ends, in seconds since 1970.
    pub ends: u64,
    /// Number of the token among those of the grant.
    pub generation: u64,
    /// Id of the token.
    pub token: [u8; 16],
}

impl RotatedGrant {
    fn position(&self) -> Position {
        Position { generation: self.generation, id: self.token }
    }
}

/// Called with each grant for which a token is known to be issued.
type Listener = Box<dyn Fn(&RotatedGrant) + Send + Sync>;

/// The token that was issued last in each family.
#[derive(Default)]
pub(crate) struct Rotation {
    families: Mutex<HashMap<String, Last>>,
    listener: OnceLock<Listener>,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    position: Position,
    ends: u64,
}

/// A refresh token, or the code of a family, was used before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reused;

impl Rotation {
    /// Sets the listener for issued tokens, here and elsewhere. Only the first one is kept.
    pub(crate) fn listen(&self, listener: impl Fn(&RotatedGrant) + Send + Sync + 'static) {
        let _ = self.listener.set(Box::new(listener));
    }

    /// Begins a family with a token of the id `first`; returns the position of that one. `ends` is the end of the family.
    ///
    /// # Errors
    /// The family is known: its code was used before.
    pub(crate) fn begin(&self, family: &str, first: [u8; 16], ends: u64) -> Result<Position, Reused> {
        let mut families = self.families.lock();
        if families.contains_key(family) {
            return Err(Reused);
        }
        let position = Position { generation: 0, id: first };
        insert(&mut families, family, Last { position, ends });
        drop(families);
        self.tell(family, Last { position, ends });
        Ok(position)
    }

    /// Replaces the token at `used` by one with the id `next`; returns the position of that one. `ends` is the end of the family.
    ///
    /// # Errors
    /// The token was used before.
    pub(crate) fn replace(
        &self,
        family: &str,
        used: Position,
        next: [u8; 16],
        ends: u64,
    ) -> Result<Position, Reused> {
        let mut families = self.families.lock();
        if let Some(last) = families.get(family) {
            let is_older = used.generation < last.position.generation;
            let is_copy = used.generation == last.position.generation && used.id != last.position.id;
            if is_older || is_copy {
                return Err(Reused);
            }
        }
        let position = Position { generation: used.generation.saturating_add(1), id: next };
        insert(&mut families, family, Last { position, ends });
        drop(families);
        self.tell(family, Last { position, ends });
        Ok(position)
    }

    /// Returns whether what another process says of a token changes nothing here.
    pub(crate) fn knows(&self, told: &RotatedGrant) -> bool {
        let families = self.families.lock();
        families.get(&told.family).is_some_and(|last| {
            last.position.generation > told.generation || last.position == told.position()
        })
    }

    /// Takes what another process says of a token that it issued.
    ///
    /// # Errors
    /// Another token is known at the position: the one that both replaced was used twice.
    pub(crate) fn take(&self, told: &RotatedGrant) -> Result<(), Reused> {
        let last = Last { position: told.position(), ends: told.ends };
        let mut families = self.families.lock();
        if let Some(known) = families.get(&told.family).map(|last| last.position) {
            if known.generation > told.generation || known == last.position {
                return Ok(());
            }
            if known.generation == told.generation {
                return Err(Reused);
            }
        }
        insert(&mut families, &told.family, last);
        drop(families);
        self.tell(&told.family, last);
        Ok(())
    }

    fn tell(&self, family: &str, Last { position, ends }: Last) {
        if let Some(listener) = self.listener.get() {
            let Position { generation, id } = position;
            listener(&RotatedGrant { family: family.to_owned(), ends, generation, token: id });
        }
    }
}

fn insert(families: &mut HashMap<String, Last>, family: &str, last: Last) {
    if families.len() >= MAX_FAMILIES && !families.contains_key(family) {
        forget(families);
    }
    families.insert(family.to_owned(), last);
}

/// Forgets the tenth of the families that ends first.
fn forget(families: &mut HashMap<String, Last>) {
    let mut ends: Vec<u64> = families.values().map(|last| last.ends).collect();
    let tenth = ends.len() / 10;
    let (_, bound, _) = ends.select_nth_unstable(tenth);
    let bound = *bound;
    let mut left = tenth + 1;
    families.retain(|_, last| {
        let is_forgotten = left > 0 && last.ends <= bound;
        left -= usize::from(is_forgotten);
        !is_forgotten
    });
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;

    fn at(generation: u64, id: u8) -> Position {
        Position { generation, id: [id; 16] }
    }

    /// A process, and what it tells others.
    #[derive(Default)]
    struct Process {
        rotation: Rotation,
        told: Arc<Mutex<Vec<RotatedGrant>>>,
    }

    impl Process {
        fn new() -> Self {
            let process = Self::default();
            let told = Arc::clone(&process.told);
            process.rotation.listen(move |grant| told.lock().push(grant.clone()));
            process
        }

        fn begin(&self, family: &str, id: u8) -> Result<Position, Reused> {
            self.rotation.begin(family, [id; 16], 9)
        }

        fn replace(&self, family: &str, used: Position, next: u8) -> Result<Position, Reused> {
            self.rotation.replace(family, used, [next; 16], 9)
        }

        /// Tells another process what this one has not told yet.
        fn tell(&self, other: &Self) -> Result<(), Reused> {
            let told = std::mem::take(&mut *self.told.lock());
            told.iter().try_for_each(|grant| other.rotation.take(grant))
        }
    }

    #[test]
    fn a_token_is_replaced_once() {
        let process = Process::new();
        assert_eq!(process.replace("f", at(0, 1), 2), Ok(at(1, 2)));
        assert_eq!(process.replace("f", at(0, 1), 3), Err(Reused), "used");
        assert_eq!(process.replace("f", at(1, 9), 3), Err(Reused), "a copy, replaced elsewhere");
        assert_eq!(process.replace("f", at(1, 2), 3), Ok(at(2, 3)));
        assert_eq!(process.replace("g", at(0, 1), 2), Ok(at(1, 2)), "another family");
        assert_eq!(process.begin("h", 1), Ok(at(0, 1)));
        assert_eq!(process.begin("h", 2), Err(Reused), "its code was used");
        assert_eq!(process.replace("h", at(0, 1), 2), Ok(at(1, 2)));
    }

    /// Two processes that cannot tell each other anything: what one did not see, it sees by what comes after.
    #[test]
    fn a_copy_that_was_used_at_another_process_is_seen_when_the_lines_meet() {
        let (one, other) = (Process::new(), Process::new());
        let first = one.replace("f", at(0, 1), 2).unwrap();
        let copied = other.replace("f", at(0, 1), 3).unwrap();
        assert_eq!(one.replace("f", copied, 4), Err(Reused));
        assert_eq!(other.replace("f", first, 4), Err(Reused));
        // A client whose requests go here and there is no copy, whether what is told comes late or not at all.
        let (one, other) = (Process::new(), Process::new());
        let mut position = at(0, 1);
        for round in 0..10 {
            let (process, idle) = if round % 3 == 0 { (&one, &other) } else { (&other, &one) };
            position = process.replace("f", position, 10 + round).unwrap();
            if round % 4 == 1 {
                assert_eq!((process.tell(idle), idle.tell(process)), (Ok(()), Ok(())));
            }
        }
    }

    #[test]
    fn a_token_that_another_process_replaced_is_used_no_more() {
        let (one, other) = (Process::new(), Process::new());
        let first = one.begin("f", 1).unwrap();
        let second = one.replace("f", first, 2).unwrap();
        one.tell(&other).unwrap();
        assert_eq!(other.begin("f", 3), Err(Reused), "the code");
        assert_eq!(other.replace("f", first, 3), Err(Reused));
        assert_eq!(other.replace("f", second, 3), Ok(at(2, 3)));
    }

    /// Both replaced the token before either was told.
    #[test]
    fn two_tokens_at_one_position_are_seen_by_whoever_is_told_and_later_at_the_next_use() {
        let (one, other) = (Process::new(), Process::new());
        let lines = [one.replace("f", at(0, 1), 2).unwrap(), other.replace("f", at(0, 1), 3).unwrap()];
        assert_eq!((one.tell(&other), other.tell(&one)), (Err(Reused), Err(Reused)));
        // One line is ahead when the other is told of: its next use is refused.
        let (one, other) = (Process::new(), Process::new());
        for process in [&one, &other] {
            process.begin("f", 1).unwrap();
        }
        let [first, second] = lines;
        assert_eq!(one.replace("f", at(0, 1), 2), Ok(first));
        assert_eq!(other.replace("f", at(0, 1), 3), Ok(second));
        one.replace("f", first, 4).unwrap();
        let newest = one.told.lock().pop().unwrap();
        assert_eq!(other.rotation.take(&newest), Ok(()));
        assert_eq!(other.replace("f", second, 5), Err(Reused));
    }

    #[test]
    fn what_is_told_is_passed_on_once_and_what_is_old_not_at_all() {
        let process = Process::new();
        let told =
            |generation, token| RotatedGrant { family: "f".into(), ends: 9, generation, token: [token; 16] };
        assert!(!process.rotation.knows(&told(3, 1)));
        for grant in [told(3, 1), told(3, 1), told(2, 9), told(4, 2)] {
            assert_eq!(process.rotation.take(&grant), Ok(()));
            assert!(process.rotation.knows(&grant));
        }
        assert_eq!(*process.told.lock(), [told(3, 1), told(4, 2)]);
        assert!(!process.rotation.knows(&told(4, 3)));
        assert_eq!(process.rotation.take(&told(4, 3)), Err(Reused));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_last_to_end_stays() {
        let rotation = Rotation::default();
        for family in 0..=MAX_FAMILIES as u64 {
            let name = family.to_string();
            match family % 3 {
                0 => drop(rotation.begin(&name, [2; 16], family)),
                1 => drop(rotation.replace(&name, at(0, 1), [2; 16], family)),
                _ => drop(rotation.take(&RotatedGrant {
                    family: name,
                    ends: family,
                    generation: 1,
                    token: [2; 16],
                })),
            }
        }
        assert!(rotation.families.lock().len() <= MAX_FAMILIES);
        assert_eq!(rotation.replace(&MAX_FAMILIES.to_string(), at(0, 9), [2; 16], 9), Err(Reused));
    }

    /// One step of whoever has a token, or of what is told.
    #[derive(Clone, Copy, Debug)]
    enum Step {
        /// The client uses its token at a process.
        Use(usize),
        /// So does the thief, with the copy or what came of it.
        Steal(usize),
        /// A process is told, once more or for the first time, something that any of them said.
        Tell(usize, usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (0..3usize).prop_map(Step::Use),
            (0..3usize).prop_map(Step::Steal),
            (0..3usize, any::<usize>()).prop_map(|(to, which)| Step::Tell(to, which)),
        ];
        prop::collection::vec(step, 1..40)
    }

    /// Three processes, a client and perhaps a thief, who has a copy of the token of the beginning.
    struct Fleet {
        processes: [Process; 3],
        said: Vec<RotatedGrant>,
        next: u8,
    }

    impl Fleet {
        fn use_token(&mut self, at: usize, token: &mut Position) -> Result<(), Reused> {
            self.next += 1;
            *token = self.processes[at].replace("f", *token, self.next)?;
            self.listen();
            Ok(())
        }

        fn listen(&mut self) {
            for process in &self.processes {
                self.said.append(&mut process.told.lock());
            }
        }

        fn tell(&mut self, to: usize, which: usize) -> Result<(), Reused> {
            let Some(said) = (!self.said.is_empty()).then(|| self.said[which % self.said.len()].clone())
            else {
                return Ok(());
            };
            self.processes[to].rotation.take(&said)?;
            self.listen();
            Ok(())
        }

        fn run(
            &mut self,
            step: Step,
            client: &mut Position,
            thief: Option<&mut Position>,
        ) -> Result<(), Reused> {
            match (step, thief) {
                (Step::Use(at), _) => self.use_token(at, client),
                (Step::Steal(at), Some(thief)) => self.use_token(at, thief),
                (Step::Steal(_), None) => Ok(()),
                (Step::Tell(to, which), _) => self.tell(to, which),
            }
        }
    }

    fn fleet() -> (Fleet, Position) {
        let mut fleet =
            Fleet { processes: std::array::from_fn(|_| Process::new()), said: Vec::new(), next: 1 };
        let first = fleet.processes[0].begin("f", 1).unwrap();
        fleet.listen();
        (fleet, first)
    }

    proptest! {
        /// Whatever is told late, twice, in another order or not at all.
        #[test]
        fn a_client_that_uses_each_token_once_is_never_taken_for_a_thief(steps in steps()) {
            let (mut fleet, mut client) = fleet();
            for step in steps {
                prop_assert_eq!(fleet.run(step, &mut client, None), Ok(()), "{:?}", step);
            }
        }

        /// A copy is noticed at once, or when all has been told: then one of the two is refused everywhere.
        #[test]
        fn once_all_has_been_told_not_both_of_client_and_thief_go_on(steps in steps()) {
            let (mut fleet, mut client) = fleet();
            let mut thief = client;
            let ran = steps.into_iter().try_for_each(|step| fleet.run(step, &mut client, Some(&mut thief)));
            let told = ran.and_then(|()| {
                let all = (0..fleet.said.len()).flat_map(|which| (0..3).map(move |to| (to, which)));
                all.collect::<Vec<_>>().into_iter().try_for_each(|(to, which)| fleet.tell(to, which))
            });
            let has_copy = client != thief;
            if told.is_ok() && has_copy {
                let goes_on = |token: Position| fleet.processes.iter().any(|process| {
                    let families = process.rotation.families.lock();
                    families.get("f").is_none_or(|last| {
                        last.position == token || last.position.generation < token.generation
                    })
                });
                prop_assert!(!(goes_on(client) && goes_on(thief)), "{client:?} {thief:?}");
            }
        }
    }
}
