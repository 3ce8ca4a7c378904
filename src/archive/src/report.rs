//! Warnings on standard error: a line each, few, and with nothing of a tenant's in them but escaped names.

use std::io::Write;

use crate::error::shown;

/// How many warnings are printed; the rest is only counted.
pub const MOST_WARNINGS: usize = 20;

/// Where warnings go.
pub struct Report<W> {
    out: W,
    left: usize,
}

impl<W: Write> Report<W> {
    /// Nothing printed so far.
    pub fn new(out: W) -> Report<W> {
        Report { out, left: MOST_WARNINGS }
    }

    /// Prints a warning about the object at `path`, if it is one of the first.
    pub fn warn(&mut self, path: &[u8], cause: &str) {
        if let Some(left) = self.left.checked_sub(1) {
            self.left = left;
            // The count in the summary says it too.
            drop(self.out.write_all(format!("{}: {cause}\n", shown(path)).as_bytes()));
        }
    }
}
