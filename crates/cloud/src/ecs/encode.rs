//! Replies as bytes: one tree, written as JSON or as XML (`spec/ecs.md` B4).
//!
//! The cloud wraps most lists twice: `"SecurityGroups": {"SecurityGroup": […]}`; those of port lists are plain
//! arrays.

use serde::{
    Serialize,
    ser::{SerializeMap, Serializer},
};

use super::errors::Failure;
pub(super) use crate::node::{Fields, Node, array, list, number};
use crate::{Reply, node, sign::percent_encode};

/// How a client wants its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// `application/json`.
    Json,
    /// `text/xml`.
    Xml,
}

/// The reply to an operation that succeeded.
pub(super) fn success(format: Format, operation: &str, request_id: &str, fields: Fields) -> Reply {
    let mut all: Fields = vec![("RequestId", request_id.into())];
    all.extend(fields);
    reply(format, 200, &format!("{operation}Response"), all)
}

/// The reply to an operation that failed.
pub(super) fn error(format: Format, request_id: &str, host: &str, failure: Failure) -> Reply {
    let Failure { status, code, message } = failure;
    let help = format!("https://api.aliyun.com/troubleshoot?q={}&product=Ecs", percent_encode(code));
    let fields: Fields = vec![
        ("RequestId", request_id.into()),
        ("HostId", host.into()),
        ("Code", code.into()),
        ("Message", message.into()),
        ("Recommend", help.into()),
    ];
    reply(format, status, "Error", fields)
}

fn reply(format: Format, status: u16, root: &str, fields: Fields) -> Reply {
    match format {
        Format::Json => Reply {
            status,
            content_type: "application/json;charset=utf-8",
            body: serde_json::to_vec(&Node::Object(fields)).unwrap_or_default(),
        },
        Format::Xml => Reply { status, content_type: "text/xml;charset=utf-8", body: node::xml(root, None, fields) },
    }
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Number(number) => serializer.serialize_i64(*number),
            Self::Boolean(value) => serializer.serialize_bool(*value),
            Self::Object(fields) => serializer.collect_map(fields.iter().map(|(name, value)| (name, value))),
            Self::List { item, items } => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry(item, items)?;
                map.end()
            }
            Self::Array(items) => serializer.collect_seq(items),
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(format: Format, fields: Fields, expected: &Expect) {
        let reply = success(format, "DescribeThings", "R-1", fields);
        expected.assert_eq(&String::from_utf8(reply.body).unwrap());
    }

    fn things() -> Fields {
        let thing = vec![("Name", "a<b&\u{1}".into()), ("Priority", number(1)), ("Default", false.into())];
        let plain = [("Plain", array(["a", "b"])), ("None", array::<&str>([]))];
        let wrapped = [("Things", list("Thing", [thing])), ("Names", list::<&str>("Name", []))];
        wrapped.into_iter().chain(plain).collect()
    }

    #[test]
    fn json_wraps_lists_and_keeps_empty_ones() {
        check(
            Format::Json,
            things(),
            &expect![[
                r#"{"RequestId":"R-1","Things":{"Thing":[{"Name":"a<b&\u0001","Priority":1,"Default":false}]},"Names":{"Name":[]},"Plain":["a","b"],"None":[]}"#
            ]],
        );
    }

    #[test]
    fn xml_has_one_root_and_no_illegal_character() {
        check(
            Format::Xml,
            things(),
            &expect![[
                r#"<?xml version="1.0" encoding="UTF-8"?><DescribeThingsResponse><RequestId>R-1</RequestId><Things><Thing><Name>a&lt;b&amp;�</Name><Priority>1</Priority><Default>false</Default></Thing></Things><Names></Names><Plain>a</Plain><Plain>b</Plain></DescribeThingsResponse>"#
            ]],
        );
    }

    #[test]
    fn errors_have_the_same_children_in_both_forms() {
        let failure = || Failure { status: 404, code: "A.B", message: "no `x`.".to_owned() };
        let text = |format| String::from_utf8(error(format, "R-1", "h", failure()).body).unwrap();
        expect![[r#"{"RequestId":"R-1","HostId":"h","Code":"A.B","Message":"no `x`.","Recommend":"https://api.aliyun.com/troubleshoot?q=A.B&product=Ecs"}"#]].assert_eq(&text(Format::Json));
        expect![[r#"<?xml version="1.0" encoding="UTF-8"?><Error><RequestId>R-1</RequestId><HostId>h</HostId><Code>A.B</Code><Message>no `x`.</Message><Recommend>https://api.aliyun.com/troubleshoot?q=A.B&amp;product=Ecs</Recommend></Error>"#]].assert_eq(&text(Format::Xml));
    }
}
