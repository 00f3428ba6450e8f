//! Algorithms of signatures (RFC 7518, RFC 8037, RFC 9864): asymmetric ones alone. Must not know tokens.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, KeyAlgorithm};

/// An algorithm by which an issuer signs. There is none with a shared secret, and none without a signature, so that no
/// configuration can accept them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SigningAlgorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    EdDsa,
}

/// Each name of a header's `alg` with its algorithm.
const NAMES: [(&str, SigningAlgorithm); 10] = [
    ("RS256", SigningAlgorithm::Rs256),
    ("RS384", SigningAlgorithm::Rs384),
    ("RS512", SigningAlgorithm::Rs512),
    ("PS256", SigningAlgorithm::Ps256),
    ("PS384", SigningAlgorithm::Ps384),
    ("PS512", SigningAlgorithm::Ps512),
    ("ES256", SigningAlgorithm::Es256),
    ("ES384", SigningAlgorithm::Es384),
    ("EdDSA", SigningAlgorithm::EdDsa),
    ("Ed25519", SigningAlgorithm::EdDsa),
];

/// What is expected where no algorithm is named.
pub(super) const EXPECTED: &str =
    "algorithms among RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 and EdDSA";

impl SigningAlgorithm {
    /// Algorithms of an issuer for which none are listed.
    pub(super) const DEFAULT: [Self; 5] = [Self::Rs256, Self::Ps256, Self::Es256, Self::Es384, Self::EdDsa];

    /// Returns the algorithm of a name; names are case-sensitive.
    pub(super) fn parse(name: &str) -> Option<Self> {
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, algorithm)| *algorithm)
    }

    /// Returns the library's value for the algorithm.
    pub(super) fn of_library(self) -> jsonwebtoken::Algorithm {
        use jsonwebtoken::Algorithm as Library;
        match self {
            Self::Rs256 => Library::RS256,
            Self::Rs384 => Library::RS384,
            Self::Rs512 => Library::RS512,
            Self::Ps256 => Library::PS256,
            Self::Ps384 => Library::PS384,
            Self::Ps512 => Library::PS512,
            Self::Es256 => Library::ES256,
            Self::Es384 => Library::ES384,
            Self::EdDsa => Library::EdDSA,
        }
    }

    /// Returns whether a key of this kind, which may be bound to one algorithm, verifies signatures of this one.
    pub(super) fn fits(self, key: &AlgorithmParameters, bound: Option<KeyAlgorithm>) -> bool {
        let is_kind = match (self, key) {
            (Self::Es256, AlgorithmParameters::EllipticCurve(key)) => key.curve == EllipticCurve::P256,
            (Self::Es384, AlgorithmParameters::EllipticCurve(key)) => key.curve == EllipticCurve::P384,
            (Self::EdDsa, AlgorithmParameters::OctetKeyPair(key)) => key.curve == EllipticCurve::Ed25519,
            (Self::Es256 | Self::Es384 | Self::EdDsa, _) => false,
            (_, key) => matches!(key, AlgorithmParameters::RSA(_)),
        };
        // RFC 9864's name of EdDSA with this curve is unknown to the library.
        let is_unknown = bound == Some(KeyAlgorithm::UNKNOWN_ALGORITHM) && self == Self::EdDsa;
        is_kind && (is_unknown || bound.is_none_or(|bound| bound == self.of_library().into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_stands_for_a_shared_secret_or_for_no_signature() {
        for name in
            ["none", "None", "NONE", "", "HS256", "HS384", "HS512", "rs256", "RS256 ", "ES256K", "dir"]
        {
            assert_eq!(SigningAlgorithm::parse(name), None, "{name}");
        }
        for (name, algorithm) in NAMES {
            assert_eq!(SigningAlgorithm::parse(name), Some(algorithm));
            assert!(EXPECTED.contains(name) || name == "Ed25519", "{name}");
        }
    }
}
