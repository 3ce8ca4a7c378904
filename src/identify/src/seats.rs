//! How many connections each account has. A proxy has a user of its own, so that none takes the place of another tenant's, not even one that
//! was taken over.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::sync::{Mutex, PoisonError};

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

/// Connections of one account at once. A proxy asks four questions at once, and keeps one connection; the seat of one that it closed is free
/// only when its thread has seen that.
const EACH: usize = 8;

static TAKEN: Mutex<BTreeMap<u32, usize>> = Mutex::new(BTreeMap::new());

/// A place among those of one account: its questions, however costly, take no other's.
#[derive(Debug)]
pub(crate) struct Seat(u32);

impl Seat {
    /// One of those of the account that opened the other end; none if all are taken, or the kernel does not tell whose it is.
    pub(crate) fn take(stream: &impl AsFd) -> Option<Self> {
        Self::of(getsockopt(stream, PeerCredentials).ok()?.uid())
    }

    fn of(uid: u32) -> Option<Self> {
        let mut all = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = all.entry(uid).or_default();
        (*taken < EACH).then(|| {
            *taken += 1;
            Self(uid)
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut all = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(taken) = all.get_mut(&self.0) {
            *taken = taken.saturating_sub(1);
        }
        all.retain(|_, taken| *taken > 0);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn one_account_takes_no_seat_of_another() {
        let (stream, _other) = UnixStream::pair().unwrap();
        let mut own: Vec<_> = (0..EACH).map(|_| Seat::take(&stream).unwrap()).collect();
        assert!(Seat::take(&stream).is_none());
        let other = nix::unistd::getuid().as_raw() + 1;
        assert!(Seat::of(other).is_some());
        own.pop();
        assert!(Seat::take(&stream).is_some());
        drop(own);
        assert!(TAKEN.lock().unwrap().is_empty());
    }
}
