//! What a secret is called and what it is for.

use std::fmt;

use thiserror::Error;

/// Longest name in bytes.
const MAX_BYTES: usize = 64;

/// A secret's name: `[a-z][a-z0-9]*([-_][a-z0-9]+)*`, at most 64 bytes. It is also the name of a systemd credential and part of a
/// file name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretName(String);

/// Why a string is no name of a secret. The string itself is not repeated: it may be the value, given in the wrong place.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NameError {
    /// The form is wrong.
    #[error(
        "the name of the secret is not of the form [a-z][a-z0-9]*([-_][a-z0-9]+)*: use lower-case letters, digits and single dashes, beginning with a letter"
    )]
    Form,
    /// Longer than 64 bytes.
    #[error("the name of the secret has {0} bytes; at most {MAX_BYTES} are allowed: choose a shorter one")]
    TooLong(usize),
}

impl SecretName {
    /// Name of the gateway's own secret, which tenantd makes and nobody sets.
    pub const GATEWAY: &'static str = "gateway";

    /// The name of the gateway's own secret.
    pub fn gateway() -> Self {
        Self(Self::GATEWAY.to_owned())
    }

    /// Checks `text` and makes a name of it.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let well_formed = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase())
            && text.split(['-', '_']).all(|part| !part.is_empty() && part.bytes().all(plain));
        match text.len() {
            _ if !well_formed => Err(NameError::Form),
            0..=MAX_BYTES => Ok(Self(text.to_owned())),
            long => Err(NameError::TooLong(long)),
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a secret is for. It is bound into the record, so one that only the proxy may have cannot be made into a file of the
/// gateway by changing a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// For the egress proxy, which injects it; the gateway never has it.
    Proxy,
    /// For the gateway, as a file.
    File,
    /// For the gateway, as an environment variable, because it cannot read a file.
    Variable,
    /// The gateway's own authentication secret, which is generated and never shown.
    Gateway,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 4] = [Kind::Proxy, Kind::File, Kind::Variable, Kind::Gateway];

    /// Its byte in a record.
    pub(crate) fn byte(self) -> u8 {
        match self {
            Kind::Proxy => 1,
            Kind::File => 2,
            Kind::Variable => 3,
            Kind::Gateway => 4,
        }
    }

    /// The kind with this byte.
    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.byte() == byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_formed_names_are_taken() {
        for good in ["a", "telegram-token", "openai_key-2", &"a".repeat(64)] {
            assert_eq!(SecretName::parse(good).unwrap().to_string(), good);
        }
    }

    #[test]
    fn names_out_of_form_are_refused_and_not_repeated() {
        for bad in
            ["", "-a", "a-", "a--b", "a-_b", "A", "1a", "a.b", "a/b", "../x", "ä", "a b", "a\n", "a\0", "%i"]
        {
            assert_eq!(SecretName::parse(bad), Err(NameError::Form), "{bad:?}");
        }
        assert_eq!(SecretName::parse(&"a".repeat(65)), Err(NameError::TooLong(65)));
        assert!(!SecretName::parse("sk-Proj123").unwrap_err().to_string().contains("Proj123"));
    }

    #[test]
    fn every_kind_has_a_byte_of_its_own() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_byte(kind.byte()), Some(kind));
        }
        let known = (0..=u8::MAX).filter(|byte| Kind::from_byte(*byte).is_some()).count();
        assert_eq!(known, Kind::ALL.len());
    }
}
