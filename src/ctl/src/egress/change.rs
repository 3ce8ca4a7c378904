//! `egress set`, `bind` and `unbind`, and how every change of egress is made: what it would allow is shown first, and it is asked whether.

use model::egress::SecretUse;
use model::{Exit, TenantId};

use super::explain::place_of;
use super::spec;
use crate::cli::{BindArgs, ConsentArgs, EgressSetArgs, UnbindArgs, Unlisted};
use crate::failure::{Ended, Failure};
use crate::session::Session;
use crate::{change, widening};

/// Profile, default, own document, or nothing any more.
pub(crate) async fn set(session: &mut Session, arguments: &EgressSetArgs) -> Ended {
    let tenant = &arguments.tenant;
    let policy = match &arguments.file {
        Some(file) => {
            let (name, text) = crate::apply::read(session, file)?;
            // Everything wrong with it is said here, with its places.
            policy::Document::parse(&name, &text, &policy::Hosts::Unknown)
                .map_err(|refused| Failure::new(Exit::Data, refused.to_string()))?;
            Some(text)
        }
        None => None,
    };
    let before = session.daemon().await?.get_spec(tenant.as_str()).await?;
    let after = if arguments.off {
        spec::remove(tenant, &before)?
    } else {
        let default = arguments.default.map(|default| match default {
            Unlisted::Deny => "deny",
            Unlisted::Ask => "ask",
        });
        let document = if arguments.clear { Some(None) } else { policy.as_deref().map(Some) };
        spec::set(tenant, &before, arguments.profile.as_deref(), default, document)?
    };
    carry_out(session, tenant, &after, arguments.consent).await
}

/// Lets a secret go somewhere.
pub(crate) async fn bind(session: &mut Session, arguments: &BindArgs) -> Ended {
    let (host, port, path) = address(&arguments.to)?;
    let mut places = arguments.places.clone();
    places.sort_unstable();
    places.dedup();
    let one = SecretUse { name: arguments.secret.clone(), host, port, path, places };
    let before = session.daemon().await?.get_spec(arguments.tenant.as_str()).await?;
    let after = spec::bind(&arguments.tenant, &before, &one)?;
    carry_out(session, &arguments.tenant, &after, arguments.consent).await
}

/// Lets it go there no longer.
pub(crate) async fn unbind(session: &mut Session, arguments: &UnbindArgs) -> Ended {
    let to = arguments.to.as_deref().map(address).transpose()?;
    let before = session.daemon().await?.get_spec(arguments.tenant.as_str()).await?;
    let after = spec::unbind(&arguments.tenant, &before, &arguments.secret, to.as_ref())?;
    carry_out(session, &arguments.tenant, &after, arguments.consent).await
}

/// Makes a spec that of a tenant, once somebody has seen what it allows. A spec that stays as it is may allow more all the same, where the
/// file or a preset has changed since it was applied.
pub(crate) async fn carry_out(
    session: &mut Session,
    tenant: &TenantId,
    after: &str,
    how: ConsentArgs,
) -> Ended {
    let daemon = session.daemon().await?;
    let shown = widening::look(session, tenant, after).await?;
    widening::consent(session, shown.iter(), how, false)?;
    let made = widening::make(session, &daemon, (tenant, after), shown, false).await?;
    session.print(&made, |_| change::render(&made.outcome, "is as before", "changed"))?;
    Ok(0)
}

/// Host, port and path of an address.
fn address(text: &str) -> Result<(String, u16, String), Failure> {
    let wrong = |why: &str| Failure::new(Exit::Data, format!("--to: {text:?} is not usable: {why}"));
    let rest = text
        .strip_prefix("https://")
        .ok_or_else(|| wrong("a secret goes over verified TLS only: write https://HOST[:PORT]/PATH"))?;
    let (place, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if place.contains('@') || path.contains(['?', '#']) {
        return Err(wrong("it has no user, query or fragment"));
    }
    let (host, port) = place_of(place)?;
    let host = policy::Host::parse(&host).map_err(wrong)?.to_string();
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    Ok((host, port, if path.is_empty() { "/".to_owned() } else { path.to_owned() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_goes_to_a_host_a_port_and_what_is_below_a_path() {
        let of = |text: &str| address(text).ok().map(|(host, port, path)| format!("{host} {port} {path}"));
        assert_eq!(of("https://API.example.org").as_deref(), Some("api.example.org 443 /"));
        assert_eq!(of("https://a.example.org:8443/bot").as_deref(), Some("a.example.org 8443 /bot"));
        assert_eq!(of("https://[2001:db8::1]/x").as_deref(), Some("2001:db8::1 443 /x"));
        for text in [
            "http://a.example.org/",
            "a.example.org",
            "https://u@a.example.org/",
            "https://a.example.org/?x",
            "https:///x",
            "https://*.example.org/",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
