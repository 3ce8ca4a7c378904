//! A host's disk as a map: vaults of tenants, and the stored KEKs. Whoever uses it keeps nothing in memory between two steps.
#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::BTreeMap;

use model::TenantId;
use vault::{Kek, Keks, Kind, Listing, Secret, SecretName, Step, VaultError};

pub fn tenant(id: &str) -> TenantId {
    TenantId::parse(id).unwrap()
}

pub fn name(text: &str) -> SecretName {
    SecretName::parse(text).unwrap()
}

pub fn secret(text: &str) -> Secret {
    Secret::new(text.into()).unwrap()
}

pub fn value(secret: &Secret) -> String {
    String::from_utf8(secret.expose().to_vec()).unwrap()
}

pub type Files = BTreeMap<String, Vec<u8>>;

/// What a crash leaves.
#[derive(Clone)]
pub struct Disk {
    vaults: BTreeMap<TenantId, Files>,
    current: [u8; 32],
    next: Option<[u8; 32]>,
    /// Changes that may still be carried out; `None` for any number. At none left, nothing changes any more: a crash.
    pub left: Option<usize>,
}

impl Disk {
    pub fn new(tenants: &[&str]) -> Self {
        let current = *Kek::generate().unwrap().expose();
        let mut disk = Self { vaults: BTreeMap::new(), current, next: None, left: None };
        for id in tenants {
            let step = disk.listing(&tenant(id)).create(&disk.keks()).unwrap();
            disk.carry_out(&tenant(id), step);
        }
        disk
    }

    /// The same, with power for so many changes more.
    pub fn cut_after(self, left: Option<usize>) -> Self {
        Self { left, ..self }
    }

    pub fn crashed(&self) -> bool {
        self.left == Some(0)
    }

    /// Whether a change still happens.
    fn happens(&mut self) -> bool {
        let happens = !self.crashed();
        self.left = self.left.map(|left| left.saturating_sub(1));
        happens
    }

    pub fn tenants(&self) -> Vec<TenantId> {
        self.vaults.keys().cloned().collect()
    }

    pub fn keks(&self) -> Keks {
        let of = |bytes: &[u8; 32]| Kek::from_bytes(bytes).unwrap();
        Keks::new(of(&self.current), self.next.as_ref().map(of))
    }

    pub fn current_kek(&self) -> [u8; 32] {
        self.current
    }

    pub fn files(&self, id: &TenantId) -> &Files {
        self.vaults.get(id).unwrap()
    }

    pub fn names(&self, id: &TenantId) -> Vec<String> {
        self.files(id).keys().cloned().collect()
    }

    pub fn listing(&self, id: &TenantId) -> Listing {
        Listing::read(id.clone(), self.vaults.get(id).cloned().unwrap_or_default()).unwrap()
    }

    pub fn put(&mut self, id: &TenantId, file: &str, bytes: &[u8]) {
        self.vaults.entry(id.clone()).or_default().insert(file.to_owned(), bytes.to_vec());
    }

    pub fn remove_file(&mut self, id: &TenantId, file: &str) {
        self.vaults.get_mut(id).unwrap().remove(file).unwrap();
    }

    pub fn carry_out(&mut self, id: &TenantId, step: Step) {
        if !self.happens() {
            return;
        }
        let mut applied = self.listing(id);
        applied.apply(step.clone()).unwrap();
        match step {
            Step::Write { file, bytes } => self.put(id, &file, &bytes),
            Step::Remove { file } => self.remove_file(id, &file),
        }
        assert_eq!(applied, self.listing(id), "a listing after a step is the listing of the disk after it");
    }

    pub fn try_settle(&mut self, id: &TenantId) -> Result<usize, VaultError> {
        for done in 0..1000 {
            match self.listing(id).next_step(&self.keks())? {
                Some(step) if !self.crashed() => self.carry_out(id, step),
                Some(_) | None => return Ok(done),
            }
        }
        panic!("a thousand steps and no end")
    }

    pub fn settle(&mut self, id: &TenantId) {
        self.try_settle(id).unwrap();
    }

    pub fn set(&mut self, id: &TenantId, secret_name: &str, text: &str) {
        let step =
            self.listing(id).set(&self.keks(), (&name(secret_name), 0), Kind::Proxy, &secret(text)).unwrap();
        self.carry_out(id, step);
        if self.try_settle(id).is_err() {
            assert!(!self.crashed(), "another secret is damaged, and that is another test");
        }
    }

    pub fn remove(&mut self, id: &TenantId, secret_name: &str) {
        while let Some(step) = self.listing(id).remove(&self.keks(), &name(secret_name)).unwrap() {
            if self.crashed() {
                return;
            }
            self.carry_out(id, step);
        }
    }

    pub fn rotate_dek(&mut self, id: &TenantId) {
        let step = self.listing(id).rotate_dek(&self.keks()).unwrap();
        self.carry_out(id, step);
        self.settle(id);
    }

    pub fn rotate_kek(&mut self) {
        let next = *Kek::generate().unwrap().expose();
        if self.happens() {
            self.next = Some(next);
        }
        self.go_on();
    }

    /// What a start does: everything that is under way goes on, from the disk alone.
    pub fn go_on(&mut self) {
        for id in self.tenants() {
            self.settle(&id);
        }
        let Some(next) = self.next else { return };
        let id = Kek::from_bytes(&next).unwrap().id();
        let held = self.tenants().iter().all(|tenant| self.listing(tenant).is_held_by(id));
        // One rename: the next KEK takes the place of the current one.
        if held && self.happens() {
            (self.current, self.next) = (next, None);
        }
    }

    pub fn value(&self, id: &TenantId, secret_name: &str) -> Option<String> {
        let listing = self.listing(id);
        let version = listing.newest_version(&name(secret_name))?;
        Some(value(&listing.open(&self.keks(), &name(secret_name), version, Kind::Proxy).unwrap()))
    }
}
