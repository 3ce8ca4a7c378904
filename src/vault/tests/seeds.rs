//! The functions that are fuzzed, over their seeds (`tests/fuzz/corpus`): what was sealed once opens as long as the format is read.
//! `BLESS=1` makes the seeds anew.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a step of a test that fails is a failed test"
)]

#[path = "../../../tests/fuzz/src/formats.rs"]
mod formats;
#[path = "../../../tests/fuzz/src/sealed.rs"]
mod sealed;

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use sealed::{KEY, acme, keks};
use vault::{
    Kek, Kind, Listing, Passphrase, Sealer, Secret, SecretName, Step, Unopened, export_kek, import_kek,
};

type Act<'a> = &'a dyn Fn(&[u8]);

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus").join(target).join("seed")
}

fn seed(target: &str) -> Vec<u8> {
    fs::read(corpus(target)).unwrap()
}

fn words() -> Passphrase {
    Passphrase::new(Secret::new(b"six words make a passphrase".to_vec()).unwrap()).unwrap()
}

fn keep(target: &str, bytes: &[u8]) {
    fs::create_dir_all(corpus(target).parent().unwrap()).unwrap();
    fs::write(corpus(target), bytes).unwrap();
}

fn bless() {
    if std::env::var_os("BLESS").is_none() {
        return;
    }
    let mut listing = Listing::read(acme(), []).unwrap();
    let token = SecretName::parse("token").unwrap();
    let mut files = Vec::new();
    let first = listing.create(&keks()).unwrap();
    listing.apply(first.clone()).unwrap();
    let secret = Secret::new(b"a value".to_vec()).unwrap();
    for step in [first, listing.set(&keks(), (&token, 0), Kind::File, &secret).unwrap()] {
        let Step::Write { file, bytes } = step else { unreachable!() };
        files.push(u8::try_from(file.len()).unwrap());
        files.extend(u16::try_from(bytes.len()).unwrap().to_be_bytes());
        files.extend(file.as_bytes());
        files.extend(&bytes);
        keep(if file.starts_with("dek") { "dek" } else { "record" }, &bytes);
    }
    keep("listing", &files);
    let kek = Kek::from_bytes(&KEY).unwrap();
    keep("recovery", &export_kek(&kek, &words()).unwrap());
    let mut sealer = Sealer::new(&kek.backup_key(&acme()), Vec::new()).unwrap();
    sealer.write_all(b"what was packed").unwrap();
    keep("sealed", &sealer.finish().unwrap());
    keep("names", b"acme-corp");
    let mut bundle = Vec::new();
    model::delivery::begin(&mut bundle);
    let delivered =
        model::delivery::Delivered { name: "token", form: model::delivery::Form::File, value: b"a value" };
    model::delivery::add(&mut bundle, delivered).unwrap();
    keep("delivery", &bundle);
}

#[test]
fn the_seeds_open_and_what_is_fuzzed_holds_for_them_cut_anywhere_or_with_bits_turned() {
    bless();
    let (dek, record) = (seed("dek"), seed("record"));
    let files = [("dek.1".to_owned(), dek.clone()), ("secret.token.1".to_owned(), record.clone())];
    Listing::read(acme(), files).unwrap().check(&keks()).unwrap();
    assert_eq!(import_kek(&seed("recovery"), &words()).unwrap().expose(), &KEY);
    let mut plain = Vec::new();
    let key = Kek::from_bytes(&KEY).unwrap().backup_key(&acme());
    Unopened::read(&seed("sealed")[..]).unwrap().open(&key).unwrap().read_to_end(&mut plain).unwrap();
    assert_eq!(plain, b"what was packed");
    assert_eq!(model::delivery::read(&seed("delivery")).unwrap().len(), 1);

    let act_on_record = |bytes: &[u8]| sealed::record(&dek, bytes);
    let targets: [(&str, Act); 7] = [
        ("record", &act_on_record),
        ("dek", &sealed::dek),
        ("listing", &sealed::listing),
        ("recovery", &sealed::recovery),
        ("sealed", &sealed::archive),
        ("names", &formats::names),
        ("delivery", &formats::deliveries),
    ];
    for (target, act) in targets {
        let seed = seed(target);
        act(&seed);
        for at in 0..seed.len() {
            let mut other = seed.clone();
            other[at] ^= 1 << (at % 8);
            act(&other);
            act(&seed[..at]);
        }
    }
}
