//! Version of a runtime: a directory name that is safe to join to a path, and that orders as people expect.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why a text is no version.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{0:?} is not a version: write numbers with dots and perhaps a suffix, for example 2026.9.6 or 2026.10.0-beta.1"
)]
pub struct VersionError(String);

/// A version such as `2026.9.6` or `2026.10.0-beta.1`: at most 32 bytes, digits first, no slash, never `..`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version(String);

impl Version {
    /// Checks the form.
    pub fn parse(text: &str) -> Result<Self, VersionError> {
        let letter = |b: u8| b.is_ascii_alphanumeric() || b == b'.' || b == b'-';
        let formed = text.len() <= 32
            && text.bytes().next().is_some_and(|b| b.is_ascii_digit())
            && text.bytes().all(letter)
            && text.split(['.', '-']).all(|part| !part.is_empty());
        if !formed {
            return Err(VersionError(text.chars().take(64).collect()));
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn halves(&self) -> (&str, Option<&str>) {
        match self.0.split_once('-') {
            Some((release, suffix)) => (release, Some(suffix)),
            None => (&self.0, None),
        }
    }
}

fn compare_parts(left: &str, right: &str) -> Ordering {
    let (mut left, mut right) = (left.split(['.', '-']), right.split(['.', '-']));
    loop {
        let order = match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(a), Some(b)) => match (a.parse::<u64>(), b.parse::<u64>()) {
                (Ok(a), Ok(b)) => a.cmp(&b),
                (Ok(_), Err(_)) => Ordering::Less,
                (Err(_), Ok(_)) => Ordering::Greater,
                (Err(_), Err(_)) => a.cmp(b),
            },
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let ((release, suffix), (other_release, other_suffix)) = (self.halves(), other.halves());
        compare_parts(release, other_release)
            .then_with(|| match (suffix, other_suffix) {
                (None, None) => Ordering::Equal,
                (None, Some(_)) => Ordering::Greater,
                (Some(_), None) => Ordering::Less,
                (Some(a), Some(b)) => compare_parts(a, b),
            })
            .then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Version {
    type Error = VersionError;
    fn try_from(text: String) -> Result<Self, VersionError> {
        Self::parse(&text)
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn versions_order_by_number_and_a_suffix_comes_before_its_release() {
        let order =
            ["2026.9.6-beta.1", "2026.9.6-beta.2", "2026.9.6", "2026.9.10", "2026.10.0-rc.1", "2026.10.0"];
        for pair in order.windows(2) {
            assert!(Version::parse(pair[0]).unwrap() < Version::parse(pair[1]).unwrap(), "{pair:?}");
        }
    }

    #[test]
    fn what_could_leave_its_directory_is_no_version() {
        for text in [
            "",
            ".",
            "..",
            "1..2",
            "../1",
            "1/2",
            "-1",
            "v1",
            "1 2",
            "latest",
            ".incoming",
            "1\n",
            &"1".repeat(33),
        ] {
            assert!(Version::parse(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn every_version_is_one_plain_path_component(text in ".{0,40}") {
            if let Ok(version) = Version::parse(&text) {
                let mut components = std::path::Path::new(version.as_str()).components();
                prop_assert!(matches!(components.next(), Some(std::path::Component::Normal(_))));
                prop_assert!(components.next().is_none());
            }
        }

        #[test]
        fn the_order_is_total(a in "[0-9]{1,3}(\\.[0-9]{1,3}){0,2}(-[a-z0-9]{1,3})?", b in "[0-9]{1,3}(\\.[0-9]{1,3}){0,2}(-[a-z0-9]{1,3})?") {
            let (a, b) = (Version::parse(&a).unwrap(), Version::parse(&b).unwrap());
            prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
            prop_assert_eq!(a.cmp(&b) == std::cmp::Ordering::Equal, a == b);
        }
    }
}
