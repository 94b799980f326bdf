//! Signature version 4, in a header or in the query (`spec/ec2.md` B1).
//!
//! The client chooses which headers it signs, and must sign the host and the date. Of the other headers nothing is read
//! but `x-amz-content-sha256`, which must then be that of the body.

use sekimori_core::time::Timestamp;
use sha2::{Digest, Sha256};

use super::{CredentialScope, PRESIGNED_MAX_S, Scheme, SignError, Signed, Validity};
use crate::{
    RawRequest,
    params::Params,
    sign::{Authorization, canonical_request, hex, hmac_sha256, percent_encode},
    time,
};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const TERMINATOR: &str = "aws4_request";
/// Pairs of a query. Requests have at most that many parameters.
const PAIRS_MAX: usize = crate::params::PARAMETERS_MAX;

pub(super) fn read_header(raw: &RawRequest<'_>) -> Result<Signed, SignError> {
    let text = raw.header("authorization").ok_or(SignError::Missing("Authorization"))?;
    let authorization = Authorization::parse(&text, ALGORITHM)?;
    let date = raw.header("x-amz-date").filter(|date| !date.is_empty()).ok_or(SignError::Missing("X-Amz-Date"))?;
    for name in ["host", "x-amz-date", "x-amz-security-token"] {
        if raw.header(name).is_some() && !authorization.signed_headers.contains(&name) {
            return Err(SignError::Unsigned(name));
        }
    }
    let at = moment(&date)?;
    let parts =
        Parts { authorization, date: &date, validity: Validity::Around(at), query: canonical_query(raw, None)? };
    let token = raw.header("x-amz-security-token").filter(|token| !token.is_empty());
    parts.signed(raw, token)
}

pub(super) fn read_query(raw: &RawRequest<'_>, params: &Params) -> Result<Signed, SignError> {
    let part = |name: &'static str| params.filled(name).ok_or(SignError::Missing(name));
    if part("X-Amz-Algorithm")? != ALGORITHM {
        return Err(SignError::Malformed("X-Amz-Algorithm"));
    }
    let (date, signature) = (part("X-Amz-Date")?, part("X-Amz-Signature")?);
    let signed_headers: Vec<&str> = part("X-Amz-SignedHeaders")?.split(';').collect();
    let authorization = Authorization { credential: part("X-Amz-Credential")?, signed_headers, signature };
    if !authorization.signed_headers.contains(&"host") {
        return Err(SignError::Unsigned("host"));
    }
    let life_s: i64 = part("X-Amz-Expires")?.parse().map_err(|_| SignError::Malformed("X-Amz-Expires"))?;
    if !(1..=PRESIGNED_MAX_S).contains(&life_s) {
        return Err(SignError::Malformed("X-Amz-Expires"));
    }
    let validity = Validity::For(moment(date)?, life_s);
    let parts = Parts { authorization, date, validity, query: canonical_query(raw, Some("X-Amz-Signature"))? };
    parts.signed(raw, params.filled("X-Amz-Security-Token").map(str::to_owned))
}

pub(super) fn signature(secret: &[u8], scope: &CredentialScope, string_to_sign: &str) -> String {
    let first = [b"AWS4", secret].concat();
    let steps = [&scope.date, &scope.region, &scope.service, TERMINATOR, string_to_sign];
    let last = steps.into_iter().fold(first, |key, text| hmac_sha256(&key, text.as_bytes()));
    hex(&last)
}

/// What both forms have.
struct Parts<'a> {
    authorization: Authorization<'a>,
    date: &'a str,
    validity: Validity,
    query: String,
}

impl Parts<'_> {
    fn signed(self, raw: &RawRequest<'_>, security_token: Option<String>) -> Result<Signed, SignError> {
        let Self { authorization, date, validity, query } = self;
        let (key_id, scope) = credential(authorization.credential)?;
        if !date.starts_with(&scope.date) {
            return Err(SignError::Malformed("Credential"));
        }
        let body_hash = hex(&Sha256::digest(raw.body));
        let claimed = raw.header("x-amz-content-sha256");
        let request = canonical_request(raw, &query, &authorization.signed_headers, &body_hash, collapsed)?;
        let CredentialScope { date: day, region, service } = &scope;
        let digest = hex(&Sha256::digest(request));
        Ok(Signed {
            key_id: key_id.to_owned(),
            validity,
            security_token,
            string_to_sign: format!("{ALGORITHM}\n{date}\n{day}/{region}/{service}/{TERMINATOR}\n{digest}"),
            signature: authorization.signature.to_owned(),
            covers_body: claimed.is_none_or(|claimed| claimed == body_hash),
            scheme: Scheme::V4(scope),
        })
    }
}

/// `AKID/20261122/us-east-1/ec2/aws4_request`.
fn credential(text: &str) -> Result<(&str, CredentialScope), SignError> {
    let parts: Vec<&str> = text.split('/').collect();
    let [key_id, date, region, service, TERMINATOR] = parts[..] else {
        return Err(SignError::Malformed("Credential"));
    };
    let scope = CredentialScope { date: date.to_owned(), region: region.to_owned(), service: service.to_owned() };
    if scope.date.len() == 8 { Ok((key_id, scope)) } else { Err(SignError::Malformed("Credential")) }
}

fn moment(date: &str) -> Result<Timestamp, SignError> {
    time::parse_basic(date).ok_or(SignError::Malformed("X-Amz-Date"))
}

/// The pairs of the query, encoded and then in byte order, without one that is not part of what is signed.
fn canonical_query(raw: &RawRequest<'_>, without: Option<&str>) -> Result<String, SignError> {
    let pairs = form_urlencoded::parse(raw.query.as_bytes()).filter(|(name, _)| without != Some(&**name));
    let encoded = pairs.map(|(name, value)| format!("{}={}", percent_encode(&name), percent_encode(&value)));
    let mut encoded: Vec<String> = encoded.take(PAIRS_MAX + 1).collect();
    if encoded.len() > PAIRS_MAX {
        return Err(SignError::Malformed("query"));
    }
    encoded.sort();
    Ok(encoded.join("&"))
}

/// A header's value with its runs of spaces as one space each.
fn collapsed(value: &str) -> String {
    value.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    const EMPTY: &str = "";

    /// A request of the published suite: `example.amazonaws.com`, `20150830T123600Z`.
    fn of_suite(method: &str, query: &str, more: &[(&str, &str)], body: &str, signed: &str, signature: &str) {
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders={signed}, Signature={signature}"
        );
        let own = [
            ("authorization", authorization.as_str()),
            ("host", "example.amazonaws.com"),
            ("x-amz-date", "20150830T123600Z"),
        ];
        let headers = own.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let headers: Vec<(String, String)> = headers.collect();
        let raw = RawRequest { method, path: "/", query, headers: &headers, body: body.as_bytes() };
        let read = read_header(&raw).unwrap();
        assert!(read.verify(SECRET), "{method} {query} {signed}: {}", read.string_to_sign);
        assert!(!read.verify(b"another"), "{method} {query} {signed}");
    }

    /// The vendor's Signature Version 4 test suite: those of its cases whose path is `/`.
    #[test]
    fn signs_as_the_published_suite_does() {
        let plain = "host;x-amz-date";
        let vanilla = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";
        of_suite("GET", "", &[], EMPTY, plain, vanilla);
        let ordered = "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500";
        of_suite("GET", "Param2=value2&Param1=value1", &[], EMPTY, plain, ordered);
        let post = "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b";
        of_suite("POST", "", &[], EMPTY, plain, post);
        let form = "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a";
        let kind = [("content-type", "application/x-www-form-urlencoded")];
        of_suite("POST", "", &kind, "Param1=value1", "content-type;host;x-amz-date", form);
        let trimmed = "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736";
        let spaced = [("my-header1", " value1"), ("my-header2", " \"a   b   c\"")];
        of_suite("GET", "", &spaced, EMPTY, "host;my-header1;my-header2;x-amz-date", trimmed);
    }

    /// The example of the vendor's general reference ("Create a signed request").
    #[test]
    fn signs_as_the_documentation_does() {
        let headers = [
            (
                "authorization",
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, \
                 SignedHeaders=content-type;host;x-amz-date, \
                 Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
            ),
            ("content-type", "application/x-www-form-urlencoded; charset=utf-8"),
            ("host", "iam.amazonaws.com"),
            ("x-amz-date", "20150830T123600Z"),
        ];
        let headers: Vec<_> = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let query = "Action=ListUsers&Version=2010-05-08";
        let raw = RawRequest { method: "GET", path: "/", query, headers: &headers, body: &[] };
        let read = read_header(&raw).unwrap();
        assert_eq!(read.validity, Validity::Around(Timestamp(1_440_938_160)));
        assert!(read.verify(SECRET));
        let other = RawRequest { body: b"x", ..raw };
        assert!(!read_header(&other).unwrap().verify(SECRET), "the body is signed");
    }

    fn headers_of(authorization: &str) -> Vec<(String, String)> {
        [("authorization", authorization), ("host", "h"), ("x-amz-date", "20150830T123600Z")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }

    #[test]
    fn host_and_date_must_be_signed_and_the_scope_must_fit() {
        let told = |authorization: &str| {
            let headers = headers_of(authorization);
            read_header(&RawRequest { method: "GET", path: "/", query: "", headers: &headers, body: &[] }).err()
        };
        let with = |credential: &str, signed: &str| {
            told(&format!("AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={signed}, Signature=0"))
        };
        let good = "K/20150830/us-east-1/ec2/aws4_request";
        assert_eq!(with(good, "host;x-amz-date"), None);
        assert_eq!(with(good, "x-amz-date"), Some(SignError::Unsigned("host")));
        assert_eq!(with(good, "host"), Some(SignError::Unsigned("x-amz-date")));
        assert_eq!(with(good, "host;x-amz-date;absent"), Some(SignError::Malformed("SignedHeaders")));
        for bad in
            ["K", "K/20150831/us-east-1/ec2/aws4_request", "K/20150830/us-east-1/ec2/aws4", "K/2015/r/s/aws4_request"]
        {
            assert_eq!(with(bad, "host;x-amz-date"), Some(SignError::Malformed("Credential")), "{bad}");
        }
        assert_eq!(told("AWS4-HMAC-SHA512 Credential=a"), Some(SignError::Malformed("Authorization")));
        assert_eq!(told("AWS4-HMAC-SHA256"), Some(SignError::Malformed("Authorization")));
    }

    #[test]
    fn a_presigned_request_is_good_for_a_week_at_most() {
        let query = |life: &str| {
            format!(
                "Action=DescribeRegions&Version=2016-11-15&X-Amz-Algorithm=AWS4-HMAC-SHA256\
                 &X-Amz-Credential=AKIDEXAMPLE%2F20150830%2Fus-east-1%2Fec2%2Faws4_request\
                 &X-Amz-Date=20150830T123600Z&X-Amz-Expires={life}&X-Amz-SignedHeaders=host&X-Amz-Signature=0"
            )
        };
        let headers = [("host".to_owned(), "ec2.amazonaws.com".to_owned())];
        let read = |query: &str| {
            let raw = RawRequest { method: "GET", path: "/", query, headers: &headers, body: &[] };
            read_query(&raw, &Params::parse(query, None).unwrap())
        };
        let good = read(&query("60")).unwrap();
        assert_eq!(good.validity, Validity::For(Timestamp(1_440_938_160), 60));
        let signature = signature(SECRET, good.scope().unwrap(), &good.string_to_sign);
        let signed = query("60").replace("Signature=0", &format!("Signature={signature}"));
        assert!(read(&signed).unwrap().verify(SECRET));
        assert!(!read(&signed.replace("DescribeRegions", "DescribeVpcs")).unwrap().verify(SECRET));
        for life in ["0", "604801", "x"] {
            assert_eq!(read(&query(life)), Err(SignError::Malformed("X-Amz-Expires")), "{life}");
        }
        assert_eq!(read(&query("60").replace("X-Amz-Date", "X-Amz-Datum")), Err(SignError::Missing("X-Amz-Date")));
    }
}
