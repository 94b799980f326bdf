//! Alibaba Cloud RPC signature 1.0: HMAC-SHA1 over method and parameters (`spec/ecs.md` B2).
//!
//! Headers are not signed, so nothing that decides the meaning of a request is read from them.

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{Scheme, SignError, Signed, canonical, hmac_sha1, percent_encode};
use crate::{RawRequest, params::Params};

pub(super) fn read(raw: &RawRequest<'_>, params: &Params) -> Result<Signed, SignError> {
    let part = |name: &'static str| params.filled(name).ok_or(SignError::Missing(name)).map(str::to_owned);
    let key_id = part("AccessKeyId")?;
    let signature = part("Signature")?;
    let method = part("SignatureMethod")?;
    if !method.eq_ignore_ascii_case("HMAC-SHA1") {
        return Err(SignError::Malformed("SignatureMethod"));
    }
    if part("SignatureVersion")? != "1.0" {
        return Err(SignError::Malformed("SignatureVersion"));
    }
    let nonce = part("SignatureNonce")?;
    let timestamp = part("Timestamp")?;
    let parameters = canonical(params.iter().filter(|(name, _)| *name != "Signature"));
    Ok(Signed {
        scheme: Scheme::RpcV1,
        key_id,
        nonce,
        timestamp,
        security_token: params.filled("SecurityToken").map(str::to_owned),
        string_to_sign: format!("{}&%2F&{}", raw.method, percent_encode(&parameters)),
        signature,
        // A body that is a form is part of the parameters; one that is not is never looked at.
        covers_body: true,
    })
}

pub(super) fn signature(secret: &[u8], string_to_sign: &str) -> String {
    let key = [secret, b"&"].concat();
    STANDARD.encode(hmac_sha1(&key, string_to_sign.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUERY: &str = "TimeStamp=ignored&Format=XML&AccessKeyId=testid&Action=DescribeRegions\
        &SignatureMethod=HMAC-SHA1&SignatureNonce=3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf\
        &Version=2014-05-26&SignatureVersion=1.0&Timestamp=2016-02-23T12%3A46%3A24Z&Signature=x";

    fn signed(query: &str) -> Result<Signed, SignError> {
        let raw = RawRequest { method: "GET", path: "/", query, headers: &[], body: &[] };
        read(&raw, &Params::parse(query, None).unwrap())
    }

    /// The example of the vendor's documentation ("RPC-style signature").
    #[test]
    fn signs_as_the_documentation_does() {
        let query = QUERY
            .replace("TimeStamp=ignored&", "")
            .replace("Signature=x", "Signature=OLeaidS1JvxuMvnyHOwuJ%2BuX5qY%3D");
        let signed = signed(&query).unwrap();
        assert_eq!(signature(b"testsecret", &signed.string_to_sign), "OLeaidS1JvxuMvnyHOwuJ+uX5qY=");
        assert!(signed.verify(b"testsecret"));
        assert!(!signed.verify(b"testsecre"));
    }

    #[test]
    fn names_what_is_missing_or_wrong() {
        for name in ["AccessKeyId", "Signature", "SignatureMethod", "SignatureVersion", "SignatureNonce", "Timestamp"]
        {
            let without: Vec<_> = QUERY.split('&').filter(|pair| !pair.starts_with(&format!("{name}="))).collect();
            assert_eq!(signed(&without.join("&")), Err(SignError::Missing(name)));
        }
        let other = QUERY.replace("HMAC-SHA1", "MD5");
        assert_eq!(signed(&other), Err(SignError::Malformed("SignatureMethod")));
        let other = QUERY.replace("SignatureVersion=1.0", "SignatureVersion=2.0");
        assert_eq!(signed(&other), Err(SignError::Malformed("SignatureVersion")));
    }
}
