//! Bounded values of the labels that name tools, slaves, codes and rules. Must not know the series that use them.

use runtime::metrics::BoundedValues;

/// Names that slaves and their backends choose are admitted for the code of the slave.
pub(super) static TOOLS: BoundedValues = BoundedValues::new();
pub(super) static CODES: BoundedValues = BoundedValues::new();
pub(super) static SLAVES: BoundedValues = BoundedValues::new();
pub(super) static RULES: BoundedValues = BoundedValues::new();
