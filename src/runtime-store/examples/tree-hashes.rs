//! Prints the `tree = { … }` line for `runtime.toml` from a fetched tree: how a newly tested version is pinned.
//!
//! `cargo run --release -p runtime-store --example tree-hashes -- DIRECTORY`

use std::error::Error;
use std::io::Write;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let tree = std::env::args_os().nth(1).ok_or("name the directory that holds node and app")?;
    let manifest = runtime_store::read_tree(Path::new(&tree), &mut |_| {})?;
    let (node, app) = (manifest.subtree_hash("node"), manifest.subtree_hash("app"));
    writeln!(std::io::stdout(), "tree = {{ node = \"{node}\", app = \"{app}\" }}")?;
    writeln!(std::io::stdout(), "# {} paths, {} bytes", manifest.len(), manifest.bytes())?;
    Ok(())
}
