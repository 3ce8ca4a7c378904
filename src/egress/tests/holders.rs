//! Programs that hold one connection together are each asked about.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod support;

use support::{World, mirror, policy};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixListener;

/// Answers as tenant-identify would: each of these programs holds the socket.
fn held_by(world: &World, programs: &[&[&str]]) {
    let listener = UnixListener::bind(world.directory.path().join("identify.sock")).unwrap();
    let answer = format!("{}\n", serde_json::json!({ "holders": programs }));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut stream = BufReader::new(stream);
            stream.read_line(&mut String::new()).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
}

fn asked_about(world: &World) -> Vec<String> {
    let asked = world.asked.lock().unwrap();
    let binary = |line: &String| {
        let question: serde_json::Value = serde_json::from_str(line).unwrap();
        question["ask"]["binary"].as_str().unwrap_or("unknown").to_owned()
    };
    let mut all: Vec<_> = asked.iter().map(binary).collect();
    all.sort();
    all
}

#[tokio::test]
async fn each_program_that_holds_a_connection_is_asked_about_once() {
    let world = World::new(&policy("ask", ""), Some("allow")).await;
    world.serve(5000, mirror).await;
    held_by(&world, &[&["/usr/bin/git", "/usr/bin/node"], &["/usr/bin/curl"], &["/usr/bin/git"], &[]]);
    let (_stream, said) = world.connect("a.example:5000").await;
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    assert_eq!(asked_about(&world), ["/usr/bin/curl", "/usr/bin/git", "unknown"]);
}

#[tokio::test]
async fn one_program_that_is_allowed_lets_no_other_in_that_was_not_approved() {
    let listed = "      - {host: a.example, port: 5000}\n    binaries: [{path: /usr/bin/git}]";
    for (verdict, status) in [("allow", "200"), ("deny", "403")] {
        let world = World::new(&policy("ask", listed), Some(verdict)).await;
        world.serve(5000, mirror).await;
        held_by(&world, &[&["/usr/bin/git"], &["/usr/bin/curl"]]);
        let (_stream, said) = world.connect("a.example:5000").await;
        assert!(said.starts_with(&format!("HTTP/1.1 {status}")), "{said}");
        // git is allowed by the policy: nobody is asked about it.
        assert_eq!(asked_about(&world), ["/usr/bin/curl"]);
    }
}

#[tokio::test]
async fn more_programs_than_anybody_would_read_are_refused() {
    let world = World::new(&policy("ask", ""), Some("allow")).await;
    held_by(&world, &[&["/a"], &["/b"], &["/c"], &["/d"], &["/e"]]);
    let (_stream, said) = world.connect("a.example:5000").await;
    assert!(said.starts_with("HTTP/1.1 403"), "{said}");
    assert_eq!(asked_about(&world), [""; 0]);
}
