//! Rotation of refresh tokens: each is used once, as far as this process can know. Must not know what tokens say.
//!
//! A process that saw a token of a family used knows the one that replaced it. A token that is older than that one, or of the same
//! position but another, was copied.

use std::collections::HashMap;

use parking_lot::Mutex;

/// Most families that are remembered. The ones that end first are forgotten first.
const MAX_FAMILIES: usize = 50_000;

/// Position of a refresh token: its generation, and its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) generation: u64,
    pub(crate) id: [u8; 16],
}

/// The token that this process issued last in each family.
#[derive(Debug, Default)]
pub(crate) struct Rotation(Mutex<HashMap<String, Last>>);

#[derive(Clone, Copy, Debug)]
struct Last {
    position: Position,
    ends: u64,
}

/// A refresh token was used before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reused;

impl Rotation {
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
        let mut families = self.0.lock();
        if let Some(last) = families.get(family) {
            let is_older = used.generation < last.position.generation;
            let is_copy = used.generation == last.position.generation && used.id != last.position.id;
            if is_older || is_copy {
                return Err(Reused);
            }
        } else if families.len() >= MAX_FAMILIES {
            forget(&mut families);
        }
        let position = Position { generation: used.generation.saturating_add(1), id: next };
        families.insert(family.to_owned(), Last { position, ends });
        Ok(position)
    }
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
    use super::*;

    fn at(generation: u64, id: u8) -> Position {
        Position { generation, id: [id; 16] }
    }

    #[test]
    fn a_token_is_replaced_once() {
        let rotation = Rotation::default();
        assert_eq!(rotation.replace("f", at(0, 1), [2; 16], 9), Ok(at(1, 2)));
        assert_eq!(rotation.replace("f", at(0, 1), [3; 16], 9), Err(Reused), "used");
        assert_eq!(rotation.replace("f", at(1, 9), [3; 16], 9), Err(Reused), "a copy, replaced elsewhere");
        assert_eq!(rotation.replace("f", at(1, 2), [3; 16], 9), Ok(at(2, 3)));
        assert_eq!(rotation.replace("g", at(0, 1), [2; 16], 9), Ok(at(1, 2)), "another family");
    }

    /// Two processes without a store: what one did not see, it sees by what comes after.
    #[test]
    fn a_copy_that_was_used_at_another_process_is_seen_when_the_lines_meet() {
        let (one, other) = (Rotation::default(), Rotation::default());
        let first = one.replace("f", at(0, 1), [2; 16], 9).unwrap();
        let copied = other.replace("f", at(0, 1), [3; 16], 9).unwrap();
        assert_eq!(one.replace("f", copied, [4; 16], 9), Err(Reused));
        assert_eq!(other.replace("f", first, [4; 16], 9), Err(Reused));
        // A client whose requests go here and there is no copy.
        let (one, other) = (Rotation::default(), Rotation::default());
        let mut position = at(0, 1);
        for round in 0..10 {
            let process = if round % 3 == 0 { &one } else { &other };
            position = process.replace("f", position, [10 + round; 16], 9).unwrap();
        }
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_last_to_end_stays() {
        let rotation = Rotation::default();
        for family in 0..=MAX_FAMILIES {
            rotation.replace(&family.to_string(), at(0, 1), [2; 16], family as u64).unwrap();
        }
        assert!(rotation.0.lock().len() <= MAX_FAMILIES);
        assert_eq!(rotation.replace(&MAX_FAMILIES.to_string(), at(0, 1), [2; 16], 9), Err(Reused));
    }
}
