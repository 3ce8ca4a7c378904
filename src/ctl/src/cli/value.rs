//! Values on the command line that need a sentence of their own when they are wrong.

use model::Feature;
use thiserror::Error;

/// Why a value is refused. The option's name comes before it.
#[derive(Debug, Error)]
pub(super) enum ValueError {
    /// No `=` in it, or nothing before it.
    #[error("{0:?} is no assignment: write KEY=VALUE")]
    Assignment(String),
    /// Not a port.
    #[error("{0:?} is not a port: write a number from 1024 to 65535")]
    Port(String),
    /// Not a whole number.
    #[error("{0:?} is not a whole number: write digits only")]
    Number(String),
    /// Not a time.
    #[error("{0:?} is not how long a token may be valid: write a number with s, m or h, from 1s to 24h")]
    Ttl(String),
    /// Not a feature.
    #[error("{0:?} is no protection one can do without; there are {names}", names = names())]
    Feature(String),
}

fn names() -> String {
    Feature::ALL.map(Feature::name).join(", ")
}

fn shown(text: &str) -> String {
    text.chars().take(64).collect()
}

/// `KEY=VALUE`.
pub(super) fn assignment(text: &str) -> Result<(String, String), ValueError> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        Some(_) | None => Err(ValueError::Assignment(shown(text))),
    }
}

/// A port.
pub(super) fn port(text: &str) -> Result<u16, ValueError> {
    text.parse().ok().filter(|port| *port >= 1024).ok_or_else(|| ValueError::Port(shown(text)))
}

/// A whole number.
pub(super) fn number(text: &str) -> Result<u64, ValueError> {
    text.parse().map_err(|_| ValueError::Number(shown(text)))
}

/// How long a token is valid, in seconds.
pub(super) fn ttl(text: &str) -> Result<u32, ValueError> {
    let (number, unit) = match text.char_indices().last() {
        Some((at, 's')) => (text.get(..at), 1),
        Some((at, 'm')) => (text.get(..at), 60),
        Some((at, 'h')) => (text.get(..at), 3600),
        Some(_) | None => (None, 1),
    };
    let seconds =
        number.and_then(|number| number.parse::<u32>().ok()).and_then(|number| number.checked_mul(unit));
    seconds.filter(|seconds| (1..=86_400).contains(seconds)).ok_or_else(|| ValueError::Ttl(shown(text)))
}

/// The name of a protection.
pub(super) fn feature(text: &str) -> Result<Feature, ValueError> {
    Feature::ALL
        .into_iter()
        .find(|feature| feature.name() == text)
        .ok_or_else(|| ValueError::Feature(shown(text)))
}
