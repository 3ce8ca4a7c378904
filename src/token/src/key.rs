//! Public keys as JSON Web Keys (RFC 7517, RFC 7518 6, RFC 8037 2). The key says by which algorithms it verifies.

use ring::signature as sig;
use serde_json::{Map, Value};
use thiserror::Error;

use crate::header::Algorithm;
use crate::{Refusal, base64url};

/// The exponent that everybody uses; smaller ones are refused (BSI TR-02102-1, FIPS 186-5: more than 2^16).
const MIN_RSA_EXPONENT: u64 = 65_537;

/// A key that is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    /// It is of a type, curve or use that we do not know. A set may have such keys; they are left out.
    #[error("the key is of a type, curve or use that is not accepted")]
    Unknown,
    /// A part is missing, of the wrong length or not base64url.
    #[error("the key is malformed")]
    Malformed,
    /// It has fewer than 2048 bits or more than 8192, or an exponent below 65537.
    #[error("the RSA key is weaker than 2048 bits and an exponent of 65537, or larger than 8192 bits")]
    Weak,
    /// It has private parts, which no public document may have.
    #[error("the key is a private one")]
    Private,
}

/// A public key.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    material: Material,
    /// The one algorithm it is for, if it says so.
    only: Option<Algorithm>,
}

#[derive(Clone, PartialEq, Eq)]
enum Material {
    Ed25519(Vec<u8>),
    P256(Vec<u8>),
    P384(Vec<u8>),
    Rsa { n: Vec<u8>, e: Vec<u8> },
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = match self.material {
            Material::Ed25519(_) => "Ed25519",
            Material::P256(_) => "P-256",
            Material::P384(_) => "P-384",
            Material::Rsa { .. } => "RSA",
        };
        write!(f, "PublicKey({name})")
    }
}

impl PublicKey {
    /// An Ed25519 key, by the `x` of its JWK.
    ///
    /// # Errors
    ///
    /// [`KeyError::Malformed`] if that is not 32 bytes of base64url.
    pub fn ed25519(x: &str) -> Result<Self, KeyError> {
        let x = base64url::decode(x).filter(|x| x.len() == 32).ok_or(KeyError::Malformed)?;
        Ok(Self { material: Material::Ed25519(x), only: None })
    }

    /// A JWK.
    ///
    /// # Errors
    ///
    /// Why it is not used.
    pub fn from_jwk(jwk: &Map<String, Value>) -> Result<Self, KeyError> {
        if !for_signatures(jwk) {
            return Err(KeyError::Unknown);
        }
        let material = match (text(jwk, "kty"), text(jwk, "crv")) {
            (Some("OKP"), Some("Ed25519")) => Material::Ed25519(bytes(jwk, "x", 32)?),
            (Some("EC"), Some("P-256")) => Material::P256(point(jwk, 32)?),
            (Some("EC"), Some("P-384")) => Material::P384(point(jwk, 48)?),
            (Some("RSA"), _) => rsa(jwk)?,
            _ => return Err(KeyError::Unknown),
        };
        if jwk.contains_key("d") {
            return Err(KeyError::Private);
        }
        let only = match jwk.get("alg") {
            None => None,
            Some(Value::String(name)) => Some(Algorithm::named(name).ok_or(KeyError::Unknown)?),
            Some(_) => return Err(KeyError::Malformed),
        };
        Ok(Self { material, only })
    }

    /// Whether signatures of this algorithm can be of this key.
    pub(crate) fn accepts(&self, algorithm: Algorithm) -> bool {
        let of_type = match self.material {
            Material::Ed25519(_) => algorithm == Algorithm::EdDsa,
            Material::P256(_) => algorithm == Algorithm::Es256,
            Material::P384(_) => algorithm == Algorithm::Es384,
            Material::Rsa { .. } => matches!(algorithm, Algorithm::Rs256 | Algorithm::Ps256),
        };
        of_type && self.only.is_none_or(|only| only == algorithm)
    }

    /// Whether `signature` is this key's for `message`, by `algorithm`.
    pub(crate) fn verify(
        &self,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), Refusal> {
        if !self.accepts(algorithm) {
            return Err(Refusal::OtherAlgorithm);
        }
        let by = |method: &'static dyn sig::VerificationAlgorithm, key: &[u8]| {
            sig::UnparsedPublicKey::new(method, key).verify(message, signature)
        };
        let verdict = match &self.material {
            Material::Ed25519(key) => by(&sig::ED25519, key),
            Material::P256(key) => by(&sig::ECDSA_P256_SHA256_FIXED, key),
            Material::P384(key) => by(&sig::ECDSA_P384_SHA384_FIXED, key),
            Material::Rsa { n, e } => {
                let method = if algorithm == Algorithm::Ps256 {
                    &sig::RSA_PSS_2048_8192_SHA256
                } else {
                    &sig::RSA_PKCS1_2048_8192_SHA256
                };
                sig::RsaPublicKeyComponents { n, e }.verify(method, message, signature)
            }
        };
        verdict.map_err(|_| Refusal::Signature)
    }
}

fn for_signatures(jwk: &Map<String, Value>) -> bool {
    let for_use = jwk.get("use").is_none_or(|value| value == "sig");
    let operations = jwk.get("key_ops");
    let for_operation = operations.is_none_or(|value| {
        value.as_array().is_some_and(|operations| operations.iter().any(|operation| operation == "verify"))
    });
    for_use && for_operation
}

fn text<'a>(jwk: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    jwk.get(name).and_then(Value::as_str)
}

fn integer(jwk: &Map<String, Value>, name: &str) -> Result<Vec<u8>, KeyError> {
    text(jwk, name).and_then(base64url::decode).ok_or(KeyError::Malformed)
}

fn bytes(jwk: &Map<String, Value>, name: &str, length: usize) -> Result<Vec<u8>, KeyError> {
    integer(jwk, name)
        .and_then(|bytes| if bytes.len() == length { Ok(bytes) } else { Err(KeyError::Malformed) })
}

/// The uncompressed point of SEC 1, 2.3.3.
fn point(jwk: &Map<String, Value>, length: usize) -> Result<Vec<u8>, KeyError> {
    let (x, y) = (bytes(jwk, "x", length)?, bytes(jwk, "y", length)?);
    Ok([&[4], x.as_slice(), y.as_slice()].concat())
}

fn rsa(jwk: &Map<String, Value>) -> Result<Material, KeyError> {
    let n = integer(jwk, "n")?;
    let e = integer(jwk, "e")?;
    // Some issuers write a leading zero octet, which RFC 7518, 6.3.1.1, forbids and ring refuses.
    let n = n.strip_prefix(&[0]).map_or(n.clone(), <[u8]>::to_vec);
    let bits = n.first().map_or(0, |first| n.len() * 8 - usize::try_from(first.leading_zeros()).unwrap_or(8));
    let exponent =
        e.iter().try_fold(0_u64, |sum, byte| sum.checked_mul(256).map(|sum| sum + u64::from(*byte)));
    let strong = (2048..=8192).contains(&bits)
        && exponent.is_some_and(|e| (MIN_RSA_EXPONENT..1 << 33).contains(&e) && e % 2 == 1);
    if strong { Ok(Material::Rsa { n, e }) } else { Err(KeyError::Weak) }
}

#[cfg(test)]
mod tests;
