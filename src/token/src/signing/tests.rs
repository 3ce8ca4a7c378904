use super::*;
use crate::testing::{claims, own_keys, public, verify};

#[test]
fn a_generated_key_signs_what_its_public_part_verifies() {
    let (pkcs8, kid, x) = SigningKey::generate().unwrap();
    let key = SigningKey::from_pkcs8(&kid, &pkcs8).unwrap();
    assert_eq!(key.x(), x);
    assert_eq!(kid.len(), 32);
    let token = key.issue(&claims(), Kind::Access).unwrap();
    let keys = own_keys(vec![public(&key, None)]);
    let verified = crate::verify(&token, &keys, crate::testing::expected()).unwrap();
    assert_eq!(verified.into_claims(), claims());
}

#[test]
fn two_generated_keys_differ() {
    assert_ne!(SigningKey::generate().unwrap().1, SigningKey::generate().unwrap().1);
}

#[test]
fn a_document_of_ring_is_taken_too() {
    let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    assert!(SigningKey::from_pkcs8("k", document.as_ref()).is_ok());
}

#[test]
fn what_is_no_key_is_refused() {
    let (pkcs8, _, _) = SigningKey::generate().unwrap();
    for document in [&[][..], &[0; 31], &[0; 33], &pkcs8[1..], &pkcs8[..47], b"-----BEGIN PRIVATE KEY-----"] {
        assert_eq!(SigningKey::from_pkcs8("k", document).err(), Some(IssueError::Key));
    }
    for kid in ["", "a b", "../k", "k.cred", &"k".repeat(65), "k\0"] {
        assert_eq!(SigningKey::from_pkcs8(kid, &pkcs8).err(), Some(IssueError::Kid), "{kid:?}");
    }
}

#[test]
fn a_key_does_not_print_itself() {
    assert_eq!(format!("{:?}", crate::testing::signer()), "SigningKey(k1)");
}

/// RFC 8037, appendix A: key, header and payload, and the signature that Ed25519 makes of them.
#[test]
fn signs_the_example_of_rfc_8037() {
    let seed = base64url::decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap();
    let key = SigningKey::from_pkcs8("k", &seed).unwrap();
    assert_eq!(key.x(), "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
    let jws = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    assert_eq!(key.sign(br#"{"alg":"EdDSA"}"#, b"Example of Ed25519 signing"), jws);
}

#[test]
fn a_token_that_would_not_be_accepted_is_not_issued() {
    let key = crate::testing::signer();
    let refused = |change: fn(&mut Claims), kind| {
        let mut claims = claims();
        change(&mut claims);
        key.issue(&claims, kind).unwrap_err()
    };
    let subject = IssueError::Claims(ClaimsError::Subject);
    assert_eq!(refused(|claims| claims.sub = String::new(), Kind::Access), subject);
    assert_eq!(refused(|claims| claims.sub = "a\nb".to_owned(), Kind::Access), subject);
    assert_eq!(refused(|claims| claims.sub = "x".repeat(257), Kind::Access), subject);
    assert_eq!(
        refused(|claims| claims.jti = "1".to_owned(), Kind::Access),
        IssueError::Claims(ClaimsError::Jti)
    );
    let lifetime = |limit| IssueError::Claims(ClaimsError::Lifetime { limit });
    assert_eq!(refused(|claims| claims.exp = claims.iat, Kind::Access), lifetime(86_400));
    assert_eq!(refused(|claims| claims.exp = claims.iat + 86_401, Kind::Access), lifetime(86_400));
    assert_eq!(refused(|claims| claims.exp = claims.iat + 301, Kind::Login), lifetime(300));
    assert_eq!(refused(|claims| claims.iat = i64::MIN, Kind::Login), lifetime(300));
    assert_eq!(refused(|claims| claims.aud = "a".repeat(4096), Kind::Access), IssueError::TooLong);
}

#[test]
fn the_longest_subject_fits_into_a_token() {
    let mut long = claims();
    long.sub = "\u{10ffff}".repeat(256);
    let token = crate::testing::signer().issue(&long, Kind::Access).unwrap();
    assert_eq!(verify(&token), Ok(long));
}
