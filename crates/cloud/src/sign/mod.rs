//! Who sent a request: the signature schemes, as verifiers.
//!
//! [`read`] finds the scheme and collects what it signs; [`Signed::verify`] compares in constant time. A
//! request is accepted only if everything that decides its meaning is under the signature: all parameters,
//! the body, and every header that is read. Nonces and clocks are the caller's business.

mod acs3;
mod rpc_v1;

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
