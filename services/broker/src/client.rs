//! Clients: whom an id names. Must not know requests.

use crate::client_metadata::Metadata;
use crate::grant::digest;
use crate::seal::Purpose;
use crate::server::Broker;

/// A client that an id names.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    /// Digest of the id.
    pub(crate) digest: String,
    pub(crate) metadata: Metadata,
}

impl Broker {
    /// Returns the client that an id names: a registration, or the URL of a document. Cancel safe.
    ///
    /// # Errors
    /// Why the client is not known, in words for the user.
    pub(crate) async fn client(&self, id: &str, now: u64) -> Result<Client, &'static str> {
        let metadata = match (self.vault.open(Purpose::Client, id), &self.settings.documents) {
            (Some(metadata), _) => metadata,
            (None, Some(documents)) if id.starts_with("https:") => documents.metadata(id, now).await?,
            (None, _) => return Err("the client is not registered here"),
        };
        Ok(Client { digest: digest(id), metadata })
    }
}
