use backup::Quiesced;

use super::*;
use crate::egress::refuse_other;
use crate::staged::{acme, service};

const WIDE: &str = "id = \"acme\"\nruntime = \"openclaw\"\n[egress]\npresets = [\"github\"]\n";

fn beta() -> TenantId {
    TenantId::parse("beta").unwrap()
}

fn label(tenant: TenantId) -> Label {
    Label {
        tenant,
        made: 1,
        host: "host".into(),
        tenantd: "1".into(),
        quiesced: Quiesced::Frozen,
        enabled: true,
        spec: WIDE.into(),
        settings: String::new(),
    }
}

#[test]
fn over_a_tenant_that_is_there_nothing_is_allowed_that_was_not() {
    let root = tempfile::tempdir().unwrap();
    let service = service(root.path());
    let change = service.restored_change(None, true, &label(acme())).unwrap();
    assert!(change.widens.is_empty() && change.risks.is_empty() && change.tenant == "acme", "{change:?}");
    refuse_other(&acme(), &change, &no_change(&acme()).unwrap().digest).unwrap();
    // What was shown for a tenant that was not there yet does not count for one that is.
    let refused = refuse_other(&acme(), &change, "0123").unwrap_err();
    assert_eq!(refused.exit, Exit::TempFail);
    assert!(refused.sentence.contains("is not what was shown any more"), "{}", refused.sentence);
}

#[test]
fn what_would_not_be_restored_is_not_shown_either() {
    let root = tempfile::tempdir().unwrap();
    let service = service(root.path());
    let refused = |rename, replace, of| service.restored_change(rename, replace, &label(of)).unwrap_err();
    for (failure, sentence) in [
        (refused(None, false, acme()), "tenant acme exists: say --yes"),
        (refused(Some(acme()), true, beta()), "does not get the data of another"),
    ] {
        assert_eq!(failure.exit, Exit::CantCreate);
        assert!(failure.sentence.contains(sentence), "{}", failure.sentence);
    }
    lock(&service.database).end_absent(&acme(), true).unwrap();
    let failure = refused(None, true, acme());
    assert!(failure.sentence.contains("was deleted and its data kept"), "{}", failure.sentence);
}

#[test]
fn a_tenant_that_is_not_there_is_looked_at_under_the_name_it_gets() {
    let root = tempfile::tempdir().unwrap();
    let goal = service(root.path()).goal(Some(beta()), false, &label(acme())).unwrap();
    let Goal::New(id, text) = goal else { panic!("{goal:?}") };
    assert_eq!((id, text.as_str()), (beta(), WIDE.replace("acme", "beta").as_str()));
}
