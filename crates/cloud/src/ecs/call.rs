//! A request of the ECS or VPC API, read but not yet believed: what it asks for and who claims to ask.

use sekimori_core::{ids::KeyId, time::Timestamp};

use super::{
    catalog::{Action, Entry, Version},
    encode::{self, Fields, Format},
    errors::Fault,
};
use crate::{
    RawRequest, Reply,
    api::fingerprint,
    params::{Params, ParamsError},
    sign::{self, Scheme, SignError, Signed},
    time,
};

/// How far a request's time stamp may be from now, either way.
pub const CLOCK_SKEW_MAX_S: u64 = 15 * 60;
/// The longest client token.
pub const CLIENT_TOKEN_MAX: usize = 64;
/// Parameters that say who asks and how, not what for.
const ENVELOPE: [&str; 12] = [
    "AccessKeyId",
    "Action",
    "ClientToken",
    "Format",
    "SecurityToken",
    "Signature",
    "SignatureMethod",
    "SignatureNonce",
    "SignatureType",
    "SignatureVersion",
    "Timestamp",
    "Version",
];
/// The longest host name that an error repeats.
const HOST_MAX: usize = 255;

/// A request with its operation found and its signature collected.
#[derive(Clone, Debug)]
pub struct Call {
    envelope: Envelope,
    params: Params,
    /// Nothing of a request whose caller is known otherwise.
    signed: Option<Signed>,
    key: KeyId,
    entry: &'static Entry,
    version: Version,
}

/// What a reply needs from the request, known even of a request that cannot be read.
#[derive(Clone, Debug)]
struct Envelope {
    request_id: String,
    host: String,
    format: Format,
}

impl Call {
    /// Reads a request.
    ///
    /// # Errors
    /// The reply to send when the request cannot be read, names no operation, or is not signed.
    pub fn parse(raw: &RawRequest<'_>, request_id: impl Into<String>) -> Result<Self, Box<Reply>> {
        let mut envelope = Envelope::of(raw, request_id.into());
        let params = match params_of(raw) {
            Ok(params) => params,
            Err(fault) => return Err(Box::new(envelope.fault(None, &fault))),
        };
        envelope.format = format_of(raw, params.filled("Format"));
        match Self::read(raw, &params) {
            Ok((entry, version, signed)) => {
                let key = KeyId::from(&signed.key_id);
                Ok(Self { envelope, params, signed: Some(signed), key, entry, version })
            }
            Err(fault) => Err(Box::new(envelope.fault(None, &fault))),
        }
    }

    /// Reads a request that nobody has signed, of a caller that is known otherwise: what it asks for, and no more. It cannot be
    /// verified. Without a version it is the first that has the operation.
    ///
    /// # Errors
    /// The fault when it cannot be read or names no operation.
    pub fn unsigned(query: &str, request_id: &str) -> Result<Self, Fault> {
        let raw = RawRequest { method: "GET", path: "/", query, headers: &[], body: &[] };
        let params = params_of(&raw)?;
        let action = params.filled("Action").ok_or_else(|| Fault::Missing { name: "Action".to_owned() })?;
        let (entry, version) = match params.filled("Version") {
            Some(date) => find(action, Version::find(date).ok_or(Fault::Version)?)?,
            None => Version::ALL.iter().find_map(|version| find(action, *version).ok()).ok_or(Fault::Action)?,
        };
        let envelope = Envelope::of(&raw, request_id.to_owned());
        Ok(Self { envelope, params, signed: None, key: KeyId::from(""), entry, version })
    }

    fn read(raw: &RawRequest<'_>, params: &Params) -> Result<(&'static Entry, Version, Signed), Fault> {
        let named = |name: &str, header: &str| {
            // RPC version 1 does not sign headers, so they name nothing there.
            let header = if sign::scheme(raw) == Scheme::Acs3 { raw.header(header) } else { None };
            let header = header.filter(|value| !value.is_empty());
            let value = header.or_else(|| params.filled(name).map(str::to_owned));
            value.ok_or_else(|| Fault::Missing { name: name.to_owned() })
        };
        let action = named("Action", "x-acs-action")?;
        let date = named("Version", "x-acs-version")?;
        let (entry, version) = find(&action, Version::find(&date).ok_or(Fault::Version)?)?;
        let signed = sign::read(raw, params).map_err(|error| sign_fault(&error))?;
        Ok((entry, version, signed))
    }

    /// The access key that the request claims to be signed with.
    #[must_use]
    pub fn key_id(&self) -> &KeyId {
        &self.key
    }

    /// The nonce. Together with the key it must be new; at most [`sign::NONCE_MAX`] bytes. None of what is not signed.
    #[must_use]
    pub fn nonce(&self) -> Option<&str> {
        self.signed.as_ref().map(|signed| signed.nonce.as_str())
    }

    /// Whether the request was signed with this secret, near this moment.
    ///
    /// # Errors
    /// The fault to answer: a bad or old time stamp, or a wrong signature.
    pub fn verify(&self, secret: &[u8], now: Timestamp) -> Result<(), Fault> {
        let signed = self.signed.as_ref().ok_or(Fault::Incomplete)?;
        let moment = time::parse(&signed.timestamp).ok_or(Fault::TimestampFormat)?;
        if moment.0.abs_diff(now.0) > CLOCK_SKEW_MAX_S {
            return Err(Fault::TimestampExpired);
        }
        if !signed.verify(secret) {
            return Err(Fault::SignatureMismatch { string_to_sign: signed.string_to_sign.clone() });
        }
        // Keys here are permanent, and a permanent key has no token.
        if signed.security_token.is_some() {
            return Err(Fault::SecurityToken);
        }
        Ok(())
    }

    /// The operation.
    #[must_use]
    pub fn action(&self) -> Action {
        self.entry.action
    }

    /// The operation's row in the catalog.
    #[must_use]
    pub fn entry(&self) -> &'static Entry {
        self.entry
    }

    /// The host that the client has addressed.
    pub(super) fn host(&self) -> &str {
        &self.envelope.host
    }

    /// The API version that the operation was called in.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The request's id, as given to [`Call::parse`].
    #[must_use]
    pub fn request_id(&self) -> &str {
        &self.envelope.request_id
    }

    /// The client's token for carrying a command out once, if there is one.
    #[must_use]
    pub fn client_token(&self) -> Option<&str> {
        self.params.filled("ClientToken")
    }

    /// A digest of what is asked for: equal for a request that is sent again, whatever it is signed with.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        fingerprint([self.entry.name, self.version.date()], &self.params, &ENVELOPE)
    }

    /// The parameters.
    #[must_use]
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The reply that reports a fault.
    #[must_use]
    pub fn fault(&self, fault: &Fault) -> Reply {
        self.envelope.fault(Some(self.entry.action), fault)
    }

    /// The reply that reports success.
    pub(super) fn success(&self, fields: Fields) -> Reply {
        encode::success(self.envelope.format, self.entry.name, &self.envelope.request_id, fields)
    }
}

/// The reply to a request that is refused before it is read; its body may be left out.
#[must_use]
pub fn early_fault(raw: &RawRequest<'_>, request_id: impl Into<String>, fault: &Fault) -> Reply {
    Envelope::of(raw, request_id.into()).fault(None, fault)
}

impl Envelope {
    fn of(raw: &RawRequest<'_>, request_id: String) -> Self {
        let host = raw.header("host").filter(|host| host.len() <= HOST_MAX);
        let named = form_urlencoded::parse(raw.query.as_bytes()).find(|(name, _)| name == "Format");
        let format = format_of(raw, named.as_ref().map(|(_, value)| &**value));
        Self { request_id, host: host.unwrap_or_else(|| "ecs.aliyuncs.com".to_owned()), format }
    }

    fn fault(&self, action: Option<Action>, fault: &Fault) -> Reply {
        encode::error(self.format, &self.request_id, &self.host, fault.failure(action))
    }
}

fn find(action: &str, version: Version) -> Result<(&'static Entry, Version), Fault> {
    Entry::find(action, version).map(|entry| (entry, version)).ok_or(Fault::Action)
}

fn params_of(raw: &RawRequest<'_>) -> Result<Params, Fault> {
    if !matches!(raw.method, "GET" | "POST") {
        return Err(Fault::Method);
    }
    if !matches!(raw.path, "/" | "") {
        return Err(Fault::Path);
    }
    Params::parse(raw.query, raw.form()).map_err(|error| match error {
        ParamsError::TooMany => Fault::TooManyParameters,
        ParamsError::Conflict(name) => Fault::Contradiction { name },
    })
}

/// XML is the documented default of RPC version 1; ACS3 clients read JSON.
fn format_of(raw: &RawRequest<'_>, named: Option<&str>) -> Format {
    match named {
        Some(name) if name.eq_ignore_ascii_case("json") => Format::Json,
        Some(name) if name.eq_ignore_ascii_case("xml") => Format::Xml,
        Some(_) | None => match sign::scheme(raw) {
            Scheme::RpcV1 => Format::Xml,
            Scheme::Acs3 => Format::Json,
        },
    }
}

fn sign_fault(error: &SignError) -> Fault {
    match error {
        SignError::Missing("Signature") | SignError::Malformed(_) | SignError::Unsigned(_) => Fault::Incomplete,
        SignError::Missing(name) => Fault::Missing { name: (*name).to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    use super::*;

    const SIGNED: &str = "AccessKeyId=k&Signature=s&SignatureMethod=HMAC-SHA1&SignatureVersion=1.0\
        &SignatureNonce=n&Timestamp=2026-11-22T05:12:14Z";

    fn check(method: &str, query: &str, expected: &Expect) {
        let raw = RawRequest { method, path: "/", query, headers: &[], body: &[] };
        let text = match Call::parse(&raw, "R-1") {
            Ok(call) => format!("{} {}", call.entry.name, call.key_id()),
            Err(reply) => format!("{} {}", reply.status, String::from_utf8(reply.body).unwrap()),
        };
        expected.assert_eq(&text);
    }

    #[test]
    fn without_action_version_or_signature_there_is_no_call() {
        check(
            "GET",
            "Format=json",
            &expect![[
                r#"400 {"RequestId":"R-1","HostId":"ecs.aliyuncs.com","Code":"MissingParameter","Message":"The input parameter \"Action\" that is required for processing this request is not supplied.","Recommend":"https://api.aliyun.com/troubleshoot?q=MissingParameter&product=Ecs"}"#
            ]],
        );
        check(
            "GET",
            "Format=JSON&Action=DescribeRegions&Version=2014-05-27",
            &expect![[
                r#"400 {"RequestId":"R-1","HostId":"ecs.aliyuncs.com","Code":"InvalidParameter","Message":"The specified parameter \"Action or Version\" is not valid.","Recommend":"https://api.aliyun.com/troubleshoot?q=InvalidParameter&product=Ecs"}"#
            ]],
        );
        check(
            "GET",
            "Format=JSON&Action=DescribeNothing&Version=2014-05-26",
            &expect![[
                r#"404 {"RequestId":"R-1","HostId":"ecs.aliyuncs.com","Code":"InvalidAction.NotFound","Message":"Specified api is not found, please check your url and method.","Recommend":"https://api.aliyun.com/troubleshoot?q=InvalidAction.NotFound&product=Ecs"}"#
            ]],
        );
        check(
            "GET",
            "Format=JSON&Action=DescribeRegions&Version=2014-05-26",
            &expect![[
                r#"400 {"RequestId":"R-1","HostId":"ecs.aliyuncs.com","Code":"MissingParameter","Message":"The input parameter \"AccessKeyId\" that is required for processing this request is not supplied.","Recommend":"https://api.aliyun.com/troubleshoot?q=MissingParameter&product=Ecs"}"#
            ]],
        );
        check(
            "PUT",
            "Format=JSON",
            &expect![[
                r#"403 {"RequestId":"R-1","HostId":"ecs.aliyuncs.com","Code":"UnsupportedHTTPMethod","Message":"This http method is not supported.","Recommend":"https://api.aliyun.com/troubleshoot?q=UnsupportedHTTPMethod&product=Ecs"}"#
            ]],
        );
        check("GET", &format!("{SIGNED}&Action=DescribeRegions&Version=2014-05-26"), &expect!["DescribeRegions k"]);
    }

    #[test]
    fn rpc_version_1_reads_no_unsigned_header() {
        let headers = [("x-acs-action".to_owned(), "DeleteSecurityGroup".to_owned())];
        let raw = RawRequest { method: "GET", path: "/", query: SIGNED, headers: &headers, body: &[] };
        let reply = Call::parse(&raw, "R-1").unwrap_err();
        assert!(String::from_utf8(reply.body).unwrap().contains("MissingParameter"));
    }

    #[test]
    fn the_clock_may_differ_by_a_quarter_of_an_hour() {
        let query = format!("{SIGNED}&Action=DescribeRegions&Version=2014-05-26");
        let raw = RawRequest { method: "GET", path: "/", query: &query, headers: &[], body: &[] };
        let call = Call::parse(&raw, "R-1").unwrap();
        let signed_at = time::parse("2026-11-22T05:12:14Z").unwrap().0;
        assert_eq!(call.verify(b"", Timestamp(signed_at + 901)), Err(Fault::TimestampExpired));
        assert_eq!(call.verify(b"", Timestamp(signed_at - 901)), Err(Fault::TimestampExpired));
        assert!(matches!(call.verify(b"", Timestamp(signed_at - 900)), Err(Fault::SignatureMismatch { .. })));
        assert_eq!(call.verify(b"", Timestamp(i64::MIN)), Err(Fault::TimestampExpired));
    }

    #[test]
    fn an_oversized_body_is_refused_in_the_form_that_the_query_asks_for() {
        let raw = RawRequest { method: "POST", path: "/", query: "Format=JSON", headers: &[], body: &[] };
        let reply = early_fault(&raw, "R-1", &Fault::BodyTooLarge { bytes_max: 1024 });
        assert_eq!((reply.status, reply.content_type), (413, "application/json;charset=utf-8"));
    }

    proptest! {
        #[test]
        fn parsing_never_panics(
            method in "GET|POST|\\PC{0,4}",
            path in "/|\\PC{0,8}",
            query in "\\PC{0,200}",
            header in "ACS3-HMAC-SHA256 \\PC{0,80}|\\PC{0,40}",
            body in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let headers = [
                ("authorization".to_owned(), header),
                ("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned()),
            ];
            let raw = RawRequest { method: &method, path: &path, query: &query, headers: &headers, body: &body };
            let _ = Call::parse(&raw, "R-1");
            let query = format!("{SIGNED}&Action=AuthorizeSecurityGroup&Version=2014-05-26&{query}");
            let raw = RawRequest { method: "POST", path: "/", query: &query, headers: &[], body: &body };
            let _ = Call::parse(&raw, "R-1");
        }
    }
}
