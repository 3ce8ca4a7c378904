//! What the fuzz targets call. Files of this crate are also tests of the crates they are about, over the seeds (`corpus/`).
#![forbid(unsafe_code)]

pub mod backup_head;
pub mod edge;
pub mod egress;
pub mod formats;
pub mod proxy;
pub mod sealed;
