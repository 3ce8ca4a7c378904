use super::*;

#[tokio::test]
async fn a_request_goes_out_with_the_operators_key_and_nothing_of_the_tenants() {
    let world = World::new(Budget::default());
    let dial = upstreams(|_| chat(7, 3));
    let request = Request::post("http://inference.internal/v1/chat/completions?user=x")
        .header("authorization", "Bearer tenants-own")
        .header("x-api-key", "tenants-own")
        .header("cookie", "a=tenants-own")
        .header("x-forwarded-for", "tenants-own")
        .header("openai-organization", "tenants-own")
        .header("user-agent", "tenants-own")
        .header("host", "inference.internal")
        .body(full("{\"z\": 1.50, \"model\": \"main\", \"a\": {\"y\": 1, \"x\": 2}}"))
        .unwrap();
    let (status, text) = read(world.route.serve(request, &dial).await).await;
    assert_eq!((status, text.contains("hello")), (200, true));
    let seen = dial.seen.lock().unwrap();
    let [seen] = seen.as_slice() else { panic!("one request") };
    assert_eq!((seen.host.as_str(), seen.uri.as_str()), ("one.example", "/v1/chat/completions"));
    assert_eq!(seen.headers["authorization"], format!("Bearer {KEY}"));
    assert_eq!(seen.headers["host"], "one.example");
    assert!(!format!("{seen:?}").contains("tenants-own") && !format!("{:?}", seen.headers).contains(KEY));
    assert_eq!(
        seen.body, "{\"z\":1.50,\"model\":\"gpt-5\",\"a\":{\"y\": 1, \"x\": 2}}",
        "the order of fields is the client's"
    );
    assert_eq!(world.today("one", "gpt-5"), Used { requests: 1, input: 7, output: 3, money: 13 });
}

#[tokio::test]
async fn anthropics_api_has_its_own_key_header_and_shape_of_errors() {
    let world = World::new(Budget::default());
    let usage = json!({ "input_tokens": 2, "cache_read_input_tokens": 10, "cache_creation_input_tokens": 4, "output_tokens": 5 });
    let dial = upstreams(move |_| {
        document(&json!({ "content": [{ "type": "text", "text": "hello" }], "usage": usage }))
    });
    let request = Request::post("/v1/messages?beta=true")
        .header("anthropic-beta", "x-2026")
        .header("authorization", "Bearer t");
    let request = request.body(full(hello("claude-sonnet-5").to_string())).unwrap();
    let response = world.route.serve(request, &dial).await;
    assert!(!response.headers().contains_key("set-cookie"));
    assert_eq!(read(response).await.0, 200);
    let seen = std::mem::take(&mut *dial.seen.lock().unwrap());
    assert_eq!(seen[0].uri, "/v1/messages?beta=true");
    assert_eq!(
        (&seen[0].headers["x-api-key"], seen[0].headers.get("authorization")),
        (&HeaderValue::from_static(KEY), None)
    );
    assert_eq!(
        (&seen[0].headers["anthropic-version"], &seen[0].headers["anthropic-beta"]),
        (&HeaderValue::from_static("2023-06-01"), &HeaderValue::from_static("x-2026"))
    );
    assert_eq!(
        world.today("claude", "claude-sonnet-5"),
        Used { requests: 1, input: 16, output: 5, money: 2 + 10 + 8 + 10 }
    );
    let (status, text) = read(world.post("/v1/messages", &hello("gemini"), &dial).await).await;
    assert_eq!(status, 404);
    let error: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&error["type"], &error["error"]["type"]), (&json!("error"), &json!("not_found_error")));
}

#[tokio::test]
async fn no_other_path_is_reached_with_the_operators_key() {
    let world = World::new(Budget::default());
    let dial = upstreams(|_| chat(1, 1));
    for path in [
        "/v1/files",
        "/v1/organization/users",
        "/v1/chat/completions/",
        "/v1/chat/completions/x",
        "/v1//chat/completions",
        "/v1/chat/../files",
        "/v1/messages/../files",
        "/v1/%63hat/completions",
        "/V1/chat/completions",
        "/v1/messages/batches",
        "/v1/responses/resp_1",
        "/",
        "/v1/models/x",
        "/v1/models/../files",
        "/v1/chat/completions;x",
        "/v1/messages%2f..%2ffiles",
    ] {
        for method in ["GET", "POST", "DELETE", "PUT"] {
            let request =
                Request::builder().method(method).uri(path).body(full(hello("gpt-5").to_string())).unwrap();
            assert_eq!(world.route.serve(request, &dial).await.status(), 404, "{method} {path}");
        }
    }
    let request = Request::get("/v1/chat/completions").body(full(hello("gpt-5").to_string())).unwrap();
    assert_eq!(world.route.serve(request, &dial).await.status(), 404);
    assert!(dial.hosts().is_empty());
    assert_eq!(world.ask(&hello("gpt-5"), &dial).await.0, 200, "what is served, is");
}

#[tokio::test]
async fn no_spelling_names_another_model() {
    let world = World::new(Budget::default());
    let dial = upstreams(|_| chat(1, 1));
    for body in [
        r#"{"model": "o1-pro"}"#,
        r#"{"model": "gpt-5", "model": "o1-pro"}"#,
        r#"{"model": "gpt-5", "mod\u0065l": "o1-pro"}"#,
        r#"{"model": "gpt-5", "Model": "o1-pro"}"#,
        r#"{"Model": "gpt-5"}"#,
        r#"{"model": "gpt-5", "models": ["o1-pro"]}"#,
        r#"{"model": "gpt-5", "Api_Base": "https://evil.example"}"#,
        r#"{"model": "gpt-5", "fallbac\u212as": ["o1-pro"]}"#,
        r#"{"model": ["gpt-5"]}"#,
        r#"{"model": ""}"#,
        r#"{"model": "gpt-5 o1"}"#,
        r#"{"model": "gpt-5\u0000"}"#,
        r#"{"model": "gpt-5", "background": true}"#,
        r#"{"model": "gpt-5", "tools": [{"type": "mcp", "server_url": "https://evil.example"}]}"#,
        r#"{"model": "gpt-5", "tools": [{"type": "function", "type": "mcp"}]}"#,
        r#"{"model": "claude-5", "mcp_servers": [{"url": "https://evil.example"}]}"#,
        r#"{"messages": []}"#,
        r#"["model"]"#,
        r#"{"model": "gpt-5""#,
        r#"{"model": "gpt-5"} x"#,
        "",
        "\u{feff}{}",
    ] {
        for path in ["/v1/chat/completions", "/v1/responses", "/v1/messages"] {
            let request = Request::post(path).body(full(body)).unwrap();
            let (status, text) = read(world.route.serve(request, &dial).await).await;
            assert!(status == 400 || status == 404, "{body}: {status}");
            assert!(serde_json::from_str::<Value>(&text).unwrap()["error"]["message"].is_string());
        }
    }
    assert!(dial.hosts().is_empty());
    let deep = format!("{{\"model\": \"gpt-5\", \"x\": {}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let deep = Request::post("/v1/responses").body(full(deep)).unwrap();
    assert_eq!(world.route.serve(deep, &dial).await.status(), 400, "nobody is to follow it down");
    let fine =
        json!({ "model": "gpt-5", "tools": [{ "type": "function", "function": {} }], "background": false });
    assert_eq!(world.ask(&fine, &dial).await.0, 200);
}

#[tokio::test]
async fn a_request_is_bounded() {
    let world = World::new(Budget::default());
    let dial = upstreams(|_| chat(1, 1));
    let chunks = (0..33).map(|_| Ok::<_, BodyError>(Frame::data(Bytes::from(vec![b' '; 1 << 20]))));
    let body = StreamBody::new(futures_util::stream::iter(chunks.collect::<Vec<_>>())).boxed_unsync();
    let response = world.route.serve(Request::post("/v1/chat/completions").body(body).unwrap(), &dial).await;
    assert_eq!(response.status(), 413);
    let told = Request::post("/v1/messages").header("content-length", "33554433").body(full("{}")).unwrap();
    assert_eq!(world.route.serve(told, &dial).await.status(), 413);
    let coded = Request::post("/v1/messages").header("content-encoding", "gzip").body(full("{}")).unwrap();
    assert_eq!(world.route.serve(coded, &dial).await.status(), 400);
    assert_eq!(world.route.memory.available_permits(), MOST_HELD, "what was held is given back");
    assert_eq!(world.route.places.available_permits(), MOST_REQUESTS);
    assert!(dial.hosts().is_empty());
}

#[tokio::test]
async fn the_list_of_models_is_the_tenants() {
    let world = World::new(Budget::default());
    let dial = upstreams(|seen| {
        assert!(seen.uri.ends_with("/v1/models"));
        document(&json!({ "data": [{ "id": "gpt-5" }, { "id": "o1-pro" }, { "id": KEY }, { "id": 5 }] }))
    });
    let response = world.route.serve(Request::get("/v1/models").body(full("")).unwrap(), &dial).await;
    let list: Value = serde_json::from_str(&read(response).await.1).unwrap();
    let names: Vec<_> =
        list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
    assert_eq!(names, ["gpt-5", "main"]);
    assert_eq!(dial.hosts(), ["one.example", "two.example"]);
    let request =
        Request::get("/v1/models").header("anthropic-version", "2023-06-01").body(full("")).unwrap();
    let list: Value = serde_json::from_str(&read(world.route.serve(request, &dial).await).await.1).unwrap();
    assert_eq!((dial.hosts(), &list["has_more"]), (vec!["claude.example".to_owned()], &json!(false)));
}

/// Who sends an answer of a known length on asks for no more than its last byte.
#[tokio::test]
async fn a_whole_answer_is_counted_when_its_last_byte_has_passed() {
    let world = World::new(Budget::default());
    let dial = upstreams(|_| chat(7, 3));
    let mut body = world.post("/v1/chat/completions", &hello("gpt-5"), &dial).await.into_body();
    let frame = body.frame().await.unwrap().unwrap();
    assert!(frame.into_data().unwrap().ends_with(b"}"));
    drop(body);
    assert_eq!(world.today("one", "gpt-5"), Used { requests: 1, input: 7, output: 3, money: 13 });
}

#[tokio::test]
async fn a_request_is_nested_as_deep_as_a_provider_reads_and_no_deeper() {
    let world = World::new(Budget::default());
    let dial = upstreams(|_| chat(7, 3));
    for (deep, status) in [(127, 200), (128, 400), (5000, 400)] {
        let value = format!("{}{}", "[".repeat(deep), "]".repeat(deep));
        let text = format!(r#"{{"model": "gpt-5", "messages": [], "s": "[[{{\"[\\", "x": {value}}}"#);
        let request =
            Request::post("http://inference.internal/v1/chat/completions").body(full(text)).unwrap();
        assert_eq!(read(world.route.serve(request, &dial).await).await.0, status, "{deep}");
    }
    assert_eq!(dial.seen.lock().unwrap().len(), 1);
}
