//! How people come in through the edge, as a runtime's description says it.

use model::Role;
use model::edge::RoleRights;
use serde::Deserialize;

use crate::place::Access;

/// What the edge tells the gateway, and what it lets each role do.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edge {
    /// Name of the request header that tells the gateway who comes; lower case.
    pub identity_header: String,
    /// Name of the request header that carries a role's scopes; left out: the gateway knows none.
    #[serde(default)]
    pub scopes_header: Option<String>,
    /// What each role may do. A role that is left out cannot come in.
    pub roles: Vec<RoleRights>,
    /// Reason.
    pub why: String,
}

impl Edge {
    /// Each role once, headers that no other part of a request uses, and none with scopes that nothing carries.
    pub(crate) fn check(&self) -> Result<(), (String, &'static str)> {
        let named = [Some(&self.identity_header), self.scopes_header.as_ref()];
        if !named.into_iter().flatten().all(|name| is_header(name)) {
            return Err(("edge: headers".into(), "write a name in lower case that begins with x-"));
        }
        if self.scopes_header.is_none() && self.roles.iter().any(|rights| !rights.scopes.is_empty()) {
            return Err(("edge.scopes_header".into(), "roles with scopes need the header that carries them"));
        }
        let twice = |role: Role| self.roles.iter().filter(|rights| rights.role == role).count() > 1;
        match Role::ALL.into_iter().find(|role| twice(*role)) {
            Some(role) => Err((format!("edge.roles: {role}"), "this role stands there twice")),
            None => Ok(()),
        }
    }

    /// Who may connect: the roles, by their names, so that no new person restarts a gateway.
    pub(crate) fn access(&self) -> Vec<Access> {
        let rights = self.roles.iter();
        rights.map(|of| Access { subject: of.role.name().to_owned(), scopes: of.scopes.clone() }).collect()
    }
}

fn is_header(name: &str) -> bool {
    name.starts_with("x-") && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        match toml::from_str::<Edge>(&format!("why = \"w\"\n{text}")) {
            Ok(edge) => {
                edge.check().map_or_else(|(key, why)| format!("{key}: {why}"), |()| "none".to_owned())
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_header_of_something_else_a_role_twice_and_scopes_that_nothing_carries_are_refused() {
        let owner = "{ role = \"owner\", methods = \"all\", websocket = true }";
        for (text, needle) in [
            ("identity_header = \"X-User\"\nroles = []", "in lower case"),
            ("identity_header = \"cookie\"\nroles = []", "begins with x-"),
            ("identity_header = \"x-u\"\nscopes_header = \"host\"\nroles = []", "begins with x-"),
            (&format!("identity_header = \"x-u\"\nroles = [{owner}, {owner}]"), "stands there twice"),
            (
                "identity_header = \"x-u\"\nroles = [{ role = \"owner\", methods = \"all\", websocket = true, scopes = [\"s\"] }]",
                "need the header",
            ),
            (
                &format!("identity_header = \"x-u\"\nroles = [{}]", owner.replace("owner", "root")),
                "unknown variant",
            ),
            (&format!("identity_header = \"x-u\"\nroles = [{owner}]"), "none"),
        ] {
            let found = refusal(text);
            assert!(found.contains(needle), "{text}: {found}");
        }
    }
}
