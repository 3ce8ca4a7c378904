//! Paths inside an archive: bytes, relative, plain, below a top directory. No path is ever given to the kernel whole.

use std::ffi::OsString;

use serde::{Deserialize, Serialize};

use crate::error::{Error, shown};

/// The deepest entry has this many components. Each directory above it costs an open descriptor.
pub const MAX_DEPTH: usize = 256;
/// As `NAME_MAX` of Linux.
pub const MAX_NAME: usize = 255;
/// The longest path: each component, and a slash between two.
pub const MAX_PATH: usize = MAX_DEPTH * (MAX_NAME + 1) - 1;
/// The longest target of a symbolic link: `PATH_MAX` without its NUL.
pub const MAX_TARGET: usize = 4095;

const MOST_TOPS: usize = 16;
const DEFAULT: [&str; 3] = ["home", "state", "workspace"];

/// The top directories that an archive holds, in its order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub struct Tops(Vec<String>);

impl Tops {
    /// Those named on the command line, or the three of a tenant.
    pub fn of_arguments(names: &[OsString]) -> Result<Tops, Error> {
        let mut tops = Vec::new();
        for name in names {
            let Some(name) = name.to_str() else { return Err(Error::Name(shown(name.as_encoded_bytes()))) };
            tops.push(name.to_owned());
        }
        if tops.is_empty() {
            tops.extend(DEFAULT.map(str::to_owned));
        }
        Tops::try_from(tops).map_err(|name| Error::Name(shown(name.as_bytes())))
    }

    /// In the order of the archive.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// The one that comes after `index` others.
    pub fn get(&self, index: usize) -> Option<&str> {
        self.0.get(index).map(String::as_str)
    }

    /// Whether this is one of them.
    pub fn has(&self, name: &[u8]) -> bool {
        self.iter().any(|top| top.as_bytes() == name)
    }
}

impl TryFrom<Vec<String>> for Tops {
    type Error = String;

    /// The error is the name that cannot be one.
    fn try_from(names: Vec<String>) -> Result<Tops, String> {
        for (index, name) in names.iter().enumerate() {
            let plain =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
            let valid = (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(plain);
            if !valid || index >= MOST_TOPS || names.iter().take(index).any(|other| other == name) {
                return Err(name.clone());
            }
        }
        if names.is_empty() { Err(String::new()) } else { Ok(Tops(names)) }
    }
}

/// The directory of a path, and its last component. A top directory has no directory.
pub fn split(path: &[u8]) -> (Option<&[u8]>, &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (path.get(..at), path.get(at + 1..).unwrap_or_default()),
        None => (None, path),
    }
}

/// How many components.
pub fn depth(path: &[u8]) -> usize {
    path.split(|byte| *byte == b'/').count()
}

/// What is wrong with a path that an archive names, if anything is.
pub fn fault(path: &[u8]) -> Option<&'static str> {
    if path.first() == Some(&b'/') {
        return Some("its path is absolute");
    }
    if path.contains(&0) {
        return Some("its path holds a NUL byte");
    }
    if path.len() > MAX_PATH || depth(path) > MAX_DEPTH {
        return Some("its path is too long or too deep");
    }
    path.split(|byte| *byte == b'/').find_map(|name| match name {
        b"" => Some("its path has an empty component"),
        b"." | b".." => Some("its path has a component . or .."),
        _ if name.len() > MAX_NAME => Some("its name is too long"),
        _ => None,
    })
}

/// Whether the symbolic link at `path` leads out of the tree: it may point, lexically, into the tree by a relative
/// target, and to `/usr` and below, which is the system's and the same for every tenant.
pub fn leads_out(path: &[u8], target: &[u8]) -> bool {
    if target.is_empty() || target.len() > MAX_TARGET || target.contains(&0) {
        return true;
    }
    let names = target.split(|byte| *byte == b'/').filter(|name| !name.is_empty() && *name != b".");
    if target.first() == Some(&b'/') {
        let mut at: Vec<&[u8]> = Vec::new();
        for name in names {
            if name == b".." {
                at.pop();
            } else {
                at.push(name);
            }
        }
        return at.first() != Some(&b"usr".as_slice());
    }
    let mut depth = depth(path) - 1;
    for name in names {
        if name != b".." {
            depth += 1;
        } else if depth == 0 {
            return true;
        } else {
            depth -= 1;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_stays_inside_or_leads_to_usr_or_leads_out() {
        for inside in [
            "b",
            "./b/../c",
            "../state/x",
            "..",
            "d/../../state",
            "/usr",
            "/usr/bin/node",
            "//usr/./lib/../bin",
            "a//b/",
        ] {
            assert!(!leads_out(b"home/a", inside.as_bytes()), "{inside}");
        }
        for outside in [
            "",
            "/",
            "/etc/shadow",
            "../..",
            "../../home",
            "b/../../../x",
            "/usr/../etc",
            "/usrx",
            "/../usr/../root",
            "a\0b",
        ] {
            assert!(leads_out(b"home/a", outside.as_bytes()), "{outside}");
        }
        assert!(!leads_out(b"home/a/b/c", b"../../.."));
        assert!(leads_out(b"home/a/b/c", b"../../../.."));
        assert!(leads_out(b"home/a", &[b'x'; MAX_TARGET + 1]));
    }

    #[test]
    fn a_path_is_relative_plain_and_bounded() {
        for good in ["home", "home/a", "home/.a/..b/...", "home/a\nb/\u{fffd}"] {
            assert_eq!(fault(good.as_bytes()), None, "{good}");
        }
        for bad in ["", "/home", "home/", "home//a", "./home", "home/.", "home/../x", "..", "home/a\0"] {
            assert!(fault(bad.as_bytes()).is_some(), "{bad}");
        }
        assert_eq!(fault(&vec![b'x'; MAX_NAME]), None);
        assert!(fault(&vec![b'x'; MAX_NAME + 1]).is_some());
        let deepest = vec!["x".repeat(MAX_NAME); MAX_DEPTH].join("/");
        assert_eq!(deepest.len(), MAX_PATH);
        assert_eq!(fault(deepest.as_bytes()), None);
        assert!(fault(format!("x/{}", vec!["x"; MAX_DEPTH].join("/")).as_bytes()).is_some());
    }

    #[test]
    fn top_directories_have_plain_names_once() {
        let tops = |names: &[&str]| Tops::of_arguments(&names.iter().map(OsString::from).collect::<Vec<_>>());
        assert_eq!(tops(&[]).unwrap().iter().collect::<Vec<_>>(), DEFAULT);
        assert!(tops(&["home", "extra_1"]).is_ok());
        for bad in [&["a/b"][..], &[".."], &[""], &[".tenant-archive"], &["a", "a"], &["A"], &["ä"]] {
            assert!(tops(bad).is_err(), "{bad:?}");
        }
    }
}
