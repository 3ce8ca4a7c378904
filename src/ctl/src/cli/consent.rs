//! Arguments of every verb that may change what a tenant reaches.

use clap::Args;

/// What becomes of a change that allows more than before.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct ConsentArgs {
    /// Do not ask before something is allowed that was not (it is asked on a terminal only, and always shown)
    #[arg(long, conflicts_with = "no_widening")]
    pub yes: bool,
    /// Refuse to allow anything that was not allowed before: ends with 65, and nothing is changed
    #[arg(long)]
    pub no_widening: bool,
}
