//! The host crate on a booted Debian host. Ignored elsewhere: these tests make accounts and units and must run as root
//! in a throwaway host, with `--ignored --test-threads=1` and `TENANTD_THROWAWAY_HOST=1`.

#![expect(clippy::disallowed_methods, reason = "the tests compare with what systemctl and getent say")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, reason = "tests")]

mod costs;
mod disk;
mod place;
mod programs;
mod removal;
mod units;
mod whole;
