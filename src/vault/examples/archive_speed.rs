//! For `bench secrets`: bytes a second of sealing and of opening archives of 4 MiB, three rounds of MEBIBYTES each (256 if not said). They are
//! small enough for the processor's caches, as the buffer of `openssl speed` is: what is measured is the cipher, not the memory. Time is
//! the processor's, as `openssl speed` counts it by itself.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement prints; one that fails has nothing to say"
)]

use std::hint::black_box;
use std::io::{Read, Write};
use std::time::Duration;

use model::TenantId;
use vault::{Kek, Sealer, Unopened};

fn main() {
    let mebibytes: usize = std::env::args().nth(1).map_or(256, |text| text.parse().unwrap());
    let kek = Kek::from_bytes(&[7; 32]).unwrap();
    let key = kek.backup_key(&TenantId::parse("acme").unwrap());
    let plain = vec![0x5a_u8; 4 << 20];
    let archives = mebibytes.div_ceil(4);
    let length = archives * plain.len();
    let mut sealer = Sealer::new(&key, Vec::new()).unwrap();
    sealer.write_all(&plain).unwrap();
    let archive = sealer.finish().unwrap();
    let mut read = vec![0; 1 << 16];
    for _ in 0..3 {
        let begun = on_processor();
        for _ in 0..archives {
            let mut sealer = Sealer::new(&key, Discarded).unwrap();
            sealer.write_all(&plain).unwrap();
            sealer.finish().unwrap();
        }
        say("seal", length, on_processor() - begun);
        let begun = on_processor();
        let mut total = 0;
        for _ in 0..archives {
            let mut opener = Unopened::read(&archive[..]).unwrap().open(&key).unwrap();
            loop {
                match opener.read(&mut read).unwrap() {
                    0 => break,
                    more => total += more,
                }
                black_box(&read);
            }
        }
        assert_eq!(total, length);
        say("open", length, on_processor() - begun);
    }
}

/// Where archives go: to be written somewhere is not part of being sealed.
struct Discarded;

impl Write for Discarded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        black_box(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// How long this thread, the only one, has been running: the first number of schedstat, nanoseconds (proc_pid_schedstat(5)).
fn on_processor() -> Duration {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

fn say(what: &str, bytes: usize, took: Duration) {
    let rate = u128::try_from(bytes).unwrap() * 1_000_000_000 / took.as_nanos();
    println!("{what} {rate}");
}
