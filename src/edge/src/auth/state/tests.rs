use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use super::*;

const JTI: &str = "0123456789abcdef0123456789abcdef";

fn count(directory: &Path) -> usize {
    std::fs::read_dir(directory.join("used")).unwrap().count()
}

fn used(state: &State, jti: &str, exp: i64, now: i64) -> Use {
    state.use_ticket(jti, exp, now).unwrap()
}

#[test]
fn the_key_is_made_once_and_is_its_owners_alone() {
    let directory = tempfile::tempdir().unwrap();
    State::open(directory.path()).unwrap();
    let file = directory.path().join("session.key");
    let key = std::fs::read(&file).unwrap();
    assert_eq!(key.len(), 32);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    State::open(directory.path()).unwrap();
    assert_eq!(std::fs::read(&file).unwrap(), key);
    assert!(!directory.path().join("session.key.new").exists());
}

#[test]
fn a_key_of_another_length_is_not_used() {
    let directory = tempfile::tempdir().unwrap();
    for length in [0, 31, 33] {
        File::create(directory.path().join("session.key")).unwrap().write_all(&vec![1; length]).unwrap();
        let error = State::open(directory.path()).unwrap_err();
        assert!(error.to_string().contains("session.key does not hold 32 bytes"), "{error}");
    }
    assert!(State::open(&directory.path().join("missing")).is_err());
}

#[test]
fn a_ticket_is_used_once_also_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let state = State::open(directory.path()).unwrap();
    assert_eq!(used(&state, JTI, 1000, 900), Use::First);
    assert_eq!(used(&state, JTI, 1000, 900), Use::Again);
    let restarted = State::open(directory.path()).unwrap();
    assert_eq!(used(&restarted, JTI, 1000, 900), Use::Again);
    assert_eq!(used(&restarted, "another", 1000, 900), Use::First);
}

#[test]
fn of_many_at_a_time_one_uses_a_ticket() {
    let directory = tempfile::tempdir().unwrap();
    let state = Arc::new(State::open(directory.path()).unwrap());
    let threads: Vec<_> = (0..16)
        .map(|_| {
            let state = Arc::clone(&state);
            std::thread::spawn(move || used(&state, JTI, 1000, 900))
        })
        .collect();
    let first =
        threads.into_iter().map(|thread| thread.join().unwrap()).filter(|used| *used == Use::First).count();
    assert_eq!(first, 1);
}

#[test]
fn an_ended_session_stays_ended_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let state = State::open(directory.path()).unwrap();
    assert!(!state.is_ended(JTI));
    state.end_session(JTI, 1000, 900).unwrap();
    state.end_session(JTI, 1000, 900).unwrap();
    assert!(state.is_ended(JTI));
    let restarted = State::open(directory.path()).unwrap();
    assert!(restarted.is_ended(JTI));
    // A ticket of the same name is something else.
    assert_eq!(used(&restarted, JTI, 1000, 900), Use::First);
    assert!(!State::open(directory.path()).unwrap().is_ended("another"));
}

#[test]
fn a_session_is_ended_even_if_the_disk_does_not_take_it() {
    let directory = tempfile::tempdir().unwrap();
    let state = State::open(directory.path()).unwrap();
    std::fs::remove_dir(directory.path().join("used")).unwrap();
    assert!(state.end_session(JTI, 1000, 900).is_err());
    assert!(state.is_ended(JTI));
    // A ticket that cannot be noted is not used.
    assert!(state.use_ticket(JTI, 1000, 900).is_err());
}

#[test]
fn what_expired_long_ago_is_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let state = State::open(directory.path()).unwrap();
    File::create(directory.path().join("used/of-somebody-else")).unwrap();
    assert_eq!(used(&state, JTI, 1000, 900), Use::First);
    state.end_session(JTI, 1000, 900).unwrap();
    assert_eq!(used(&state, "b", 4000, 1500), Use::First);
    assert_eq!(count(directory.path()), 4);
    assert_eq!(used(&state, "c", 99_000, 1000 + GRACE + 1), Use::First);
    assert_eq!(count(directory.path()), 3);
    assert!(!state.is_ended(JTI));
    // A clock that was set back makes no used ticket new.
    assert_eq!(used(&state, "c", 99_000, 900), Use::Again);
}
