use super::*;
use model::egress::{
    Api, Asking, EGRESS_FORMAT, Inference, PolicyLevel, PolicyText, Provider, SecretPlace, SecretUse,
};

const NARROW: &str = "version: 1\nnetwork_policies: {}\n";
const WIDE: &str =
    "version: 1\nnetwork_policies:\n  x:\n    endpoints: [{ host: a.example.org, port: 443 }]\n";

fn acme() -> TenantId {
    TenantId::parse("acme").unwrap()
}

fn side(texts: &[(&str, &str)], secrets: Vec<SecretUse>) -> (EgressFile, Policy) {
    let layer = |(name, text): &(&str, &str)| PolicyText {
        level: PolicyLevel::Preset,
        name: (*name).into(),
        text: (*text).into(),
    };
    let file = EgressFile {
        format: EGRESS_FORMAT,
        tenant: acme(),
        uid: 500_000,
        layers: texts.iter().map(layer).collect(),
        hosts: Default::default(),
        closed: Vec::new(),
        asking: Asking { hold_sec: 20, waiting: 5, per_hour: 20 },
        secrets,
        inference: Inference::default(),
    };
    let policy = policy::compile(&file, None).unwrap();
    (file, policy)
}

fn changed(old: Side<'_>, new: Side<'_>) -> Change {
    compare(&acme(), old, new).unwrap()
}

fn preset(name: &str, risk: &str) -> String {
    format!(
        "preset: {{ name: {name}, description: x }}\nx-tenantd: {{ risk: {risk}, why: because of {name} }}\n{NARROW}"
    )
}

#[test]
fn a_change_says_what_it_allows_and_one_that_narrows_says_nothing() {
    let bound = SecretUse {
        name: "token".into(),
        host: "a.example.org".into(),
        port: 443,
        path: "/".into(),
        places: vec![SecretPlace::Header],
    };
    let (old, new) = (side(&[("own", NARROW)], Vec::new()), side(&[("own", WIDE)], vec![bound]));
    let found = changed(Some(&old), Some(&new)).widens;
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].proven && found[0].example.as_ref().unwrap().contains("a.example.org:443"), "{found:?}");
    assert!(found[1].what.contains("secret token may be put into requests (header)"), "{found:?}");
    assert!(found[1].example.as_ref().unwrap().contains("tenantd:secret:token in its header"), "{found:?}");
    assert_eq!(changed(None, Some(&new)).widens.len(), 2);
    assert!(changed(Some(&new), Some(&old)).widens.is_empty() && changed(Some(&new), None).widens.is_empty());
}

#[test]
fn a_higher_budget_allows_more_and_a_lower_one_does_not() {
    let with = |tokens_day: Option<u64>, when_spent: WhenSpent| {
        let (mut file, policy) = side(&[("own", NARROW)], Vec::new());
        let url = "http://127.0.0.1:1".to_owned();
        let models = vec!["parrot".to_owned()];
        file.inference.providers = vec![Provider {
            name: "own".into(),
            api: Api::Openai,
            url,
            secret: None,
            models,
            prices: Vec::new(),
        }];
        (file.inference.budget.tokens_day, file.inference.budget.when_spent) = (tokens_day, when_spent);
        (file, policy)
    };
    let (low, high, none) =
        (with(Some(5), WhenSpent::Stop), with(Some(9), WhenSpent::Stop), with(None, WhenSpent::Stop));
    let alerts = with(Some(5), WhenSpent::Alert);
    let said = |old, new| -> Vec<String> {
        changed(Some(old), Some(new)).widens.into_iter().map(|one| one.what).collect()
    };
    assert_eq!(said(&low, &high), ["models may use 9 tokens a day"]);
    assert_eq!(said(&high, &none), ["models may use any number of tokens a day"]);
    assert_eq!(said(&low, &alerts), ["models may be called when a budget is used up"]);
    for (old, new) in [(&high, &low), (&none, &low), (&low, &low)] {
        assert!(said(old, new).is_empty());
    }
    let first = |new| changed(None, Some(new)).widens.len();
    assert_eq!((first(&low), first(&none)), (1, 2), "the model, and that nothing limits it");
}

#[test]
fn a_class_of_risk_is_said_when_it_is_new_and_not_again() {
    let (low, code, more) =
        (preset("one", "low"), preset("two", "supply-chain"), preset("three", "supply-chain"));
    let (send, plain) = (preset("four", "exfiltration"), side(&[("preset one", &low)], Vec::new()));
    let risky = side(&[("preset two", &code), ("preset four", &send)], Vec::new());
    let found = changed(Some(&plain), Some(&risky)).risks;
    let said: Vec<_> = found.iter().map(|one| (one.risk.as_str(), one.by.as_str())).collect();
    assert_eq!(said, [("supply-chain", "preset two"), ("exfiltration", "preset four")]);
    assert_eq!(found[0].why.as_deref(), Some("because of two"));
    let same = side(&[("preset three", &more), ("preset four", &send)], Vec::new());
    assert!(changed(Some(&risky), Some(&same)).risks.is_empty());
    assert!(changed(None, Some(&plain)).risks.is_empty(), "a low risk is none");
}

#[test]
fn the_digest_is_that_of_what_is_shown() {
    let (old, new) = (side(&[("own", NARROW)], Vec::new()), side(&[("own", WIDE)], Vec::new()));
    let other = side(&[("own", &WIDE.replace("443", "444"))], Vec::new());
    let one = changed(Some(&old), Some(&new));
    assert_eq!(one.digest, changed(None, Some(&new)).digest, "the same is allowed by both");
    assert_ne!(one.digest, changed(Some(&old), Some(&other)).digest);
    assert_eq!(changed(Some(&new), Some(&old)).digest, changed(Some(&old), Some(&old)).digest);
}
