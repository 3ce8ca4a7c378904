//! The vault's formats under any bytes: an answer or an error, never an end, and nothing that was not sealed by the key opens.

use std::io::Read;

use model::TenantId;
use vault::{
    Kek, Keks, Kind, Listing, Passphrase, RecordFile, Secret, SecretEntry, SecretName, Unopened, import_kek,
};

/// The key under which the seeds were sealed.
pub const KEY: [u8; 32] = [7; 32];

/// The keys of the seeds.
pub fn keks() -> Keks {
    Keks::new(Kek::from_bytes(&KEY).unwrap(), None)
}

/// The tenant of the seeds.
pub fn acme() -> TenantId {
    TenantId::parse("acme").unwrap()
}

/// A record, in the first version of a secret, beside the DEK of the seeds.
pub fn record(dek: &[u8], bytes: &[u8]) {
    whole(vec![("dek.1".to_owned(), dek.to_vec()), ("secret.token.1".to_owned(), bytes.to_vec())]);
}

/// The file of a DEK, alone.
pub fn dek(bytes: &[u8]) {
    whole(vec![("dek.1".to_owned(), bytes.to_vec())]);
}

/// A directory: for each file a length of its name, the name, a length of its content, the content.
pub fn listing(mut bytes: &[u8]) {
    let mut files = Vec::new();
    while let Some((&[name, high, low], rest)) = bytes.split_first_chunk::<3>() {
        let Some((name, rest)) = rest.split_at_checked(name.into()) else { break };
        let Some((content, rest)) = rest.split_at_checked(u16::from_be_bytes([high, low]).into()) else {
            break;
        };
        files.push((String::from_utf8_lossy(name).into_owned(), content.to_vec()));
        bytes = rest;
    }
    whole(files);
}

/// Everything that is done to a directory's files. Steps come to an end, and what opened before opens after them.
fn whole(files: Vec<(String, Vec<u8>)>) {
    let keks = keks();
    let entry = |record: &RecordFile| {
        let same = |(name, _): &&(String, Vec<u8>)| name == record.file();
        let content = files.iter().rev().find(same).map_or(&[][..], |(_, content)| content);
        record.entry(&content[..content.len().min(RecordFile::HEAD)], content.len() as u64)
    };
    let by_heads = RecordFile::newest(&acme(), files.iter().map(|(name, _)| name.clone()))
        .map(|records| records.iter().map(entry).collect::<Vec<_>>());
    let Ok(mut listing) = Listing::read(acme(), files.clone()) else {
        assert!(by_heads.is_err());
        return;
    };
    let entries: Vec<_> = listing.secrets().collect();
    assert_eq!(by_heads.unwrap(), entries);
    let sound = listing.check(&keks).is_ok();
    let value = |listing: &Listing, entry: &SecretEntry| {
        let opened = listing.open(&keks, &entry.name, entry.version, entry.kind?);
        opened.ok().map(|secret| secret.expose().to_vec())
    };
    let values: Vec<_> = entries.iter().map(|entry| value(&listing, entry)).collect();
    let most = 4 * files.len() + 4;
    let mut steps = 0;
    while let Ok(Some(step)) = listing.next_step(&keks) {
        listing.apply(step).unwrap();
        steps += 1;
        assert!(steps <= most, "steps do not come to an end");
    }
    for (entry, before) in entries.iter().zip(values).filter(|(_, before)| before.is_some()) {
        assert_eq!(value(&listing, entry), before, "{} was lost", entry.name);
    }
    if sound && !entries.is_empty() {
        assert!(listing.check(&keks).is_ok());
    }
    let name = SecretName::parse("fresh").unwrap();
    let fresh = Secret::new(b"fresh".to_vec()).unwrap();
    if let Ok(step) = listing.set(&keks, (&name, 0), Kind::File, &fresh) {
        listing.apply(step).unwrap();
        let version = listing.newest_version(&name).unwrap();
        assert!(listing.open(&keks, &name, version, Kind::File).is_ok());
    }
}

/// A recovery copy. Argon2id is slow: a copy that is within the bounds is worked on only where it costs the least.
pub fn recovery(bytes: &[u8]) {
    let passphrase = Passphrase::new(Secret::new(b"six words make a passphrase".to_vec()).unwrap()).unwrap();
    let number =
        |at: usize| bytes.get(at..at + 4).map_or(0, |field| u32::from_be_bytes(field.try_into().unwrap()));
    let cost = (number(17), number(21), number(25));
    let allowed =
        (19_456..=262_144).contains(&cost.0) && (1..=10).contains(&cost.1) && (1..=4).contains(&cost.2);
    if !allowed || cost == (19_456, 1, 1) {
        assert!(import_kek(bytes, &passphrase).is_err());
    }
}

/// A sealed archive, read to its end.
pub fn archive(bytes: &[u8]) {
    let kek = Kek::from_bytes(&KEY).unwrap();
    let Ok(unopened) = Unopened::read(bytes) else { return };
    let key = kek.backup_key(&acme());
    let Ok(mut opener) = unopened.open(&key) else { return };
    let mut plain = Vec::new();
    let opened = opener.read_to_end(&mut plain);
    // Only the seed was sealed by that key.
    assert!(opened.is_err() || plain == b"what was packed", "a forged archive opened");
}
