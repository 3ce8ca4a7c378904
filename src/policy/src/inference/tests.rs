use model::egress::{Api, WhenSpent};

use super::*;

const SHIPPED: &str = include_str!("../../../../policies/inference/providers.toml");

fn known() -> KnownProviders {
    KnownProviders::parse("providers.toml", SHIPPED).unwrap()
}

fn spec(text: &str) -> EgressSpec {
    toml::from_str(text).unwrap()
}

fn refused(text: &str) -> String {
    inference(&spec(text), &known()).unwrap_err().to_string()
}

#[test]
fn the_shipped_file_is_read_and_every_price_is_found_by_its_model() {
    let known = known();
    assert_eq!(known.names().collect::<Vec<_>>(), ["anthropic", "llama.cpp", "ollama", "openai", "vllm"]);
    for name in ["anthropic", "openai"] {
        let prices = &known.get(name).unwrap().prices;
        assert!(!prices.is_empty());
        for (index, price) in prices.iter().enumerate() {
            let earlier =
                prices.iter().take(index).find(|earlier| model_matches(&earlier.model, &price.model));
            assert!(
                earlier.is_none(),
                "{name}: {} is never reached, {earlier:?} comes before it",
                price.model
            );
            assert!(price.output >= price.input, "{}", price.model);
        }
    }
    assert!(known.get("ollama").unwrap().prices.is_empty());
}

#[test]
fn a_known_name_brings_what_is_not_written() {
    let made = inference(
        &spec(
            r#"
            aliases = { main = "claude-sonnet-4-5" }
            budget = { money_day = "5usd", requests_minute = 30, when_spent = "alert" }
            [[provider]]
            name = "anthropic"
            secret = "anthropic-key"
            models = ["claude-*"]
            prices = [{ model = "claude-own-*", input = "1", output = "2", cache_read = "0.1" }]
            [[provider]]
            name = "gpu"
            api = "openai"
            url = "http://10.1.2.3:8000"
            models = ["*"]
            "#,
        ),
        &known(),
    )
    .unwrap();
    let [anthropic, gpu] = made.providers.as_slice() else { panic!("two providers") };
    assert_eq!((anthropic.api, anthropic.url.as_str()), (Api::Anthropic, "https://api.anthropic.com"));
    let first = &anthropic.prices[0];
    assert_eq!(
        (first.model.as_str(), first.input, first.cache_read),
        ("claude-own-*", 1_000_000, Some(100_000))
    );
    assert!(anthropic.prices.len() > 1 && gpu.prices.is_empty());
    assert_eq!(made.budget.money_day, Some(5_000_000));
    assert_eq!(made.budget.when_spent, WhenSpent::Alert);
}

#[test]
fn the_known_prices_do_not_follow_a_name_to_another_address() {
    let made = inference(
        &spec("[[provider]]\nname = \"openai\"\nurl = \"https://proxy.example.com\"\nmodels = [\"*\"]\n"),
        &known(),
    );
    assert!(made.unwrap().providers[0].prices.is_empty());
}

#[test]
fn what_cannot_be_used_is_told_in_a_sentence() {
    let openai = "[[provider]]\nname = \"openai\"\nmodels = [\"gpt-*\"]\n";
    assert!(inference(&spec(openai), &known()).is_ok());
    for (text, wanted) in [
        ("[[provider]]\nname = \"mine\"\nmodels = [\"*\"]\n".to_owned(), "api is not written"),
        (
            "[[provider]]\nname = \"mine\"\napi = \"openai\"\nmodels = [\"*\"]\n".to_owned(),
            "url is not written",
        ),
        ("[[provider]]\nname = \"openai\"\nmodels = []\n".to_owned(), "has no models"),
        ("[[provider]]\nname = \"Open AI\"\nmodels = [\"*\"]\n".to_owned(), "provider's name"),
        ("[[provider]]\nname = \"openai\"\nmodels = [\"a b\"]\n".to_owned(), "is no model"),
        (format!("{openai}{openai}"), "written twice"),
        (format!("{openai}secret = \"egress-authority\"\n"), "the proxy's own"),
        (format!("{openai}url = \"https://api.openai.com/v1\"\n"), "ends before /v1"),
        (format!("aliases = {{ a = \"claude-x\" }}\n{openai}"), "no provider has the model"),
        (format!("aliases = {{ a = \"b\", b = \"gpt-5\" }}\n{openai}"), "is an alias, too"),
    ] {
        let error = refused(&text);
        assert!(error.contains(wanted), "{text}: {error}");
    }
}

#[test]
fn a_file_of_providers_with_a_mistake_is_refused_with_its_place() {
    for (text, wanted) in [
        ("[provider.a]\napi = \"openai\"\n", "missing field"),
        ("[provider.a]\napi = \"soap\"\nurl = \"https://a.example\"\nwhy = \"x\"\n", "soap"),
        ("[provider.a]\napi = \"openai\"\nurl = \"a.example\"\nwhy = \"x\"\n", "begins with https://"),
        (
            "[provider.a]\napi = \"openai\"\nurl = \"https://a.example\"\nwhy = \"x\"\nprices = [{ model = \"*\", input = \"1\", output = \"1\", source = \"\", as_of = \"2026-01-01\" }]\n",
            "no source",
        ),
        (
            "[provider.a]\napi = \"openai\"\nurl = \"https://a.example\"\nwhy = \"x\"\nprices = [{ model = \"*\", input = \"1\", output = \"1\", source = \"x\", as_of = \"lately\" }]\n",
            "is a date",
        ),
    ] {
        let error = KnownProviders::parse("providers.toml", text).unwrap_err().to_string();
        assert!(error.starts_with("providers.toml: ") && error.contains(wanted), "{error}");
    }
}

#[test]
fn a_star_is_any_characters_and_nothing_else_is_special() {
    for (pattern, model) in
        [("*", ""), ("gpt-*", "gpt-5"), ("*-mini", "gpt-5-mini"), ("a*b*c", "a1b2b3c"), ("x", "x")]
    {
        assert!(model_matches(pattern, model), "{pattern} {model}");
    }
    for (pattern, model) in
        [("", "a"), ("gpt-*", "GPT-5"), ("gpt-?", "gpt-5"), ("a*b", "abc"), ("gpt", "gpt-5")]
    {
        assert!(!model_matches(pattern, model), "{pattern} {model}");
    }
}
