use base64::Engine as _;
use model::Role;
use model::edge::RevokedBy;
use proptest::prelude::*;

use super::super::testing::{
    Edge, NOW, SESSION, access, authorization, bearer, claims, cookies, signer, tenant, ticket,
};
use super::*;
use crate::auth::sealed::Purpose;

fn session(edge: &Edge, at: &str, change: impl FnOnce(&mut Session)) -> HeaderMap {
    let by = IssuedBy::Tenantd { iss: token::issuer("agents.example"), kid: None };
    let mut session = Session {
        sub: "alice".to_owned(),
        role: Role::Operator,
        jti: "s1".to_owned(),
        iat: NOW,
        exp: NOW + SESSION,
        by,
        from: Some("t1".to_owned()),
    };
    change(&mut session);
    let set = session.set_cookie(&edge.auth.state.sealer, &tenant(at)).unwrap();
    cookies(set.split(';').next().unwrap())
}

#[test]
fn a_token_is_known_as_bearer_and_as_password() {
    let edge = Edge::new(Vec::new());
    let identity = edge.known("acme", &bearer(&access("acme")), NOW);
    assert_eq!((identity.subject.as_str(), identity.role), ("alice", Role::Operator));
    assert_eq!((identity.source, identity.expires), (Source::Bearer, NOW + 300));
    assert_eq!(identity.tenant, tenant("acme"));
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("x:{}", access("acme")));
    assert_eq!(edge.known("acme", &authorization(&format!("Basic {pair}")), NOW).source, Source::Basic);
    // Again, now out of the cache.
    assert_eq!(edge.known("acme", &bearer(&access("acme")), NOW), identity);
}

#[test]
fn a_token_of_one_tenant_opens_nothing_of_another() {
    let edge = Edge::new(Vec::new());
    let headers = bearer(&access("acme"));
    for _ in 0..2 {
        assert!(matches!(edge.ask("acme", &headers, NOW), Authentication::Known(_)));
        assert_eq!(edge.ask("beta", &headers, NOW), Authentication::Refused("token for another audience"));
    }
}

#[test]
fn a_ticket_is_no_access_token() {
    let edge = Edge::new(Vec::new());
    assert_eq!(
        edge.ask("acme", &bearer(&ticket("acme")), NOW),
        Authentication::Refused("token of another kind")
    );
}

#[test]
fn a_session_of_one_tenant_opens_nothing_of_another() {
    let edge = Edge::new(Vec::new());
    let headers = session(&edge, "acme", |_| {});
    assert_eq!(edge.known("acme", &headers, NOW).source, Source::Cookie);
    let stolen = Authentication::Refused("session cookie is not one of this tenant");
    assert_eq!(edge.ask("beta", &headers, NOW), stolen);
    // A cookie of another edge, with another key.
    assert_eq!(Edge::new(Vec::new()).ask("acme", &headers, NOW), stolen);
}

#[test]
fn a_login_under_way_is_no_session() {
    let edge = Edge::new(Vec::new());
    let document = serde_json::json!({"sub": "alice", "role": "owner", "jti": "s", "iat": NOW, "exp": NOW + 9,
        "by": {"tenantd": {"iss": "https://agents.example"}}});
    let seal = |purpose| edge.auth.state.sealer.seal(purpose, "acme", &document).unwrap();
    let ask = |value: String| edge.ask("acme", &cookies(&format!("__Host-tenantd={value}")), NOW);
    assert!(matches!(ask(seal(Purpose::Session)), Authentication::Known(_)));
    assert!(matches!(ask(seal(Purpose::Oidc)), Authentication::Refused(_)));
}

#[test]
fn nobody_is_known_without_a_credential_or_by_a_bad_one() {
    let edge = Edge::new(Vec::new());
    assert_eq!(edge.ask("acme", &HeaderMap::new(), NOW), Authentication::Absent);
    let mut headers = session(&edge, "acme", |_| {});
    headers.extend(bearer("a.b.c"));
    assert!(matches!(edge.ask("acme", &headers, NOW), Authentication::Refused(_)));
}

#[test]
fn what_is_in_the_cache_dies_with_its_token() {
    let edge = Edge::new(Vec::new());
    let headers = bearer(&access("acme"));
    let identity = edge.known("acme", &headers, NOW + 299);
    assert!(edge.auth.is_alive(&identity, NOW + 299));
    assert!(!edge.auth.is_alive(&identity, NOW + 300));
    assert_eq!(edge.ask("acme", &headers, NOW + 300), Authentication::Refused("token expired"));
}

#[test]
fn what_is_revoked_is_dead_at_once_and_what_is_issued_later_is_not() {
    for (by, value) in [
        (RevokedBy::Jti, "0123456789abcdef0123456789abcdef"),
        (RevokedBy::Subject, "alice"),
        (RevokedBy::Tenant, "acme"),
    ] {
        let edge = Edge::new(Vec::new());
        let headers = bearer(&access("acme"));
        let identity = edge.known("acme", &headers, NOW);
        edge.revoke(by, value, NOW);
        assert!(!edge.auth.is_alive(&identity, NOW), "{by:?}");
        assert_eq!(edge.ask("acme", &headers, NOW), Authentication::Refused("revoked"), "{by:?}");
        let mut later = claims("acme");
        (later.jti, later.iat) = ("f".repeat(32), NOW + 1);
        let later = bearer(&signer().issue(&later, Kind::Access).unwrap());
        assert_eq!(edge.known("acme", &later, NOW + 1).issued, NOW + 1);
    }
}

#[test]
fn a_session_dies_with_its_ticket_its_own_name_its_subject_and_its_tenant() {
    for (by, value) in [
        (RevokedBy::Jti, "t1"),
        (RevokedBy::Jti, "s1"),
        (RevokedBy::Subject, "alice"),
        (RevokedBy::Tenant, "acme"),
    ] {
        let edge = Edge::new(Vec::new());
        let headers = session(&edge, "acme", |_| {});
        let identity = edge.known("acme", &headers, NOW);
        edge.revoke(by, value, NOW);
        assert!(!edge.auth.is_alive(&identity, NOW));
        assert_eq!(edge.ask("acme", &headers, NOW), Authentication::Refused("revoked"));
    }
}

#[test]
fn a_session_ends_at_its_time_and_by_a_shorter_setting() {
    let edge = Edge::new(Vec::new());
    let headers = session(&edge, "acme", |_| {});
    assert!(matches!(edge.ask("acme", &headers, NOW + SESSION - 1), Authentication::Known(_)));
    assert_eq!(edge.ask("acme", &headers, NOW + SESSION), Authentication::Refused("expired"));
    edge.change(|files| files.edge.session_sec = 60);
    assert!(matches!(edge.ask("acme", &headers, NOW + 59), Authentication::Known(_)));
    assert!(matches!(edge.ask("acme", &headers, NOW + 60), Authentication::Refused(_)));
}

#[test]
fn a_withdrawn_key_takes_its_tokens_along_but_not_sessions() {
    let edge = Edge::new(Vec::new());
    let (headers, cookie) = (bearer(&access("acme")), session(&edge, "acme", |_| {}));
    let (identity, browser) = (edge.known("acme", &headers, NOW), edge.known("acme", &cookie, NOW));
    edge.change(|files| files.keys.keys[0].retired = Some(NOW));
    assert!(!edge.auth.is_alive(&identity, NOW));
    assert!(edge.auth.is_alive(&browser, NOW));
    assert_eq!(edge.ask("acme", &headers, NOW), Authentication::Refused("token key unknown"));
}

#[test]
fn another_domain_ends_everything() {
    let edge = Edge::new(Vec::new());
    let (headers, cookie) = (bearer(&access("acme")), session(&edge, "acme", |_| {}));
    let (identity, browser) = (edge.known("acme", &headers, NOW), edge.known("acme", &cookie, NOW));
    edge.change(|files| {
        files.edge.domain = "other.example".to_owned();
        files.keys.issuer = "https://other.example".to_owned();
    });
    for known in [&identity, &browser] {
        assert!(!edge.auth.is_alive(known, NOW));
    }
    assert!(matches!(edge.ask("acme", &headers, NOW), Authentication::Refused(_)));
    assert!(matches!(edge.ask("acme", &cookie, NOW), Authentication::Refused(_)));
}

#[test]
fn without_files_nobody_comes_in() {
    let edge = Edge::new(Vec::new());
    let identity = edge.known("acme", &bearer(&access("acme")), NOW);
    let empty = tempfile::tempdir().unwrap();
    let live = Live::start(empty.path().to_owned()).unwrap();
    let auth = Authenticator::new(live, edge.directory.path()).unwrap();
    let answer = auth.authenticate(&tenant("acme"), &bearer(&access("acme")), NOW);
    assert_eq!(answer, Authentication::Refused(NO_FILES));
    assert!(!auth.is_alive(&identity, NOW));
}

proptest! {
    #[test]
    fn a_session_cookie_with_any_byte_changed_is_refused(place in any::<prop::sample::Index>(), byte in 33_u8..127) {
        let edge = Edge::new(Vec::new());
        let honest = session(&edge, "acme", |_| {});
        let text = honest["cookie"].to_str().unwrap().strip_prefix("__Host-tenantd=").unwrap();
        let mut changed = text.as_bytes().to_vec();
        let place = place.index(changed.len());
        changed[place] = byte;
        let changed = String::from_utf8(changed).unwrap();
        if changed != text && byte != b';' {
            let answer = edge.ask("acme", &cookies(&format!("__Host-tenantd={changed}")), NOW);
            prop_assert!(matches!(answer, Authentication::Refused(_)), "{:?}", answer);
        }
    }
}
