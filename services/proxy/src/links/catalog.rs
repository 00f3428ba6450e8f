//! Catalogs of slaves in parts, within the limits of their codes. Must not know sockets or tools' pools.

mod account;
mod accounts;
mod announced;
mod change_rate;
mod incomplete;

mod pending;
mod refusal;

pub(crate) use accounts::CatalogAccounts;
pub(super) use announced::{AnnouncedCatalog, Received};
pub(super) use incomplete::IncompletePart;
pub(super) use refusal::CatalogRefusal;

#[cfg(test)]
mod tests;
