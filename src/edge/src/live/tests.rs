use std::io::Write as _;

use super::*;
use crate::auth::testing::files;

/// As tenantd does: another file under another name, then renamed.
fn put(directory: &Path, name: &str, text: &str) {
    let new = directory.join("new");
    File::create(&new).unwrap().write_all(text.as_bytes()).unwrap();
    std::fs::rename(new, directory.join(name)).unwrap();
}

fn put_all(directory: &Path) {
    let files = files(Vec::new());
    put(directory, "edge.json", &serde_json::to_string(&files.edge).unwrap());
    put(directory, "keys.json", &serde_json::to_string(&files.keys).unwrap());
    put(directory, "revoked.json", &serde_json::to_string(&files.revocations).unwrap());
}

fn with_domain(directory: &Path, domain: &str) {
    let mut edge = files(Vec::new()).edge;
    edge.domain = domain.to_owned();
    put(directory, "edge.json", &serde_json::to_string(&edge).unwrap());
}

fn domain(live: &Live) -> Option<String> {
    live.now().map(|files| files.edge.domain.clone())
}

/// Waits for it; not for [`POLL`] only, for the machine may be busy.
async fn next(changes: &mut watch::Receiver<u64>) -> bool {
    tokio::time::timeout(Duration::from_secs(20), changes.changed())
        .await
        .is_ok_and(|changed| changed.is_ok())
}

/// Whether nothing changes for some rounds.
async fn is_quiet(changes: &mut watch::Receiver<u64>) -> bool {
    tokio::time::timeout(POLL * 4, changes.changed()).await.is_err()
}

#[tokio::test]
async fn nothing_is_in_force_until_all_three_are_there() {
    let directory = tempfile::tempdir().unwrap();
    let live = Live::start(directory.path().to_owned()).unwrap();
    let mut changes = live.changes();
    assert_eq!(domain(&live), None);
    with_domain(directory.path(), "one.example");
    assert!(is_quiet(&mut changes).await);
    assert_eq!(domain(&live), None);
    put_all(directory.path());
    assert!(next(&mut changes).await);
    assert_eq!(domain(&live).as_deref(), Some("agents.example"));
}

#[tokio::test]
async fn a_new_file_comes_into_force_and_is_told() {
    let directory = tempfile::tempdir().unwrap();
    put_all(directory.path());
    let live = Live::start(directory.path().to_owned()).unwrap();
    let mut changes = live.changes();
    let before = live.now().unwrap();
    with_domain(directory.path(), "two.example");
    assert!(next(&mut changes).await);
    let after = live.now().unwrap();
    assert_eq!(after.edge.domain, "two.example");
    assert!(after.generation > before.generation);
    assert_eq!(*changes.borrow_and_update(), after.generation);
    // And nothing is told without a change.
    assert!(is_quiet(&mut changes).await);
}

#[tokio::test]
async fn what_is_wrong_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    put_all(directory.path());
    let live = Live::start(directory.path().to_owned()).unwrap();
    let mut changes = live.changes();
    let good = serde_json::to_string(&files(Vec::new()).edge).unwrap();
    for (name, text) in [
        ("edge.json", String::new()),
        ("edge.json", "{".to_owned()),
        ("edge.json", good.replacen("\"format\":1", "\"format\":2", 1)),
        ("edge.json", good.replacen('{', "{\"more\":1,", 1)),
        ("revoked.json", "[]".to_owned()),
        (
            "keys.json",
            r#"{"format":1,"issuer":"i","keys":[{"kid":"k","x":"AAAA","retired":null}]}"#.to_owned(),
        ),
    ] {
        put(directory.path(), name, &text);
        tokio::time::sleep(POLL + POLL / 2).await;
        assert_eq!(domain(&live).as_deref(), Some("agents.example"), "{name}: {text}");
    }
    std::fs::remove_file(directory.path().join("revoked.json")).unwrap();
    assert!(is_quiet(&mut changes).await);
    assert!(live.now().is_some());
    // The good one again.
    put_all(directory.path());
    assert!(next(&mut changes).await);
}

#[tokio::test]
async fn the_other_files_go_on_changing_while_one_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    put_all(directory.path());
    let live = Live::start(directory.path().to_owned()).unwrap();
    let mut changes = live.changes();
    put(directory.path(), "edge.json", "{");
    tokio::time::sleep(POLL * 2).await;
    let mut list = files(Vec::new()).revocations;
    let by = model::edge::RevokedBy::Subject;
    list.entries.push(model::edge::Revocation { by, value: "alice".to_owned(), before: 1, until: 2 });
    put(directory.path(), "revoked.json", &serde_json::to_string(&list).unwrap());
    assert!(next(&mut changes).await);
    assert_eq!(live.now().unwrap().revocations, list);
}

#[tokio::test]
async fn an_error_says_which_file_and_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    put(directory.path(), "edge.json", "{");
    let error = Sources::of(directory.path()).edge.read().unwrap_err().to_string();
    assert!(error.starts_with("cannot read /"), "{error}");
    assert!(
        error.contains("edge.json: EOF") && error.ends_with("(run \"tenantctl edge reload\")"),
        "{error}"
    );
    let good = serde_json::to_string(&files(Vec::new()).edge).unwrap();
    put(directory.path(), "edge.json", &good.replacen("\"format\":1", "\"format\":2", 1));
    let error = Sources::of(directory.path()).edge.read().unwrap_err().to_string();
    assert!(error.contains("is of format 2, this program knows 1"), "{error}");
}
