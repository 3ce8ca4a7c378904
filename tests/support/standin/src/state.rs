//! The state folder: one file that counts the starts, so that a test can see which data a start met.

use std::fs::OpenOptions;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

/// Adds one line to `<folder>/standin-starts` and returns how many lines it then has.
pub fn record_start(folder: &Path) -> Result<usize, String> {
    let path = folder.join("standin-starts");
    let failed = |e: std::io::Error| format!("cannot write {}: {e}", path.display());
    let mut file = OpenOptions::new().create(true).append(true).read(true).open(&path).map_err(failed)?;
    writeln!(file, "started by pid {}", std::process::id()).map_err(failed)?;
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(failed)?;
    Ok(text.lines().count())
}
