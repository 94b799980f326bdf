//! Replies as bytes: XML in EC2's own shape, in that of the other Query services (STS), and JSON for services that are not
//! spoken here and whose clients read nothing else (`spec/ec2.md` B0).

use super::{
    catalog::{Entry, Version},
    errors::Failure,
};
use crate::{
    RawRequest, Reply,
    node::{self, Fields},
};

const EC2_NAMESPACE: &str = "http://ec2.amazonaws.com/doc/2016-11-15/";
const STS_NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";
const XML: &str = "text/xml;charset=UTF-8";

/// The shape of replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// EC2.
    Ec2,
    /// The Query services beside it.
    Query,
    /// Services that speak JSON.
    Json,
}

impl Shape {
    pub(super) fn of(version: Version) -> Self {
        match version {
            Version::Ec2 => Self::Ec2,
            Version::Sts => Self::Query,
        }
    }

    /// The shape that the client of a service that is not spoken here can read.
    pub(super) fn of_other_service(raw: &RawRequest<'_>) -> Self {
        let kind = raw.header("content-type").unwrap_or_default();
        let is_json = kind.contains("json") || raw.header("x-amz-target").is_some() || !matches!(raw.path, "/" | "");
        if is_json { Self::Json } else { Self::Query }
    }
}

/// The reply to an operation that succeeded.
pub(super) fn success(entry: &Entry, request_id: &str, fields: Fields) -> Reply {
    let root = format!("{}Response", entry.name);
    let is_sts = entry.versions.contains(&Version::Sts);
    let body = if is_sts {
        let metadata: Fields = vec![("RequestId", request_id.into())];
        let all: Fields = vec![("GetCallerIdentityResult", fields.into()), ("ResponseMetadata", metadata.into())];
        node::xml(&root, Some(STS_NAMESPACE), all)
    } else {
        let mut all: Fields = vec![("requestId", request_id.into())];
        all.extend(fields);
        node::xml(&root, Some(EC2_NAMESPACE), all)
    };
    Reply { status: 200, content_type: XML, body }
}

/// The reply to an operation that failed.
pub(super) fn error(shape: Shape, request_id: &str, failure: Failure) -> Reply {
    let Failure { status, code, message } = failure;
    let told = |message: &str| -> Fields { vec![("Code", code.into()), ("Message", message.into())] };
    let body = match shape {
        Shape::Ec2 => {
            let errors: Fields = vec![("Error", told(&message).into())];
            node::xml("Response", None, vec![("Errors", errors.into()), ("RequestID", request_id.into())])
        }
        Shape::Query => {
            let mut error: Fields = vec![("Type", if status < 500 { "Sender" } else { "Receiver" }.into())];
            error.extend(told(&message));
            let all = vec![("Error", error.into()), ("RequestId", request_id.into())];
            node::xml("ErrorResponse", Some(STS_NAMESPACE), all)
        }
        Shape::Json => {
            let told = serde_json::json!({ "__type": code, "message": message });
            return Reply { status, content_type: "application/json", body: told.to_string().into_bytes() };
        }
    };
    Reply { status, content_type: XML, body }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::ec2::errors::failure;

    fn check(reply: Reply, expected: &Expect) {
        expected.assert_eq(&format!("{} {}", reply.status, String::from_utf8(reply.body).unwrap()));
    }

    #[test]
    fn errors_have_the_shape_of_their_service() {
        let told = || failure(400, "A.B", "no <x>");
        check(
            error(Shape::Ec2, "R-1", told()),
            &expect![[
                r#"400 <?xml version="1.0" encoding="UTF-8"?><Response><Errors><Error><Code>A.B</Code><Message>no &lt;x&gt;</Message></Error></Errors><RequestID>R-1</RequestID></Response>"#
            ]],
        );
        check(
            error(Shape::Query, "R-1", told()),
            &expect![[
                r#"400 <?xml version="1.0" encoding="UTF-8"?><ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>A.B</Code><Message>no &lt;x&gt;</Message></Error><RequestId>R-1</RequestId></ErrorResponse>"#
            ]],
        );
        check(error(Shape::Json, "R-1", told()), &expect![[r#"400 {"__type":"A.B","message":"no <x>"}"#]]);
    }
}
