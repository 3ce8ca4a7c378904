use model::egress::AnswerVerdict;

use super::*;

fn id(name: &str) -> TenantId {
    TenantId::parse(name).unwrap()
}

fn to(host: &str) -> Destination {
    Destination {
        host: host.into(),
        port: 443,
        address: None,
        binary: Some("/usr/bin/curl".into()),
        exchange: None,
    }
}

const ASKING: Asking = Asking { hold_sec: 20, waiting: 3, per_hour: 5 };

fn number(put: &Put) -> Option<u64> {
    match put {
        Put::Waits { number, .. } => Some(*number),
        Put::Refused(_) => None,
    }
}

#[test]
fn the_same_question_is_raised_once_and_counted() {
    let mut desk = Desk::default();
    let first = desk.put(&id("acme"), to("a.example.org"), &ASKING, 10);
    let again = desk.put(&id("acme"), to("a.example.org"), &ASKING, 12);
    let other = desk.put(&id("beta"), to("a.example.org"), &ASKING, 12);
    assert_eq!(number(&first), number(&again));
    assert_ne!(number(&first), number(&other), "tenants share no question");
    assert!(
        matches!(first, Put::Waits { raised: true, .. }) && matches!(again, Put::Waits { raised: false, .. })
    );
    let list = desk.list(Some(&id("acme")));
    assert_eq!((list.len(), list[0].count, list[0].waiting, list[0].first, list[0].last), (1, 2, 2, 10, 12));
}

#[test]
fn a_tenant_that_floods_is_refused_and_others_are_heard() {
    let mut desk = Desk::default();
    for n in 0..100 {
        let put = desk.put(&id("acme"), to(&format!("a{n}.example.org")), &ASKING, 10);
        assert_eq!(number(&put).is_some(), n < 3, "{n}");
    }
    assert!(number(&desk.put(&id("beta"), to("b.example.org"), &ASKING, 10)).is_some());
    // One that waits is joined even then.
    assert!(number(&desk.put(&id("acme"), to("a1.example.org"), &ASKING, 10)).is_some());
}

#[test]
fn an_hour_has_so_many_questions_whether_they_wait_or_not() {
    let mut desk = Desk::default();
    for n in 0..20 {
        let put = desk.put(&id("acme"), to(&format!("a{n}.example.org")), &ASKING, 10);
        if let Some(number) = number(&put) {
            assert!(desk.leave(&id("acme"), number, 1_000_000));
        }
        assert_eq!(number(&put).is_some(), n < 5, "{n}");
    }
    assert!(number(&desk.put(&id("acme"), to("late.example.org"), &ASKING, 10 + 3600)).is_some());
}

#[test]
fn the_list_of_a_tenant_is_bounded_and_forgets_the_oldest() {
    let mut desk = Desk::default();
    let asking = Asking { per_hour: 1000, ..ASKING };
    for n in 0..200 {
        let put = desk.put(&id("acme"), to(&format!("a{n}.example.org")), &asking, n);
        assert!(desk.leave(&id("acme"), number(&put).unwrap(), 1_000_000));
    }
    let list = desk.list(None);
    assert_eq!((list.len(), list[0].number, list[0].state.as_str()), (LISTED, 200 - 64 + 1, "expired"));
    desk.prune(200 + KEPT);
    assert!(desk.list(None).is_empty());
}

#[test]
fn all_tenants_together_are_bounded() {
    let mut desk = Desk::default();
    let asking = Asking { waiting: 1, ..ASKING };
    let waits = (0..WAITING + 10)
        .filter(|n| number(&desk.put(&id(&format!("t{n}")), to("a.example.org"), &asking, 1)).is_some());
    assert_eq!(waits.count(), WAITING);
}

#[test]
fn an_answer_is_for_what_was_shown() {
    let mut desk = Desk::default();
    let put = desk.put(&id("acme"), to("a.example.org"), &ASKING, 10);
    let shown = desk.list(None).remove(0);
    desk.put(&id("acme"), to("a.example.org"), &ASKING, 11);
    let found = desk.find(shown.number, &shown.digest).unwrap();
    assert_eq!((found.tenant, found.waiting), (id("acme"), 2));
    // It resolves to another address now; the name is the same.
    let moved = Destination { address: Some("10.0.0.1".parse().unwrap()), ..to("a.example.org") };
    desk.put(&id("acme"), moved, &ASKING, 12);
    assert!(desk.find(shown.number, &shown.digest).is_ok());
    assert!(desk.find(shown.number + 1, &shown.digest).is_err());
    // After a restart another question has the number.
    let mut later = Desk::default();
    later.put(&id("acme"), to("b.example.org"), &ASKING, 10);
    assert_eq!(later.list(None)[0].number, shown.number);
    assert!(later.find(shown.number, &shown.digest).is_err());
    let answer = Answer { verdict: AnswerVerdict::Allow, request: Some(shown.number), why: "x".into() };
    assert_eq!(desk.close(&id("acme"), shown.number, answer.clone()), 3);
    let Put::Waits { answers, .. } = put else { panic!("refused") };
    assert_eq!(*answers.borrow(), Some(answer));
    assert!(desk.list(None).is_empty());
}

#[test]
fn whoever_waits_for_a_tenant_that_is_deleted_is_let_go() {
    let mut desk = Desk::default();
    let Put::Waits { answers, .. } = desk.put(&id("acme"), to("a.example.org"), &ASKING, 10) else {
        panic!("refused")
    };
    desk.forget(&id("acme"));
    assert!(answers.has_changed().is_err(), "nobody will send an answer");
}

/// A program that asks and hangs up in a loop is not heard each time.
#[test]
fn one_that_comes_and_goes_is_told_now_and_then() {
    let mut desk = Desk::default();
    let told = (0..30).filter(|now| {
        let put = desk.put(&id("acme"), to("a.example.org"), &ASKING, *now);
        let raised = matches!(put, Put::Waits { raised: true, .. });
        let left = desk.leave(&id("acme"), number(&put).unwrap(), *now);
        assert_eq!(raised, left, "{now}");
        raised
    });
    assert_eq!(told.count(), 3);
    let refusals = (0..120).filter(|now| desk.tells_refusal(&id("acme"), *now)).count();
    assert_eq!((refusals, desk.tells_refusal(&id("beta"), 0)), (2, true));
}
