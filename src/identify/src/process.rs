//! One process, as /proc tells of it.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Bytes of a file in /proc, at most.
const MOST: u64 = 64 << 10;

/// What identifies a process for as long as the machine runs: its number alone is used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Born {
    pub(crate) parent: u32,
    started: u64,
}

pub(crate) fn read(path: &Path) -> io::Result<String> {
    let mut text = Vec::new();
    fs::File::open(path)?.take(MOST).read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Parent and time of birth (proc_pid_stat(5)); the name of the program, which may hold anything, ends with the last parenthesis.
pub(crate) fn born(proc: &Path, pid: u32) -> Option<Born> {
    parse(&read(&proc.join(pid.to_string()).join("stat")).ok()?)
}

fn parse(stat: &str) -> Option<Born> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    let started = fields.nth(17)?.parse().ok()?;
    Some(Born { parent, started })
}

/// The real uid.
pub(crate) fn uid(proc: &Path, pid: u32) -> Option<u32> {
    let status = read(&proc.join(pid.to_string()).join("status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// The executable, as a path in the cell: only of a regular file that root owns and nobody else writes.
pub(crate) fn executable(proc: &Path, pid: u32) -> Option<String> {
    let link = proc.join(pid.to_string()).join("exe");
    let file = fs::metadata(&link).ok()?;
    let path = fs::read_link(&link).ok()?.into_os_string().into_string().ok()?;
    // Replaced by an upgrade while it runs.
    let path = path.strip_suffix(" (deleted)").unwrap_or(&path);
    trusted(file.is_file(), file.uid(), file.mode())
        .then(|| path.to_owned())
        .filter(|path| path.starts_with('/'))
}

fn trusted(is_file: bool, uid: u32, mode: u32) -> bool {
    is_file && uid == 0 && mode & 0o022 == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_a_program_cannot_forge_what_follows_it() {
        let rest = " S 7 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 1 1";
        let wanted = Some(Born { parent: 7, started: 4242 });
        assert_eq!(parse(&format!("12 (node){rest}")), wanted);
        assert_eq!(parse(&format!("12 (a) S 1 (b) c){rest}")), wanted);
        assert_eq!(parse("12 (node) S"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn this_program_is_born_and_a_file_that_others_write_tells_nothing() {
        let proc = Path::new("/proc");
        let own = std::process::id();
        assert_eq!(born(proc, own), born(proc, own));
        assert!(born(proc, own).is_some());
        assert_eq!(uid(proc, own), Some(nix::unistd::getuid().as_raw()));
        assert!(trusted(true, 0, 0o755));
        assert!(
            !trusted(true, 1000, 0o755)
                && !trusted(true, 0, 0o775)
                && !trusted(true, 0, 0o757)
                && !trusted(false, 0, 0o755)
        );
    }
}
