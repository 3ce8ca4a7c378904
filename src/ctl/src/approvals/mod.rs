//! `approvals …`: what tenants ask for, and the answers. Every text that a tenant has a hand in is made harmless.

mod watch;

use api::{Answered, Approval, AskedRequest};
use model::TenantId;
use model::egress::{AskedExchange, Destination};

use crate::cli::{AnswerArgs, ApprovalsVerb};
use crate::failure::{Ended, Failure};
use crate::output::{Cell, Tone, clean, span, table};
use crate::session::Session;

/// Carries one of the verbs out.
pub(crate) async fn approvals(session: &mut Session, verb: ApprovalsVerb) -> Ended {
    match verb {
        ApprovalsVerb::List { tenant: Some(tenant), answers: true } => answers(session, &tenant).await,
        ApprovalsVerb::List { tenant, answers: _ } => {
            let requests = fetch(session, tenant.as_ref()).await?;
            session.print(&requests, |session| render(&requests, session))?;
            Ok(0)
        }
        ApprovalsVerb::Watch { tenant } => watch::watch(session, tenant.as_ref()).await,
        ApprovalsVerb::Approve(arguments) => answer(session, &arguments, "allow").await,
        ApprovalsVerb::Deny(arguments) => answer(session, &arguments, "deny").await,
        ApprovalsVerb::Revoke { tenant, number } => {
            session.egress().await?.revoke_approval(tenant.as_str(), number).await?;
            Ok(0)
        }
    }
}

async fn fetch(session: &mut Session, tenant: Option<&TenantId>) -> Result<Vec<AskedRequest>, Failure> {
    let answer = session.egress().await?.list_requests(tenant.map_or("", TenantId::as_str)).await?;
    serde_json::from_str(&answer).map_err(|error| Failure::foreign_answer("requests", &error))
}

/// How a request is named on the command line.
fn name(request: &AskedRequest) -> String {
    clean(&format!("{}-{}", request.number, request.digest))
}

/// What is asked for, in a line.
fn what(destination: &Destination) -> String {
    let Destination { host, port, exchange, .. } = destination;
    match exchange {
        Some(AskedExchange { kind, method, target }) => {
            let kind = match kind {
                model::egress::AskedKind::Request => "",
                model::egress::AskedKind::Upgrade => "WebSocket ",
                model::egress::AskedKind::Message => "message on WebSocket ",
            };
            format!("{kind}{method} {host}:{port}{target}")
        }
        None => format!("{host}:{port}"),
    }
}

fn by(destination: &Destination) -> &str {
    destination.binary.as_deref().unwrap_or("not known; an approval is for every program")
}

fn render(requests: &[AskedRequest], session: &Session) -> String {
    if requests.is_empty() {
        return "Nobody asks for anything.\n".to_owned();
    }
    let rows: Vec<_> = requests
        .iter()
        .map(|request| {
            let tone = if request.state == "waiting" { Tone::Warning } else { Tone::Plain };
            [
                Cell::from(name(request)),
                Cell::from(&request.tenant),
                Cell::toned(tone, &request.state),
                Cell::from(format!("{} ago", span(session.now.saturating_sub(request.last)))),
                Cell::from(request.count.to_string()),
                Cell::from(format!("{} by {}", what(&request.destination), by(&request.destination))),
            ]
        })
        .collect();
    table(["REQUEST", "TENANT", "STATE", "ASKED", "TIMES", "WHAT"], &rows, session.width, session.palette)
}

async fn answers(session: &mut Session, tenant: &TenantId) -> Ended {
    let answer = session.egress().await?.list_approvals(tenant.as_str()).await?;
    let list: Vec<Approval> =
        serde_json::from_str(&answer).map_err(|error| Failure::foreign_answer("approvals", &error))?;
    session.print(&list, |session| {
        if list.is_empty() {
            return "No answer holds.\n".to_owned();
        }
        let rows: Vec<_> = list.iter().map(|approval| row(approval, session.now)).collect();
        table(["NUMBER", "ANSWER", "ENDS", "BY", "WHAT"], &rows, session.width, session.palette)
    })?;
    Ok(0)
}

fn row(approval: &Approval, now: u64) -> [Cell; 5] {
    let tone = if approval.verdict == "allow" { Tone::Good } else { Tone::Bad };
    let why = if approval.why.is_empty() { String::new() } else { format!(" ({})", approval.why) };
    let who = host::user_name(approval.who).unwrap_or_else(|| format!("uid {}", approval.who));
    [
        Cell::from(approval.number.to_string()),
        Cell::toned(tone, &approval.verdict),
        Cell::from(ends(approval.until, now)),
        Cell::from(who),
        Cell::from(format!("{} by {}{why}", what(&approval.destination), by(&approval.destination))),
    ]
}

fn ends(until: Option<u64>, now: u64) -> String {
    until.map_or_else(|| "-".to_owned(), |until| format!("in {}", span(until.saturating_sub(now))))
}

async fn answer(session: &mut Session, arguments: &AnswerArgs, verdict: &str) -> Ended {
    let scope = match (arguments.once, arguments.span, arguments.until, arguments.always) {
        (true, ..) => "once".to_owned(),
        (_, Some(seconds), ..) => format!("for {seconds}"),
        (_, _, Some(until), _) => format!("until {until}"),
        (.., true) => "always".to_owned(),
        _ => String::new(),
    };
    let (number, digest) = &arguments.request;
    let daemon = session.egress().await?;
    let answer = daemon.answer_request(*number, digest, verdict, &scope, &arguments.because).await?;
    let answered: Answered =
        serde_json::from_str(&answer).map_err(|error| Failure::foreign_answer("the answer", &error))?;
    session.print(&answered, |session| said(&answered, session.now))?;
    Ok(0)
}

fn said(answered: &Answered, now: u64) -> String {
    let verb = if answered.verdict == "allow" { "allowed" } else { "denied" };
    let tenant = clean(&answered.tenant);
    let told = match answered.told {
        0 => "nobody waited any more".to_owned(),
        1 => "1 connection waited".to_owned(),
        many => format!("{many} connections waited"),
    };
    let mut text = format!("Request {} of tenant {tenant} is {verb}; {told}.\n", answered.number);
    if let Some(approval) = answered.approval {
        let ends = match answered.until {
            Some(_) => format!("ends {}", ends(answered.until, now)),
            None => "does not end by itself".to_owned(),
        };
        text += &format!(
            "The answer holds as number {approval} and {ends}.\nTo take it back: tenantctl approvals revoke {tenant} {approval}\n"
        );
    }
    text
}
