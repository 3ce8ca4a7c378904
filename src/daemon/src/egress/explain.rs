//! What the policy in force decides, and what a change of the spec would add to it.

use std::collections::BTreeSet;

use api::{EgressQuestion, Explained, Widening};
use catalog::Grant;
use model::egress::EgressFile;
use model::{Exit, SpecFile, TenantId};
use policy::{Exchange, Host, Kind, Policy, Request, Target};

use super::file::compile;
use super::now;
use crate::failure::Failure;
use crate::service::Service;

impl Service {
    /// Decides a question by the policy in force.
    pub fn explain_egress(&self, id: &TenantId, question: &str) -> Result<Explained, Failure> {
        let wrong = |why: String| Failure::new(Exit::Data, format!("the question: {why}"));
        let question: EgressQuestion =
            serde_json::from_str(question).map_err(|error| wrong(error.to_string()))?;
        let (_, policy) = self.policy_in_force(id)?;
        let host =
            Host::parse(&question.host).map_err(|why| wrong(format!("host {:?}: {why}", question.host)))?;
        let path = question.path.as_deref().unwrap_or("/");
        let target = Target::parse(path).map_err(|why| wrong(format!("path {path:?}: {why}")))?;
        let kind = match (question.method.as_deref(), question.upgrade) {
            (Some("WEBSOCKET_TEXT"), _) => Kind::Message,
            (_, true) => Kind::Upgrade,
            (_, false) => Kind::Request,
        };
        let binaries: Vec<&str> = question.binaries.iter().map(String::as_str).collect();
        let explanation = policy.explain(&Request {
            host: &host,
            port: question.port,
            address: question.address,
            binaries: &binaries,
            exchange: question.method.as_deref().map(|method| Exchange { kind, method, target: &target }),
            now: now(),
        });
        Ok(Explained { text: format!("{explanation}\n"), explanation: serde_json::to_value(&explanation)? })
    }

    /// What a spec would allow beyond the policy in force.
    pub fn check_change(&self, id: &TenantId, text: &str) -> Result<Vec<Widening>, Failure> {
        let old = match self.find_egress_file(id)? {
            Some(file) => {
                let policy = self.policy_in_force(id)?.1;
                Some((file, policy))
            }
            None => None,
        };
        let written = SpecFile::parse("the spec sent to tenantd", text)?;
        if written.id != *id {
            return Err(Failure::new(
                Exit::Data,
                format!("the spec is of tenant {}, not of {id}", written.id),
            ));
        }
        let grant = Grant {
            allocation: self.existing(id)?,
            version: catalog::read_spec(&self.paths, id)?.0.version,
            egress: self.egress_grant(id)?,
        };
        let file = self.paths.spec(id).display().to_string();
        let new = self.assemble(&file, text, grant)?.egress.map(|egress| {
            let policy = compile(&egress.file, &egress.approvals)?;
            Ok::<_, Failure>((egress.file, policy))
        });
        Ok(compare(old.as_ref(), new.transpose()?.as_ref()))
    }
}

type Side<'a> = Option<&'a (EgressFile, Policy)>;

/// No egress is the policy that allows nothing.
fn compare(old: Side<'_>, new: Side<'_>) -> Vec<Widening> {
    let Some((new_file, new)) = new else { return Vec::new() };
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
    let said = |file: &EgressFile| -> BTreeSet<String> { beside(file).into_iter().collect() };
    let known = old.map(|(file, _)| said(file)).unwrap_or_default();
    let more = said(new_file).into_iter().filter(|what| !known.contains(what));
    found.extend(more.map(|what| Widening { what, by: None, example: None, proven: true }));
    found
}

/// What a file allows beside destinations: secrets that may be used, models that may be called.
fn beside(file: &EgressFile) -> Vec<String> {
    let secrets = file.secrets.iter().flat_map(|one| {
        one.places.iter().map(move |place| {
            let place = format!("{place:?}").to_lowercase();
            format!(
                "secret {} may be put into requests ({place}) to https://{}:{}{}",
                one.name, one.host, one.port, one.path
            )
        })
    });
    let models = file.inference.providers.iter().flat_map(|provider| {
        provider.models.iter().map(move |model| {
            format!("models {model} of {} may be called at {}", provider.name, provider.url)
        })
    });
    let budget = &file.inference.budget;
    let limits = [
        ("tokens a day", budget.tokens_day),
        ("tokens a month", budget.tokens_month),
        ("millionths of a dollar a day", budget.money_day),
        ("millionths of a dollar a month", budget.money_month),
    ];
    let spends = !file.inference.providers.is_empty();
    let limits = limits.into_iter().filter(|_| spends).map(|(what, limit)| match limit {
        Some(limit) => format!("models may use {limit} {what}"),
        None => format!("models may use any number of {what}"),
    });
    secrets.chain(models).chain(limits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::egress::{Asking, EGRESS_FORMAT, Inference, PolicyLevel, PolicyText, SecretPlace, SecretUse};

    fn side(text: &str, secrets: Vec<SecretUse>) -> (EgressFile, Policy) {
        let tenant = TenantId::parse("acme").unwrap();
        let file = EgressFile {
            format: EGRESS_FORMAT,
            tenant: tenant.clone(),
            uid: 500_000,
            layers: vec![PolicyText { level: PolicyLevel::Tenant, name: "own".into(), text: text.into() }],
            hosts: Default::default(),
            closed: Vec::new(),
            asking: Asking { hold_sec: 20, waiting: 5, per_hour: 20 },
            secrets,
            inference: Inference::default(),
        };
        let policy = policy::compile(&file, None).unwrap();
        (file, policy)
    }

    #[test]
    fn a_change_says_what_it_allows_and_one_that_narrows_says_nothing() {
        let narrow = "version: 1\nnetwork_policies: {}\n";
        let wide =
            "version: 1\nnetwork_policies:\n  x:\n    endpoints: [{ host: a.example.org, port: 443 }]\n";
        let bound = SecretUse {
            name: "token".into(),
            host: "a.example.org".into(),
            port: 443,
            path: "/".into(),
            places: vec![SecretPlace::Header],
        };
        let (old, new) = (side(narrow, Vec::new()), side(wide, vec![bound]));
        let found = compare(Some(&old), Some(&new));
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(
            found[0].proven && found[0].example.as_ref().unwrap().contains("a.example.org:443"),
            "{found:?}"
        );
        assert!(found[1].what.contains("secret token may be put into requests (header)"), "{found:?}");
        assert_eq!(compare(None, Some(&new)).len(), 2);
        assert!(compare(Some(&new), Some(&old)).is_empty() && compare(Some(&new), None).is_empty());
    }
}
