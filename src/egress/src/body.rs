//! Bodies on their way, both ways: streamed, never held whole.

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Full};
use thiserror::Error;

/// A body, whoever made it.
pub type Body = UnsyncBoxBody<Bytes, BodyError>;

/// Why a body ends before its end.
#[derive(Debug, Error)]
pub enum BodyError {
    /// The program inside went away, or broke the framing.
    #[error("the program ended early")]
    Program,
    /// The server went away, or broke the framing.
    #[error("the server ended early")]
    Server,
    /// It is longer than it may be here.
    #[error("the body is larger than {0} bytes")]
    TooLarge(u64),
    /// It was ended from here.
    #[error("{0}")]
    Ended(&'static str),
}

/// Nothing.
#[must_use]
pub fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// These bytes.
#[must_use]
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}
