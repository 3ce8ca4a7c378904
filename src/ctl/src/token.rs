//! `token …` and `login`: what is printed on standard output is the token or the link, and nothing else.

use api::{IssuedLogin, IssuedToken};
use model::edge::Revocation;

use crate::cli::{LoginArgs, TokenVerb};
use crate::failure::{Ended, Failure};
use crate::output::{clean, span};
use crate::session::Session;

/// Does one verb.
pub(crate) async fn token(session: &mut Session, verb: TokenVerb) -> Ended {
    match verb {
        TokenVerb::Issue { tenant, role, subject, ttl } => {
            let subject = subject.unwrap_or_default();
            let daemon = session.edge().await?;
            let answer = daemon.issue_token(tenant.as_str(), role.name(), &subject, ttl).await?;
            issued(session, &answer)
        }
        TokenVerb::Revoke { jti, subject, tenant } => {
            let tenant = tenant.map(|tenant| tenant.to_string());
            let what = [("jti", jti), ("subject", subject), ("tenant", tenant)];
            let named = what.into_iter().find_map(|(by, value)| Some((by, value?)));
            let (by, value) = named.unwrap_or_default();
            let answer = session.edge().await?.revoke_tokens(by, &value).await?;
            let revoked: Revocation = serde_json::from_str(&answer)
                .map_err(|error| Failure::foreign_answer("the revocation", &error))?;
            session.print(&revoked, |_| {
                let what = match by {
                    "jti" => format!("Token {}", clean(&value)),
                    _ => format!("Everything issued until now for {by} {}", clean(&value)),
                };
                format!("{what} is revoked; open connections end within a second.\n")
            })?;
            Ok(0)
        }
    }
}

fn issued(session: &mut Session, answer: &str) -> Ended {
    let issued: IssuedToken =
        serde_json::from_str(answer).map_err(|error| Failure::foreign_answer("the token", &error))?;
    session.print(&issued, |_| format!("{}\n", clean(&issued.token)))?;
    if session.json {
        return Ok(0);
    }
    let left = u64::try_from(issued.expires).unwrap_or(0).saturating_sub(session.now);
    session.note(&format!(
        "Token of {} as {} of tenant {}, valid for {}. Kept nowhere.\nTry it:   curl -H \"Authorization: Bearer TOKEN\" {}\nRevoke:   tenantctl token revoke --jti {}",
        clean(&issued.subject),
        clean(&issued.role),
        clean(&issued.tenant),
        span(left),
        clean(&issued.url),
        clean(&issued.jti),
    ))?;
    Ok(0)
}

/// A link for a browser.
pub(crate) async fn login(session: &mut Session, arguments: &LoginArgs) -> Ended {
    let subject = arguments.subject.clone().unwrap_or_default();
    let daemon = session.edge().await?;
    let answer = daemon.issue_login(arguments.tenant.as_str(), arguments.role.name(), &subject).await?;
    let issued: IssuedLogin =
        serde_json::from_str(&answer).map_err(|error| Failure::foreign_answer("the link", &error))?;
    session.print(&issued, |_| format!("{}\n", clean(&issued.url)))?;
    if session.json {
        return Ok(0);
    }
    let left = u64::try_from(issued.expires).unwrap_or(0).saturating_sub(session.now);
    session.note(&format!(
        "Signs one browser in, once, within {}, as {} of tenant {}, {}: whoever opens it first.\nRevoke:   tenantctl token revoke --jti {}",
        span(left),
        clean(&issued.role),
        clean(&issued.tenant),
        clean(&issued.subject),
        clean(&issued.jti),
    ))?;
    Ok(0)
}
