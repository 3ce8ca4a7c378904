//! The policy in force as it is listed: each entry with where it came from and when it ends.

use api::{EgressEntry, EgressView, PresetView, ProviderView};
use model::TenantId;
use model::egress::{EgressFile, PolicyLevel};
use policy::{Binaries, Document, Entry, HostPattern, Inspection, Protocol, Risk, Rule, Unlisted};

use crate::failure::Failure;
use crate::service::Service;

impl Service {
    /// Everything that decides for a tenant.
    pub fn egress_view(&self, id: &TenantId) -> Result<EgressView, Failure> {
        let (file, policy) = self.policy_in_force(id)?;
        let profile = file.layers.iter().find(|layer| layer.level == PolicyLevel::Profile);
        let profile = profile.map_or("", |layer| layer.name.trim_start_matches("profile "));
        Ok(EgressView {
            tenant: id.to_string(),
            profile: profile.to_owned(),
            default: match policy.default_for_unlisted() {
                Unlisted::Deny => "deny",
                Unlisted::Ask => "ask",
            }
            .to_owned(),
            entries: policy.entries().iter().map(entry).collect(),
            presets: presets(&file),
            secrets: file.secrets.clone(),
            providers: file
                .inference
                .providers
                .iter()
                .map(|provider| ProviderView {
                    name: provider.name.clone(),
                    url: provider.url.clone(),
                    secret: provider.secret.clone(),
                    models: provider.models.clone(),
                })
                .collect(),
            aliases: file.inference.aliases.clone(),
            budget: file.inference.budget.clone(),
            learn_until: self.egress_grant(id)?.learn_until,
        })
    }
}

fn presets(file: &EgressFile) -> Vec<PresetView> {
    let presets = file.layers.iter().filter(|layer| layer.level == PolicyLevel::Preset);
    presets
        .map(|layer| {
            let hosts = policy::known_hosts(file).ok();
            let read = hosts.and_then(|hosts| Document::parse(&layer.name, &layer.text, &hosts).ok());
            let preset = read.and_then(|document| document.preset);
            PresetView {
                name: layer.name.trim_start_matches("preset ").to_owned(),
                risk: preset.as_ref().and_then(|preset| preset.risk).map(|risk| word(risk).to_owned()),
                why: preset.and_then(|preset| preset.why),
            }
        })
        .collect()
}

fn word(risk: Risk) -> &'static str {
    match risk {
        Risk::Low => "low",
        Risk::SupplyChain => "supply-chain",
        Risk::Exfiltration => "exfiltration",
    }
}

fn entry(entry: &Entry) -> EgressEntry {
    let endpoint = &entry.endpoint;
    let host = match &endpoint.host {
        named @ (HostPattern::Exact(_) | HostPattern::Names(_)) => named.to_string(),
        HostPattern::Anywhere => {
            let blocks: Vec<_> = endpoint.allowed_ips.iter().map(ToString::to_string).collect();
            blocks.join(", ")
        }
    };
    EgressEntry {
        host,
        ports: endpoint.ports.clone(),
        protocol: endpoint.inspection.as_ref().map(|inspection| {
            match inspection.protocol {
                Protocol::Rest => "rest",
                Protocol::Websocket => "websocket",
                Protocol::JsonRpc => "json-rpc",
                Protocol::Mcp => "mcp",
            }
            .to_owned()
        }),
        rules: endpoint.inspection.as_ref().map(rules).unwrap_or_default(),
        binaries: match &*entry.binaries {
            Binaries::Any => None,
            Binaries::These(globs) => Some(globs.iter().map(ToString::to_string).collect()),
        },
        ask: entry.terms.ask,
        level: entry.origin.level.to_string(),
        document: entry.origin.document.clone(),
        policy: entry.origin.policy.clone(),
        line: entry.origin.mark.line,
        expires: entry.terms.expires,
        why: entry.terms.why.clone(),
    }
}

fn rules(inspection: &Inspection) -> Vec<String> {
    let line = |verb: &str, rule: &Rule| {
        if let Some(call) = &rule.call {
            return format!("{verb} {call}");
        }
        let query: Vec<_> = rule
            .query
            .iter()
            .map(|(name, globs)| {
                let globs: Vec<_> = globs.iter().map(ToString::to_string).collect();
                format!("{name}={}", globs.join("|"))
            })
            .collect();
        let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
        format!("{verb} {} {}{query}", rule.method.as_deref().unwrap_or("any method"), rule.path)
    };
    let allow = inspection.allow.iter().map(|rule| line("allow", rule));
    let deny = inspection.deny.iter().map(|rule| line("deny", rule));
    let audit = (inspection.enforcement == policy::Enforcement::Audit)
        .then(|| "anything else is noted and goes on".to_owned());
    allow.chain(deny).chain(audit).collect()
}
