//! The tar inside the stream: compressed here, so that what is changed gets through to the reader.
#![no_main]
#![allow(dead_code, reason = "only the reader is used")]

#[path = "../../../src/archive/src/block.rs"]
mod block;
#[path = "../../../src/archive/src/check.rs"]
mod check;
#[path = "../../../src/archive/src/entry.rs"]
mod entry;
#[path = "../../../src/archive/src/error.rs"]
mod error;
#[path = "../../../src/archive/src/manifest.rs"]
mod manifest;
#[path = "../../../src/archive/src/path.rs"]
mod path;
#[path = "../../../src/archive/src/pax.rs"]
mod pax;
#[path = "../../../src/archive/src/read.rs"]
mod read;
#[path = "../../../src/archive/src/source.rs"]
mod source;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(stream) = zstd::encode_all(bytes, 1) {
        drop(check::check(&stream[..]));
    }
});
