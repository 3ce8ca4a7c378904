//! Bodies that a server could read otherwise than the proxy does, that do not come, or that come in pieces: what is not one message to
//! every reader reaches no server. Over real sockets.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod support;

use std::time::Duration;

use support::rpc::{JSON, bodies, heard, mcp, post, say, tool, world};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

fn rpc(rest: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,{rest}}}"#)
}

#[tokio::test]
async fn a_body_with_two_readings_goes_nowhere() {
    let (world, seen) = world(&mcp("enforce")).await;
    let long = tool(1, "search").replace("{}", &format!(r#"{{"q":"{}"}}"#, "x".repeat(2000)));
    let exact = tool(1, "search").replace("{}", &format!(r#"{{"q":"{}"}}"#, "x".repeat(1893)));
    let cases = [
        ("a method twice", rpc(r#""method":"tools/list","method":"tools/call","params":{"name":"search"}"#)),
        ("a method twice, the first allowed", rpc(r#""method":"initialize","method":"resources/read""#)),
        ("a method twice, one escaped", rpc(r#""method":"initialize","m\u0065thod":"resources/read""#)),
        ("a method in another case", rpc(r#""method":"initialize","Method":"resources/read""#)),
        ("only in another case", rpc(r#""METHOD":"initialize""#)),
        ("a name twice", rpc(r#""method":"tools/call","params":{"name":"search","name":"delete"}"#)),
        (
            "a name twice, one escaped",
            rpc(r#""method":"tools/call","params":{"name":"search","\u006eame":"delete"}"#),
        ),
        (
            "a name in another case",
            rpc(r#""method":"tools/call","params":{"name":"search","NAME":"delete"}"#),
        ),
        (
            "parameters twice",
            rpc(r#""method":"tools/call","params":{"name":"search"},"params":{"name":"delete"}"#),
        ),
        (
            "an argument twice",
            rpc(r#""method":"tools/call","params":{"name":"search","arguments":{"a":1,"a":2}}"#),
        ),
        ("a name that is none", rpc(r#""method":"tools/call","params":{"name":["search"]}"#)),
        ("a name with an end in it", rpc(r#""method":"tools/call","params":{"name":"search\u0000x"}"#)),
        ("a method that is none", rpc(r#""method":7"#)),
        ("no version", r#"{"id":1,"method":"initialize"}"#.to_owned()),
        ("a member of its own", rpc(r#""method":"initialize","x":1"#)),
        ("a request and a response", rpc(r#""method":"initialize","result":1"#)),
        ("two of them", format!("{}{}", rpc(r#""method":"initialize""#), rpc(r#""method":"own""#))),
        ("a mark before it", format!("\u{feff}{}", rpc(r#""method":"initialize""#))),
        ("an empty batch", "[]".to_owned()),
        ("no object", "\"initialize\"".to_owned()),
        ("no JSON", "method=initialize".to_owned()),
        ("a part", r#"{"jsonrpc":"2.0","id":1,"method":"initialize""#.to_owned()),
        ("deep", rpc(&format!(r#""method":"initialize","params":{}1{}"#, "[".repeat(100), "]".repeat(100)))),
        ("too long", long),
    ];
    for (what, body) in cases {
        let said = say(&world, &post(JSON, &body)).await;
        assert!(
            said.starts_with("HTTP/1.1 403") && said.contains("its body is not looked into"),
            "{what}: {said}"
        );
    }
    assert!(bodies(&seen).is_empty());
    // The same, with one reading.
    let escaped = rpc(r#""m\u0065thod":"tools\/call","params":{"n\u0061me":"se\u0061rch"}"#);
    for body in [escaped, exact] {
        assert!(say(&world, &post(JSON, &body)).await.ends_with("ok"), "{body}");
        assert_eq!(bodies(&seen), [body], "it goes on as it came");
    }
}

#[tokio::test]
async fn a_body_that_its_head_tells_otherwise_goes_nowhere() {
    let (world, seen) = world(&mcp("enforce")).await;
    let body = tool(1, "search");
    for fields in [
        "",
        "Content-Type: text/plain\r\n",
        "Content-Type: application/x-www-form-urlencoded\r\n",
        "Content-Type: application/json-seq\r\n",
        "Content-Type: application/json; charset=utf-16\r\n",
        "Content-Type: application/json; charset=utf-7\r\n",
        "Content-Type: application/json, text/plain\r\n",
        "Content-Type: application/json\r\nContent-Type: text/plain\r\n",
        "Content-Type: application/json\r\nContent-Encoding: gzip\r\n",
        "Content-Type: application/json\r\nContent-Encoding: identity, br\r\n",
        "Content-Type: application/json\r\nMcp-Method: tools/list\r\n",
        "Content-Type: application/json\r\nMcp-Name: list\r\n",
        "Content-Type: application/json\r\nMcp-Name: search\r\nMcp-Name: search\r\n",
    ] {
        let said = say(&world, &post(fields, &body)).await;
        assert!(
            said.starts_with("HTTP/1.1 403") && said.contains("its body is not looked into"),
            "{fields}: {said}"
        );
    }
    let batch = format!("[{body}]");
    let said = say(&world, &post(&format!("{JSON}Mcp-Method: tools/call\r\n"), &batch)).await;
    assert!(said.starts_with("HTTP/1.1 403"), "{said}");
    assert!(bodies(&seen).is_empty());
    for fields in [
        "content-type: Application/JSON; charset=UTF-8\r\n",
        "Content-Type: application/json\r\nContent-Encoding: identity\r\n",
        "Content-Type: application/json\r\nMcp-Method: tools/call\r\nMcp-Name: search\r\n",
    ] {
        assert!(say(&world, &post(fields, &body)).await.ends_with("ok"), "{fields}");
        assert_eq!(bodies(&seen), [body.as_str()]);
    }
}

const CHUNKED: &str = "POST http://a.example/mcp HTTP/1.1\r\nHost: a.example\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";

fn chunks(parts: &[&str], end: &str) -> String {
    let parts = parts.iter().map(|part| format!("{:x}\r\n{part}\r\n", part.len()));
    format!("{}{end}", parts.collect::<String>())
}

#[tokio::test]
async fn a_body_in_pieces_is_decided_as_a_whole_and_goes_on_as_one() {
    let (world, seen) = world(&mcp("enforce")).await;
    let body = tool(1, "search");
    let (a, b) = body.split_at(body.find("name").unwrap() + 2);
    let said = say(&world, &format!("{CHUNKED}{}", chunks(&[a, b], "0\r\nX-Late: own\r\n\r\n"))).await;
    assert!(said.ends_with("ok"), "{said}");
    let requests = std::mem::take(&mut *seen.lock().unwrap());
    assert!(requests.len() == 1 && requests[0].1 == body, "{requests:?}");
    let head = requests[0].0.to_ascii_lowercase();
    assert!(head.contains(&format!("content-length: {}", body.len())) && !head.contains("chunked"), "{head}");
    // Another request behind its end is another request.
    let two = format!("{CHUNKED}{}{}", chunks(&[&body], "0\r\n\r\n"), post(JSON, &tool(2, "other")));
    let said = say(&world, &two).await;
    assert!(said.contains("\r\n\r\nok") && said.contains("-32003"), "{said}");
    assert_eq!(bodies(&seen), [body.as_str()]);
    // Chunks that sum up to more than is read.
    let many = vec!["          "; 250];
    let said = say(&world, &format!("{CHUNKED}{}", chunks(&many, "0\r\n\r\n"))).await;
    assert!(said.starts_with("HTTP/1.1 403") && said.contains("longer than"), "{said}");
    assert!(bodies(&seen).is_empty());
}

#[tokio::test]
async fn a_body_that_comes_slowly_goes_on_when_it_is_whole_and_one_that_does_not_never() {
    let (world, seen) = world(&mcp("enforce")).await;
    let request = post(JSON, &tool(1, "search"));
    let mut stream = TcpStream::connect(world.explicit).await.unwrap();
    for part in request.as_bytes().chunks(40) {
        assert!(bodies(&seen).is_empty(), "a part of it has gone on");
        stream.write_all(part).await.unwrap();
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    assert!(heard(&mut stream, b"").await.ends_with("ok"));
    assert_eq!(bodies(&seen), [tool(1, "search")]);
    // It stops, and is given up.
    let part = request.split_at(request.len() - 1).0;
    let said = say(&world, part).await;
    assert!(said.starts_with("HTTP/1.1 408"), "{said}");
    // It ends too early.
    for end in [part.to_owned(), format!("{CHUNKED}{}", chunks(&[&tool(1, "search")], ""))] {
        let mut stream = TcpStream::connect(world.explicit).await.unwrap();
        stream.write_all(end.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut said = Vec::new();
        drop(stream.read_to_end(&mut said).await);
        assert!(!String::from_utf8_lossy(&said).starts_with("HTTP/1.1 2"));
    }
    assert!(bodies(&seen).is_empty());
}

#[tokio::test]
async fn where_it_is_only_audited_everything_goes_on_as_it_came() {
    let (world, seen) = world(&mcp("audit")).await;
    let long = "x".repeat(50_000);
    for (fields, body) in [
        (JSON, tool(1, "other")),
        (JSON, tool(1, "send_email")),
        (JSON, rpc(r#""method":"a","method":"b""#)),
        ("Content-Type: text/plain\r\n", "no JSON".to_owned()),
        ("", long.clone()),
    ] {
        assert!(say(&world, &post(fields, &body)).await.ends_with("ok"));
        assert_eq!(bodies(&seen), [body]);
    }
    let (half, rest) = long.split_at(20_000);
    assert!(say(&world, &format!("{CHUNKED}{}", chunks(&[half, rest], "0\r\n\r\n"))).await.ends_with("ok"));
    let got = bodies(&seen).concat();
    assert!(got.matches('x').count() == long.len(), "{}", got.len());
}
