//! tenant-egress: see the library of the same name.
#![forbid(unsafe_code)]

fn main() {}
