//! Replies as trees, and such a tree as XML. What a dialect makes of it, envelope and names, is its own.
//!
//! An empty list is written, not left out: clients index into it.

use std::fmt::Write as _;

use quick_xml::escape::escape;

/// A value of a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
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
pub(crate) type Fields = Vec<(&'static str, Node)>;

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

impl From<Fields> for Node {
    fn from(fields: Fields) -> Self {
        Self::Object(fields)
    }
}

/// A number; one that is too large to write is written as the largest.
pub(crate) fn number(value: impl TryInto<i64>) -> Node {
    Node::Number(value.try_into().unwrap_or(i64::MAX))
}

/// A wrapped list.
pub(crate) fn list<T: Into<Node>>(item: &'static str, items: impl IntoIterator<Item = T>) -> Node {
    Node::List { item, items: items.into_iter().map(Into::into).collect() }
}

/// A list that is not wrapped.
pub(crate) fn array<T: Into<Node>>(items: impl IntoIterator<Item = T>) -> Node {
    Node::Array(items.into_iter().map(Into::into).collect())
}

/// A document with this root, which may have a namespace.
pub(crate) fn xml(root: &str, namespace: Option<&str>, fields: Fields) -> Vec<u8> {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
    match namespace {
        None => write_xml(&mut text, root, &Node::Object(fields)),
        Some(namespace) => {
            // Writing to a String cannot fail.
            let _ = write!(text, "<{root} xmlns=\"{namespace}\">");
            fields.iter().for_each(|(name, value)| write_xml(&mut text, name, value));
            let _ = write!(text, "</{root}>");
        }
    }
    text.into_bytes()
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
