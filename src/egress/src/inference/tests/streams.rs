use super::*;

const CHAT: &str = concat!(
    "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"hel\"}}],\"usage\":null}\n\n",
    ": ping\r\n\r\n",
    "data: {\"choices\":[{\"delta\":{\"content\":\"lo\"}}]}\r\n\r\n",
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":4,\"total_tokens\":15}}\n\n",
    "data: [DONE]\n\n"
);
const MESSAGES: &str = concat!(
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":3,\"cache_read_input_tokens\":20,\"output_tokens\":1}}}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"hello\"}}\n\n",
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":9}}\n\n",
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
);
const RESPONSES: &str = concat!(
    "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"hello\"}\n\n",
    "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"usage\":{\"input_tokens\":6,\"output_tokens\":2,\"total_tokens\":8}}}\n\n"
);

fn streaming(model: &str) -> Value {
    json!({ "model": model, "stream": true, "max_tokens": 100, "messages": [] })
}

#[tokio::test]
async fn a_stream_passes_as_it_came_and_is_counted_however_it_is_cut() {
    for size in [1, 2, 3, 7, 50, 10_000] {
        for (path, model, text, provider, used) in [
            (
                "/v1/messages",
                "claude-5",
                MESSAGES,
                "claude",
                Used { requests: 1, input: 23, output: 9, money: 41 },
            ),
            (
                "/v1/responses",
                "gpt-5",
                RESPONSES,
                "one",
                Used { requests: 1, input: 6, output: 2, money: 10 },
            ),
        ] {
            let world = World::new(Budget { tokens_day: Some(100_000), ..Budget::default() });
            let dial = upstreams(move |_| events(text, size));
            let (_, passed) = read(world.post(path, &streaming(model), &dial).await).await;
            assert_eq!(passed, text);
            assert_eq!(world.today(provider, model), used);
        }
    }
}

#[tokio::test]
async fn a_stream_without_usage_is_asked_for_it_and_the_client_does_not_see_it() {
    for size in [1, 5, 64, 10_000] {
        let world = World::new(Budget::default());
        let dial = upstreams(move |_| events(CHAT, size));
        let (_, passed) = world.ask(&streaming("gpt-5"), &dial).await;
        let usage = CHAT.split_inclusive("\r\n\r\n").last().unwrap().split_inclusive("\n\n").next().unwrap();
        assert!(usage.contains("prompt_tokens"));
        assert_eq!(passed, CHAT.replace(usage, ""));
        assert_eq!(dial.seen.lock().unwrap()[0].json()["stream_options"], json!({ "include_usage": true }));
        assert_eq!(world.today("one", "gpt-5"), Used { requests: 1, input: 11, output: 4, money: 19 });
    }
    let world = World::new(Budget::default());
    let dial = upstreams(move |_| events(CHAT, 9));
    let mut asked = streaming("gpt-5");
    asked["stream_options"] = json!({ "include_usage": true, "x": 1 });
    assert_eq!(world.ask(&asked, &dial).await.1, CHAT, "who asked sees it");
    for options in [json!({ "include_usage": false, "x": 1 }), json!({ "x": 1 })] {
        asked["stream_options"] = options;
        assert!(!world.ask(&asked, &dial).await.1.contains("prompt_tokens"));
        let seen = dial.seen.lock().unwrap();
        assert_eq!(seen.last().unwrap().json()["stream_options"], json!({ "include_usage": true, "x": 1 }));
    }
}

#[tokio::test]
async fn an_event_is_passed_on_when_it_is_whole() {
    let (sender, receiver) = futures_channel();
    let receiver = Mutex::new(Some(receiver));
    let world = World::new(Budget::default());
    let dial = upstreams(move |_| answer(200, "text/event-stream", receiver.lock().unwrap().take().unwrap()));
    let mut body = world.post("/v1/chat/completions", &streaming("gpt-5"), &dial).await.into_body();
    for event in CHAT.split_inclusive("\n\n").filter(|event| event.starts_with("data: {\"choices\":[{")) {
        sender.send(event.to_owned()).unwrap();
        let data = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(data, event.as_bytes());
    }
    drop(body);
    let used = world.today("one", "gpt-5");
    assert_eq!(
        (used.requests, used.output),
        (1, 100),
        "who goes away pays what may have been made meanwhile"
    );
}

/// A body of what is sent.
fn futures_channel() -> (tokio::sync::mpsc::UnboundedSender<String>, Body) {
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel::<String>();
    let frames = futures_util::stream::unfold(receiver, |mut receiver| async move {
        let text = receiver.recv().await?;
        Some((Ok::<_, BodyError>(Frame::data(Bytes::from(text))), receiver))
    });
    (sender, StreamBody::new(frames).boxed_unsync())
}

#[tokio::test]
async fn a_hostile_provider_is_counted_and_breaks_nothing() {
    let endless = format!("data: {}", "x".repeat(3 << 20));
    let cases: [(String, u64); 6] = [
        (endless.clone(), 3 << 18),
        ("data: \u{fffd}\n\n".replace('\u{fffd}', "{\"choices\":[{\"delta\":{\"content\":\"12345678\"}}]}"), 2),
        ("data: {\"choices\":[],\"usage\":{\"prompt_tokens\":-1,\"completion_tokens\":99999999999999999999}}\n\n".into(), 0),
        ("data: {\"choices\":[{\"delta\":{\"content\":\"12345678\"}}]".into(), 10),
        ("\n\n\r\r\n\rdata\n\ndata:\n\nevent: x\n\n:\n\n".into(), 0),
        (format!("data: {}\n\n", "[".repeat(5000)), 1250),
    ];
    for (text, output) in cases {
        let world = World::new(Budget { tokens_day: Some(100_000_000), ..Budget::default() });
        let copy = text.clone();
        let dial = upstreams(move |_| events(&copy, 4096));
        let mut asked = streaming("gpt-5");
        asked["stream_options"] = json!({ "include_usage": true });
        assert_eq!(world.ask(&asked, &dial).await.1, text);
        let used = world.today("one", "gpt-5");
        assert!(used.input > 0 && used.output.abs_diff(output) < 6, "{used:?}, about {output}");
    }
    let world = World::new(Budget::default());
    let dial =
        upstreams(|_| answer(200, "text/event-stream", full(b"data: \xff\xfe\xfd\xfc\n\n\xff\n\n".to_vec())));
    assert_eq!(world.ask(&streaming("gpt-5"), &dial).await.0, 200);
    assert_eq!(world.today("one", "gpt-5").output, 1);
    let dial = upstreams(|_| answer(200, "application/json", full(b"\xff not json".to_vec())));
    assert_eq!(world.ask(&hello("gpt-5"), &dial).await.0, 200);
    let dial = upstreams(move |_| answer(200, "application/json", full(endless.clone() + &endless)));
    assert_eq!(world.ask(&hello("gpt-5"), &dial).await.1.len(), (3 << 21) + 12);
    assert!(world.today("one", "gpt-5").output > 3 << 19);
}

#[tokio::test]
async fn a_provider_that_sends_the_key_back_is_cut_off() {
    let world = World::new(Budget::default());
    let dial = upstreams(|_| events(&format!("data: a\n\ndata: {KEY}\n\n"), 4));
    let (_, text) = world.ask(&streaming("gpt-5"), &dial).await;
    assert!(!text.contains("0123456789") && text.ends_with("[the server sent a secret back]"), "{text}");
}

proptest::proptest! {
    #[test]
    fn cutting_events_never_panics(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300), text in "(data: |\\n|\\r|\\r\\n|x|:|event: e|\\{\"usage\":\\{\"prompt_tokens\":3\\}\\}){0,40}") {
        fuzz_sse(&bytes);
        fuzz_sse(text.as_bytes());
    }
}
