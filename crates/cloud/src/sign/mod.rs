//! Who sent a request: the signature schemes of Alibaba Cloud, and of Amazon in [`aws`], as verifiers.
//!
//! [`read`] finds the scheme and collects what it signs; [`Signed::verify`] compares in constant time. A
//! request is accepted only if everything that decides its meaning is under the signature: all parameters,
//! the body, and every header that is read. Nonces and clocks are the caller's business.

mod acs3;
pub mod aws;
mod rpc_v1;

use hmac::{Hmac, Mac};
use sha1::Sha1;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::{RawRequest, params::Params};

/// The longest nonce: a replay table must not be filled with long ones.
pub const NONCE_MAX: usize = 128;
/// The longest access key id.
pub const KEY_ID_MAX: usize = 128;

/// A signature scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Alibaba Cloud RPC signature version 1.0: HMAC-SHA1 over the parameters.
    RpcV1,
    /// Alibaba Cloud ACS3-HMAC-SHA256: over parameters, headers and body.
    Acs3,
}

/// Everything about a signature except whether it is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The scheme.
    pub scheme: Scheme,
    /// The access key id, as sent.
    pub key_id: String,
    /// The nonce, as sent; never empty, at most [`NONCE_MAX`] bytes.
    pub nonce: String,
    /// The moment of signing, as sent.
    pub timestamp: String,
    /// The token of temporary credentials, if one was sent.
    pub security_token: Option<String>,
    /// What the signature is over.
    pub string_to_sign: String,
    signature: String,
    covers_body: bool,
}

/// Why a signature cannot even be compared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// A part is not there.
    #[error("`{0}` is missing; it must be sent and signed")]
    Missing(&'static str),
    /// A part is not as it must be.
    #[error("`{0}` is not as the signature scheme wants it")]
    Malformed(&'static str),
    /// A header that decides the meaning of the request is not under the signature.
    #[error("header `{0}` is not signed; add it to SignedHeaders")]
    Unsigned(&'static str),
}

/// Finds the scheme of a request and collects what it signs.
///
/// # Errors
/// Names the part that is missing, malformed or not signed.
pub fn read(raw: &RawRequest<'_>, params: &Params) -> Result<Signed, SignError> {
    let signed = match scheme(raw) {
        Scheme::RpcV1 => rpc_v1::read(raw, params)?,
        Scheme::Acs3 => acs3::read(raw)?,
    };
    if signed.nonce.len() > NONCE_MAX {
        return Err(SignError::Malformed("SignatureNonce"));
    }
    if signed.key_id.len() > KEY_ID_MAX {
        return Err(SignError::Malformed("AccessKeyId"));
    }
    Ok(signed)
}

/// The scheme that a request claims.
#[must_use]
pub fn scheme(raw: &RawRequest<'_>) -> Scheme {
    let authorization = raw.headers.iter().find(|(name, _)| name == "authorization");
    let is_acs3 = authorization.is_some_and(|(_, value)| value.trim_start().starts_with("ACS3-"));
    if is_acs3 { Scheme::Acs3 } else { Scheme::RpcV1 }
}

impl Signed {
    /// Whether the signature was made with this secret. Takes the same time wherever it differs.
    #[must_use]
    pub fn verify(&self, secret: &[u8]) -> bool {
        let expected = match self.scheme {
            Scheme::RpcV1 => rpc_v1::signature(secret, &self.string_to_sign),
            Scheme::Acs3 => acs3::signature(secret, &self.string_to_sign),
        };
        self.covers_body && bool::from(expected.as_bytes().ct_eq(self.signature.as_bytes()))
    }
}

/// Percent-encodes as RFC 3986 has it: only letters, digits and `-_.~` stay.
pub(crate) fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => encoded.push(char::from(byte)),
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// HMAC takes keys of every length; were it otherwise, the empty result would equal no signature that was sent.
fn hmac_sha256(key: &[u8], text: &[u8]) -> Vec<u8> {
    Hmac::<Sha256>::new_from_slice(key)
        .map_or(Vec::new(), |mac| mac.chain_update(text).finalize().into_bytes().to_vec())
}

fn hmac_sha1(key: &[u8], text: &[u8]) -> Vec<u8> {
    Hmac::<Sha1>::new_from_slice(key)
        .map_or(Vec::new(), |mac| mac.chain_update(text).finalize().into_bytes().to_vec())
}

/// Headers in `SignedHeaders`. Clients sign about ten.
const SIGNED_HEADERS_MAX: usize = 64;

/// An `Authorization` header: `ALGORITHM Credential=…,SignedHeaders=…,Signature=…`.
struct Authorization<'a> {
    credential: &'a str,
    signed_headers: Vec<&'a str>,
    signature: &'a str,
}

impl<'a> Authorization<'a> {
    fn parse(text: &'a str, algorithm: &str) -> Result<Self, SignError> {
        let malformed = SignError::Malformed("Authorization");
        let (own, fields) = text.trim().split_once(' ').ok_or_else(|| malformed.clone())?;
        if own != algorithm {
            return Err(malformed);
        }
        let field = |name: &str| {
            let pairs = fields.split(',').filter_map(|field| field.trim().split_once('='));
            let mut values = pairs.filter(|(own, _)| *own == name).map(|(_, value)| value.trim());
            values.next().filter(|value| !value.is_empty()).ok_or_else(|| malformed.clone())
        };
        let signed_headers: Vec<&str> = field("SignedHeaders")?.split(';').collect();
        if signed_headers.len() > SIGNED_HEADERS_MAX {
            return Err(malformed);
        }
        Ok(Self { credential: field("Credential")?, signed_headers, signature: field("Signature")? })
    }
}

/// Method, path, query, signed headers and the hash of the body, as both clouds sign them.
fn canonical_request(
    raw: &RawRequest<'_>,
    query: &str,
    signed: &[&str],
    body_hash: &str,
    value: impl Fn(&str) -> String,
) -> Result<String, SignError> {
    let mut request = format!("{}\n{}\n{query}\n", raw.method, raw.path);
    for name in signed {
        let header = raw.header(name).ok_or(SignError::Malformed("SignedHeaders"))?;
        request.push_str(&format!("{name}:{}\n", value(&header)));
    }
    request.push_str(&format!("\n{}\n{body_hash}", signed.join(";")));
    Ok(request)
}

/// `name=value` pairs in the byte order of names, both percent-encoded.
fn canonical<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let pairs = pairs.map(|(name, value)| format!("{}={}", percent_encode(name), percent_encode(value)));
    pairs.collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_everything_but_unreserved_characters() {
        assert_eq!(percent_encode("aZ9-_.~ */+東"), "aZ9-_.~%20%2A%2F%2B%E6%9D%B1");
    }
}
