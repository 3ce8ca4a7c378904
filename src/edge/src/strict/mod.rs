//! What stands before the HTTP/1 parser: a reader that two parsers could not read in two ways.
//!
//! [`Checked`] follows heads and bodies of a connection byte by byte. The parser behind it sees a head only after all of it was found
//! plain ([`head`]), and a chunk only after its frame was ([`chunk`]). A head that is refused is replaced by a request that no client
//! can send ([`REFUSED`]), so that the refusal is answered in its turn, after the answers to what came before it.

mod checked;
mod chunk;
mod head;
#[cfg(test)]
mod tests;

pub use checked::{Checked, Patience};
pub use head::{Framing, Head, MAX_HEADERS, check};

/// Method of the request that stands for a refused one. No client can send it: a head with this method is refused.
pub const REFUSED: &str = "TENANTD-REFUSED";

/// Why a head is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status that answers it.
    pub status: u16,
    /// The reason, for the client and for the journal.
    pub reason: &'static str,
}

const REASONS: &[&str] = &[
    "a line does not end in CR LF",
    "the request line is malformed",
    "the method is not supported",
    "the request target is malformed",
    "the HTTP version is not supported",
    "a header line is folded",
    "a header name is malformed",
    "a header value has a control character",
    "Host is missing or given more than once",
    "Content-Length is malformed or given more than once",
    "Transfer-Encoding is not chunked",
    "both Content-Length and Transfer-Encoding are given",
    "Transfer-Encoding needs HTTP/1.1",
    "an upgrade cannot have a body",
    "the expectation is not supported",
    "the header is too large",
    "the request target is too long",
    "the header did not arrive in time",
];

impl Refusal {
    pub(crate) const fn bad(reason: &'static str) -> Self {
        Self { status: 400, reason }
    }

    /// The request that stands for it.
    fn head(self) -> String {
        let number = REASONS.iter().position(|reason| *reason == self.reason).unwrap_or(1);
        format!("{REFUSED} /{}/{number} HTTP/1.1\r\nhost: refused\r\nconnection: close\r\n\r\n", self.status)
    }

    /// Back from the path of that request.
    #[must_use]
    pub fn from_path(path: &str) -> Self {
        let mut parts = path.split('/').skip(1);
        let status = parts.next().and_then(|status| status.parse().ok()).unwrap_or(400);
        let number: usize = parts.next().and_then(|number| number.parse().ok()).unwrap_or(1);
        Self { status, reason: REASONS.get(number).copied().unwrap_or("the request is malformed") }
    }
}
