//! Kernel settings of the namespace the calling thread is in.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

use crate::error::Error;

/// Turns IPv6 off for `link` (a name, `all` or `default`); nothing to do on a kernel without IPv6.
pub fn disable_ipv6(link: &str) -> Result<(), Error> {
    let path = format!("/proc/sys/net/ipv6/conf/{link}/disable_ipv6");
    match OpenOptions::new().write(true).open(&path).and_then(|mut file| file.write_all(b"1")) {
        Err(error)
            if error.kind() == io::ErrorKind::NotFound && !Path::new("/proc/sys/net/ipv6").exists() =>
        {
            Ok(())
        }
        other => other.map_err(|error| Error::kernel(format!("write 1 to {path}"), error)),
    }
}
