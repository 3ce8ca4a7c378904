//! Remembers the first name of files that have several, until the last one came, within a bound.

use std::collections::HashMap;

use rustix::fs::Stat;

/// How many bytes may be remembered: about 40,000 files whose other names are still to come.
const BUDGET: usize = 5 * 1024 * 1024;
/// What an entry costs beside its path: the table, half empty at worst, and the allocation.
const EACH: usize = 80;
/// What may be packed more than once because it is not remembered. A tenant could make a thousand of every byte.
const COPIES: u64 = 4 << 30;

/// Files of which some name was packed and another was not.
#[derive(Default)]
pub struct HardLinks {
    pending: HashMap<(u64, u64), Pending>,
    used: usize,
    copied: u64,
}

struct Pending {
    path: Box<[u8]>,
    left: u64,
}

/// What is known of a file.
pub enum Seen {
    /// It has one name, or this is the first one.
    First,
    /// It was packed under this path.
    Before(Vec<u8>),
    /// It has several names, and there is no room to remember this one.
    TooMany,
    /// So have others, and together they would make the archive larger than any tree of use is.
    FarTooMany,
}

impl HardLinks {
    /// Looks up the file that is packed as `path`, and remembers it.
    pub fn seen(&mut self, stat: &Stat, path: &[u8]) -> Seen {
        let names = stat.st_nlink;
        if names < 2 {
            return Seen::First;
        }
        let key = (stat.st_dev, stat.st_ino);
        if let Some(pending) = self.pending.get_mut(&key) {
            let target = pending.path.to_vec();
            pending.left = pending.left.saturating_sub(1);
            if pending.left == 0 {
                self.used = self.used.saturating_sub(target.len() + EACH);
                self.pending.remove(&key);
            }
            return Seen::Before(target);
        }
        if self.used + path.len() + EACH > BUDGET {
            self.copied =
                self.copied.saturating_add(u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512));
            return if self.copied > COPIES { Seen::FarTooMany } else { Seen::TooMany };
        }
        self.used += path.len() + EACH;
        self.pending.insert(key, Pending { path: path.into(), left: names - 1 });
        Seen::First
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beyond_the_bound_are_packed_again_but_not_for_ever() {
        let mut links = HardLinks::default();
        let mut stat = rustix::fs::stat("/").unwrap();
        stat.st_nlink = 3;
        stat.st_blocks = i64::try_from(COPIES / 512 / 2).unwrap();
        let long = vec![b'x'; BUDGET];
        assert!(matches!(links.seen(&stat, &long), Seen::TooMany));
        assert!(matches!(links.seen(&stat, &long), Seen::TooMany));
        assert!(matches!(links.seen(&stat, &long), Seen::FarTooMany));
        assert!(matches!(links.seen(&stat, b"short"), Seen::First));
        assert!(matches!(links.seen(&stat, b"other"), Seen::Before(path) if path == b"short"));
    }
}
