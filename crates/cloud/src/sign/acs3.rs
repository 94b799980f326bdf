//! Alibaba Cloud ACS3-HMAC-SHA256: over method, path, query, signed headers and body (`spec/ecs.md` B3).
//!
//! The client chooses which headers it signs. Those that decide the meaning of the request must be among
//! them: every `x-acs-` header that is read, and the content type of a body, which says whether it is a form.

use sha2::{Digest, Sha256};

use super::{Authorization, Scheme, SignError, Signed, canonical, canonical_request, hex, hmac_sha256};
use crate::{RawRequest, params::Params};

const ALGORITHM: &str = "ACS3-HMAC-SHA256";
/// The headers that are read when they are there, so that they must be signed then.
const READ: [&str; 6] = [
    "x-acs-action",
    "x-acs-version",
    "x-acs-date",
    "x-acs-signature-nonce",
    "x-acs-security-token",
    "x-acs-content-sha256",
];

pub(super) fn read(raw: &RawRequest<'_>) -> Result<Signed, SignError> {
    let text = raw.header("authorization").ok_or(SignError::Missing("Authorization"))?;
    let authorization = Authorization::parse(&text, ALGORITHM)?;
    check_signed(raw, &authorization.signed_headers)?;
    let header =
        |name: &'static str| raw.header(name).filter(|value| !value.is_empty()).ok_or(SignError::Missing(name));
    let body_hash = hex(&Sha256::digest(raw.body));
    // The body is covered by its hash, so only the query is canonical here.
    let query = Params::parse(raw.query, None).map_err(|_| SignError::Malformed("query"))?;
    let query = canonical(query.iter());
    let request = canonical_request(raw, &query, &authorization.signed_headers, &body_hash, str::to_owned)?;
    Ok(Signed {
        scheme: Scheme::Acs3,
        key_id: authorization.credential.to_owned(),
        nonce: header("x-acs-signature-nonce")?,
        timestamp: header("x-acs-date")?,
        security_token: raw.header("x-acs-security-token").filter(|token| !token.is_empty()),
        string_to_sign: format!("{ALGORITHM}\n{}", hex(&Sha256::digest(request))),
        signature: authorization.signature.to_owned(),
        covers_body: header("x-acs-content-sha256")? == body_hash,
    })
}

pub(super) fn signature(secret: &[u8], string_to_sign: &str) -> String {
    hex(&hmac_sha256(secret, string_to_sign.as_bytes()))
}

fn check_signed(raw: &RawRequest<'_>, signed: &[&str]) -> Result<(), SignError> {
    let must_be_signed = |name: &&str| raw.headers.iter().any(|(own, _)| own == name) && !signed.contains(name);
    if let Some(name) = READ.into_iter().find(must_be_signed) {
        return Err(SignError::Unsigned(name));
    }
    if !raw.body.is_empty() && must_be_signed(&"content-type") {
        return Err(SignError::Unsigned("content-type"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const HEADERS: [(&str, &str); 6] = [
        ("host", "ecs.cn-shanghai.aliyuncs.com"),
        ("x-acs-action", "RunInstances"),
        ("x-acs-content-sha256", NOTHING),
        ("x-acs-date", "2023-10-26T10:22:32Z"),
        ("x-acs-signature-nonce", "3156853299f313e23d1673dc12e1703d"),
        ("x-acs-version", "2014-05-26"),
    ];
    const AUTHORIZATION: &str = "ACS3-HMAC-SHA256 Credential=YourAccessKeyId,\
        SignedHeaders=host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version,\
        Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0";

    fn headers(authorization: &str) -> Vec<(String, String)> {
        let pairs = HEADERS.into_iter().chain([("authorization", authorization)]);
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    fn signed(headers: &[(String, String)], body: &[u8]) -> Result<Signed, SignError> {
        let query = "ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd&RegionId=cn-shanghai";
        read(&RawRequest { method: "POST", path: "/", query, headers, body })
    }

    /// The fixed example of the vendor's documentation ("V3 request structure and signature").
    #[test]
    fn signs_as_the_documentation_does() {
        let signed = signed(&headers(AUTHORIZATION), b"").unwrap();
        assert_eq!(signed.key_id, "YourAccessKeyId");
        assert!(signed.verify(b"YourAccessKeySecret"));
        assert!(!signed.verify(b"YourAccessKeySecres"));
    }

    #[test]
    fn a_body_of_another_hash_is_not_covered() {
        assert!(!signed(&headers(AUTHORIZATION), b"x").unwrap().verify(b"YourAccessKeySecret"));
    }

    #[test]
    fn what_is_read_must_be_signed() {
        let mut sent = headers(AUTHORIZATION);
        for (name, _) in &HEADERS[1..] {
            let text = AUTHORIZATION.replace(&format!(";{name}"), "");
            assert_eq!(signed(&headers(&text), b""), Err(SignError::Unsigned(name)));
        }
        sent.push(("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned()));
        assert_eq!(signed(&sent, b"A=1"), Err(SignError::Unsigned("content-type")));
        sent.push(("x-acs-security-token".to_owned(), "t".to_owned()));
        assert_eq!(signed(&sent, b""), Err(SignError::Unsigned("x-acs-security-token")));
    }

    #[test]
    fn another_algorithm_or_a_broken_header_is_malformed() {
        for text in [
            "ACS3-RSA-SHA256 Credential=a,SignedHeaders=host,Signature=b",
            "ACS3-HMAC-SHA256",
            "ACS3-HMAC-SHA256 a,b",
        ] {
            assert_eq!(signed(&headers(text), b""), Err(SignError::Malformed("Authorization")), "{text}");
        }
    }
}
