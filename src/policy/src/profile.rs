//! A profile: how closed tenants of one kind are, and what may be changed about it.

use std::time::Duration;

use model::Limits;
use serde::Deserialize;
use thiserror::Error;

use crate::Unlisted;

/// Why a profile is none.
#[derive(Debug, Error)]
pub enum ProfileError {
    /// Not TOML, an unknown key, or a wrong type; the text carries line, column and a caret.
    #[error("{file}: {text}")]
    Syntax {
        /// Name of the file.
        file: String,
        /// What the TOML reader says.
        text: String,
    },
    /// A value that is well-formed but not allowed.
    #[error("{file}: {key}: {why}")]
    Value {
        /// Name of the file.
        file: String,
        /// The key.
        key: &'static str,
        /// Cause and remedy.
        why: String,
    },
}

/// A profile.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// For whom it is.
    pub why: String,
    /// What tenants may reach.
    pub egress: Egress,
    /// Questions and answers.
    pub approvals: Approvals,
    /// Limits of a tenant whose spec says nothing else.
    #[serde(default)]
    pub limits: Limits,
}

/// What tenants may reach.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Egress {
    /// What becomes of a destination that no rule names.
    pub default: Unlisted,
    /// Presets that may be chosen.
    pub presets: Vec<String>,
}

/// Questions and answers.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approvals {
    /// How long an answer holds that names no time.
    pub lifetime: Lifetime,
    /// The longest that may be named; nothing: any.
    pub most: Option<Lifetime>,
    /// Whether an answer may hold for always.
    pub always: bool,
    /// Seconds that a connection waits for an answer.
    pub hold_sec: u64,
    /// Questions of one tenant that may wait at once.
    pub waiting: u32,
    /// Questions that one tenant may raise in an hour.
    pub per_hour: u32,
}

/// A time span, written `15m`, `8h` or `30d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Lifetime(pub Duration);

impl TryFrom<String> for Lifetime {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let unit = match text.as_bytes().last() {
            Some(b'm') => 60,
            Some(b'h') => 3600,
            Some(b'd') => 86_400,
            Some(_) | None => 0,
        };
        let digits = text.strip_suffix(['m', 'h', 'd']).unwrap_or_default();
        let count =
            if digits.bytes().all(|b| b.is_ascii_digit()) { digits.parse::<u32>().ok() } else { None };
        match count.filter(|count| *count > 0 && unit > 0) {
            Some(count) => Ok(Lifetime(Duration::from_secs(u64::from(count) * unit))),
            None => Err(format!("{text:?} is no time span: write it as \"15m\", \"8h\" or \"30d\"")),
        }
    }
}

impl Profile {
    /// Reads a profile.
    pub fn parse(file: &str, text: &str) -> Result<Profile, ProfileError> {
        let profile: Profile = toml::from_str(text)
            .map_err(|error| ProfileError::Syntax { file: file.to_owned(), text: error.to_string() })?;
        let refuse = |key, why: String| Err(ProfileError::Value { file: file.to_owned(), key, why });
        let approvals = &profile.approvals;
        if approvals.most.is_some_and(|most| most < approvals.lifetime) {
            return refuse("approvals.lifetime", "is longer than approvals.most: shorten it".to_owned());
        }
        if approvals.most.is_some() && approvals.always {
            return refuse(
                "approvals.always",
                "with approvals.most nothing holds for always: take one out".to_owned(),
            );
        }
        if !(1..=300).contains(&approvals.hold_sec) {
            return refuse("approvals.hold_sec", "is 1 to 300 seconds: programs give up by then".to_owned());
        }
        if approvals.waiting == 0 || approvals.per_hour == 0 {
            return refuse(
                "approvals",
                "waiting and per_hour are at least 1; with default = \"deny\" nothing asks".to_owned(),
            );
        }
        if let Err(why) = profile.limits.check() {
            return refuse("limits", why.to_string());
        }
        Ok(profile)
    }
}
