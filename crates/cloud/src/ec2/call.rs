//! A request of the EC2 or STS API, read but not yet believed: what it asks for and who claims to ask.

use sekimori_core::{ids::KeyId, time::Timestamp};

use super::{
    catalog::{Action, Entry, Version},
    errors::Fault,
    region::{DEFAULT_REGION, Region},
    reply::{self, Shape},
};
use crate::{
    RawRequest, Reply,
    api::fingerprint,
    catalog::Presence,
    node::Fields,
    params::{Params, ParamsError},
    sign::{SignError, aws},
};

/// The longest client token.
pub const CLIENT_TOKEN_MAX: usize = 64;
/// Parameters that say who asks and how, not what for, besides those that sign.
const ENVELOPE: [&str; 4] = ["Action", "ClientToken", "Version", "X-Amz-Signature"];
/// Parameters of a form that are looked at to tell the dialect of a request that nothing else tells.
const LOOKED_AT_MAX: usize = 64;

/// A request with its operation found and its signature collected.
#[derive(Clone, Debug)]
pub struct Call {
    request_id: String,
    params: Params,
    /// Nothing of a request whose caller is known otherwise.
    signed: Option<aws::Signed>,
    key: KeyId,
    entry: &'static Entry,
    version: Version,
    region: &'static Region,
}

impl Call {
    /// Reads a request.
    ///
    /// # Errors
    /// The reply to send when the request cannot be read, names no operation, or is not signed.
    pub fn parse(raw: &RawRequest<'_>, request_id: &str) -> Result<Self, Box<Reply>> {
        let refuse = |version, shape, fault: &Fault| Box::new(told(shape, request_id, fault, None, version));
        let params = match params_of(raw) {
            Ok(params) => params,
            Err(fault) => return Err(refuse(Version::Ec2, shape_of(raw, &fault), &fault)),
        };
        let version = params.filled("Version").and_then(Version::find);
        Self::read(raw, params, request_id).map_err(|fault| {
            let version = version.unwrap_or(Version::Ec2);
            let shape = if fault == Fault::Service { Shape::of_other_service(raw) } else { Shape::of(version) };
            refuse(version, shape, &fault)
        })
    }

    fn read(raw: &RawRequest<'_>, params: Params, request_id: &str) -> Result<Self, Fault> {
        let signed = aws::read(raw, &params);
        let service = signed.as_ref().and_then(|signed| signed.as_ref().ok()?.scope()).map(|scope| &*scope.service);
        if service.is_some_and(|service| !matches!(service, "ec2" | "sts")) || raw.header("x-amz-target").is_some() {
            return Err(Fault::Service);
        }
        let action = params.filled("Action").ok_or(Fault::NoAction)?;
        let date = params.filled("Version").ok_or_else(|| Fault::Missing { name: "Version".to_owned() })?;
        let (entry, version) = find(action, dated(date)?)?;
        let signed = signed.ok_or(Fault::NotSigned)?.map_err(|error| incomplete(&error))?;
        let region = region_of(&signed, raw, version)?;
        let key = KeyId::from(&signed.key_id);
        Ok(Self { request_id: request_id.to_owned(), params, signed: Some(signed), key, entry, version, region })
    }

    /// Reads a request about a region that nobody has signed, of a caller that is known otherwise: what it asks for, and no more. It
    /// cannot be verified. Without a version it is the first that has the operation.
    ///
    /// # Errors
    /// The fault when it cannot be read or names no operation.
    pub fn unsigned(query: &str, region: &str, request_id: &str) -> Result<Self, Fault> {
        let raw = RawRequest { method: "GET", path: "/", query, headers: &[], body: &[] };
        let params = params_of(&raw)?;
        let action = params.filled("Action").ok_or(Fault::NoAction)?;
        let (entry, version) = match params.filled("Version") {
            Some(date) => find(action, dated(date)?)?,
            None => {
                let found = Version::ALL.iter().find_map(|version| find(action, *version).ok());
                found.ok_or_else(|| Fault::Action { name: action.to_owned() })?
            }
        };
        let region = Region::find(region).ok_or_else(|| Fault::Scope { text: region.to_owned() })?;
        let (request_id, key) = (request_id.to_owned(), KeyId::from(""));
        Ok(Self { request_id, params, signed: None, key, entry, version, region })
    }

    /// Checks that every parameter is one that the operation has, and that none asks for what cannot be kept.
    pub(super) fn check_parameters(&self) -> Result<(), Fault> {
        let signs = |name: &str| ENVELOPE.contains(&name) && name != "ClientToken" || aws::PARAMETERS.contains(&name);
        for (name, value) in self.params.iter().filter(|(name, _)| !signs(name)) {
            let parameter = self.entry.parameter(name).map(|parameter| parameter.presence);
            let is_set = !value.is_empty() && !value.eq_ignore_ascii_case("false");
            match parameter {
                // STS puts up with what it does not know.
                None if self.version == Version::Sts => {}
                None => return Err(Fault::Unknown { name: name.to_owned() }),
                Some(Presence::Refused) if is_set => return Err(Fault::Unsupported { name: name.to_owned() }),
                Some(Presence::Refused | Presence::Required | Presence::Optional | Presence::Ignored) => {}
            }
        }
        Ok(())
    }

    /// The access key that the request claims to be signed with.
    #[must_use]
    pub fn key_id(&self) -> &KeyId {
        &self.key
    }

    /// Whether the request was signed with this secret, near this moment.
    ///
    /// # Errors
    /// The fault to answer: a signature that does not hold now, or a wrong one.
    pub fn verify(&self, secret: &[u8], now: Timestamp) -> Result<(), Fault> {
        let signed = self.signed.as_ref().ok_or(Fault::NotSigned)?;
        if !signed.validity.holds(now) {
            return Err(Fault::Expired);
        }
        // Keys here are permanent, and a permanent key has no token.
        if !signed.verify(secret) || signed.security_token.is_some() {
            return Err(Fault::SignatureMismatch);
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

    /// The region that the request is about: that of its signature.
    #[must_use]
    pub fn region(&self) -> &'static Region {
        self.region
    }

    /// The request's id, as given to [`Call::parse`].
    #[must_use]
    pub fn request_id(&self) -> &str {
        &self.request_id
    }

    /// The parameters.
    #[must_use]
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The client's token for carrying a command out once, of an operation that has one.
    #[must_use]
    pub fn client_token(&self) -> Option<&str> {
        self.params.filled("ClientToken").filter(|_| self.entry.accepts("ClientToken"))
    }

    /// A digest of what is asked for: equal for a request that is sent again, whatever it is signed with.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let envelope: Vec<&str> = ENVELOPE.into_iter().chain(aws::PARAMETERS).collect();
        fingerprint([self.entry.name, self.region.name], &self.params, &envelope)
    }

    /// What the client is told about a fault.
    #[must_use]
    pub fn failure(&self, fault: &Fault) -> super::errors::Failure {
        fault.failure(Some(self.entry.action), self.version)
    }

    /// The reply that reports a fault.
    #[must_use]
    pub fn fault(&self, fault: &Fault) -> Reply {
        told(Shape::of(self.version), &self.request_id, fault, Some(self.entry.action), self.version)
    }

    /// The reply that reports success.
    pub(super) fn success(&self, fields: Fields) -> Reply {
        reply::success(self.entry, &self.request_id, fields)
    }
}

/// Whether a request speaks Amazon's API: by its signature, or by the version that it names.
pub(crate) fn is_spoken_by(raw: &RawRequest<'_>) -> bool {
    let is_header = |(name, value): &(String, String)| {
        name.starts_with("x-amz-") || name == "authorization" && value.trim_start().starts_with("AWS")
    };
    let is_pair = |(name, value): (std::borrow::Cow<'_, str>, std::borrow::Cow<'_, str>)| {
        let is_signed = matches!(&*name, "X-Amz-Algorithm" | "X-Amz-Credential" | "AWSAccessKeyId");
        is_signed || name == "Version" && Version::find(&value).is_some()
    };
    raw.headers.iter().any(is_header)
        || form_urlencoded::parse(raw.query.as_bytes()).take(LOOKED_AT_MAX).any(is_pair)
        || raw.form().is_some_and(|form| form_urlencoded::parse(form).take(LOOKED_AT_MAX).any(is_pair))
}

/// The reply to a request that is refused before it is read; its body may be left out.
pub(crate) fn early_fault(raw: &RawRequest<'_>, request_id: &str, fault: &Fault) -> Reply {
    told(shape_of(raw, fault), request_id, fault, None, Version::Ec2)
}

fn shape_of(raw: &RawRequest<'_>, fault: &Fault) -> Shape {
    let is_other = *fault == Fault::Service || raw.header("x-amz-target").is_some() || !matches!(raw.path, "/" | "");
    if is_other { Shape::of_other_service(raw) } else { Shape::Ec2 }
}

fn told(shape: Shape, request_id: &str, fault: &Fault, action: Option<Action>, version: Version) -> Reply {
    reply::error(shape, request_id, fault.failure(action, version))
}

fn dated(date: &str) -> Result<Version, Fault> {
    Version::find(date).ok_or_else(|| Fault::Version { text: date.to_owned() })
}

fn find(action: &str, version: Version) -> Result<(&'static Entry, Version), Fault> {
    let found = Entry::find(action, version).map(|entry| (entry, version));
    found.ok_or_else(|| Fault::Action { name: action.to_owned() })
}

/// EC2 is at `/`, and is called with GET or POST. What is elsewhere is another service.
fn params_of(raw: &RawRequest<'_>) -> Result<Params, Fault> {
    if !matches!(raw.path, "/" | "") {
        return Err(Fault::Service);
    }
    if !matches!(raw.method, "GET" | "POST") {
        return Err(Fault::Method);
    }
    Params::parse(raw.query, raw.form()).map_err(|error| match error {
        ParamsError::TooMany => Fault::TooManyParameters,
        ParamsError::Conflict(name) => Fault::Contradiction { name },
    })
}

fn incomplete(error: &SignError) -> Fault {
    match error {
        SignError::Missing(part) | SignError::Malformed(part) | SignError::Unsigned(part) => {
            Fault::Incomplete { part }
        }
    }
}

/// The region of the signature's scope. Version 2 names none; the host may.
fn region_of(signed: &aws::Signed, raw: &RawRequest<'_>, version: Version) -> Result<&'static Region, Fault> {
    let Some(scope) = signed.scope() else {
        let host = raw.header("host").unwrap_or_default();
        let named = host.strip_prefix("ec2.").and_then(|rest| Region::find(rest.split('.').next()?));
        return named.or_else(|| Region::find(DEFAULT_REGION)).ok_or(Fault::Scope { text: host });
    };
    let wrong = || Fault::Scope { text: format!("{}/{}", scope.region, scope.service) };
    let region = Region::find(&scope.region).ok_or_else(wrong)?;
    if scope.service == version.service() { Ok(region) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    use super::*;

    const SCOPE: &str = "20261122/us-east-1/ec2/aws4_request";

    fn headers(scope: &str) -> Vec<(String, String)> {
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=AKIA1/{scope}, SignedHeaders=host;x-amz-date, Signature=0123456789abcdef"
        );
        let all = [("authorization", authorization.as_str()), ("host", "h"), ("x-amz-date", "20261122T051214Z")];
        all.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    fn check(method: &str, path: &str, query: &str, scope: Option<&str>, expected: &Expect) {
        let headers = scope.map(headers).unwrap_or_default();
        let raw = RawRequest { method, path, query, headers: &headers, body: &[] };
        let text = match Call::parse(&raw, "R-1") {
            Ok(call) => format!("{} {} {}", call.entry.name, call.key_id(), call.region.name),
            Err(reply) => {
                let body = String::from_utf8(reply.body).unwrap();
                format!("{} {}", reply.status, body.replace("<?xml version=\"1.0\" encoding=\"UTF-8\"?>", ""))
            }
        };
        expected.assert_eq(&text);
    }

    #[test]
    fn without_action_version_or_signature_there_is_no_call() {
        let of = "Version=2016-11-15&Action=DescribeRegions";
        check("GET", "/", of, Some(SCOPE), &expect!["DescribeRegions AKIA1 us-east-1"]);
        check(
            "GET",
            "/",
            of,
            None,
            &expect![
                "400 <Response><Errors><Error><Code>MissingParameter</Code><Message>The request must contain the parameter AWSAccessKeyId</Message></Error></Errors><RequestID>R-1</RequestID></Response>"
            ],
        );
        check(
            "GET",
            "/",
            "Version=2016-11-15",
            Some(SCOPE),
            &expect![
                "400 <Response><Errors><Error><Code>MissingAction</Code><Message>The request is missing an action or a required parameter.</Message></Error></Errors><RequestID>R-1</RequestID></Response>"
            ],
        );
        check(
            "GET",
            "/",
            "Action=DescribeRegions",
            Some(SCOPE),
            &expect![
                "400 <Response><Errors><Error><Code>MissingParameter</Code><Message>The request must contain the parameter Version</Message></Error></Errors><RequestID>R-1</RequestID></Response>"
            ],
        );
        check(
            "GET",
            "/",
            "Action=DescribeRegions&Version=2010-01-01",
            Some(SCOPE),
            &expect![
                "400 <Response><Errors><Error><Code>NoSuchVersion</Code><Message>The requested version (2010-01-01) is not valid; use 2016-11-15.</Message></Error></Errors><RequestID>R-1</RequestID></Response>"
            ],
        );
        check(
            "GET",
            "/",
            "Action=DescribeNothing&Version=2016-11-15",
            Some(SCOPE),
            &expect![
                "400 <Response><Errors><Error><Code>InvalidAction</Code><Message>The action DescribeNothing is not valid for this web service.</Message></Error></Errors><RequestID>R-1</RequestID></Response>"
            ],
        );
        check(
            "PUT",
            "/",
            of,
            Some(SCOPE),
            &expect![
                "405 <Response><Errors><Error><Code>UnsupportedProtocol</Code><Message>The request method is not supported; use GET or POST with the path /.</Message></Error></Errors><RequestID>R-1</RequestID></Response>"
            ],
        );
    }

    #[test]
    fn a_signature_is_for_a_region_and_a_service() {
        let of = "Version=2016-11-15&Action=DescribeRegions";
        check(
            "GET",
            "/",
            of,
            Some("20261122/mars-1/ec2/aws4_request"),
            &expect![
                "401 <Response><Errors><Error><Code>AuthFailure</Code><Message>Credential should be scoped to a valid region and the service ec2, not &apos;mars-1/ec2&apos;.</Message></Error></Errors><RequestID>R-1</RequestID></Response>"
            ],
        );
        check(
            "GET",
            "/",
            of,
            Some("20261122/us-east-1/sts/aws4_request"),
            &expect![
                "401 <Response><Errors><Error><Code>AuthFailure</Code><Message>Credential should be scoped to a valid region and the service ec2, not &apos;us-east-1/sts&apos;.</Message></Error></Errors><RequestID>R-1</RequestID></Response>"
            ],
        );
        check(
            "GET",
            "/",
            of,
            Some("20261122/us-east-1/ec2"),
            &expect![
                "400 <Response><Errors><Error><Code>IncompleteSignature</Code><Message>The request signature does not conform to AWS standards: Credential is missing, wrong or not signed.</Message></Error></Errors><RequestID>R-1</RequestID></Response>"
            ],
        );
        let sts = "Version=2011-06-15&Action=GetCallerIdentity";
        check(
            "GET",
            "/",
            sts,
            Some("20261122/eu-west-1/sts/aws4_request"),
            &expect!["GetCallerIdentity AKIA1 eu-west-1"],
        );
        check(
            "GET",
            "/",
            sts,
            None,
            &expect![[
                r#"403 <ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>MissingAuthenticationToken</Code><Message>Request is missing Authentication Token</Message></Error><RequestId>R-1</RequestId></ErrorResponse>"#
            ]],
        );
    }

    #[test]
    fn other_services_are_told_so_in_words_that_they_read() {
        let iam = "20261122/us-east-1/iam/aws4_request";
        check(
            "POST",
            "/",
            "Action=ListUsers&Version=2010-05-08",
            Some(iam),
            &expect![[
                r#"400 <ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>InvalidAction</Code><Message>The requested operation is not valid for this web service; EC2 2016-11-15 and STS 2011-06-15 are spoken here.</Message></Error><RequestId>R-1</RequestId></ErrorResponse>"#
            ]],
        );
        check(
            "GET",
            "/2015-03-31/functions/",
            "",
            Some(iam),
            &expect![[
                r#"400 {"__type":"InvalidAction","message":"The requested operation is not valid for this web service; EC2 2016-11-15 and STS 2011-06-15 are spoken here."}"#
            ]],
        );
    }

    #[test]
    fn the_dialect_is_told_by_signature_or_version() {
        let speaks = |query: &str, header: (&str, &str), body: &str| {
            let form = ("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned());
            let headers = [(header.0.to_owned(), header.1.to_owned()), form];
            is_spoken_by(&RawRequest { method: "POST", path: "/", query, headers: &headers, body: body.as_bytes() })
        };
        let none = ("accept", "*");
        assert!(speaks("", ("authorization", "AWS4-HMAC-SHA256 x"), "") && speaks("", ("x-amz-target", "x"), ""));
        assert!(speaks("AWSAccessKeyId=x", none, "") && speaks("", none, "Action=x&Version=2016-11-15"));
        assert!(!speaks("Version=2014-05-26", none, "Action=x") && !speaks("", ("authorization", "ACS3-HMAC"), ""));
    }

    proptest! {
        #[test]
        fn parsing_never_panics(
            method in "GET|POST|\\PC{0,4}",
            path in "/|\\PC{0,8}",
            query in "\\PC{0,200}",
            header in "AWS4-HMAC-SHA256 \\PC{0,80}|\\PC{0,40}",
            date in "[0-9TZ]{0,20}|\\PC{0,20}",
            body in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let headers = [
                ("authorization".to_owned(), header),
                ("x-amz-date".to_owned(), date),
                ("host".to_owned(), "h".to_owned()),
                ("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned()),
            ];
            let raw = RawRequest { method: &method, path: &path, query: &query, headers: &headers, body: &body };
            let _ = Call::parse(&raw, "R-1");
            let query = format!("AWSAccessKeyId=k&SignatureVersion=2&Timestamp=2026&{query}");
            let raw = RawRequest { method: "GET", path: "/", query: &query, headers: &headers[2..], body: &body };
            let _ = Call::parse(&raw, "R-1");
        }
    }
}
