use model::edge::{REVOCATIONS_FORMAT, Revocation};
use proptest::prelude::*;

use super::*;

fn tenant(name: &str) -> TenantId {
    TenantId::parse(name).unwrap()
}

fn entry(by: RevokedBy, value: &str, before: i64) -> Revocation {
    Revocation { by, value: value.to_owned(), before, until: before + 86_400 }
}

fn revoked(entries: Vec<Revocation>) -> Revoked {
    Revoked::new(&Revocations { format: REVOCATIONS_FORMAT, entries })
}

fn has(revoked: &Revoked, jti: &str, from: Option<&str>, subject: &str, at: &str, issued: i64) -> bool {
    revoked.has(&Bearer { jti, from, subject, tenant: &tenant(at), issued })
}

#[test]
fn a_jti_is_dead_itself_and_as_the_origin_of_a_session() {
    let list = revoked(vec![entry(RevokedBy::Jti, "j1", 100)]);
    assert!(has(&list, "j1", None, "alice", "acme", 50));
    assert!(has(&list, "j1", None, "alice", "acme", 500));
    assert!(has(&list, "j2", Some("j1"), "alice", "acme", 500));
    assert!(!has(&list, "j2", Some("j3"), "alice", "acme", 50));
}

#[test]
fn a_subject_is_dead_at_every_tenant_until_it_is_issued_anew() {
    let list = revoked(vec![entry(RevokedBy::Subject, "alice", 100)]);
    for at in ["acme", "beta"] {
        assert!(has(&list, "j", None, "alice", at, 99));
        assert!(has(&list, "j", None, "alice", at, 100));
        assert!(!has(&list, "j", None, "alice", at, 101));
        assert!(!has(&list, "j", None, "bob", at, 99));
    }
    // A subject is no jti and no tenant of the same name.
    assert!(!has(&list, "alice", Some("alice"), "bob", "alice", 99));
}

#[test]
fn a_tenant_takes_everybody_along() {
    let list = revoked(vec![entry(RevokedBy::Tenant, "acme", 100)]);
    assert!(has(&list, "j", None, "alice", "acme", 100));
    assert!(!has(&list, "j", None, "alice", "acme", 101));
    assert!(!has(&list, "j", None, "alice", "beta", 100));
}

#[test]
fn nothing_is_revoked_by_an_empty_list() {
    assert!(!has(&revoked(Vec::new()), "j", Some("k"), "alice", "acme", i64::MIN));
}

proptest! {
    #[test]
    fn the_latest_of_several_counts_in_any_order(times in prop::collection::vec(0_i64..1000, 1..6), issued in 0_i64..1000) {
        let list = revoked(times.iter().map(|time| entry(RevokedBy::Subject, "alice", *time)).collect());
        let latest = times.iter().max().unwrap();
        prop_assert_eq!(has(&list, "j", None, "alice", "acme", issued), issued <= *latest);
    }
}
