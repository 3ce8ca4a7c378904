//! Remembers the first name of files that have several, until the last one came, within a bound.

use std::collections::HashMap;

use rustix::fs::Stat;

/// How many bytes may be remembered: about 40,000 files whose other names are still to come.
const BUDGET: usize = 5 * 1024 * 1024;
/// What an entry costs beside its path: the table, half empty at worst, and the allocation.
const EACH: usize = 80;

/// Files of which some name was packed and another was not.
#[derive(Default)]
pub struct HardLinks {
    pending: HashMap<(u64, u64), Pending>,
    used: usize,
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
            return Seen::TooMany;
        }
        self.used += path.len() + EACH;
        self.pending.insert(key, Pending { path: path.into(), left: names - 1 });
        Seen::First
    }
}
