use std::io::{Error, ErrorKind};

use super::*;

fn refused() -> DialError {
    DialError::Connect("one.example at 10.9.8.7".into(), Error::from(ErrorKind::ConnectionRefused))
}

#[tokio::test]
async fn the_next_provider_is_asked_before_anything_was_passed_on() {
    type Failing = fn() -> Result<Response<Body>, DialError>;
    let failing: [Failing; 8] = [
        || Err(refused()),
        || Err(DialError::Tls("one.example".into(), Error::from(ErrorKind::InvalidData))),
        || Err(DialError::Late("one.example".into())),
        || answer(500, "text/plain", full("secret prompt")),
        || answer(429, "application/json", full("{}")),
        || answer(529, "application/json", full("{}")),
        || answer(401, "application/json", full("your key sk-oper...")),
        || answer(302, "text/html", full("")),
    ];
    for reply in failing {
        let world = World::new(Budget::default());
        let dial = upstreams(move |seen| if seen.host == "one.example" { reply() } else { chat(1, 1) });
        assert_eq!(world.ask(&hello("gpt-5"), &dial).await.0, 200);
        assert_eq!(dial.hosts(), ["one.example", "two.example"]);
        assert_eq!(world.today("one", "gpt-5"), Used::default(), "who does not answer costs nothing");
        assert_eq!(world.today("two", "gpt-5").requests, 1);
        assert_eq!(world.ask(&hello("gpt-5"), &dial).await.0, 200);
        assert_eq!(dial.hosts(), ["two.example"], "who failed is asked last");
        world.clock.pass(30);
        assert_eq!(world.ask(&hello("gpt-5"), &dial).await.0, 200);
        assert_eq!(dial.hosts(), ["one.example", "two.example"]);
    }
}

#[tokio::test]
async fn an_error_of_the_request_is_passed_on_and_costs_nothing() {
    let world = World::new(Budget::default());
    let dial = upstreams(|_| answer(400, "application/json", full("{\"error\":{\"message\":\"bad\"}}")));
    let (status, text) = world.ask(&hello("gpt-5"), &dial).await;
    assert_eq!((status, text.contains("bad")), (400, true));
    assert_eq!(dial.hosts(), ["one.example"]);
    assert_eq!(world.today("one", "gpt-5"), Used { requests: 1, ..Used::default() });
}

#[tokio::test]
async fn if_all_fail_the_answer_names_them_and_why_and_nothing_else() {
    let world = World::new(Budget { tokens_day: Some(1000), ..Budget::default() });
    let dial = upstreams(|seen| {
        if seen.host == "one.example" {
            Err(refused())
        } else {
            answer(503, "text/plain", full(format!("leak {KEY}")))
        }
    });
    for _ in 0..100 {
        let (status, text) = world.ask(&hello("gpt-5"), &dial).await;
        assert_eq!(status, 502);
        let error: Value = serde_json::from_str(&text).unwrap();
        let message = error["error"]["message"].as_str().unwrap();
        assert!(
            message.contains("one cannot be connected to") && message.contains("two failed (503)"),
            "{message}"
        );
        assert!(!message.contains("leak") && !message.contains("10.9.8.7") && !message.contains("hello"));
    }
}

#[tokio::test]
async fn nobody_else_is_asked_once_something_was_passed_on() {
    let world = World::new(Budget::default());
    let dial = upstreams(|_| {
        let chunks = vec![
            Ok(Frame::data(Bytes::from("data: {\"choices\":[{\"delta\":{\"content\":\"12345678\"}}]}\n\n"))),
            Err(BodyError::Server),
        ];
        answer(200, "text/event-stream", StreamBody::new(futures_util::stream::iter(chunks)).boxed_unsync())
    });
    let mut body = hello("gpt-5");
    body["stream"] = json!(true);
    body["stream_options"] = json!({ "include_usage": true });
    let (_, text) = world.ask(&body, &dial).await;
    assert!(text.ends_with("[the server ended early]"), "{text}");
    assert_eq!(dial.hosts(), ["one.example"]);
    let used = world.today("one", "gpt-5");
    assert_eq!((used.requests, used.output), (1, 10), "nobody told, so what was held counts");
}

#[tokio::test]
async fn a_provider_without_its_key_is_not_used() {
    let world = World::new(Budget::default());
    let mut changed = inference(Budget::default());
    changed.providers[0].secret = Some("other".into());
    assert_eq!(world.route.settings(&changed).len(), 1);
    let dial = upstreams(|_| chat(1, 1));
    assert_eq!(world.ask(&hello("gpt-5"), &dial).await.0, 200);
    assert_eq!(dial.hosts(), ["two.example"]);
}
