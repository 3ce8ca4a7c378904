//! From the claims of an external issuer to a role at one tenant.

use model::TenantId;
use model::edge::{ClaimRule, Issuer};
use serde_json::{Map, Value};

/// The first rule of `issuer` for `tenant` that fits `claims`. Without one, whoever it is may not come in.
pub(super) fn first<'a>(
    issuer: &'a Issuer,
    tenant: &TenantId,
    claims: &Map<String, Value>,
) -> Option<&'a ClaimRule> {
    issuer.rules.iter().find(|rule| rule.tenant == *tenant && fits(rule, claims))
}

fn fits(rule: &ClaimRule, claims: &Map<String, Value>) -> bool {
    // Anyone can write anyone's address into their profile; only a verified one is theirs (OpenID Connect Core, 5.1).
    if rule.claim == "email" && claims.get("email_verified") != Some(&Value::Bool(true)) {
        return false;
    }
    match claim(claims, &rule.claim) {
        Some(Value::String(value)) => *value == rule.value,
        Some(Value::Array(values)) => values.iter().any(|value| *value == rule.value),
        Some(_) | None => false,
    }
}

/// The claim of this name, or else the member at the end of these names with points between them (`realm_access.roles`).
fn claim<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    claims.get(name).or_else(|| {
        let mut names = name.split('.');
        let first = claims.get(names.next()?)?;
        names.try_fold(first, |value, name| value.as_object()?.get(name))
    })
}

#[cfg(test)]
mod tests;
