//! Parameters of a query or form: each once, within limits. Must not know what they mean.

use std::collections::HashMap;

use crate::fault::Fault;
use crate::request::BrokerRequest;

/// Most parameters, and most bytes of all of them.
const MAX_PARAMETERS: usize = 64;
const MAX_BYTES: usize = 24 * 1024;

/// The parameters of a request.
pub(crate) struct Parameters(HashMap<String, String>);

impl Parameters {
    /// Reads `name=value&…`. A parameter without a value counts as absent (RFC 6749, 3.1).
    ///
    /// # Errors
    /// A parameter stands twice, or there are too many.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, Fault> {
        if text.len() > MAX_BYTES {
            return Err(Fault::request("the parameters are too long"));
        }
        let mut known = HashMap::new();
        for (name, value) in url::form_urlencoded::parse(text) {
            if known.len() == MAX_PARAMETERS {
                return Err(Fault::request("too many parameters"));
            }
            if known.insert(name.into_owned(), value.into_owned()).is_some() {
                return Err(Fault::request("a parameter stands twice"));
            }
        }
        known.retain(|_, value| !value.is_empty());
        Ok(Self(known))
    }

    /// Reads the form in a request's body.
    ///
    /// # Errors
    /// The body is no form, or [`Self::parse`] refuses it.
    pub(crate) fn of_body(request: &BrokerRequest) -> Result<Self, Fault> {
        if !request.is_of_type("application/x-www-form-urlencoded") {
            return Err(Fault::request("the body is no application/x-www-form-urlencoded"));
        }
        Self::parse(&request.body)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_stand_once_and_empty_ones_are_absent() {
        let read = Parameters::parse(b"a=1&b=&c=x%20y%26+z&d").unwrap();
        assert_eq!(
            (read.get("a"), read.get("b"), read.get("c"), read.get("d")),
            (Some("1"), None, Some("x y& z"), None)
        );
        for bad in ["a=1&a=2", "a=1&a=1", "a=&a=1", "a&%61"] {
            assert!(Parameters::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        let many: Vec<String> = (0..100).map(|n| format!("p{n}=1&")).collect();
        assert!(Parameters::parse(many.concat().as_bytes()).is_err());
        assert!(Parameters::parse(&vec![b'a'; MAX_BYTES + 1]).is_err());
    }
}
