//! Prints what a tenant of a runtime is started with, as JSON: how a description is tried by hand.
//!
//! `cargo run -p runtime --example render -- policies/runtimes/openclaw TENANT ADDRESS BRIDGE SUBJECT`

use std::error::Error;
use std::io::Write;
use std::path::PathBuf;

use model::{GatewaySettings, TenantId};
use runtime::{Access, Description, Values};

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let mut next = |what: &str| words.next().ok_or(format!("{what} is missing"));
    let directory = PathBuf::from(next("directory of the description")?);
    let tenant: TenantId = next("tenant")?.parse()?;
    let (address, bridge) = (next("address")?.parse()?, next("bridge address")?.parse()?);
    let access = [Access {
        subject: next("subject")?,
        scopes: vec!["operator.read".to_owned(), "operator.write".to_owned()],
    }];
    let description =
        Description::parse("runtime.toml", &std::fs::read_to_string(directory.join("runtime.toml"))?)?;
    let values = Values {
        tenant: &tenant,
        address,
        bridge,
        port: description.port,
        origins: &["https://acme.example.org".to_owned()],
        access: &access,
        memory_max: description.limits.memory_max,
    };
    let config = match &description.config {
        Some(config) => {
            let template = std::fs::read_to_string(directory.join(&config.template))?;
            description
                .config_file((&config.template, &template), &values, &GatewaySettings::default())?
                .map(|file| file.text)
        }
        None => None,
    };
    let rendered = serde_json::json!({
        "argv": description.argv(&values, &[])?,
        "environment": description.environment(&values, &std::collections::BTreeMap::new()),
        "config": config,
    });
    writeln!(std::io::stdout(), "{rendered:#}")?;
    Ok(())
}
