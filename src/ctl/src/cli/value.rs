//! Values on the command line that need a sentence of their own when they are wrong.

use model::egress::SecretPlace;
use model::{Dollars, Feature};
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
    /// Not a time span.
    #[error("{0:?} is not how long: write a number with s, m, h or d, for example 8h")]
    Span(String),
    /// Not a date.
    #[error("{0:?} is not when: write 2026-12-31 or 2026-12-31T18:00:00Z, in UTC")]
    Moment(String),
    /// Not a request.
    #[error(
        "{0:?} is no request: write it as \"tenantctl approvals list\" does, for example 12-3f9a2b1c4d5e"
    )]
    Request(String),
    /// Not a place in a request.
    #[error("{0:?} is no place in a request; there are header, query, path, body, websocket")]
    Place(String),
    /// Not an amount of money.
    #[error("{0}")]
    Dollars(String),
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

/// A time span, in seconds.
pub(super) fn span(text: &str) -> Result<u64, ValueError> {
    let wrong = || ValueError::Span(shown(text));
    let (digits, unit) = match text.char_indices().last() {
        Some((at, 's')) => (text.get(..at), 1),
        Some((at, 'm')) => (text.get(..at), 60),
        Some((at, 'h')) => (text.get(..at), 3600),
        Some((at, 'd')) => (text.get(..at), 86_400),
        Some(_) | None => (None, 1),
    };
    let digits = digits.filter(|digits| digits.bytes().all(|b| b.is_ascii_digit())).ok_or_else(wrong)?;
    let count = digits.parse::<u32>().ok().filter(|count| *count > 0).ok_or_else(wrong)?;
    Ok(u64::from(count) * unit)
}

/// A point in time, in seconds since 1970.
pub(super) fn moment(text: &str) -> Result<u64, ValueError> {
    let whole = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    let moment = whole.parse::<jiff::Timestamp>().ok().filter(|_| whole.ends_with('Z'));
    let seconds = moment.and_then(|moment| u64::try_from(moment.as_second()).ok());
    seconds.ok_or_else(|| ValueError::Moment(shown(text)))
}

/// A request and its digest.
pub(super) fn request(text: &str) -> Result<(u64, String), ValueError> {
    let wrong = || ValueError::Request(shown(text));
    let (number, digest) = text.split_once('-').ok_or_else(wrong)?;
    let plain =
        digest.len() == 12 && digest.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let number = number.parse().ok().filter(|_| plain).ok_or_else(wrong)?;
    Ok((number, digest.to_owned()))
}

/// A place in a request.
pub(super) fn place(text: &str) -> Result<SecretPlace, ValueError> {
    match text {
        "header" => Ok(SecretPlace::Header),
        "query" => Ok(SecretPlace::Query),
        "path" => Ok(SecretPlace::Path),
        "body" => Ok(SecretPlace::Body),
        "websocket" => Ok(SecretPlace::Websocket),
        _ => Err(ValueError::Place(shown(text))),
    }
}

/// An amount of money.
pub(super) fn dollars(text: &str) -> Result<Dollars, ValueError> {
    text.parse().map_err(ValueError::Dollars)
}

/// The name of a protection.
pub(super) fn feature(text: &str) -> Result<Feature, ValueError> {
    Feature::ALL
        .into_iter()
        .find(|feature| feature.name() == text)
        .ok_or_else(|| ValueError::Feature(shown(text)))
}
