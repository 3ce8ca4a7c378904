//! The command line: one verb, and for some one tenant.

use model::TenantId;

use crate::error::Error;
use crate::{down, selftest, up, watch};

/// Does what `arguments` say.
pub fn run(arguments: impl Iterator<Item = String>) -> Result<(), Error> {
    let arguments: Vec<String> = arguments.collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["up", name] => about(name, up::up),
        ["down", name] => about(name, down::down),
        ["selftest", name] => about(name, selftest::selftest),
        ["selftest"] => selftest::selftest_all(),
        ["sweep"] => down::sweep(),
        ["cut"] => down::cut(),
        ["watch"] => watch::watch(),
        _ => Err(Error::Usage(format!("{:?} is no verb of mine", words.join(" ")))),
    }
}

fn about(name: &str, verb: fn(&TenantId) -> Result<(), Error>) -> Result<(), Error> {
    let tenant = TenantId::from_system_name(name).map_err(|error| Error::Usage(error.to_string()))?;
    verb(&tenant).map_err(|error| error.of(&tenant))
}
