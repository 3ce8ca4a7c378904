//! For `bench secrets`: bytes a second of sealing and of opening an archive in memory, three rounds of MEBIBYTES each (256 if not said).
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement prints; one that fails has nothing to say"
)]

use std::hint::black_box;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

use model::TenantId;
use vault::{Kek, Sealer, Unopened};

fn main() {
    let mebibytes = std::env::args().nth(1).map_or(256, |text| text.parse().unwrap());
    let kek = Kek::from_bytes(&[7; 32]).unwrap();
    let key = kek.backup_key(&TenantId::parse("acme").unwrap());
    let plain = vec![0x5a_u8; 1 << 20];
    let length = mebibytes * plain.len();
    let mut archive = Vec::with_capacity(length + length / 1024);
    let mut read = vec![0; 1 << 16];
    for _ in 0..3 {
        archive.clear();
        let begun = Instant::now();
        let mut sealer = Sealer::new(&key, &mut archive).unwrap();
        for _ in 0..mebibytes {
            sealer.write_all(&plain).unwrap();
        }
        sealer.finish().unwrap();
        let sealed = begun.elapsed();
        let begun = Instant::now();
        let mut opener = Unopened::read(&archive[..]).unwrap().open(&key).unwrap();
        let mut total = 0;
        loop {
            match opener.read(&mut read).unwrap() {
                0 => break,
                more => total += more,
            }
            black_box(&read);
        }
        assert_eq!(total, length);
        say("seal", length, sealed);
        say("open", length, begun.elapsed());
    }
}

fn say(what: &str, bytes: usize, took: Duration) {
    let rate = u128::try_from(bytes).unwrap() * 1_000_000_000 / took.as_nanos();
    println!("{what} {rate}");
}
