use super::super::testing::{NOW, tenant};
use super::super::{IssuedBy, Source};
use super::*;

const EPOCH: Epoch = Epoch { files: 1, external: 1 };

fn somebody(expires: i64) -> Arc<Identity> {
    Arc::new(Identity {
        tenant: tenant("acme"),
        role: model::Role::Viewer,
        subject: "alice".to_owned(),
        jti: "j".to_owned(),
        from: None,
        issued: NOW,
        expires,
        source: Source::Bearer,
        issuer: IssuedBy::Tenantd { iss: "i".to_owned(), kid: None },
    })
}

#[test]
fn an_entry_is_good_for_its_epoch_and_until_the_token_expires() {
    let cache = Cache::new();
    let print = fingerprint("acme", "bearer", "t");
    assert_eq!(cache.get(&print, EPOCH, NOW), None);
    cache.put(print, EPOCH, somebody(NOW + 1));
    assert!(cache.get(&print, EPOCH, NOW).is_some());
    assert_eq!(cache.get(&print, EPOCH, NOW + 1), None);
    assert_eq!(cache.get(&print, Epoch { files: 2, ..EPOCH }, NOW), None);
    assert_eq!(cache.get(&print, Epoch { external: 2, ..EPOCH }, NOW), None);
}

#[test]
fn a_token_is_remembered_for_one_tenant_and_one_way_of_presenting_it() {
    let print = fingerprint("acme", "bearer", "t");
    assert_ne!(print, fingerprint("beta", "bearer", "t"));
    assert_ne!(print, fingerprint("acme", "basic", "t"));
    assert_ne!(print, fingerprint("acme", "bearer", "u"));
}

#[test]
fn it_is_bounded_and_keeps_what_is_used() {
    let cache = Cache::with_half(4);
    let used = fingerprint("acme", "bearer", "used");
    cache.put(used, EPOCH, somebody(NOW + 1));
    for number in 0..10_000 {
        cache.put(fingerprint("acme", "bearer", &number.to_string()), EPOCH, somebody(NOW + 1));
        assert!(cache.get(&used, EPOCH, NOW).is_some(), "forgotten after {number}");
    }
    assert!(cache.len() <= 16 * 2 * 4, "{}", cache.len());
}
