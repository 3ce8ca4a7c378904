//! tenant-identify.
#![forbid(unsafe_code)]
fn main() {}
