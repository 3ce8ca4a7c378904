//! Accounts and certificates on disk, so that a restart orders nothing: a directory for each authority, in it a file for each name with
//! key and chain together. A file is replaced whole or not at all, and nobody else reads it.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::verify_server_name;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use thiserror::Error;
use zeroize::Zeroizing;

use super::schedule::Waits;
use crate::auth::random::hex;

/// Bytes of a file, at most.
const MOST: u64 = 256 << 10;
const ACCOUNT: &str = "account.json";
const WAITS: &str = "waits.json";
const SUFFIX: &str = ".pem";

/// What is on disk cannot be used.
#[derive(Debug, Error)]
pub(super) enum StoreError {
    #[error("cannot use {}: {source} (it belongs to the user tenantd-edge, mode 0700 or 0600)", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{} holds no certificate for its name with its key: {why} (remove it, and it is ordered anew)", path.display())]
    Damaged { path: PathBuf, why: Why },
    #[error("{} is damaged (it is written anew; names that were refused are ordered again)", path.display())]
    Waits { path: PathBuf },
}

/// What is wrong with a certificate.
#[derive(Debug, Error)]
pub(super) enum Why {
    #[error("{0}")]
    Pem(#[from] rustls::pki_types::pem::Error),
    #[error("{0}")]
    Tls(#[from] rustls::Error),
    #[error("it is no certificate of a name")]
    Name,
    #[error("it cannot be read")]
    X509,
}

/// A certificate and until when it is one.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) key: Arc<CertifiedKey>,
    /// Unix seconds.
    pub(super) begin: u64,
    pub(super) end: u64,
}

impl Held {
    /// Key and chain, PEM one after the other, for this name.
    pub(super) fn parse(name: &str, pem: &str) -> Result<Self, Why> {
        let chain = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>()?;
        let own = chain.first().ok_or(Why::X509)?.clone();
        let server = ServerName::try_from(name).map_err(|_| Why::Name)?;
        verify_server_name(&ParsedCertificate::try_from(&own)?, &server)?;
        let (_, parsed) = x509_parser::parse_x509_certificate(&own).map_err(|_| Why::X509)?;
        let validity = parsed.validity();
        let seconds = |time: x509_parser::time::ASN1Time| u64::try_from(time.timestamp()).unwrap_or_default();
        let (begin, end) = (seconds(validity.not_before), seconds(validity.not_after));
        let key = PrivateKeyDer::from_pem_slice(pem.as_bytes())?;
        let key = CertifiedKey::from_der(chain, key, &ring::default_provider())?;
        Ok(Self { key: Arc::new(key), begin, end })
    }
}

/// A name, and its certificate or what is wrong with its file.
pub(super) type Found = (String, Result<Held, StoreError>);

/// The directory of one authority.
#[derive(Clone, Debug)]
pub(super) struct Store {
    directory: PathBuf,
}

impl Store {
    /// Below the edge's own state, that of the authority with this address.
    pub(super) fn open(state: &Path, authority: &str) -> Result<Self, StoreError> {
        let digest = ::ring::digest::digest(&::ring::digest::SHA256, authority.as_bytes());
        let short = hex(digest.as_ref().get(..8).unwrap_or_default());
        let directory = state.join("acme").join(short);
        let made = DirBuilder::new().mode(0o700).recursive(true).create(&directory);
        made.map_err(|source| StoreError::Io { path: directory.clone(), source })?;
        Ok(Self { directory })
    }

    /// Every certificate, or what is wrong with its file.
    pub(super) fn certificates(&self) -> Result<Vec<Found>, StoreError> {
        let failed = |source| StoreError::Io { path: self.directory.clone(), source };
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.directory).map_err(failed)? {
            let file = entry.map_err(failed)?.file_name();
            if let Some(name) = file.to_str().and_then(|file| file.strip_suffix(SUFFIX)) {
                found.push((name.to_owned(), self.certificate(name)));
            }
        }
        Ok(found)
    }

    fn certificate(&self, name: &str) -> Result<Held, StoreError> {
        let path = self.path(name);
        let text = read(&path).map_err(|source| StoreError::Io { path: path.clone(), source })?;
        Held::parse(name, &text).map_err(|why| StoreError::Damaged { path, why })
    }

    /// Puts a certificate in the place of the one before.
    pub(super) fn put(&self, name: &str, pem: &str) -> Result<(), StoreError> {
        self.write(&format!("{name}{SUFFIX}"), pem)
    }

    /// Removes a certificate; one that is not there is as good.
    pub(super) fn remove(&self, name: &str) -> Result<(), StoreError> {
        self.delete(&self.path(name))
    }

    /// The account, as it was put there.
    pub(super) fn account(&self) -> Result<Option<Zeroizing<String>>, StoreError> {
        let path = self.directory.join(ACCOUNT);
        match read(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StoreError::Io { path, source }),
        }
    }

    pub(super) fn put_account(&self, text: &str) -> Result<(), StoreError> {
        self.write(ACCOUNT, text)
    }

    pub(super) fn remove_account(&self) -> Result<(), StoreError> {
        self.delete(&self.directory.join(ACCOUNT))
    }

    /// Who has to wait; nobody where nothing was ever put there.
    pub(super) fn waits(&self) -> Result<Waits, StoreError> {
        let path = self.directory.join(WAITS);
        match read(&path) {
            Ok(text) => serde_json::from_str(&text).map_err(|_| StoreError::Waits { path }),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Waits::default()),
            Err(source) => Err(StoreError::Io { path, source }),
        }
    }

    pub(super) fn put_waits(&self, waits: &Waits) -> Result<(), StoreError> {
        let text = serde_json::to_string(waits);
        self.write(WAITS, &text.map_err(|_| StoreError::Waits { path: self.directory.join(WAITS) })?)
    }

    /// Names are those of hosts: letters, digits, dashes and dots, and none begins with a dot.
    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}{SUFFIX}"))
    }

    fn delete(&self, path: &Path) -> Result<(), StoreError> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(source) => Err(StoreError::Io { path: path.to_owned(), source }),
            Ok(()) => Ok(()),
        }
    }

    fn write(&self, file: &str, text: &str) -> Result<(), StoreError> {
        let (path, unfinished) = (self.directory.join(file), self.directory.join("unfinished"));
        let written = || {
            let mut new =
                OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
            new.write_all(text.as_bytes())?;
            new.sync_all()?;
            std::fs::rename(&unfinished, &path)?;
            File::open(&self.directory)?.sync_all()
        };
        written().map_err(|source| StoreError::Io { path: path.clone(), source })
    }
}

fn read(path: &Path) -> std::io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    File::open(path)?.take(MOST).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
pub(super) mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    /// Key and certificate for a name, valid between these seconds after the epoch.
    pub(in crate::acme) fn pem(name: &str, begin: u64, end: u64) -> String {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let at = |second: u64| rcgen::date_time_ymd(1970, 1, 1) + std::time::Duration::from_secs(second);
        (params.not_before, params.not_after) = (at(begin), at(end));
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        format!("{}{}", key.serialize_pem(), certificate.pem())
    }

    pub(in crate::acme) fn held(name: &str, begin: u64, end: u64) -> Held {
        Held::parse(name, &pem(name, begin, end)).unwrap()
    }

    fn store() -> (tempfile::TempDir, Store) {
        let state = tempfile::tempdir().unwrap();
        let store = Store::open(state.path(), "https://ca.example/dir").unwrap();
        (state, store)
    }

    #[test]
    fn what_was_put_is_there_again_and_nobody_else_reads_it() {
        let (state, store) = store();
        assert!(store.certificates().unwrap().is_empty());
        store.put("acme.a.example", &pem("acme.a.example", 1000, 2000)).unwrap();
        store.put("acme.a.example", &pem("acme.a.example", 3000, 4000)).unwrap();
        store.put_account("{}").unwrap();
        let again = Store::open(state.path(), "https://ca.example/dir").unwrap();
        let [(name, Ok(held))] = &again.certificates().unwrap()[..] else { panic!("one") };
        assert_eq!((name.as_str(), held.begin, held.end), ("acme.a.example", 3000, 4000));
        assert_eq!(again.account().unwrap().unwrap().as_str(), "{}");
        assert_eq!(again.waits().unwrap(), Waits::default());
        again.put_waits(&Waits::default()).unwrap();
        assert_eq!(again.waits().unwrap(), Waits::default());
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&again.directory), mode(&state.path().join("acme"))), (0o700, 0o700));
        for file in std::fs::read_dir(&again.directory).unwrap() {
            assert_eq!(mode(&file.unwrap().path()), 0o600);
        }
        again.remove("acme.a.example").unwrap();
        again.remove("acme.a.example").unwrap();
        again.remove_account().unwrap();
        assert!(again.certificates().unwrap().is_empty() && again.account().unwrap().is_none());
    }

    #[test]
    fn another_authority_has_another_account_and_other_certificates() {
        let (state, store) = store();
        store.put("a.example", &pem("a.example", 0, 1000)).unwrap();
        let other = Store::open(state.path(), "https://staging.ca.example/dir").unwrap();
        assert!(other.certificates().unwrap().is_empty());
    }

    #[test]
    fn a_file_that_is_no_certificate_of_its_name_is_told_and_not_used() {
        let (_state, store) = store();
        let (one, two) = (pem("one.example", 0, 1000), pem("two.example", 0, 1000));
        let (key, _) = one.split_once("-----BEGIN CERTIFICATE").unwrap();
        let (_, foreign) = two.split_once("-----BEGIN CERTIFICATE").unwrap();
        for (name, text) in [
            ("empty.example", String::new()),
            ("one.example", one.chars().take(300).collect()),
            ("two.example", format!("{key}-----BEGIN CERTIFICATE{foreign}")),
            ("other.example", one.clone()),
            ("no name", one.clone()),
        ] {
            store.put(name, &text).unwrap();
        }
        std::fs::File::create(store.directory.join(WAITS)).unwrap();
        assert!(store.waits().unwrap_err().to_string().contains("waits.json is damaged"));
        let found = store.certificates().unwrap();
        assert_eq!(found.len(), 5);
        for (name, held) in found {
            let why = held.unwrap_err().to_string();
            assert!(why.contains(&name) && why.contains("remove it"), "{why}");
        }
    }
}
