//! Why a token opens nothing. Must not know responses.

/// Why a token is not accepted. Texts are constant or name the issuer alone, never what is in the token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The token is not valid here.
    #[error("{0}")]
    Invalid(&'static str),
    /// The token is valid, and lacks scopes: all that the next one is to have.
    #[error("the token lacks scopes of: {}", .0.join(" "))]
    Scopes(Vec<String>),
    /// Whether the token is valid cannot be found out at present.
    #[error("tokens of {issuer} cannot be checked at present")]
    Unavailable {
        /// Issuer of the token.
        issuer: String,
    },
}
