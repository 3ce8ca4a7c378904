//! Compact serialization (RFC 7515, 7.1), taken apart. What is in it says nothing until a key has verified it.

use crate::header::Header;
use crate::{MAX_TOKEN_BYTES, PublicKey, Refusal, base64url};

/// A token whose signature nobody has checked. Only its header can be looked at.
#[derive(Debug)]
pub(crate) struct Unverified<'a> {
    header: Header,
    signed: &'a str,
    payload: &'a str,
    signature: Vec<u8>,
}

impl<'a> Unverified<'a> {
    pub(crate) fn parse(token: &'a str) -> Result<Self, Refusal> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Refusal::TooLong);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(Refusal::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(Refusal::Malformed)?;
        if payload.contains('.') || payload.is_empty() {
            return Err(Refusal::Malformed);
        }
        let signature = base64url::decode(signature).ok_or(Refusal::Malformed)?;
        let header = Header::parse(&base64url::decode(header).ok_or(Refusal::Malformed)?)?;
        Ok(Self { header, signed, payload, signature })
    }

    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    /// The payload, if `key` made the signature by the algorithm that the header names.
    pub(crate) fn payload(&self, key: &PublicKey) -> Result<Vec<u8>, Refusal> {
        key.verify(self.header.algorithm, self.signed.as_bytes(), &self.signature)?;
        base64url::decode(self.payload).ok_or(Refusal::Malformed)
    }

    /// The payload, whoever wrote it.
    pub(crate) fn unverified_payload(&self) -> Option<Vec<u8>> {
        base64url::decode(self.payload)
    }
}
