//! `usage`: what tenants used of models, today and this month (UTC), as their proxies counted.

use std::collections::BTreeMap;

use api::TenantUsage;
use model::egress::Used;
use model::{Dollars, TenantId};

use crate::failure::{Ended, Failure};
use crate::output::{Cell, clean, table};
use crate::session::Session;

/// Prints it.
pub(crate) async fn usage(session: &mut Session, tenant: Option<&TenantId>) -> Ended {
    let answer = session.egress().await?.usage(tenant.map_or("", TenantId::as_str)).await?;
    let list: Vec<TenantUsage> =
        serde_json::from_str(&answer).map_err(|error| Failure::foreign_answer("usage", &error))?;
    session.print(&list, |session| render(&list, session))?;
    for one in &list {
        if let Some(problem) = &one.problem {
            session.note(&format!("tenant {}: {problem}", one.tenant))?;
        }
    }
    Ok(0)
}

fn render(list: &[TenantUsage], session: &Session) -> String {
    let seconds = i64::try_from(session.now).unwrap_or(0);
    let today = jiff::Timestamp::from_second(seconds).map_or_else(|_| String::new(), |now| now.to_string());
    let (today, month) = (today.get(..10).unwrap_or_default(), today.get(..7).unwrap_or_default());
    let mut rows = Vec::new();
    for one in list {
        for (span, begin) in [("today", today), ("this month", month)] {
            let mut sums: BTreeMap<(&str, &str), Used> = BTreeMap::new();
            let days = one.usage.days.iter().filter(|(day, _)| day.starts_with(begin));
            for (provider, models) in days.flat_map(|(_, providers)| providers) {
                for (model, used) in models {
                    add(sums.entry((provider, model)).or_default(), used);
                }
            }
            rows.extend(
                sums.iter().map(|((provider, model), used)| row(&one.tenant, span, (provider, model), used)),
            );
        }
    }
    if rows.is_empty() {
        return "No models were used this month.\n".to_owned();
    }
    let headings = ["TENANT", "TIME", "REQUESTS", "INPUT", "OUTPUT", "MONEY", "MODEL"];
    table(headings, &rows, session.width, session.palette)
}

fn add(sum: &mut Used, used: &Used) {
    sum.requests = sum.requests.saturating_add(used.requests);
    sum.input = sum.input.saturating_add(used.input);
    sum.output = sum.output.saturating_add(used.output);
    sum.money = sum.money.saturating_add(used.money);
}

fn row(tenant: &str, span: &str, (provider, model): (&str, &str), used: &Used) -> [Cell; 7] {
    [
        Cell::from(tenant),
        Cell::from(span),
        Cell::from(used.requests.to_string()),
        Cell::from(used.input.to_string()),
        Cell::from(used.output.to_string()),
        Cell::from(Dollars::of_millionths(used.money).to_string()),
        Cell::from(clean(&format!("{provider}/{model}"))),
    ]
}
