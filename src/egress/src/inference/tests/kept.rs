use super::*;

fn tokens_day(tokens: u64) -> Budget {
    Budget { tokens_day: Some(tokens), ..Budget::default() }
}

#[tokio::test]
async fn usage_outlives_a_restart() {
    let world = World::new(tokens_day(300));
    let dial = upstreams(|_| chat(200, 150));
    assert_eq!(world.ask(&hello("gpt-5"), &dial).await.0, 200);
    let world = world.again(tokens_day(300));
    assert_eq!(world.ask(&hello("gpt-5"), &dial).await.0, 429);
    assert_eq!(world.today("one", "gpt-5").requests, 1);
}

#[tokio::test(start_paused = true)]
async fn usage_is_written_within_two_seconds_by_itself() {
    let world = World::new(Budget::default());
    let dial = upstreams(|_| chat(1, 1));
    let path = world.directory.path().join("usage.json");
    tokio::select! {
        () = world.route.keep() => unreachable!("it goes on"),
        () = async {
            world.ask(&hello("gpt-5"), &dial).await;
            assert!(!path.exists());
            tokio::time::sleep(Duration::from_millis(1001)).await;
            while !path.exists() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        } => {}
    }
    assert!(std::fs::read_to_string(&path).unwrap().contains("gpt-5"));
    assert!(!world.directory.path().join("usage.json.new").exists());
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a damaged file is what is wanted")]
async fn a_damaged_file_stops_what_has_a_budget_and_nothing_else() {
    let dial = upstreams(|_| chat(1, 1));
    for text in [
        "",
        "{",
        "{\"format\":2,\"days\":{}}",
        "{\"format\":1,\"days\":{\"yesterday\":{}}}",
        "\u{0}",
        "{\"format\":1,\"days\":{},\"x\":1}",
    ] {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("usage.json"), text).unwrap();
        let world = World::in_directory(directory, NOON, tokens_day(1000));
        let (status, told) = world.ask(&hello("gpt-5"), &dial).await;
        assert_eq!(status, 503);
        assert!(told.contains("usage.json is damaged") && told.contains("move it away"), "{told}");
        world.route.flush().unwrap();
        let path = world.directory.path().join("usage.json");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "it is left for whoever mends it");
        assert_eq!(
            world.route.settings(&inference(Budget { requests_minute: Some(5), ..Budget::default() })),
            Vec::<String>::new()
        );
        assert_eq!(world.ask(&hello("gpt-5"), &dial).await.0, 200);
        assert_eq!(world.today("one", "gpt-5").requests, 1);
        assert_eq!(std::fs::read_to_string(world.directory.path().join("usage.json.damaged")).unwrap(), text);
    }
}

#[tokio::test]
async fn usage_that_cannot_be_written_stops_what_has_a_budget() {
    let world = World::new(tokens_day(100_000));
    let dial = upstreams(|_| chat(1, 1));
    assert_eq!(world.ask(&hello("gpt-5"), &dial).await.0, 200);
    std::fs::create_dir(world.directory.path().join("usage.json")).unwrap();
    assert!(world.route.flush().is_err());
    assert_eq!(world.ask(&hello("gpt-5"), &dial).await.0, 503);
    std::fs::remove_dir(world.directory.path().join("usage.json")).unwrap();
    assert!(world.route.flush().is_ok());
    assert_eq!(world.ask(&hello("gpt-5"), &dial).await.0, 200);
}

#[tokio::test]
async fn the_file_does_not_grow_with_names_or_days() {
    let world = World::new(Budget::default());
    let dial = upstreams(|_| chat(1, 1));
    for number in 0..150 {
        assert_eq!(world.ask(&hello(&format!("gpt-{number}")), &dial).await.0, 200);
    }
    assert_eq!(world.today("one", "(others)").requests, 50);
    world.clock.pass(61 * 86_400);
    assert_eq!(world.ask(&hello("gpt-5"), &dial).await.0, 200);
    assert_eq!(world.today("one", "gpt-0").requests, 1);
    world.clock.pass(86_400);
    assert_eq!(world.ask(&hello("gpt-5"), &dial).await.0, 200);
    assert_eq!(world.today("one", "gpt-0").requests, 0, "62 days are kept");
}
