//! `inference …`: models that a tenant may call without having a provider's key, and what may be spent.

use api::EgressView;
use model::egress::{Budget, WhenSpent};
use model::{Dollars, Exit, TenantId};
use toml_edit::{Array, Item, Table, Value};

use crate::change::put;
use crate::cli::{InferenceVerb, ProviderArgs};
use crate::egress::change::carry_out;
use crate::egress::spec;
use crate::failure::{Ended, Failure};
use crate::output::{Cell, table};
use crate::session::Session;

/// Carries one of the verbs out.
pub(crate) async fn inference(session: &mut Session, verb: InferenceVerb) -> Ended {
    match verb {
        InferenceVerb::Add(arguments) => {
            let before = session.daemon().await?.get_spec(arguments.tenant.as_str()).await?;
            let after = add(&arguments, &before)?;
            carry_out(session, &arguments.tenant, &after, arguments.consent).await
        }
        InferenceVerb::List { tenant } => list(session, &tenant).await,
        InferenceVerb::Remove { tenant, provider, consent } => {
            let before = session.daemon().await?.get_spec(tenant.as_str()).await?;
            let after = remove(&tenant, &before, &provider)?;
            carry_out(session, &tenant, &after, consent).await
        }
    }
}

/// The spec with the provider, in the place of one of its name, else after the others.
fn add(arguments: &ProviderArgs, before: &str) -> Result<String, Failure> {
    let tenant = &arguments.tenant;
    spec::edit(tenant, before, |egress| {
        let providers = spec::tables(tenant, egress, "provider")?;
        let mut fresh = Table::new();
        put(&mut fresh, "name", Value::from(arguments.provider.as_str()));
        for (key, value) in [("api", &arguments.api), ("url", &arguments.url), ("secret", &arguments.secret)]
        {
            if let Some(value) = value {
                put(&mut fresh, key, Value::from(value.as_str()));
            }
        }
        put(
            &mut fresh,
            "models",
            Value::Array(arguments.models.iter().map(String::as_str).collect::<Array>()),
        );
        let named = |table: &Table| table.get("name").and_then(Item::as_str) == Some(&arguments.provider);
        let place = providers.iter().position(named);
        match place.and_then(|place| providers.get_mut(place)) {
            Some(known) => {
                // Prices that were written by hand stay.
                if let Some(prices) = known.remove("prices") {
                    fresh.insert("prices", prices);
                }
                *known = fresh;
            }
            None => providers.push(fresh),
        }
        budget(arguments, egress)
    })
}

fn budget(arguments: &ProviderArgs, egress: &mut Table) -> Result<(), Failure> {
    let numbers = [
        ("tokens_day", arguments.tokens_day),
        ("tokens_month", arguments.tokens_month),
        ("requests_minute", arguments.requests_minute),
        ("tokens_minute", arguments.tokens_minute),
    ];
    let money = [("money_day", arguments.budget_day), ("money_month", arguments.budget_month)];
    let mut values: Vec<(&str, Value)> = Vec::new();
    for (key, number) in numbers.into_iter().filter_map(|(key, number)| Some((key, number?))) {
        let number = i64::try_from(number).map_err(|_| {
            Failure::new(Exit::Data, format!("{number} is more than can be counted: name less"))
        })?;
        values.push((key, Value::from(number)));
    }
    values.extend(money.into_iter().filter_map(|(key, money)| Some((key, Value::from(money?.to_string())))));
    values.extend(arguments.when_spent.as_deref().map(|word| ("when_spent", Value::from(word))));
    if values.is_empty() {
        return Ok(());
    }
    let item = egress.entry("budget").or_insert_with(|| Item::Table(Table::new()));
    let budget = item.as_table_like_mut().ok_or_else(|| {
        Failure::new(Exit::Data, "egress.budget is not a table in this spec: repair the file by hand")
    })?;
    for (key, value) in values {
        put(budget, key, value);
    }
    Ok(())
}

fn remove(tenant: &TenantId, before: &str, provider: &str) -> Result<String, Failure> {
    spec::edit(tenant, before, |egress| {
        let providers = spec::tables(tenant, egress, "provider")?;
        let known = providers.len();
        providers.retain(|table| table.get("name").and_then(Item::as_str) != Some(provider));
        if providers.len() < known {
            return Ok(());
        }
        let text = format!(
            "tenant {tenant} has no provider {provider:?}: see \"tenantctl inference list {tenant}\""
        );
        Err(Failure::new(Exit::NoInput, text))
    })
}

async fn list(session: &mut Session, tenant: &TenantId) -> Ended {
    let answer = session.egress().await?.get_egress(tenant.as_str()).await?;
    let view: EgressView =
        serde_json::from_str(&answer).map_err(|error| Failure::foreign_answer("egress", &error))?;
    let document =
        serde_json::json!({"providers": view.providers, "aliases": view.aliases, "budget": view.budget});
    session.print(&document, |session| match view.providers.is_empty() {
        true => "No models. Add a provider with \"tenantctl inference add\".\n".to_owned(),
        false => render(&view, session),
    })?;
    Ok(0)
}

/// Providers and budget.
pub(crate) fn render(view: &EgressView, session: &Session) -> String {
    let rows: Vec<_> = view
        .providers
        .iter()
        .map(|provider| {
            [
                Cell::from(&provider.name),
                Cell::from(provider.secret.as_deref().unwrap_or("-")),
                Cell::from(&provider.url),
                Cell::from(provider.models.join(", ")),
            ]
        })
        .collect();
    let mut text = table(["PROVIDER", "SECRET", "ADDRESS", "MODELS"], &rows, session.width, session.palette);
    for (alias, model) in &view.aliases {
        text += &format!("{} stands for {}.\n", crate::output::clean(alias), crate::output::clean(model));
    }
    text + &spent(&view.budget)
}

fn spent(budget: &Budget) -> String {
    let money = |amount: Option<u64>, time: &str| {
        amount.map(|amount| format!("{} a {time}", Dollars::of_millionths(amount)))
    };
    let count = |number: Option<u64>, what: &str| number.map(|number| format!("{number} {what}"));
    let parts: Vec<String> = [
        money(budget.money_day, "day"),
        money(budget.money_month, "month"),
        count(budget.tokens_day, "tokens a day"),
        count(budget.tokens_month, "tokens a month"),
        count(budget.requests_minute.map(u64::from), "requests a minute"),
        count(budget.tokens_minute, "tokens a minute"),
    ]
    .into_iter()
    .flatten()
    .collect();
    if parts.is_empty() {
        return "No budget: models may be called as often as anybody likes.\n".to_owned();
    }
    let then = match budget.when_spent {
        WhenSpent::Stop => "then it stops",
        WhenSpent::Alert => "then an event says so",
    };
    format!("Budget: {}; {then}.\n", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use model::SpecFile;

    fn added(before: &str, line: &str) -> Result<String, Failure> {
        let cli = crate::cli::Cli::try_parse_from(line.split(' ')).unwrap();
        let crate::cli::Verb::Inference(InferenceVerb::Add(arguments)) = cli.verb else { panic!("not add") };
        add(&arguments, before)
    }

    #[test]
    fn a_provider_is_added_replaced_and_removed_with_one_budget_for_all() {
        let spec = "id = \"acme\" # ours\nruntime = \"openclaw\"\n";
        let line = "tenantctl inference add acme --provider anthropic --secret key --model claude-* --budget-day 5usd";
        let one = added(spec, line).unwrap();
        assert!(one.starts_with(spec), "{one}");
        let more = "tenantctl inference add acme --provider anthropic --model x --model y --tokens-day 10 --when-spent alert";
        let two = added(&one, more).unwrap();
        let egress = SpecFile::parse("x", &two).unwrap().egress.unwrap();
        assert_eq!((egress.providers.len(), egress.providers[0].secret.as_deref()), (1, None));
        assert_eq!(egress.providers[0].models, ["x", "y"]);
        assert_eq!(egress.budget.money_day.map(Dollars::millionths), Some(5_000_000));
        assert_eq!((egress.budget.tokens_day, egress.budget.when_spent), (Some(10), Some(WhenSpent::Alert)));
        let acme = TenantId::parse("acme").unwrap();
        let none = remove(&acme, &two, "anthropic").unwrap();
        assert!(SpecFile::parse("x", &none).unwrap().egress.unwrap().providers.is_empty());
        assert!(remove(&acme, &none, "anthropic").is_err());
    }
}
