//! Transient units: commands in a cell, downloads.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use host::{Cancel, ExecRequest, FetchRequest, exec, fetch};
use model::World;

use crate::place::{ready, say, settle, tenant, world};

fn pipe() -> (OwnedFd, OwnedFd) {
    nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap()
}

#[test]
#[ignore = "needs a throwaway host"]
fn a_command_has_the_callers_streams_the_tenants_uid_and_gives_its_status() {
    let (paths, systemd) = ready();
    let (id, uid) = tenant("runner", 30);
    settle(&paths, &systemd, &id, uid, world(&paths, &id, uid)).unwrap();
    let run = |number, script: &str, cancel: &Cancel| {
        let (input, mut feed) = {
            let (r, w) = pipe();
            (r, File::from(w))
        };
        let (out_reader, output) = pipe();
        let (error_reader, error) = pipe();
        feed.write_all(b"hello\n").unwrap();
        drop(feed);
        let argv = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
        let environment = BTreeMap::from([("TERM".to_owned(), "xterm 256".to_owned())]);
        let request = ExecRequest {
            tenant: id.clone(),
            uid,
            number,
            argv,
            environment,
            stdin: input,
            stdout: output,
            stderr: error,
        };
        let status = exec(&systemd, request, cancel).unwrap();
        let mut texts = (String::new(), String::new());
        File::from(out_reader).read_to_string(&mut texts.0).unwrap();
        File::from(error_reader).read_to_string(&mut texts.1).unwrap();
        (status, texts)
    };
    let never = Cancel::new();
    let (status, (out, err)) = run(1, "read x; echo $x $TERM $(id -u); echo oops >&2; exit 7", &never);
    assert_eq!((status, out.as_str(), err.as_str()), (7, "hello xterm 256 510030\n", "oops\n"));
    let cgroup = run(2, "cat /proc/self/cgroup", &never).1.0;
    assert!(cgroup.contains("tenants-runner.slice/tenant-exec-2-runner.service"), "{cgroup}");
    assert_eq!(run(3, "kill -9 $$", &never).0, 137);
    assert_eq!(run(4, "exit 0", &never).0, 0);
    let cancel = Cancel::new();
    let later = cancel.clone();
    let begun = Instant::now();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        later.cancel();
    });
    assert_eq!(run(5, "trap '' TERM; sleep 1000", &cancel).0, 137);
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(say(&["systemctl", "list-units", "--all", "--no-legend", "--plain", "tenant-exec-*"]).1, "");
    settle(&paths, &systemd, &id, uid, World::empty()).unwrap();
}

#[test]
#[ignore = "needs a throwaway host"]
fn a_download_writes_only_its_directory_and_is_heard_line_by_line() {
    let (paths, systemd) = ready();
    std::fs::create_dir_all(paths.all_data()).unwrap();
    let work = PathBuf::from("/var/lib/tenantd/runtimes/.incoming/1/work");
    std::fs::create_dir_all(&work).unwrap();
    say(&["chmod", "1777", &work.display().to_string()]);
    std::fs::File::create("/root/npmrc").unwrap();
    std::fs::File::create("/home/archive").unwrap().write_all(b"content").unwrap();
    let request = |from, hang| FetchRequest {
        runtime: "openclaw".to_owned(),
        arguments: if hang { vec!["--hang".to_owned(), "x".to_owned()] } else { Vec::new() },
        policy: PathBuf::from("/usr/share/tenantd/policies/runtimes/openclaw"),
        work: work.clone(),
        from,
        npmrc: Some(PathBuf::from("/root/npmrc")),
        environment: BTreeMap::new(),
    };
    let mut lines = Vec::new();
    let from = OwnedFd::from(File::open("/home/archive").unwrap());
    let status =
        fetch(&systemd, request(Some(from), false), &mut |line| lines.push(line.to_owned()), &Cancel::new())
            .unwrap();
    println!("{lines:?}");
    assert_eq!(status, 66);
    for expected in [
        "fact work written",
        "fact etc refused",
        "fact tenants hidden",
        "fact bus hidden",
        "fact npmrc read",
        "fact from content",
        "no newline",
    ] {
        assert!(lines.iter().any(|line| line == expected), "{expected} is not in {lines:?}");
    }
    assert!(!lines[0].ends_with(" 0"), "{lines:?}");
    let cancel = Cancel::new();
    let begun = Instant::now();
    let status = fetch(&systemd, request(None, true), &mut |_| cancel.cancel(), &cancel).unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(status, 137);
}
