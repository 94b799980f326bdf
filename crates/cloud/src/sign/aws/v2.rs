//! Signature version 2, in the parameters: what apache-libcloud sends to older regions (`spec/clients.md`).
//!
//! Headers are not signed besides the host, so nothing else is read from them.

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{Scheme, SignError, Signed, Validity};
use crate::{
    RawRequest,
    params::Params,
    sign::{canonical, hmac_sha1, hmac_sha256},
    time,
};

pub(super) fn read(raw: &RawRequest<'_>, params: &Params) -> Result<Signed, SignError> {
    let part = |name: &'static str| params.filled(name).ok_or(SignError::Missing(name));
    if part("SignatureVersion")? != "2" {
        return Err(SignError::Malformed("SignatureVersion"));
    }
    let scheme = match part("SignatureMethod")? {
        "HmacSHA256" => Scheme::V2Sha256,
        "HmacSHA1" => Scheme::V2Sha1,
        _ => return Err(SignError::Malformed("SignatureMethod")),
    };
    let host = raw.header("host").ok_or(SignError::Missing("Host"))?.to_ascii_lowercase();
    let parameters = canonical(params.iter().filter(|(name, _)| *name != "Signature"));
    let path = if raw.path.is_empty() { "/" } else { raw.path };
    Ok(Signed {
        scheme,
        key_id: part("AWSAccessKeyId")?.to_owned(),
        validity: validity(params)?,
        security_token: params.filled("SecurityToken").map(str::to_owned),
        string_to_sign: format!("{}\n{host}\n{path}\n{parameters}", raw.method),
        signature: part("Signature")?.to_owned(),
        // A body is a form, and its pairs are parameters.
        covers_body: true,
    })
}

pub(super) fn signature_sha1(secret: &[u8], string_to_sign: &str) -> String {
    STANDARD.encode(hmac_sha1(secret, string_to_sign.as_bytes()))
}

pub(super) fn signature_sha256(secret: &[u8], string_to_sign: &str) -> String {
    STANDARD.encode(hmac_sha256(secret, string_to_sign.as_bytes()))
}

/// The moment of signing, or the moment until which the signature holds; never both.
fn validity(params: &Params) -> Result<Validity, SignError> {
    let moment = |name: &'static str, text: &str| time::parse_loosely(text).ok_or(SignError::Malformed(name));
    match (params.filled("Timestamp"), params.filled("Expires")) {
        (Some(at), None) => moment("Timestamp", at).map(Validity::Around),
        (None, Some(until)) => moment("Expires", until).map(Validity::Until),
        (Some(_), Some(_)) => Err(SignError::Malformed("Expires")),
        (None, None) => Err(SignError::Missing("Timestamp")),
    }
}

#[cfg(test)]
mod tests {
    use sekimori_core::time::Timestamp;

    use super::*;

    const SECRET: &[u8] = b"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    const QUERY: &str = "AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Action=DescribeJobFlows&SignatureMethod=HmacSHA256\
        &SignatureVersion=2&Timestamp=2011-10-03T15%3A19%3A30&Version=2009-03-31&Signature=x";

    fn signed(query: &str) -> Result<Signed, SignError> {
        let headers = [("host".to_owned(), "ElasticMapReduce.amazonaws.com".to_owned())];
        let raw = RawRequest { method: "GET", path: "/", query, headers: &headers, body: &[] };
        read(&raw, &Params::parse(query, None).unwrap())
    }

    /// The example of the vendor's general reference ("Signature Version 2 signing process").
    #[test]
    fn signs_as_the_documentation_does() {
        let query = QUERY.replace("Signature=x", "Signature=i91nKc4PWAt0JJIdXwz9HxZCJDdiy6cf%2FMj6vPxyYIs%3D");
        let signed = signed(&query).unwrap();
        assert_eq!(signed.validity, Validity::Around(Timestamp(1_317_655_170)));
        assert!(signed.verify(SECRET), "{}", signed.string_to_sign);
        assert!(!signed.verify(b"another"));
    }

    #[test]
    fn the_older_hash_and_an_end_are_read_and_other_methods_are_not() {
        let older = signed(&QUERY.replace("HmacSHA256", "HmacSHA1")).unwrap();
        assert_eq!(signature_sha1(SECRET, &older.string_to_sign).len(), 28);
        let until = signed(&QUERY.replace("Timestamp=", "Expires=")).unwrap();
        assert_eq!(until.validity, Validity::Until(Timestamp(1_317_655_170)));
        for (from, to, name) in [
            ("HmacSHA256", "HmacMD5", "SignatureMethod"),
            ("SignatureVersion=2", "SignatureVersion=1", "SignatureVersion"),
            ("2011-10-03T", "yesterday", "Timestamp"),
        ] {
            assert_eq!(signed(&QUERY.replace(from, to)), Err(SignError::Malformed(name)), "{to}");
        }
        for name in ["AWSAccessKeyId", "Signature", "SignatureMethod", "SignatureVersion", "Timestamp"] {
            let without: Vec<_> = QUERY.split('&').filter(|pair| !pair.starts_with(&format!("{name}="))).collect();
            assert_eq!(signed(&without.join("&")), Err(SignError::Missing(name)));
        }
    }
}
