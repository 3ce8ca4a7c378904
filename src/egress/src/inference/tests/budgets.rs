use super::*;

fn tokens_day(tokens: u64) -> Budget {
    Budget { tokens_day: Some(tokens), ..Budget::default() }
}

async fn refused(world: &World, body: &Value, dial: &Upstreams) -> (String, u64) {
    let response = world.post("/v1/chat/completions", body, dial).await;
    assert_eq!(response.status(), 429);
    let after = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    let error: Value = serde_json::from_str(&read(response).await.1).unwrap();
    (error["error"]["message"].as_str().unwrap().to_owned(), after)
}

#[tokio::test]
async fn a_day_that_is_used_up_renews_at_midnight_and_a_month_at_its_end() {
    let world = World::new(Budget { tokens_month: Some(900), ..tokens_day(300) });
    let dial = upstreams(|_| chat(200, 150));
    assert_eq!(world.ask(&hello("gpt-5"), &dial).await.0, 200);
    let (message, after) = refused(&world, &hello("gpt-5"), &dial).await;
    assert!(message.contains("tokens_day") && message.contains("2026-11-28"), "{message}");
    assert_eq!(after, 12 * 3600);
    for _ in 0..2 {
        world.clock.pass(86_400);
        assert_eq!(world.ask(&hello("gpt-5"), &dial).await.0, 200);
    }
    world.clock.pass(86_400);
    let (message, after) = refused(&world, &hello("gpt-5"), &dial).await;
    assert!(message.contains("tokens_month") && message.contains("2026-12-01"), "{message}");
    assert_eq!(after, 12 * 3600);
    world.clock.pass(12 * 3600);
    assert_eq!(world.ask(&hello("gpt-5"), &dial).await.0, 200);
}

#[tokio::test]
async fn a_clock_that_goes_back_gives_nothing_back() {
    let world = World::new(tokens_day(300));
    let dial = upstreams(|_| chat(200, 150));
    assert_eq!(world.ask(&hello("gpt-5"), &dial).await.0, 200);
    for back in [NOON - 86_400, 0, NOON - 40 * 86_400] {
        world.clock.set(back);
        refused(&world, &hello("gpt-5"), &dial).await;
    }
    let world = world.again(tokens_day(300));
    refused(&world, &hello("gpt-5"), &dial).await;
    world.clock.set(NOON + 86_400);
    assert_eq!(world.ask(&hello("gpt-5"), &dial).await.0, 200);
}

#[tokio::test]
async fn many_at_once_cannot_take_what_one_may_not() {
    let world = World::new(tokens_day(1000));
    let (let_go, wait) = tokio::sync::watch::channel(false);
    struct Slow(tokio::sync::watch::Receiver<bool>);
    impl Dial for Slow {
        fn send<'a>(&'a self, _: &'a Server, _: Request<Body>) -> Answering<'a> {
            let mut wait = self.0.clone();
            Box::pin(async move {
                wait.wait_for(|go| *go).await.unwrap();
                chat(20, 280)
            })
        }
    }
    let slow = Slow(wait);
    let mut body = hello("gpt-5");
    body["max_tokens"] = json!(280);
    let many = (0..20).map(|_| async { read(world.post("/v1/chat/completions", &body, &slow).await).await });
    let all = futures_util::future::join_all(many);
    let (answers, ()) = tokio::join!(all, async {
        tokio::task::yield_now().await;
        let_go.send(true).unwrap();
    });
    let served = answers.iter().filter(|(status, _)| *status == 200).count();
    assert_eq!(served, 3, "three times 300 and not a fourth");
    assert!(answers.iter().any(|(_, text)| text.contains("held for requests under way")));
    assert_eq!(world.today("one", "gpt-5").output, 3 * 280);
}

fn stream_of(events: u64) -> String {
    let event =
        "data: {\"choices\":[{\"delta\":{\"content\":\"0123456789012345678901234567890123456789\"}}]}\n\n";
    event.repeat(usize::try_from(events).unwrap())
}

#[tokio::test]
async fn a_stream_is_ended_when_it_crosses_a_budget() {
    for (path, model, mark) in [
        ("/v1/chat/completions", "gpt-5", "\n\ndata: {\"error\":"),
        ("/v1/responses", "gpt-5", "\n\nevent: error\ndata: {\"code\":"),
        ("/v1/messages", "claude-5", "\n\nevent: error\ndata: {\"error\":"),
    ] {
        let world = World::new(tokens_day(200));
        let dial = upstreams(|_| events(&stream_of(1000), 100));
        let body = json!({ "model": model, "stream": true, "max_tokens": 5 });
        let (status, text) = read(world.post(path, &body, &dial).await).await;
        assert_eq!(status, 200);
        assert!(text.contains(mark) && text.contains("tokens_day") && text.ends_with("}\n\n"), "{text}");
        assert!(text.len() < 5000, "{}", text.len());
        let (status, _) = read(world.post(path, &body, &dial).await).await;
        assert_eq!(status, 429);
    }
    let world = World::new(Budget { when_spent: WhenSpent::Alert, ..tokens_day(200) });
    let dial = upstreams(|_| events(&stream_of(100), 100));
    let body = json!({ "model": "gpt-5", "stream": true, "max_tokens": 5 });
    for _ in 0..2 {
        let (status, text) = world.ask(&body, &dial).await;
        assert_eq!((status, text.as_str()), (200, stream_of(100).as_str()), "an alert ends nothing");
    }
}

#[tokio::test]
async fn usage_that_is_told_all_the_time_does_not_keep_a_stream_going() {
    let world = World::new(tokens_day(200));
    let dial = upstreams(|_| {
        let event = "data: {\"choices\":[{\"delta\":{\"content\":\"0123456789012345678901234567890123456789\"}}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}}\n\n";
        events(&event.repeat(1000), 100)
    });
    let body = json!({ "model": "gpt-5", "stream": true, "max_tokens": 5, "stream_options": { "include_usage": true, "continuous_usage_stats": true } });
    assert!(world.ask(&body, &dial).await.1.contains("tokens_day"));
}

#[tokio::test]
async fn a_loop_of_requests_is_held_by_the_minute() {
    let world = World::new(Budget { requests_minute: Some(10), ..Budget::default() });
    let dial = upstreams(|_| chat(1, 1));
    let mut served = 0;
    for _ in 0..2280 {
        served += u32::from(world.ask(&hello("gpt-5"), &dial).await.0 == 200);
    }
    assert_eq!(served, 10);
    let (message, after) = refused(&world, &hello("gpt-5"), &dial).await;
    assert!(message.contains("requests_minute") && after <= 60, "{message}");
    world.clock.pass(after);
    assert_eq!(world.ask(&hello("gpt-5"), &dial).await.0, 200);
    let world = World::new(Budget { tokens_minute: Some(100), ..Budget::default() });
    let dial = upstreams(|_| chat(20, 90));
    assert_eq!(world.ask(&hello("gpt-5"), &dial).await.0, 200);
    let (message, after) = refused(&world, &hello("gpt-5"), &dial).await;
    assert!(message.contains("tokens_minute"), "{message}");
    world.clock.pass(after);
    assert_eq!(world.ask(&hello("gpt-5"), &dial).await.0, 200);
}

#[tokio::test]
async fn money_is_counted_by_price_and_a_model_without_one_is_refused() {
    let world = World::new(Budget { money_day: Some(1000), ..Budget::default() });
    let dial = upstreams(|_| chat(100, 300));
    assert_eq!(world.ask(&hello("gpt-5"), &dial).await.0, 200);
    assert_eq!(world.today("one", "gpt-5").money, 700);
    let mut long = hello("gpt-5");
    long["max_tokens"] = json!(1000);
    let (message, _) = refused(&world, &long, &dial).await;
    assert!(message.contains("money_day") && message.contains("lower limit"), "{message}");
    let (status, text) = world.ask(&hello("gpt-6"), &dial).await;
    assert_eq!((status, text.contains("gpt-6") && text.contains("no price")), (403, true), "{text}");
    for field in [json!({ "service_tier": "priority" }), json!({ "speed": "fast" })] {
        let mut dear = hello("gpt-5");
        dear.as_object_mut().unwrap().extend(field.as_object().unwrap().clone());
        assert_eq!(world.ask(&dear, &dial).await.0, 400);
    }
}

#[tokio::test]
async fn a_reader_that_goes_away_pays_what_may_have_been_made() {
    struct Never;
    impl Dial for Never {
        fn send<'a>(&'a self, _: &'a Server, _: Request<Body>) -> Answering<'a> {
            Box::pin(std::future::pending())
        }
    }
    let world = World::new(tokens_day(100_000));
    let mut body = hello("gpt-5");
    body["max_tokens"] = json!(50_000);
    {
        let asking = world.post("/v1/chat/completions", &body, &Never);
        tokio::pin!(asking);
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(std::future::Future::poll(asking.as_mut(), &mut cx).is_pending());
        world.clock.pass(9);
    }
    let used = world.today("one", "gpt-5");
    assert_eq!((used.requests, used.output), (1, 2000));
    assert_eq!(world.route.places.available_permits(), MOST_REQUESTS);
}
