//! Who sent a request to Amazon's APIs: signature versions 4 and 2, as verifiers.
//!
//! [`read`] finds the scheme and collects what it signs; [`Signed::verify`] compares in constant time. Version 4 signs the
//! method, the path, the query, the body and the headers that the client lists; version 2 the host and the parameters.
//! There is no nonce: a request may be sent again as long as its time holds, as clients do that repeat one.

mod v2;
mod v4;

use sekimori_core::time::Timestamp;
use subtle::ConstantTimeEq;

use super::{KEY_ID_MAX, SignError};
use crate::{RawRequest, params::Params};

/// How far the moment of signing may be from now, either way (`spec/ec2.md` B1).
pub const CLOCK_SKEW_MAX_S: i64 = 15 * 60;
/// The longest life of a presigned request.
pub const PRESIGNED_MAX_S: i64 = 7 * 24 * 60 * 60;

/// Parameters that carry a signature, of either version.
pub const PARAMETERS: [&str; 13] = [
    "AWSAccessKeyId",
    "Expires",
    "SecurityToken",
    "Signature",
    "SignatureMethod",
    "SignatureVersion",
    "Timestamp",
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-Security-Token",
    "X-Amz-SignedHeaders",
];

/// Where a version 4 signature is good: one day, one region, one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialScope {
    /// `20261122`.
    pub date: String,
    /// The region.
    pub region: String,
    /// The service.
    pub service: String,
}

/// When a signature holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// Around the moment of signing.
    Around(Timestamp),
    /// From the moment of signing on, for some seconds.
    For(Timestamp, i64),
    /// Until a moment.
    Until(Timestamp),
}

impl Validity {
    /// Whether it holds at a moment, with [`CLOCK_SKEW_MAX_S`] between the clocks.
    #[must_use]
    pub fn holds(self, now: Timestamp) -> bool {
        let (from, until) = match self {
            Self::Around(at) => (at.0.saturating_sub(CLOCK_SKEW_MAX_S), at.0.saturating_add(CLOCK_SKEW_MAX_S)),
            Self::For(at, life_s) => (at.0.saturating_sub(CLOCK_SKEW_MAX_S), at.0.saturating_add(life_s)),
            Self::Until(at) => (i64::MIN, at.0),
        };
        (from..=until).contains(&now.0)
    }
}

/// A scheme.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Scheme {
    V4(CredentialScope),
    V2Sha1,
    V2Sha256,
}

/// Everything about a signature except whether it is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    scheme: Scheme,
    /// The access key id, as sent.
    pub key_id: String,
    /// When it holds.
    pub validity: Validity,
    /// The token of temporary credentials, if one was sent.
    pub security_token: Option<String>,
    /// What the signature is over.
    pub string_to_sign: String,
    signature: String,
    covers_body: bool,
}

impl Signed {
    /// Where the signature is good; version 2 does not say.
    #[must_use]
    pub fn scope(&self) -> Option<&CredentialScope> {
        match &self.scheme {
            Scheme::V4(scope) => Some(scope),
            Scheme::V2Sha1 | Scheme::V2Sha256 => None,
        }
    }

    /// Whether the signature was made with this secret. Takes the same time wherever it differs.
    #[must_use]
    pub fn verify(&self, secret: &[u8]) -> bool {
        let expected = match &self.scheme {
            Scheme::V4(scope) => v4::signature(secret, scope, &self.string_to_sign),
            Scheme::V2Sha1 => v2::signature_sha1(secret, &self.string_to_sign),
            Scheme::V2Sha256 => v2::signature_sha256(secret, &self.string_to_sign),
        };
        self.covers_body && bool::from(expected.as_bytes().ct_eq(self.signature.as_bytes()))
    }
}

/// Finds the scheme of a request and collects what it signs; `None` for one that is not signed.
///
/// # Errors
/// Names the part that is missing, malformed or not signed.
pub fn read(raw: &RawRequest<'_>, params: &Params) -> Option<Result<Signed, SignError>> {
    let signed = if raw.header("authorization").is_some_and(|text| !text.trim().is_empty()) {
        v4::read_header(raw)
    } else if params.get("X-Amz-Algorithm").or(params.get("X-Amz-Signature")).is_some() {
        v4::read_query(raw, params)
    } else if params.get("AWSAccessKeyId").or(params.get("Signature")).is_some() {
        v2::read(raw, params)
    } else {
        return None;
    };
    Some(signed.and_then(|signed| {
        let is_key_id = !signed.key_id.is_empty() && signed.key_id.len() <= KEY_ID_MAX;
        if is_key_id { Ok(signed) } else { Err(SignError::Malformed("Credential")) }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_a_quarter_of_an_hour_and_a_presigned_one_as_long_as_it_says() {
        let at = Timestamp(10_000);
        let holds = |validity: Validity, offset: i64| validity.holds(Timestamp(at.0 + offset));
        assert!(holds(Validity::Around(at), 900) && holds(Validity::Around(at), -900));
        assert!(!holds(Validity::Around(at), 901) && !holds(Validity::Around(at), -901));
        assert!(holds(Validity::For(at, 60), 60) && holds(Validity::For(at, 60), -900));
        assert!(!holds(Validity::For(at, 60), 61) && !holds(Validity::For(at, 60), -901));
        assert!(holds(Validity::Until(at), 0) && !holds(Validity::Until(at), 1));
        assert!(!Validity::Around(Timestamp(i64::MAX)).holds(Timestamp(i64::MIN)));
    }
}
