//! A question from the socket to its answer, with the files of a host below a directory of the test's own.

use model::egress::ApprovalsFile;

use super::super::Wish;
use super::*;
use crate::staged::{acme, service};

fn in_force(service: &Service) -> ApprovalsFile {
    let path = service.paths.egress(&acme()).join("approvals.json");
    serde_json::from_slice(&host::files::read_bounded(&path, 1 << 20).unwrap().unwrap()).unwrap()
}

fn to(host: &str) -> Question {
    Question::Ask(Destination {
        host: host.into(),
        port: 443,
        address: None,
        binary: Some("/usr/bin/curl".into()),
        exchange: None,
    })
}

/// The proxy's end, with the question put.
async fn put_question(service: &Arc<Service>, question: &Question) -> UnixStream {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    theirs.write_all(format!("{}\n", serde_json::to_string(question).unwrap()).as_bytes()).await.unwrap();
    let service = service.clone();
    tokio::spawn(async move { answer(&service, &acme(), ours).await });
    theirs
}

async fn told(mut theirs: UnixStream) -> Answer {
    let mut text = String::new();
    theirs.read_to_string(&mut text).await.unwrap();
    serde_json::from_str(text.strip_suffix('\n').unwrap()).unwrap()
}

/// What is listed once it is as wanted; changes are told, so nothing here waits for a clock.
async fn listed(service: &Service, state: &str, count: usize) -> Vec<api::AskedRequest> {
    loop {
        let list = service.asked(Some(&acme())).unwrap();
        if list.iter().filter(|one| one.state == state).count() == count {
            return list;
        }
        tokio::task::yield_now().await;
    }
}

fn wish(request: &api::AskedRequest, verdict: &str, scope: &str) -> Wish {
    Wish {
        number: request.number,
        digest: request.digest.clone(),
        verdict: verdict.into(),
        scope: scope.into(),
        reason: "a test".into(),
        caller: 0,
    }
}

fn run(work: impl AsyncFnOnce(Arc<Service>)) {
    let root = tempfile::tempdir().unwrap();
    let service = service(root.path());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(work(service));
}

#[test]
fn an_approval_answers_who_waits_is_in_force_and_can_be_taken_back() {
    run(async |service| {
        let theirs = put_question(&service, &to("a.example.org")).await;
        let request = listed(&service, "waiting", 1).await.remove(0);
        let mut other = wish(&request, "allow", "for 600");
        other.digest = "000000000000".into();
        assert!(
            service.answer_request(&other).unwrap_err().sentence.contains("has changed since it was shown")
        );
        assert!(
            service.answer_request(&wish(&request, "allow", "always")).is_err(),
            "the profile does not let it"
        );
        let answered = service.answer_request(&wish(&request, "allow", "for 600")).unwrap();
        assert_eq!((answered.told, answered.approval), (1, Some(1)));
        let answer = told(theirs).await;
        assert_eq!((answer.verdict, answer.request), (AnswerVerdict::Allow, Some(request.number)));
        assert!(answer.why.contains("a test"), "{}", answer.why);
        // In force, and what a plan would write.
        let file = in_force(&service);
        assert_eq!(file.document, service.egress_grant(&acme()).unwrap().approvals);
        assert!(service.stale_approvals(&acme()).unwrap().is_none());
        let question = r#"{"host":"a.example.org","port":443,"address":null,"binaries":["/usr/bin/curl"],"method":null,"path":null,"upgrade":false}"#;
        let explained = service.explain_egress(&acme(), question).unwrap();
        assert!(
            explained.text.contains("is allowed") && explained.text.contains("approval_1"),
            "{}",
            explained.text
        );
        // Of this machine's own addresses, of which the proxy knows: what was approved is not about those.
        let own = question.replace("null,\"bin", "\"8.8.8.8\",\"own\":true,\"bin");
        let own = service.explain_egress(&acme(), &own).unwrap().text;
        assert!(own.contains("is denied") && own.contains("this machine's own"), "{own}");
        let other = question.replace("null,\"bin", "\"8.8.8.8\",\"bin");
        let other = service.explain_egress(&acme(), &other).unwrap().text;
        assert!(other.contains("is allowed"), "{other}");
        let entry = &service.egress_view(&acme()).unwrap().entries[0];
        assert_eq!((entry.level.as_str(), entry.expires), ("approval", answered.until));
        // A proxy that has not read it yet is told so.
        assert_eq!(
            told(put_question(&service, &to("a.example.org")).await).await.verdict,
            AnswerVerdict::Allow
        );
        service.revoke_approval(&acme(), 1, 0).unwrap();
        assert_eq!(in_force(&service).document, None);
        assert!(service.revoke_approval(&acme(), 1, 0).is_err());
    });
}

#[test]
fn once_is_for_those_who_wait_and_a_denial_is_not_asked_again() {
    run(async |service| {
        let both = [
            put_question(&service, &to("a.example.org")).await,
            put_question(&service, &to("a.example.org")).await,
        ];
        let request = loop {
            let request = listed(&service, "waiting", 1).await.remove(0);
            if request.waiting == 2 {
                break request;
            }
        };
        assert_eq!(service.answer_request(&wish(&request, "allow", "once")).unwrap().told, 2);
        for theirs in both {
            assert_eq!(told(theirs).await.verdict, AnswerVerdict::Allow);
        }
        assert!(service.list_approvals(&acme()).unwrap().is_empty());
        // Whoever hangs up takes the question back; it stays listed, and a denial counts for the next time.
        drop(put_question(&service, &to("a.example.org")).await);
        let request = loop {
            if let Some(request) =
                service.asked(Some(&acme())).unwrap().pop().filter(|one| one.state == "expired")
            {
                break request;
            }
            tokio::task::yield_now().await;
        };
        assert!(service.answer_request(&wish(&request, "allow", "once")).is_err(), "nobody waits");
        service.answer_request(&wish(&request, "deny", "always")).unwrap();
        assert_eq!(
            told(put_question(&service, &to("a.example.org")).await).await.verdict,
            AnswerVerdict::Deny
        );
        assert!(service.asked(None).unwrap().is_empty() && in_force(&service).document.is_none());
    });
}

#[test]
fn a_third_question_is_refused_at_once_and_what_is_none_too() {
    run(async |service| {
        let first = put_question(&service, &to("a.example.org")).await;
        let second = put_question(&service, &to("b.example.org")).await;
        listed(&service, "waiting", 2).await;
        let third = told(put_question(&service, &to("c.example.org")).await).await;
        assert_eq!((third.verdict, third.request), (AnswerVerdict::Refused, None));
        assert_eq!(told(put_question(&service, &to("c..d")).await).await.verdict, AnswerVerdict::Refused);
        drop((first, second));
    });
}

#[test]
fn what_is_tried_is_noted_only_while_the_tenant_learns() {
    run(async |service| {
        let Question::Ask(seen) = to("a.example.org") else { panic!("not asked") };
        let observe = Question::Observe(seen);
        assert_eq!(told(put_question(&service, &observe).await).await.verdict, AnswerVerdict::Noted);
        assert_eq!(service.learned(&acme()).unwrap().noted, 0);
        let until = service.learn(&acme(), 3600).unwrap().until;
        assert_eq!((in_force(&service).learn_until, until.is_some()), (until, true));
        told(put_question(&service, &observe).await).await;
        let learned = service.learn(&acme(), 0).unwrap();
        assert_eq!((learned.noted, learned.until), (1, None));
        assert!(learned.document.contains("a.example.org"), "{}", learned.document);
        assert_eq!(in_force(&service).learn_until, None);
    });
}
