//! Which tenant a name stands for.

use model::TenantId;

/// What a name is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The edge's own domain.
    Domain,
    /// A tenant's origin.
    Tenant(TenantId),
    /// None of ours.
    Elsewhere,
}

/// The name in an authority (`name[:port]`), in lower case; nothing if it is malformed, or an address.
#[must_use]
pub fn name(authority: &str) -> Option<String> {
    let (name, port) = authority.split_once(':').map_or((authority, None), |(name, port)| (name, Some(port)));
    let is_port =
        |port: &str| !port.is_empty() && port.len() <= 5 && port.bytes().all(|b| b.is_ascii_digit());
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.');
    let fine = !name.is_empty() && name.len() <= 253 && name.bytes().all(plain) && port.is_none_or(is_port);
    fine.then(|| name.to_ascii_lowercase())
}

/// Whose name it is: one label before the domain, which is a tenant's identifier.
#[must_use]
pub fn place(name: &str, domain: &str) -> Place {
    if name == domain {
        return Place::Domain;
    }
    let label = name.strip_suffix(domain).and_then(|rest| rest.strip_suffix('.'));
    label.and_then(|label| TenantId::parse(label).ok()).map_or(Place::Elsewhere, Place::Tenant)
}

/// The origin that a browser has for this name.
#[must_use]
pub fn origin(name: &str, port: u16) -> String {
    if port == 443 { format!("https://{name}") } else { format!("https://{name}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_label_before_the_domain_is_a_tenant() {
        let of = |authority: &str| name(authority).map(|name| place(&name, "agents.example.org"));
        let acme = Place::Tenant(TenantId::parse("acme").unwrap());
        assert_eq!(of("acme.agents.example.org"), Some(acme.clone()));
        assert_eq!(of("ACME.Agents.example.org:8443"), Some(acme));
        assert_eq!(of("agents.example.org"), Some(Place::Domain));
        for other in [
            "a.b.agents.example.org",
            "acmeagents.example.org",
            ".agents.example.org",
            "acme.agents.example.org.",
            "example.org",
            "1acme.agents.example.org",
            "a--b.agents.example.org",
        ] {
            assert_eq!(of(other), Some(Place::Elsewhere), "{other}");
        }
        for malformed in [
            "",
            ":443",
            "a:b",
            "a:1:2",
            "[::1]:443",
            "a b",
            "a/b",
            "acme_corp.agents.example.org",
            "a:",
            "x@acme.agents.example.org",
        ] {
            assert_eq!(of(malformed), None, "{malformed}");
        }
    }
}
