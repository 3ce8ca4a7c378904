//! Starving others. Each act takes a bounded amount, says how far it got, and gives everything back.
//! "Blocked" means that a limit ended it before the asked amount; whether the neighbour suffered is for the test to see.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::net::{TcpStream, UdpSocket};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};

use crate::act::{Act, Args, Control, Failure, Prepare as _, Verdict};
use crate::acts::network::address;
use crate::sys;

const MIB: usize = 1024 * 1024;
/// How long a full load is held, so that the test can look at the neighbour meanwhile.
const HOLD: Duration = Duration::from_secs(3);
/// Every loop stops here, before `supervise::LIMIT`.
const BUDGET: Duration = Duration::from_secs(40);

/// Takes one more until `most` were taken or one is refused, then holds them.
fn take<T>(what: &str, most: u64, mut one: impl FnMut(u64) -> Result<T, std::io::Error>) -> Verdict {
    let begun = Instant::now();
    let mut held = Vec::new();
    for number in 0..most {
        match one(number) {
            Ok(thing) => held.push(thing),
            Err(error) => {
                sleep(HOLD);
                let errno = error
                    .raw_os_error()
                    .map_or_else(|| "none".into(), |n| format!("{:?}", Errno::from_raw(n)));
                return Err(Failure::Blocked(errno, format!("refused after {number} of {most} {what}")));
            }
        }
        if begun.elapsed() > BUDGET {
            return Err(Failure::NotTried(format!(
                "only {number} of {most} {what} in {} s",
                BUDGET.as_secs()
            )));
        }
    }
    sleep(HOLD);
    Ok(format!("took {} {what}", held.len()))
}

fn processes(args: &Args<'_>) -> Verdict {
    let mut children = Vec::new();
    let taken = take("processes", args.bounded(0, 2000, 20_000)?, |_| {
        let child = sys::fork(|| {
            sleep(BUDGET + HOLD);
            0
        });
        children.push(child.map_err(std::io::Error::from)?);
        Ok(())
    });
    for child in &children {
        kill(*child, Signal::SIGKILL).unwrap_or_default();
    }
    for child in children {
        waitpid(child, None).prepared("reaping")?;
    }
    taken
}

/// In a child, because the kernel may kill it.
fn memory(args: &Args<'_>) -> Verdict {
    let mebibytes = args.bounded(0, 4096, 65_536)?;
    let hog = || {
        let mut held: Vec<Vec<u8>> = Vec::new();
        for number in 0..mebibytes {
            let mut chunk = Vec::new();
            if chunk.try_reserve_exact(MIB).is_err() {
                return 1;
            }
            // Not zeros: pages that are never written cost nothing.
            chunk.resize(MIB, u8::try_from(number % 251).unwrap_or(1) | 1);
            held.push(chunk);
        }
        sleep(HOLD);
        i32::from(held.is_empty())
    };
    match sys::in_child(hog).prepared("a child")? {
        WaitStatus::Exited(_, 0) => Ok(format!("took {mebibytes} MiB")),
        WaitStatus::Exited(_, _) => Err(Errno::ENOMEM.into()),
        WaitStatus::Signaled(_, signal, _) => {
            Err(Failure::Blocked(signal.to_string(), format!("killed before {mebibytes} MiB")))
        }
        other => Err(Failure::NotTried(format!("the child ended by {other:?}"))),
    }
}

fn files(args: &Args<'_>) -> Verdict {
    take("open files", args.bounded(0, 70_000, 2_000_000)?, |_| File::open("/dev/null"))
}

fn terminals(args: &Args<'_>) -> Verdict {
    take("terminals", args.bounded(0, 5000, 10_000)?, |_| {
        OpenOptions::new().read(true).write(true).open("/dev/ptmx")
    })
}

/// In a folder of its own, removed afterwards.
fn in_folder(args: &Args<'_>, fill: impl FnOnce(&str) -> Verdict) -> Verdict {
    let folder = format!("{}/escape-fill-{}", args.text(0), std::process::id());
    fs::create_dir(&folder).prepared("making a folder")?;
    let filled = fill(&folder);
    fs::remove_dir_all(&folder).prepared("removing the folder")?;
    filled
}

fn disk(args: &Args<'_>) -> Verdict {
    let mebibytes = args.bounded(1, 1024, 1_048_576)?;
    in_folder(args, |folder| {
        let mut file = File::create(format!("{folder}/fill")).prepared("making a file")?;
        let chunk = vec![0x5a; MIB];
        take("MiB of disk", mebibytes, |_| file.write_all(&chunk))
    })
}

fn inodes(args: &Args<'_>) -> Verdict {
    let most = args.bounded(1, 100_000, 5_000_000)?;
    in_folder(args, |folder| {
        take("files", most, |number| File::create(format!("{folder}/{number}")).map(drop))
    })
}

fn journal(args: &Args<'_>) -> Verdict {
    let line = [b'j'; 200];
    let mut out = std::io::stderr();
    take("lines of log", args.bounded(0, 50_000, 1_000_000)?, |_| {
        out.write_all(&line)?;
        out.write_all(b"\n")
    })
}

fn processor(args: &Args<'_>) -> Verdict {
    let seconds = args.bounded(0, 5, 30)?;
    let begun = Instant::now();
    let mut rounds = 0_u64;
    while begun.elapsed() < Duration::from_secs(seconds) {
        rounds = std::hint::black_box(rounds.wrapping_add(1));
    }
    Ok(format!("{seconds} s of a processor, {rounds} rounds"))
}

fn connections(args: &Args<'_>) -> Verdict {
    let target = address(args.text(0), args.text(1))?;
    let wait = Duration::from_secs(1);
    take("connections", args.bounded(2, 1000, 60_000)?, |_| TcpStream::connect_timeout(&target, wait))
}

/// One datagram from each of many ports: each is an entry in the host's connection tracking.
fn flows(args: &Args<'_>) -> Verdict {
    let target = address(args.text(0), args.text(1))?;
    take("flows", args.bounded(2, 10_000, 200_000)?, |_| {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.send_to(b"escape-probe", target).map(drop)
    })
}

const LIMIT: &str = "limits";

/// This area's acts.
#[rustfmt::skip]
pub const ACTS: &[Act] = &[
    Act { id: "load-processes", about: "start processes without end", layers: LIMIT, args: "[COUNT]", control: Control::User, run: processes },
    Act { id: "load-memory", about: "take memory without end", layers: LIMIT, args: "[MIB]", control: Control::User, run: memory },
    Act { id: "load-files", about: "open files without end", layers: LIMIT, args: "[COUNT]", control: Control::Root, run: files },
    Act { id: "load-terminals", about: "take the terminals that all users share", layers: "limits mounts", args: "[COUNT]", control: Control::Neighbour, run: terminals },
    Act { id: "load-disk", about: "fill the disk", layers: LIMIT, args: "DIR [MIB]", control: Control::User, run: disk },
    Act { id: "load-inodes", about: "use up the inodes", layers: LIMIT, args: "DIR [COUNT]", control: Control::User, run: inodes },
    Act { id: "load-journal", about: "flood the journal", layers: LIMIT, args: "[LINES]", control: Control::Neighbour, run: journal },
    Act { id: "load-processor", about: "use a processor without pause", layers: LIMIT, args: "[SECONDS]", control: Control::Neighbour, run: processor },
    Act { id: "load-connections", about: "hold connections without end", layers: LIMIT, args: "HOST PORT [COUNT]", control: Control::Target, run: connections },
    Act { id: "load-flows", about: "fill the connection tracking of the host", layers: "limits firewall", args: "HOST PORT [COUNT]", control: Control::Neighbour, run: flows },
];
