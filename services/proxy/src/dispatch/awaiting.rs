//! The number of calls that wait for slaves that are awaited, by tool. Must not know calls or links.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

/// Number of calls that wait for awaited slaves, by the clients' name of the tool.
#[derive(Clone, Default)]
pub(super) struct AwaitingCalls(Arc<Mutex<HashMap<String, usize>>>);

/// The place of one call among those that wait; it is free again when this is dropped.
pub(super) struct AwaitingPlace {
    calls: AwaitingCalls,
    tool: String,
}

impl AwaitingCalls {
    /// Takes a place, unless `most` calls of the tool wait already.
    pub(super) fn enter(&self, tool: &str, most: usize) -> Option<AwaitingPlace> {
        let mut calls = self.0.lock();
        let waiting = calls.get(tool).copied().unwrap_or_default();
        if waiting >= most {
            return None;
        }
        calls.insert(tool.to_owned(), waiting + 1);
        Some(AwaitingPlace { calls: self.clone(), tool: tool.to_owned() })
    }
}

impl Drop for AwaitingPlace {
    fn drop(&mut self) {
        let mut calls = self.calls.0.lock();
        if let Some(waiting) = calls.get_mut(&self.tool) {
            *waiting -= 1;
            if *waiting == 0 {
                calls.remove(&self.tool);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_calls_of_each_tool_wait_as_may() {
        let calls = AwaitingCalls::default();
        assert!(calls.enter("a", 0).is_none());
        let places = [calls.enter("a", 2), calls.enter("a", 2), calls.enter("b", 2)];
        assert!(places.iter().all(Option::is_some));
        assert!(calls.enter("a", 2).is_none());
        drop(places);
        assert!(calls.enter("a", 1).is_some(), "their places are free again");
        assert!(calls.0.lock().is_empty(), "and nothing is kept of them");
    }
}
