//! `set` and `repair`: a spec edited key by key with its comments kept; a host made what the spec says.

use api::Outcome;
use model::{Exit, SpecFile, TenantId};
use toml_edit::{Array, DocumentMut, Item, Table, TableLike, Value};

use crate::cli::{ConsentArgs, SetArgs};
use crate::create::{outcome, planned, without};
use crate::failure::{Ended, Failure};
use crate::output::clean;
use crate::session::Session;
use crate::widening::Made;
use crate::{progress, settings, widening};

/// Keys that `set` changes.
pub(crate) const KEYS: &[&str] = &[
    "version",
    "description",
    "port",
    "origins",
    "accept_missing",
    "env.",
    "limits.memory_max",
    "limits.memory_high",
    "limits.memory_swap_max",
    "limits.cpu_quota",
    "limits.cpu_weight",
    "limits.tasks_max",
    "limits.io_weight",
    "limits.disk_max",
    "settings.",
];

/// Changes a tenant's spec and makes the host follow.
pub(crate) async fn set(session: &mut Session, arguments: &SetArgs) -> Ended {
    let id = arguments.tenant.as_str();
    let daemon = session.daemon().await?;
    let before = daemon.get_spec(id).await?;
    let after = edit(&arguments.tenant, &before, &arguments.assignments)?;
    let shown = widening::look(session, &arguments.tenant, &after).await?;
    widening::consent(session, shown.iter(), arguments.consent, arguments.dry_run)?;
    let work = (&arguments.tenant, after.as_str());
    let made = widening::make(session, &daemon, work, shown, arguments.dry_run).await?;
    session.print(&made, |_| render(&made.outcome, "is as before", "changed"))?;
    Ok(0)
}

/// Makes the host what the spec says.
pub(crate) async fn repair(
    session: &mut Session,
    tenant: &TenantId,
    dry_run: bool,
    consent: ConsentArgs,
) -> Ended {
    let daemon = session.daemon().await?;
    let spec = daemon.get_spec(tenant.as_str()).await?;
    let shown = match widening::look_whole(session, tenant, &spec).await {
        Ok(shown) => Some(shown),
        // What is in force may be what needs the repair.
        Err(failure) if !consent.no_widening => {
            session.note(&format!("What this allows beyond what is in force cannot be said: {failure}"))?;
            None
        }
        Err(failure) => return Err(failure),
    };
    widening::consent(session, shown.iter(), consent, dry_run)?;
    let id = tenant.as_str();
    let answer = match &shown {
        Some(shown) => {
            progress::follow(session, &daemon, id, daemon.repair_shown(id, &shown.digest, dry_run)).await?
        }
        None => progress::follow(session, &daemon, id, daemon.repair_tenant(id, dry_run)).await?,
    };
    let made = Made::new(outcome(id, &answer)?, shown);
    session.print(&made, |_| render(&made.outcome, "needs no repair", "repaired"))?;
    Ok(0)
}

/// What a change did, in a line or two.
pub(crate) fn render(outcome: &Outcome, nothing: &str, done: &str) -> String {
    if outcome.dry_run {
        return planned(outcome);
    }
    let restarted = outcome.steps.iter().any(|step| step.starts_with("! restart"));
    let what = match (outcome.steps.len(), restarted) {
        (0, _) => format!("{nothing}; nothing was done"),
        (1, false) => format!("{done} in 1 step without a restart"),
        (steps, false) => format!("{done} in {steps} steps without a restart"),
        (_, true) => format!("{done}; its gateway was restarted to take it up"),
    };
    format!("Tenant {} {what} ({}).\n{}", clean(&outcome.id), clean(&outcome.state), without(outcome))
}

/// The spec with the assignments carried out, checked as tenantd will check it.
pub(crate) fn edit(
    tenant: &TenantId,
    before: &str,
    assignments: &[(String, String)],
) -> Result<String, Failure> {
    let file = format!("{tenant}.toml");
    let mut document: DocumentMut = before.parse().map_err(|error: toml_edit::TomlError| {
        Failure::new(
            Exit::Data,
            format!("{file}: {error}: repair the file by hand, then \"tenantctl apply -f\" it"),
        )
    })?;
    for (key, value) in assignments {
        assign(&mut document, key, value)?;
    }
    let after = document.to_string();
    SpecFile::parse(&file, &after)?.validate(&file)?;
    Ok(after)
}

/// One assignment. An empty value takes the key out.
fn assign(document: &mut DocumentMut, key: &str, text: &str) -> Result<(), Failure> {
    if key.starts_with("settings.") {
        return settings::assign(document, key, text);
    }
    let (table, name): (&mut dyn TableLike, &str) = match key.split_once('.') {
        None => (document.as_table_mut(), key),
        Some((head @ ("limits" | "env"), name)) if !name.is_empty() => {
            let head = if head == "env" { "environment" } else { head };
            (sub_table(document, head)?, name)
        }
        Some(_) => return Err(unknown(key)),
    };
    if text.is_empty() {
        table.remove(name);
        return Ok(());
    }
    let value = match key {
        "port" | "limits.cpu_weight" | "limits.io_weight" | "limits.tasks_max" => number(key, text)?,
        "origins" | "accept_missing" => list(text),
        _ if key.starts_with("env.") || KEYS.contains(&key) => Value::from(text),
        _ => return Err(unknown(key)),
    };
    put(table, name, value);
    Ok(())
}

/// Replaces the value and keeps what stands around it: blanks and the comment behind it.
pub(crate) fn put(table: &mut dyn TableLike, name: &str, mut value: Value) {
    match table.get_mut(name).and_then(Item::as_value_mut) {
        Some(known) => {
            *value.decor_mut() = known.decor().clone();
            *known = value;
        }
        None => {
            table.insert(name, Item::Value(value));
        }
    }
}

fn sub_table<'a>(document: &'a mut DocumentMut, name: &str) -> Result<&'a mut dyn TableLike, Failure> {
    let item = document.entry(name).or_insert_with(|| Item::Table(Table::new()));
    item.as_table_like_mut().ok_or_else(|| {
        Failure::new(Exit::Data, format!("{name} is not a table in this spec: repair the file by hand"))
    })
}

fn number(key: &str, text: &str) -> Result<Value, Failure> {
    text.parse::<i64>().map(Value::from).map_err(|_| {
        Failure::new(Exit::Data, format!("{key} = {text:?} is not a whole number: write digits only"))
    })
}

/// `a,b` as an array.
fn list(text: &str) -> Value {
    Value::Array(text.split(',').map(str::trim).filter(|word| !word.is_empty()).collect::<Array>())
}

fn unknown(key: &str) -> Failure {
    let limit = format!("limits.{}", key.replace('-', "_"));
    let hint = match (KEYS.contains(&limit.as_str()), key) {
        (true, _) => format!("did you mean {limit}?"),
        (false, "id" | "runtime" | "command") => {
            "it is fixed when a tenant is made; delete the tenant and make it again".to_owned()
        }
        (false, _) => format!(
            "there are {}",
            KEYS.join(", ").replace("env.", "env.NAME").replace("settings.", "settings.KEY")
        ),
    };
    Failure::new(Exit::Data, format!("{key:?} is no key that can be set: {hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEC: &str = "\
# Acme, since March
id = \"acme\"
runtime = \"generic\"
command = [\"/bin/x\"] # the server

[limits]
# asked for by Jo
memory_max = \"1G\" # was 512M
";

    fn changed(assignments: &[(&str, &str)]) -> Result<String, String> {
        let assignments: Vec<_> = assignments.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        edit(&TenantId::parse("acme").unwrap(), SPEC, &assignments).map_err(|failure| failure.to_string())
    }

    #[test]
    fn a_changed_value_keeps_the_comments_around_it() {
        let after = changed(&[("limits.memory_max", "2G")]).unwrap();
        assert_eq!(after, SPEC.replace("\"1G\"", "\"2G\""));
    }

    #[test]
    fn new_keys_land_in_their_tables() {
        let after = changed(&[
            ("description", "the acme company"),
            ("port", "8080"),
            ("accept_missing", "cgroup-io, disk-quota"),
            ("origins", "https://a.example"),
            ("limits.tasks_max", "64"),
            ("env.TZ", "Europe/Berlin"),
            ("version", "1.2"),
        ])
        .unwrap();
        assert!(after.contains("# the server\ndescription = \"the acme company\"\nport = 8080\n"), "{after}");
        assert!(after.contains("accept_missing = [\"cgroup-io\", \"disk-quota\"]\n"), "{after}");
        assert!(after.contains("memory_max = \"1G\" # was 512M\ntasks_max = 64\n"), "{after}");
        assert!(after.contains("[environment]\nTZ = \"Europe/Berlin\"\n"), "{after}");
    }

    #[test]
    fn an_empty_value_takes_a_key_out() {
        let after = changed(&[("limits.memory_max", "")]).unwrap();
        assert!(!after.contains("memory_max"), "{after}");
        assert!(after.contains("# Acme, since March"), "{after}");
    }

    #[test]
    fn keys_and_values_that_are_none_are_refused_with_a_remedy() {
        for (key, value, sentence) in [
            ("memory_max", "1G", "\"memory_max\" is no key that can be set: did you mean limits.memory_max?"),
            ("limits.memory", "1G", "\"limits.memory\" is no key that can be set: there are version,"),
            ("id", "b", "\"id\" is no key that can be set: it is fixed"),
            ("runtime", "b", "\"runtime\" is no key that can be set: it is fixed"),
            ("foo.bar", "b", "\"foo.bar\" is no key"),
            ("limits.", "b", "\"limits.\" is no key"),
            ("port", "x", "port = \"x\" is not a whole number"),
            ("port", "-1", "acme.toml: "),
            ("port", "80", "acme.toml: port = \"80\": a gateway has no capability"),
            ("limits.memory_max", "1g", "acme.toml: "),
            ("limits.cpu_weight", "0", "acme.toml: limits: cpu_weight = 0 is out of range"),
            ("accept_missing", "all", "acme.toml: "),
            ("env.LD_PRELOAD", "x", "acme.toml: environment = \"LD_PRELOAD\": this variable steers"),
        ] {
            let message = changed(&[(key, value)]).unwrap_err();
            assert!(message.starts_with(sentence), "{key}={value}: {message}");
        }
    }

    #[test]
    fn a_change_says_whether_it_restarted_the_gateway() {
        let outcome = |steps: &[&str]| Outcome {
            id: "acme".into(),
            steps: steps.iter().map(|step| step.to_string()).collect(),
            dry_run: false,
            missing: Vec::new(),
            state: "active".into(),
        };
        assert_eq!(
            render(&outcome(&["~ slice x"]), "is as before", "changed"),
            "Tenant acme changed in 1 step without a restart (active).\n"
        );
        let steps = ["~ file x", "! restart tenant@acme.service"];
        assert!(render(&outcome(&steps), "", "changed").contains("its gateway was restarted"));
        assert!(render(&outcome(&[]), "is as before", "").contains("is as before; nothing was done"));
    }
}
