//! A client as its digest in call headers is made of it. Must not know how clients are told apart.

use core::net::IpAddr;
use std::fmt;
use std::ops::Deref;

use crate::hex::hex;

/// What stands for a client. Not for other processes or logs, where one could guess keys by it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum KnownClient<S> {
    /// The holder of the key with this digest.
    Key([u8; 32]),
    /// The key of a session in call headers.
    Session(S),
    /// An address.
    Address(IpAddr),
}

impl<S: Deref<Target = str>> KnownClient<S> {
    /// Returns the same, borrowed.
    pub fn as_ref(&self) -> KnownClient<&str> {
        match self {
            Self::Key(digest) => KnownClient::Key(*digest),
            Self::Session(session) => KnownClient::Session(session),
            Self::Address(address) => KnownClient::Address(*address),
        }
    }
}

impl KnownClient<&str> {
    /// Returns the same, owned.
    pub fn into_owned(self) -> KnownClient<Box<str>> {
        match self {
            Self::Key(digest) => KnownClient::Key(digest),
            Self::Session(session) => KnownClient::Session(session.into()),
            Self::Address(address) => KnownClient::Address(address),
        }
    }
}

impl fmt::Display for KnownClient<&str> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(digest) => write!(f, "key {}", hex(digest)),
            Self::Session(session) => write!(f, "session {session}"),
            Self::Address(address) => write!(f, "address {address}"),
        }
    }
}
