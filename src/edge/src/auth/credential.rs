//! The one credential of a request.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE as COOKIE_HEADER};

/// Name of the session cookie. The prefix makes browsers hold it to this one host, over TLS (RFC 6265bis, 4.1.3.2).
pub const COOKIE: &str = "__Host-tenantd";

/// How a credential was presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// `Authorization: Bearer`.
    Bearer,
    /// The password of `Authorization: Basic`, for clients that can only put it into an address.
    Basic,
    /// The session cookie; a browser sends it whoever wrote the page.
    Cookie,
}

impl Source {
    /// Its name in whoami and in the journal.
    pub fn name(self) -> &'static str {
        match self {
            Source::Bearer => "bearer",
            Source::Basic => "basic",
            Source::Cookie => "cookie",
        }
    }
}

/// What a request brings.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Credential {
    Absent,
    Token(Source, String),
    Session(String),
    Bad(&'static str),
}

/// The credential in `headers`: `Authorization` if there is one, whatever it is; the cookie only without it.
pub(super) fn of(headers: &HeaderMap) -> Credential {
    let mut authorizations = headers.get_all(AUTHORIZATION).iter();
    let Some(authorization) = authorizations.next() else { return session(headers) };
    if authorizations.next().is_some() {
        return Credential::Bad("several Authorization headers");
    }
    let Ok(text) = authorization.to_str() else { return Credential::Bad("Authorization is not ASCII") };
    let Some((scheme, value)) = text.split_once(' ') else {
        return Credential::Bad("Authorization malformed");
    };
    let value = value.trim_matches(' ');
    if scheme.eq_ignore_ascii_case("bearer") {
        Credential::Token(Source::Bearer, value.to_owned())
    } else if scheme.eq_ignore_ascii_case("basic") {
        match password(value) {
            Some(password) => Credential::Token(Source::Basic, password),
            None => Credential::Bad("Basic credentials malformed"),
        }
    } else {
        Credential::Bad("unknown Authorization scheme")
    }
}

/// The one cookie of this name; of several nobody can say which the browser holds to be ours.
pub(super) fn cookie(headers: &HeaderMap, name: &str) -> Result<Option<String>, &'static str> {
    let mut found = None;
    for header in headers.get_all(COOKIE_HEADER) {
        // Octets beyond ASCII may be in other cookies of the same line, which are none of our business.
        for pair in header.as_bytes().split(|byte| *byte == b';') {
            let Ok(pair) = std::str::from_utf8(pair) else { continue };
            let Some((key, value)) = pair.split_once('=') else { continue };
            if key.trim() != name {
                continue;
            }
            if found.is_some() {
                return Err("several cookies of the same name");
            }
            found = Some(value.trim().to_owned());
        }
    }
    Ok(found)
}

fn session(headers: &HeaderMap) -> Credential {
    match cookie(headers, COOKIE) {
        Ok(None) => Credential::Absent,
        Ok(Some(value)) => Credential::Session(value),
        Err(reason) => Credential::Bad(reason),
    }
}

fn password(value: &str) -> Option<String> {
    let pair = String::from_utf8(STANDARD.decode(value).ok()?).ok()?;
    pair.split_once(':').map(|(_, password)| password.to_owned())
}

#[cfg(test)]
mod tests;
