//! The connection to tenant-identify that stays open: it is used again, and no question gets the answer to another one.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockProtocol, SockType, UnixAddr, bind, listen, socket,
};
use tenant_egress::identity::Identity;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};

/// Answers `inode N` with the program `/N`, and what `change` makes of that; without an answer it hangs up.
fn identify(change: fn(usize, String) -> Option<String>) -> (tempfile::TempDir, Identity, Arc<AtomicUsize>) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("identify.sock");
    let connections = serve(UnixListener::bind(&path).unwrap(), change);
    (directory, Identity::new(netlink(), path), connections)
}

fn serve(server: UnixListener, change: fn(usize, String) -> Option<String>) -> Arc<AtomicUsize> {
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    tokio::spawn(async move {
        let mut questions = 0;
        while let Ok((stream, _)) = server.accept().await {
            count.fetch_add(1, Ordering::Relaxed);
            let mut stream = BufReader::new(stream);
            let mut line = String::new();
            while stream.read_line(&mut line).await.is_ok_and(|length| length > 0) {
                let number = line.trim().strip_prefix("inode ").unwrap();
                let answer = change(questions, format!("{{\"holders\":[[\"/{number}\"]]}}\n"));
                questions += 1;
                let Some(answer) = answer else { break };
                // Late, so that whoever asks can stop waiting.
                tokio::time::sleep(Duration::from_millis(5)).await;
                drop(stream.write_all(answer.as_bytes()).await);
                line.clear();
            }
        }
    });
    connections
}

fn netlink() -> OwnedFd {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let diag = SockProtocol::NetlinkSockDiag;
    socket(AddressFamily::Netlink, SockType::Raw, flags, diag).unwrap()
}

/// A listening socket at which hardly any connection may wait.
fn narrow(path: &Path) -> UnixListener {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let listener = socket(AddressFamily::Unix, SockType::Stream, flags, None).unwrap();
    bind(listener.as_raw_fd(), &UnixAddr::new(path).unwrap()).unwrap();
    listen(&listener, Backlog::new(1).unwrap()).unwrap();
    UnixListener::from_std(listener.into()).unwrap()
}

#[tokio::test]
async fn one_connection_serves_one_question_after_the_other() {
    let (_directory, identity, connections) = identify(|_, answer| Some(answer));
    for inode in 1..20 {
        assert_eq!(identity.programs(inode).await.unwrap(), [[format!("/{inode}")]]);
    }
    assert_eq!(connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn whoever_stops_waiting_leaves_no_answer_behind() {
    let (_directory, identity, connections) = identify(|_, answer| Some(answer));
    identity.programs(1).await.unwrap();
    for inode in 2..10 {
        let given_up = identity.programs(100 + inode);
        drop(tokio::time::timeout(Duration::from_millis(1), given_up).await);
        assert_eq!(identity.programs(inode).await.unwrap(), [[format!("/{inode}")]]);
    }
    assert!(connections.load(Ordering::Relaxed) > 1);
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_is_opened_again() {
    // Every second question finds its connection closed.
    let (_directory, identity, connections) =
        identify(|questions, answer| (questions % 2 == 0).then_some(answer));
    for inode in 1..10 {
        assert_eq!(identity.programs(inode).await.unwrap(), [[format!("/{inode}")]]);
    }
    assert_eq!(connections.load(Ordering::Relaxed), 9);
}

#[tokio::test]
async fn more_than_one_answer_is_none() {
    let (_directory, identity, connections) = identify(|_, answer| Some(format!("{answer}{answer}")));
    for inode in 1..5 {
        assert!(identity.programs(inode).await.is_err());
    }
    // None of these connections is used again.
    assert_eq!(connections.load(Ordering::Relaxed), 4);
}

#[tokio::test]
async fn a_socket_at_which_too_many_wait_is_tried_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("identify.sock");
    let server = narrow(&path);
    let mut waiting = Vec::new();
    let full = loop {
        match UnixStream::connect(&path).await {
            Ok(stream) if waiting.len() < 64 => waiting.push(stream),
            Ok(_) => panic!("as many as want to may wait"),
            Err(error) => break error,
        }
    };
    assert_eq!(full.kind(), std::io::ErrorKind::WouldBlock);
    let identity = Identity::new(netlink(), path);
    let asks = async { identity.programs(1).await.unwrap() };
    let serves = async {
        // Several times in vain.
        tokio::time::sleep(Duration::from_millis(100)).await;
        drop(waiting);
        serve(server, |_, answer| Some(answer))
    };
    let (answer, _) = tokio::join!(asks, serves);
    assert_eq!(answer, [["/1"]]);
}
