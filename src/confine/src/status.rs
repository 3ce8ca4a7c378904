//! What the kernel says about this process: `/proc/self/status`, as far as confinement needs it.

use std::collections::BTreeMap;
use std::io::Read;
use std::{fs, io};

/// The lines of `/proc/self/status`, by key.
#[derive(Clone, Debug)]
pub(crate) struct Status {
    lines: BTreeMap<String, String>,
}

impl Status {
    /// Of this process.
    pub(crate) fn of_self() -> io::Result<Self> {
        // One read: files of /proc have no size that would tell how much to expect.
        let mut text = String::with_capacity(4096);
        fs::File::open("/proc/self/status")?.read_to_string(&mut text)?;
        Ok(Self::parse(&text))
    }

    pub(crate) fn parse(text: &str) -> Self {
        let pairs = text.lines().filter_map(|line| line.split_once(':'));
        Self { lines: pairs.map(|(key, value)| (key.to_owned(), value.trim().to_owned())).collect() }
    }

    /// The text after `key:`.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.lines.get(key).map(String::as_str)
    }

    /// Whitespace-separated decimal numbers after `key:`.
    pub(crate) fn numbers(&self, key: &str) -> Option<Vec<u32>> {
        self.get(key)?.split_whitespace().map(|word| word.parse().ok()).collect()
    }

    /// A hexadecimal set after `key:`.
    pub(crate) fn set(&self, key: &str) -> Option<u64> {
        u64::from_str_radix(self.get(key)?, 16).ok()
    }
}
