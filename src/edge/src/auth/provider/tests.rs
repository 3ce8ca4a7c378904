use http::StatusCode;
use serde_json::json;

use super::super::testing::provider::Provider as Fake;
use super::super::testing::{Edge, NOW, bearer, tenant};
use super::super::{Authentication, IssuedBy, Source};
use super::*;

const DISCOVERY: &str = "/.well-known/openid-configuration";
const UNKNOWN: &str = "token key of an external issuer unknown";
const HOUR: Duration = Duration::from_secs(3600);

fn provider(fake: &Fake, interval: Duration) -> Arc<Provider> {
    Providers::new(interval).of(&fake.configured())
}

async fn cause(fake: &Fake) -> Cause {
    provider(fake, Duration::ZERO).refresh().await.unwrap_err().cause
}

async fn ask(edge: &Edge, token: &str) -> Authentication {
    edge.auth.authenticate_or_fetch(&tenant("acme"), &bearer(token), NOW).await
}

#[tokio::test]
async fn endpoints_and_keys_are_fetched_once_for_many_at_a_time() {
    let fake = Fake::start().await;
    let provider = provider(&fake, HOUR);
    assert!(provider.keys().is_none());
    let all: Vec<_> = (0..20)
        .map(|_| {
            let provider = Arc::clone(&provider);
            tokio::spawn(async move { provider.refresh().await.is_ok() })
        })
        .collect();
    for one in all {
        assert!(one.await.unwrap());
    }
    assert!(provider.keys().is_some());
    assert_eq!((fake.asked_for(DISCOVERY), fake.asked_for("/keys")), (1, 1));
    assert!(provider.discovery().await.is_ok());
    // Whoever asks again at once is told to wait.
    assert!(matches!(provider.refresh().await, Err(ProviderError { cause: Cause::TooSoon, .. })));
    assert_eq!(fake.asked_for("/keys"), 1);
}

#[tokio::test]
async fn an_issuer_speaks_for_itself_only_and_over_tls() {
    let fake = Fake::start().await;
    fake.with(|state| state.discovery = json!({"issuer": "https://other.example"}));
    assert!(matches!(cause(&fake).await, Cause::OtherIssuer(_)));
    for endpoint in ["authorization_endpoint", "token_endpoint", "jwks_uri"] {
        fake.with(|state| state.discovery = json!({endpoint: "http://id.example/x"}));
        assert!(matches!(cause(&fake).await, Cause::Endpoint(_)), "{endpoint}");
        fake.with(|state| state.discovery = json!({endpoint: null}));
        assert!(matches!(cause(&fake).await, Cause::Malformed(_)), "{endpoint}");
    }
    fake.with(|state| state.discovery = json!({}));
    fake.with(|state| state.instead.insert("/keys", (StatusCode::OK, r#"{"keys":[]}"#.to_owned())));
    assert!(matches!(cause(&fake).await, Cause::Keys(JwksError::Empty)));
    fake.with(|state| state.instead.insert("/keys", (StatusCode::NOT_FOUND, String::new())));
    assert!(matches!(cause(&fake).await, Cause::Fetch { source: FetchError::Status(_), .. }));
    fake.with(|state| state.instead.insert(DISCOVERY, (StatusCode::FOUND, String::new())));
    assert!(matches!(cause(&fake).await, Cause::Fetch { source: FetchError::Status(_), .. }));
}

#[tokio::test]
async fn an_error_names_the_issuer_and_the_address() {
    let fake = Fake::start().await;
    fake.with(|state| state.instead.insert("/keys", (StatusCode::NOT_FOUND, String::new())));
    let error = provider(&fake, Duration::ZERO).refresh().await.unwrap_err().to_string();
    let expected =
        format!("external issuer corp: cannot fetch {}/keys: answered 404 Not Found, not 200", fake.issuer);
    assert_eq!(error, expected);
}

#[tokio::test]
async fn what_was_fetched_outlives_an_issuer_that_is_away() {
    let fake = Fake::start().await;
    let provider = provider(&fake, Duration::ZERO);
    provider.refresh().await.unwrap();
    let epoch = provider.epoch.load(Ordering::SeqCst);
    fake.with(|state| state.instead.insert(DISCOVERY, (StatusCode::BAD_GATEWAY, String::new())));
    assert!(provider.refresh().await.is_err());
    assert!(provider.keys().is_some() && provider.discovery().await.is_ok());
    assert_eq!(provider.epoch.load(Ordering::SeqCst), epoch);
}

#[tokio::test]
async fn a_description_that_changes_starts_anew() {
    let fake = Fake::start().await;
    let providers = Providers::new(Duration::ZERO);
    let first = providers.of(&fake.configured());
    assert!(Arc::ptr_eq(&first, &providers.of(&fake.configured())));
    let mut changed = fake.configured();
    changed.client_id = "other".to_owned();
    assert!(!Arc::ptr_eq(&first, &providers.of(&changed)));
}

#[tokio::test]
async fn an_access_token_of_an_issuer_is_a_credential() {
    let fake = Fake::start().await;
    let edge = Edge::new(vec![fake.configured()]);
    let token = fake.access_token(json!({"jti": "x-1"}));
    let Authentication::Known(identity) = ask(&edge, &token).await else { panic!("not known") };
    assert_eq!((identity.subject.as_str(), identity.jti.as_str()), ("corp:u1", "x-1"));
    assert_eq!((identity.role, identity.source), (model::Role::Operator, Source::Bearer));
    let by =
        IssuedBy::External { iss: fake.issuer.clone(), claim: "groups".to_owned(), value: "ops".to_owned() };
    assert_eq!(identity.issuer, by);
    // Its keys are known now: nothing is waited for.
    assert_eq!(edge.ask("acme", &bearer(&token), NOW), Authentication::Known(identity));
    let nobody = Authentication::Refused("no rule gives this user a role at this tenant");
    assert_eq!(edge.ask("beta", &bearer(&token), NOW), nobody);
    assert_eq!(ask(&edge, &fake.access_token(json!({"groups": ["staff"]}))).await, nobody);
    assert_eq!(
        ask(&edge, &fake.access_token(json!({"email": "alice@corp.example", "groups": null}))).await,
        nobody
    );
}

#[tokio::test]
async fn a_wrong_access_token_of_an_issuer_is_refused() {
    let fake = Fake::start().await;
    let edge = Edge::new(vec![fake.configured()]);
    for (claims, reason) in [
        (json!({"aud": "edge"}), "token for another audience"),
        (json!({"aud": "https://acme.agents.example"}), "token for another audience"),
        (json!({"exp": NOW}), "token expired"),
        (json!({"exp": NOW + 401 * 24 * 3600}), "token lives longer than a revocation is kept"),
        (json!({"iat": NOW + 31}), "token not valid yet"),
        (json!({"nonce": "n", "aud": ["edge", "tenantd"]}), "token of another kind"),
        (json!({"iss": "https://other.example"}), "token of another issuer"),
        // Signed by the issuer, but in tenantd's name.
        (json!({"iss": "https://agents.example"}), "token algorithm refused"),
        (json!({"sub": null}), "token claims malformed"),
    ] {
        assert_eq!(ask(&edge, &fake.access_token(claims)).await, Authentication::Refused(reason));
    }
    let without = model::edge::Issuer { audience: None, ..fake.configured() };
    let edge = Edge::new(vec![without]);
    let refused = Authentication::Refused("issuer's tokens are taken for logins only");
    assert_eq!(ask(&edge, &fake.access_token(json!({}))).await, refused);
}

#[tokio::test]
async fn new_keys_of_an_issuer_are_fetched_when_a_token_names_them() {
    let fake = Fake::start().await;
    let mut edge = Edge::new(vec![fake.configured()]);
    edge.auth.providers = Arc::new(Providers::new(Duration::ZERO));
    let old = fake.access_token(json!({}));
    assert!(matches!(ask(&edge, &old).await, Authentication::Known(_)));
    fake.rotate("p2");
    assert!(matches!(ask(&edge, &fake.access_token(json!({}))).await, Authentication::Known(_)));
    // The old key is gone, and what was remembered by it too.
    assert_eq!(ask(&edge, &old).await, Authentication::Refused(UNKNOWN));
}

#[tokio::test]
async fn tokens_of_unknown_keys_do_not_make_us_ask_again_and_again() {
    let fake = Fake::start().await;
    let mut edge = Edge::new(vec![fake.configured()]);
    edge.auth.providers = Arc::new(Providers::new(HOUR));
    assert!(matches!(ask(&edge, &fake.access_token(json!({}))).await, Authentication::Known(_)));
    fake.rotate("p2");
    let fetched = fake.asked_for("/keys");
    for _ in 0..20 {
        assert_eq!(ask(&edge, &fake.access_token(json!({}))).await, Authentication::Refused(UNKNOWN));
    }
    assert_eq!(fake.asked_for("/keys"), fetched);
}

#[tokio::test]
async fn without_waiting_the_next_request_finds_the_keys() {
    let fake = Fake::start().await;
    let edge = Edge::new(vec![fake.configured()]);
    let headers = bearer(&fake.access_token(json!({})));
    for _ in 0..500 {
        if matches!(edge.ask("acme", &headers, NOW), Authentication::Known(_)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never known");
}

#[tokio::test]
async fn an_issuer_or_a_rule_that_is_taken_away_takes_everybody_along() {
    let fake = Fake::start().await;
    let token = fake.access_token(json!({}));
    let changes: [fn(&mut model::edge::EdgeFile); 4] = [
        |edge| edge.issuers.clear(),
        |edge| drop(edge.issuers[0].rules.remove(0)),
        |edge| edge.issuers[0].rules[0].role = model::Role::Viewer,
        |edge| edge.issuers[0].issuer = "https://other.example".to_owned(),
    ];
    for change in changes {
        let edge = Edge::new(vec![fake.configured()]);
        let Authentication::Known(identity) = ask(&edge, &token).await else { panic!("not known") };
        assert!(edge.auth.is_alive(&identity, NOW));
        edge.change(|files| change(&mut files.edge));
        assert!(!edge.auth.is_alive(&identity, NOW));
        if let Authentication::Known(identity) = edge.ask("acme", &bearer(&token), NOW) {
            assert_eq!(identity.role, model::Role::Viewer);
        }
    }
}

#[tokio::test]
async fn keys_are_fetched_before_anybody_asks() {
    let fake = Fake::start().await;
    let _edge = Edge::new(vec![fake.configured()]);
    for _ in 0..500 {
        if fake.asked_for("/keys") == 1 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never fetched");
}
