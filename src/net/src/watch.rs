//! Watching over the fence: somebody's `nft flush ruleset` (restarting nftables.service does it) takes the table away, and
//! without it a tenant could reach whatever listens on its bridge's address. It is loaded again within milliseconds, with
//! the elements of everything that is up.

use std::io::{self, Write};
use std::time::Duration;

use crate::error::Error;
use crate::socket::{self, Netlink};
use crate::{element, nft, record};

/// NFNLGRP_NFTABLES: every change to any ruleset.
const GROUP: u32 = 7;
const SUBSYSTEM: u16 = 10;
/// What can take the skeleton away: tables, chains, rules and sets deleted.
const DELETIONS: [u16; 4] = [SUBSYSTEM << 8 | 2, SUBSYSTEM << 8 | 5, SUBSYSTEM << 8 | 8, SUBSYSTEM << 8 | 11];
/// How often loading is tried, and how long it waits in between, before the tenants are given up.
const TRIES: usize = 3;
const PAUSE: Duration = Duration::from_millis(100);
const FENCE: &str = "/usr/share/tenantd/fence.nft";

/// Watches until something cannot be mended; then the unit's failure stops the tenants.
pub fn watch() -> Result<(), Error> {
    let mut events = nft::open()?;
    let failed = |error: io::Error| Error::kernel("listen for changes of the ruleset", error);
    events.socket().add_membership(GROUP).map_err(failed)?;
    let mut filter = nft::open()?;
    mend(&mut filter)?;
    loop {
        if deletion(&mut events).map_err(failed)? {
            mend(&mut filter)?;
        }
    }
}

/// Waits for a change; whether it may have taken away a part of the skeleton.
fn deletion(events: &mut Netlink) -> io::Result<bool> {
    let mut buffer: Vec<u8> = Vec::with_capacity(64 * 1024);
    match events.socket().recv_from(&mut buffer, 0) {
        Ok(_) => Ok(socket::kinds(&buffer).iter().any(|kind| DELETIONS.contains(kind))),
        // More changes than fit: nobody knows what they were.
        Err(error) if error.raw_os_error() == Some(nix::errno::Errno::ENOBUFS as i32) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(false),
        Err(error) => Err(error),
    }
}

/// Loads the skeleton if it is not whole, and adds the elements of everything that is up.
fn mend(filter: &mut Netlink) -> Result<(), Error> {
    let reason = match nft::skeleton(filter) {
        Ok(()) => return Ok(()),
        Err(Error::Fence(reason)) => reason,
        Err(error) => return Err(error),
    };
    let mut loaded = load();
    for _ in 1..TRIES {
        if loaded.is_ok() {
            break;
        }
        std::thread::sleep(PAUSE);
        loaded = load();
    }
    loaded?;
    let tenants = record::all()?;
    for tenant in &tenants {
        if let Some(network) = record::read(tenant)? {
            nft::add(filter, &element::elements(&network))?;
        }
    }
    nft::skeleton(filter)?;
    let many = tenants.len();
    drop(writeln!(
        io::stderr(),
        "the fence was lost ({reason}): loaded it again, with what {many} tenants have in it"
    ));
    Ok(())
}

#[allow(
    clippy::disallowed_methods,
    reason = "one fixed program on one fixed file: the skeleton is nft's language"
)]
fn load() -> Result<(), Error> {
    let failed = |error: io::Error| Error::kernel(format!("load {FENCE}"), error);
    let status = std::process::Command::new("/usr/sbin/nft").args(["-f", FENCE]).status().map_err(failed)?;
    if status.success() { Ok(()) } else { Err(failed(io::Error::other(format!("nft: {status}")))) }
}
