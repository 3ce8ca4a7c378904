//! What the tests of this crate share.

use model::TenantId;

use crate::{Kek, Listing, SecretName, VaultError};

pub(crate) fn tenant(id: &str) -> TenantId {
    TenantId::parse(id).unwrap()
}

pub(crate) fn name(name: &str) -> SecretName {
    SecretName::parse(name).unwrap()
}

/// The KEK of 32 equal bytes.
pub(crate) fn kek(byte: u8) -> Kek {
    Kek::from_bytes(&[byte; 32]).unwrap()
}

pub(crate) fn listing(files: &[(&str, &[u8])]) -> Result<Listing, VaultError> {
    Listing::read(tenant("acme"), files.iter().map(|(file, bytes)| ((*file).to_owned(), bytes.to_vec())))
}

pub(crate) fn unhex(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// 0, 1, 2 and so on: the salts and nonces of known answers.
pub(crate) fn counting<const N: usize>() -> [u8; N] {
    std::array::from_fn(|at| u8::try_from(at).unwrap())
}

/// `bytes` damaged in every way of one place: each bit turned, each length cut to, one byte more.
pub(crate) fn damaged(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    let turned = (0..bytes.len() * 8).map(|bit| {
        let mut turned = bytes.to_vec();
        turned[bit / 8] ^= 1 << (bit % 8);
        turned
    });
    let cut = (0..bytes.len()).map(|length| bytes[..length].to_vec());
    let longer = std::iter::once([bytes, &[0]].concat());
    turned.chain(cut).chain(longer)
}
