//! Bytes of a part of which not all chunks have come, charged to the code like those that have. Must not know chunks.

use std::sync::Arc;

use super::account::{CatalogAccount, WaitingBytes};
use super::refusal::CatalogRefusal;
use crate::access::CodeLimits;

/// Bytes of the part that a link is receiving.
#[derive(Debug, Default)]
pub(in crate::links) struct IncompletePart {
    bytes: usize,
    charged: WaitingBytes,
}

impl IncompletePart {
    /// Returns whether this many bytes are charged already.
    pub(in crate::links) fn is(&self, bytes: usize) -> bool {
        self.bytes == bytes
    }

    /// Charges this many bytes. On a refusal none is charged any more, and the part is to be dropped.
    pub(in crate::links) fn set(
        &mut self,
        bytes: usize,
        account: &Arc<CatalogAccount>,
        limits: &CodeLimits,
    ) -> Result<(), CatalogRefusal> {
        let charged = self.charged.set(bytes, account, limits);
        self.bytes = if charged.is_ok() { bytes } else { 0 };
        charged
    }
}
