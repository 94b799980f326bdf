//! Replies as bytes: one tree, written as JSON or as XML (`spec/ecs.md` B4).
//!
//! The cloud wraps most lists twice: `"SecurityGroups": {"SecurityGroup": […]}`; those of port lists are plain
//! arrays. An empty list is written, not left out: clients index into it.

use std::fmt::Write as _;

use quick_xml::escape::escape;
use serde::{
    Serialize,
    ser::{SerializeMap, Serializer},
};

use super::errors::Failure;
use crate::{Reply, sign::percent_encode};

/// How a client wants its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// `application/json`.
    Json,
    /// `text/xml`.
    Xml,
}

/// A value of a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// Text.
    Text(String),
    /// A number.
    Number(i64),
    /// True or false.
    Boolean(bool),
    /// Named values.
    Object(Fields),
    /// A wrapped list.
    List {
        /// The name of an item, which is also that of the wrapped list.
        item: &'static str,
        /// The items.
        items: Vec<Self>,
    },
    /// A list that is not wrapped.
    Array(Vec<Self>),
}

/// Named values, in the order in which they are written.
pub(super) type Fields = Vec<(&'static str, Node)>;

impl From<&str> for Node {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Node {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<bool> for Node {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

/// A number; one that is too large to write is written as the largest.
pub(super) fn number(value: impl TryInto<i64>) -> Node {
    Node::Number(value.try_into().unwrap_or(i64::MAX))
}

/// A wrapped list.
pub(super) fn list<T: Into<Node>>(item: &'static str, items: impl IntoIterator<Item = T>) -> Node {
    Node::List { item, items: items.into_iter().map(Into::into).collect() }
}

/// A list that is not wrapped.
pub(super) fn array<T: Into<Node>>(items: impl IntoIterator<Item = T>) -> Node {
    Node::Array(items.into_iter().map(Into::into).collect())
}

impl From<Fields> for Node {
    fn from(fields: Fields) -> Self {
        Self::Object(fields)
    }
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
    let root_node = Node::Object(fields);
    match format {
        Format::Json => Reply {
            status,
            content_type: "application/json;charset=utf-8",
            body: serde_json::to_vec(&root_node).unwrap_or_default(),
        },
        Format::Xml => {
            let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
            write_xml(&mut text, root, &root_node);
            Reply { status, content_type: "text/xml;charset=utf-8", body: text.into_bytes() }
        }
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

fn write_xml(out: &mut String, name: &str, node: &Node) {
    if let Node::Array(items) = node {
        return items.iter().for_each(|value| write_xml(out, name, value));
    }
    out.push('<');
    out.push_str(name);
    out.push('>');
    match node {
        Node::Text(text) => out.push_str(&escape(legal_in_xml(text))),
        // Writing to a String cannot fail.
        Node::Number(number) => drop(write!(out, "{number}")),
        Node::Boolean(value) => drop(write!(out, "{value}")),
        Node::Object(fields) => fields.iter().for_each(|(name, value)| write_xml(out, name, value)),
        Node::List { item, items } => items.iter().for_each(|value| write_xml(out, item, value)),
        // An array has no element of its own: its name is that of each item.
        Node::Array(_) => {}
    }
    out.push_str("</");
    out.push_str(name);
    out.push('>');
}

/// XML 1.0 cannot carry control characters, not even escaped; whoever sent one gets U+FFFD back.
fn legal_in_xml(text: &str) -> String {
    let is_legal = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..);
    text.chars().map(|c| if is_legal(c) { c } else { '\u{fffd}' }).collect()
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
