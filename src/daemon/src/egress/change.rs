//! What a change of a spec allows beyond the policy in force, and that nothing else is applied than what was shown of it.

use std::collections::BTreeSet;

use api::{Change, NewRisk, Widening};
use catalog::Grant;
use model::egress::{EgressFile, WhenSpent};
use model::{Exit, SpecFile, TenantId};
use policy::{Document, Policy, Risk};
use sha2::{Digest, Sha256};

use super::file::compile;
use crate::failure::Failure;
use crate::journal::lock;
use crate::service::Service;

impl Service {
    /// What a spec would allow beyond the policy in force. A tenant that is to be made has none that allows anything.
    pub fn check_change(&self, id: &TenantId, text: &str) -> Result<Change, Failure> {
        let written = SpecFile::parse("the spec sent to tenantd", text)?;
        if written.id != *id {
            return Err(Failure::new(
                Exit::Data,
                format!("the spec is of tenant {}, not of {id}", written.id),
            ));
        }
        let (retained, known) = {
            let database = lock(&self.database);
            (database.is_retained(id)?, database.allocation(id)?)
        };
        let exists = known.is_some() && !retained;
        let old = if exists && self.find_egress_file(id)?.is_some() {
            Some(self.policy_in_force(id)?)
        } else {
            None
        };
        let grant = match known.filter(|_| exists) {
            Some(allocation) => Grant {
                allocation,
                version: catalog::read_spec(&self.paths, id)?.0.version,
                egress: self.egress_grant(id)?,
            },
            None => Grant {
                allocation: self.choose_allocation(id)?,
                version: written.version,
                egress: catalog::EgressGrant::default(),
            },
        };
        let file = self.paths.spec(id).display().to_string();
        let new = self.assemble(&file, text, grant)?.egress.map(|egress| {
            let policy = compile(&egress.file, &egress.approvals)?;
            Ok::<_, Failure>((egress.file, policy))
        });
        compare(id, old.as_ref(), new.transpose()?.as_ref())
    }

    /// Refuses a change that allows something else than was shown. The tenant has to be taken already.
    pub(crate) fn refuse_unseen(
        &self,
        id: &TenantId,
        text: &str,
        shown: Option<&str>,
    ) -> Result<(), Failure> {
        let Some(shown) = shown else { return Ok(()) };
        refuse_other(id, &self.check_change(id, text)?, shown)
    }
}

/// What a change allows that leaves the policy in force as it is.
pub(crate) fn no_change(id: &TenantId) -> Result<Change, Failure> {
    compare(id, None, None)
}

/// Refuses a change that is not the one with this digest. The one that is made is told to the journal.
pub(crate) fn refuse_other(id: &TenantId, change: &Change, shown: &str) -> Result<(), Failure> {
    if change.digest != shown {
        let text = format!(
            "tenant {id}: what this change allows is not what was shown any more, as something else was changed meanwhile: run the command again and look at what it shows"
        );
        return Err(Failure::new(Exit::TempFail, text));
    }
    for one in &change.widens {
        tracing::info!(tenant = %id, what = %one.what, example = one.example.as_deref(), "egress widens");
    }
    Ok(())
}

type Side<'a> = Option<&'a (EgressFile, Policy)>;

/// No egress is the policy that allows nothing.
fn compare(id: &TenantId, old: Side<'_>, new: Side<'_>) -> Result<Change, Failure> {
    let (widens, risks) = new.map_or_else(Default::default, |new| (widens(old, new), risks(old, new)));
    let text = serde_json::to_vec(&(&widens, &risks))?;
    let digest = Sha256::digest(&text).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    Ok(Change { tenant: id.to_string(), digest, widens, risks })
}

fn widens(old: Side<'_>, (new_file, new): &(EgressFile, Policy)) -> Vec<Widening> {
    let nothing = Policy::default();
    let before = old.map_or(&nothing, |(_, policy)| policy);
    let mut found: Vec<Widening> = policy::widens(before, new)
        .into_iter()
        .map(|widening| Widening {
            what: widening.what,
            by: widening.origin.map(|origin| origin.to_string()),
            example: widening.example,
            proven: widening.proven,
        })
        .collect();
    let said =
        |file: &EgressFile| -> BTreeSet<(String, Option<String>)> { beside(file).into_iter().collect() };
    let known = old.map(|(file, _)| said(file)).unwrap_or_default();
    let more = said(new_file).into_iter().filter(|one| !known.contains(one));
    found.extend(more.map(|(what, example)| Widening { what, by: None, example, proven: true }));
    let limits = raised(old.map(|(file, _)| file), new_file);
    found.extend(limits.into_iter().map(|what| Widening { what, by: None, example: None, proven: true }));
    found
}

/// Limits of models that are higher than before, or gone. Before the first provider there was nothing to spend.
fn raised(old: Option<&EgressFile>, new: &EgressFile) -> Vec<String> {
    let spends = |file: &&EgressFile| !file.inference.providers.is_empty();
    if !spends(&new) {
        return Vec::new();
    }
    let now = limits(new);
    let Some(old) = old.filter(spends) else {
        let unlimited = now.iter().all(|(_, limit)| limit.is_none());
        return unlimited
            .then(|| "models may use any number of tokens, whatever they cost".to_owned())
            .into_iter()
            .collect();
    };
    let pairs = limits(old).into_iter().zip(now);
    let higher = pairs.filter_map(|((_, was), (what, limit))| match (was, limit) {
        (Some(_), None) => Some(format!("models may use any number of {what}")),
        (Some(was), Some(limit)) if limit > was => Some(format!("models may use {limit} {what}")),
        _ => None,
    });
    let goes_on = |file: &EgressFile| file.inference.budget.when_spent == WhenSpent::Alert;
    let alerts =
        (goes_on(new) && !goes_on(old)).then(|| "models may be called when a budget is used up".to_owned());
    higher.chain(alerts).collect()
}

fn limits(file: &EgressFile) -> [(&'static str, Option<u64>); 6] {
    let budget = &file.inference.budget;
    [
        ("tokens a day", budget.tokens_day),
        ("tokens a month", budget.tokens_month),
        ("millionths of a dollar a day", budget.money_day),
        ("millionths of a dollar a month", budget.money_month),
        ("tokens a minute", budget.tokens_minute),
        ("requests a minute", budget.requests_minute.map(u64::from)),
    ]
}

/// What a file allows beside destinations: secrets that may be used, models that may be called. Each with an example, where there is one.
fn beside(file: &EgressFile) -> Vec<(String, Option<String>)> {
    let secrets = file.secrets.iter().flat_map(|one| {
        one.places.iter().map(move |place| {
            let place = format!("{place:?}").to_lowercase();
            let to = format!("https://{}:{}{}", one.host, one.port, one.path);
            let example = format!("a request to {to} with tenantd:secret:{} in its {place}", one.name);
            (format!("secret {} may be put into requests ({place}) to {to}", one.name), Some(example))
        })
    });
    let models = file.inference.providers.iter().flat_map(|provider| {
        provider.models.iter().map(move |model| {
            let what = format!("models {model} of {} may be called at {}", provider.name, provider.url);
            let example =
                format!("a request to http://inference.internal/v1/ for {}", model.replace('*', "x"));
            (what, Some(example))
        })
    });
    secrets.chain(models).collect()
}

/// Classes of risk that no document of the old policy brought, each by the first document that brings it.
fn risks(old: Side<'_>, (new, _): &(EgressFile, Policy)) -> Vec<NewRisk> {
    let known: BTreeSet<Risk> =
        old.map(|(file, _)| risky(file).into_iter().map(|(risk, ..)| risk).collect()).unwrap_or_default();
    let mut said = known;
    let mut found = Vec::new();
    for (risk, by, why) in risky(new) {
        let word = match risk {
            Risk::Low => continue,
            Risk::SupplyChain => "supply-chain",
            Risk::Exfiltration => "exfiltration",
        };
        if said.insert(risk) {
            found.push(NewRisk { risk: word.to_owned(), by, why });
        }
    }
    found
}

/// Documents of a file that say which risk they bring.
fn risky(file: &EgressFile) -> Vec<(Risk, String, Option<String>)> {
    let Ok(hosts) = policy::known_hosts(file) else { return Vec::new() };
    let read = file.layers.iter().filter_map(|layer| {
        let preset = Document::parse(&layer.name, &layer.text, &hosts).ok()?.preset?;
        Some((preset.risk?, layer.name.clone(), preset.why))
    });
    read.collect()
}

#[cfg(test)]
#[path = "change_tests.rs"]
mod tests;
