//! `egress learn`: what was tried, and the policy that is proposed of it.

use api::Learned;

use crate::cli::LearnArgs;
use crate::failure::{Ended, Failure};
use crate::output::{clean, clean_lines, span};
use crate::session::Session;

/// Begins, ends, or shows.
pub(crate) async fn learn(session: &mut Session, arguments: &LearnArgs) -> Ended {
    let daemon = session.egress().await?;
    let id = arguments.tenant.as_str();
    let answer = match (arguments.span, arguments.stop) {
        (Some(seconds), _) => daemon.learn(id, u32::try_from(seconds).unwrap_or(u32::MAX)).await?,
        (None, true) => daemon.learn(id, 0).await?,
        (None, false) => daemon.get_learned(id).await?,
    };
    let learned: Learned =
        serde_json::from_str(&answer).map_err(|error| Failure::foreign_answer("what was learned", &error))?;
    let (began, tenant) = (arguments.span.is_some(), &arguments.tenant);
    session.print(&learned, |session| match (began, learned.until) {
        (true, Some(until)) => format!(
            "What tenant {tenant} tries is noted for {}. Nothing more is allowed meanwhile.\nNext: tenantctl egress learn {tenant} --show\n",
            span(until.saturating_sub(session.now))
        ),
        _ => render(&learned, session.now),
    })?;
    Ok(0)
}

/// The document as it can be given to `egress set`: all the rest is in comments.
fn render(learned: &Learned, now: u64) -> String {
    let mut text = format!("# {} destinations were noted.\n", learned.noted);
    if let Some(until) = learned.until {
        text += &format!("# Still learning, for {}.\n", span(until.saturating_sub(now)));
    }
    for (what, why) in &learned.left_out {
        text += &format!("# Left out: {}: {}\n", clean(what), clean(why));
    }
    text + &clean_lines(&learned.document)
}
