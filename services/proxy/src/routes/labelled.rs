//! The view that routing has of a slave: its labels. Must not know links.

use std::collections::BTreeMap;

/// Something that rules select by its labels.
pub(crate) trait Labelled {
    /// Returns whether the slave has said by its labels which default projects of reviews it has: where no label says one, it
    /// has none.
    fn tells_defaults(&self) -> bool;

    /// Runs `read` on the labels that are in force now.
    fn with_labels<R>(&self, read: impl FnOnce(&BTreeMap<String, String>) -> R) -> R;
}
