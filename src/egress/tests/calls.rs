//! Calls of MCP and JSON-RPC are decided one by one, and what is refused never reaches the server. Over real sockets.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod support;

use serde_json::Value;
use support::http2::{client, data, noting, piecewise, whole};
use support::rpc::{JSON, bodies, heard, json_rpc, mcp, post, say, tool, world};
use tokio::net::TcpStream;

fn body_of(answer: &str) -> Value {
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

#[tokio::test]
async fn an_allowed_tool_is_called_and_another_one_is_refused_as_an_error_of_the_call() {
    let (world, seen) = world(&mcp("enforce")).await;
    let body = tool(1, "search");
    let said = say(&world, &post(JSON, &body)).await;
    assert!(said.starts_with("HTTP/1.1 200") && said.ends_with("ok"), "{said}");
    assert_eq!(bodies(&seen), [body]);
    for (body, named, id) in [
        (tool(7, "delete_repo"), "do not allow tools/call delete_repo", Value::from(7)),
        (tool(8, "send_email"), "denies tools/call send_email", Value::from(8)),
        (
            r#"{"jsonrpc":"2.0","id":"a-1","method":"tools/list"}"#.to_owned(),
            "do not allow tools/list",
            "a-1".into(),
        ),
        (
            r#"{"jsonrpc":"2.0","id":null,"method":"Initialize"}"#.to_owned(),
            "do not allow Initialize",
            Value::Null,
        ),
    ] {
        let said = say(&world, &post(JSON, &body)).await;
        assert!(said.starts_with("HTTP/1.1 200") && said.contains("application/json"), "{said}");
        let answer = body_of(&said);
        assert_eq!((&answer["jsonrpc"], &answer["id"]), (&"2.0".into(), &id), "{said}");
        assert!(answer["result"].is_null() && answer["error"]["code"] == -32003, "{said}");
        assert!(answer["error"]["message"].as_str().unwrap().contains(named), "{said}");
        assert_eq!(answer["error"]["data"]["code"], "egress_denied", "{said}");
        assert!(answer["error"]["data"]["policy"].as_str().unwrap().contains("all"), "{said}");
    }
    // Nobody waits for an answer to a notification.
    let said = say(&world, &post(JSON, r#"{"jsonrpc":"2.0","method":"notifications/own"}"#)).await;
    assert!(said.starts_with("HTTP/1.1 403") && said.contains("do not allow notifications/own"), "{said}");
    assert!(bodies(&seen).is_empty());
}

#[tokio::test]
async fn of_a_batch_all_or_nothing_goes_on() {
    let (world, seen) = world(&mcp("enforce")).await;
    let note = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    let batch = format!("[{},\n {note}, {}]", tool(1, "search"), tool(2, "list"));
    assert!(say(&world, &post(JSON, &batch)).await.ends_with("ok"));
    assert_eq!(bodies(&seen), [batch]);
    for list in [[tool(1, "search"), tool(2, "other")], [tool(1, "send_email"), tool(2, "search")]] {
        let said = say(&world, &post(JSON, &format!("[{},{note},{}]", list[0], list[1]))).await;
        let answer = body_of(&said);
        let ids: Vec<_> = answer.as_array().unwrap().iter().map(|one| one["id"].clone()).collect();
        assert_eq!(ids, [1, 2], "{said}");
        assert!(answer[0]["error"]["message"].as_str().unwrap().contains("tools/call"), "{said}");
    }
    assert!(bodies(&seen).is_empty());
}

#[tokio::test]
async fn streams_and_the_end_of_a_session_pass_and_other_methods_do_not() {
    let (world, seen) = world(&mcp("enforce")).await;
    let ask = |method: &str, fields: &str| {
        format!("{method} http://a.example/mcp HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n")
    };
    let events = "Accept: application/json, text/event-stream\r\n";
    let said = say(&world, &ask("GET", events)).await;
    assert!(said.starts_with("HTTP/1.1 200") && said.contains("data: a"), "{said}");
    assert!(say(&world, &ask("DELETE", "Mcp-Session-Id: 1\r\n")).await.ends_with("ok"));
    assert_eq!(seen.lock().unwrap().len(), 2);
    let with_body = |method: &str| {
        post(&format!("{JSON}{events}Mcp-Session-Id: 1\r\n"), &tool(1, "search")).replacen("POST", method, 1)
    };
    for request in [
        ask("GET", "Accept: application/json\r\n"),
        ask("DELETE", ""),
        ask("HEAD", events),
        ask("PUT", ""),
        ask("OPTIONS", ""),
        ask("POST", ""),
        with_body("GET"),
        with_body("DELETE"),
        with_body("PUT"),
        with_body("post"),
        ask("GET", events).replace("/mcp", "/other"),
    ] {
        let said = say(&world, &request).await;
        assert!(said.starts_with("HTTP/1.1 403") || said.contains("-32003"), "{request}: {said}");
    }
    assert_eq!(seen.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn answers_to_the_server_pass_in_mcp_and_not_in_json_rpc() {
    let answer = r#"{"jsonrpc":"2.0","id":3,"result":{"action":"accept"}}"#;
    let (world_, seen) = world(&mcp("enforce")).await;
    assert!(say(&world_, &post(JSON, answer)).await.ends_with("ok"));
    assert_eq!(bodies(&seen), [answer]);
    let (world_, seen) = world(&json_rpc()).await;
    let said = say(&world_, &post(JSON, answer)).await;
    assert!(
        said.starts_with("HTTP/1.1 403") && said.contains("do not allow an answer to the server"),
        "{said}"
    );
    let call = |method: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":[1]}}"#);
    assert!(say(&world_, &post(JSON, &call("reports.list"))).await.ends_with("ok"));
    assert!(say(&world_, &post(JSON, &call("reports.delete"))).await.contains("denies reports.delete"));
    assert!(
        say(&world_, "GET http://a.example/mcp HTTP/1.1\r\nHost: a.example\r\n\r\n")
            .await
            .starts_with("HTTP/1.1 403")
    );
    assert_eq!(bodies(&seen), [call("reports.list")]);
}

#[tokio::test]
async fn a_connection_goes_on_after_a_refusal_and_a_secret_is_filled_in_its_head_alone() {
    let (world, seen) = world(&mcp("enforce")).await;
    let mut stream = world.secure("a.example", &[]).await;
    let ask = |body: &str| {
        post(&format!("{JSON}Authorization: Bearer tenantd:secret:token\r\n"), body)
            .replace("http://a.example", "")
    };
    let said = heard(&mut stream, ask(&tool(1, "other")).as_bytes()).await;
    assert!(said.contains("-32003"), "{said}");
    assert!(heard(&mut stream, ask(&tool(2, "search")).as_bytes()).await.ends_with("ok"));
    let requests = std::mem::take(&mut *seen.lock().unwrap());
    assert!(requests.len() == 1 && requests[0].1 == tool(2, "search"), "{requests:?}");
    assert!(requests[0].0.contains(&format!("Bearer {}", support::TOKEN)), "{requests:?}");
    let body = tool(3, "search").replace("{}", r#"{"q":"tenantd:secret:token"}"#);
    let said = heard(&mut stream, ask(&body).as_bytes()).await;
    assert!(!said.ends_with("ok") && world.count("secret-misplaced") == 1, "{said}");
    assert!(bodies(&seen).is_empty());
}

#[tokio::test]
async fn in_http2_a_body_is_read_whole_too() {
    let world = support::World::new(&mcp("enforce"), None).await;
    let heads = noting(&world).await;
    let mut client = client(&world, "a.example").await;
    let request = |body| {
        let request = http::Request::post("https://a.example/mcp").header("content-type", "application/json");
        request.body(body).unwrap()
    };
    let (sender, body) = piecewise();
    let sent = client.send_request(request(body));
    let parts =
        [r#"{"jsonrpc":"2.0","id":1,"meth"#, r#"od":"tools/call","params":{"na"#, r#"me":"search"}}"#];
    for part in parts {
        assert!(heads.lock().unwrap().is_empty(), "a part of it has gone on");
        sender.send(data(part)).unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    drop(sender);
    let (status, body, _) = whole(sent.await.unwrap()).await;
    assert_eq!((status, body), (200, parts.concat()));
    assert_eq!(heads.lock().unwrap().len(), 1);
    let refused = request(tenant_egress::body::full(tool(2, "other")));
    let (status, body, _) = whole(client.send_request(refused).await.unwrap()).await;
    assert!(status == 200 && body.contains("-32003"), "{status} {body}");
    let twice = tool(3, "search").replace(r#""method""#, r#""method":"tools/list","method""#);
    let refused = request(tenant_egress::body::full(twice));
    let (status, body, _) = whole(client.send_request(refused).await.unwrap()).await;
    assert!(status == 403 && body.contains("stands in it twice"), "{status} {body}");
    assert_eq!(heads.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_policy_that_changes_while_a_body_comes_decides_about_it() {
    let (world, seen) = world(&mcp("enforce")).await;
    let request = post(JSON, &tool(1, "search"));
    let (first, rest) = request.split_at(request.len() - 20);
    let mut stream = TcpStream::connect(world.explicit).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, first.as_bytes()).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    world.write(&mcp("enforce").replace("[search, list]", "[list]"));
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    let said = heard(&mut stream, rest.as_bytes()).await;
    assert!(said.contains("do not allow tools/call search"), "{said}");
    assert!(say(&world, &post(JSON, &tool(1, "list"))).await.ends_with("ok"));
    assert_eq!(bodies(&seen), [tool(1, "list")]);
}

#[tokio::test]
async fn what_is_refused_by_its_calls_is_not_learned() {
    let (world, _) = world(&mcp("enforce")).await;
    world.approve(None, Some(u64::from(u32::MAX)));
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    assert!(say(&world, &post(JSON, &tool(1, "other"))).await.contains("-32003"));
    drop(say(&world, "GET http://b.example/ HTTP/1.1\r\nHost: b.example\r\n\r\n").await);
    drop(say(&world, "GET http://c.example/ HTTP/1.1\r\nHost: c.example\r\n\r\n").await);
    world.until(|world| world.asked.lock().unwrap().iter().any(|line| line.contains("c.example"))).await;
    let asked = world.asked.lock().unwrap().clone();
    assert!(asked.iter().any(|line| line.contains("b.example")));
    let of_these = |line: &String| ["b.example", "c.example"].iter().any(|host| line.contains(host));
    assert!(asked.iter().all(of_these), "{asked:?}");
}
