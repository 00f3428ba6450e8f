//! The view that routing has of a slave: its labels. Must not know links.

use std::collections::BTreeMap;

/// Something that rules select by its labels.
pub(crate) trait Labelled {
    /// Runs `read` on the labels that are in force now.
    fn with_labels<R>(&self, read: impl FnOnce(&BTreeMap<String, String>) -> R) -> R;
}
