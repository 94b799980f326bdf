//! A part of a reply, with the way to it: what is missing or means nothing can be named.

use std::{fmt::Display, net::IpAddr, str::FromStr};

use serde_json::Value;

use sekimori_core::tags::Tags;

use super::AccountError;

/// An object of a reply.
#[derive(Clone, Copy, Debug)]
pub(super) struct Doc<'a> {
    pub(super) file: &'a str,
    value: &'a Value,
}

impl<'a> Doc<'a> {
    pub(super) fn new(file: &'a str, value: &'a Value) -> Self {
        Self { file, value }
    }

    pub(super) fn value(&self) -> &'a Value {
        self.value
    }

    fn at(&self, value: &'a Value) -> Self {
        Self { file: self.file, value }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.value.get(name).is_some()
    }

    /// A part of it that is an object.
    pub(super) fn part(&self, name: &str) -> Option<Doc<'a>> {
        self.value.get(name).filter(|value| value.is_object()).map(|value| self.at(value))
    }

    /// A text that says something.
    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        self.value.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    pub(super) fn required(&self, name: &str) -> Result<&'a str, AccountError> {
        self.text(name).ok_or_else(|| self.wrong(format!("`{name}` is missing in `{}`", short(self.value))))
    }

    pub(super) fn is(&self, name: &str) -> Option<bool> {
        self.value.get(name).and_then(Value::as_bool)
    }

    pub(super) fn number(&self, name: &str) -> Option<i64> {
        let value = self.value.get(name)?;
        value.as_i64().or_else(|| value.as_str().and_then(|text| text.parse().ok()))
    }

    /// What a text means; `None` if it is not there.
    pub(super) fn parsed<T: FromStr>(&self, name: &str) -> Result<Option<T>, AccountError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| self.wrong(format!("`{name}` is `{text}`, which is no value for it")))
    }

    /// The objects of a list: an array, or, as Alibaba Cloud has it, an array inside an object.
    pub(super) fn items(&self, name: &str, inner: &str) -> Vec<Doc<'a>> {
        let objects = self.array(name, inner).iter().filter(|value| value.is_object());
        objects.map(|value| self.at(value)).collect()
    }

    /// The texts of a list.
    pub(super) fn texts(&self, name: &str, inner: &str) -> Vec<&'a str> {
        self.array(name, inner).iter().filter_map(Value::as_str).collect()
    }

    fn array(&self, name: &str, inner: &str) -> &'a [Value] {
        let found = self.value.get(name);
        let array = found.and_then(|found| found.as_array().or_else(|| found.get(inner)?.as_array()));
        array.map(Vec::as_slice).unwrap_or_default()
    }

    /// Whether there is an array of this name itself.
    pub(super) fn has_array(&self, name: &str) -> bool {
        self.value.get(name).is_some_and(Value::is_array)
    }

    /// Whether there is an object of this name with a list inside.
    pub(super) fn has_nested(&self, name: &str, inner: &str) -> bool {
        self.value.get(name).and_then(|found| found.get(inner)).is_some_and(Value::is_array)
    }

    /// Tags as EC2 and ECS list them.
    pub(super) fn tags(&self) -> Tags {
        let inner = self.items("Tags", "Tag");
        let inner = if inner.is_empty() { self.items("TagSet", "Tag") } else { inner };
        let pair = |tag: &Doc<'a>| {
            let key = tag.text("Key").or_else(|| tag.text("TagKey"))?;
            let value = tag.text("Value").or_else(|| tag.text("TagValue")).unwrap_or_default();
            Some((key.to_owned(), Value::from(value)))
        };
        // As they are: the cloud has taken them already, its own `aws:…` ones among them.
        let pairs: serde_json::Map<String, Value> = inner.iter().filter_map(pair).collect();
        serde_json::from_value(Value::Object(pairs)).unwrap_or_default()
    }

    /// An address that a text is.
    pub(super) fn address(&self, text: &str) -> Result<IpAddr, AccountError> {
        text.parse().map_err(|_| self.wrong(format!("`{text}` is no address")))
    }

    pub(super) fn wrong(&self, reason: impl Display) -> AccountError {
        AccountError::Wrong { file: self.file.to_owned(), reason: reason.to_string() }
    }

    /// What the file is called, without directory and extension.
    pub(super) fn stem(&self) -> &'a str {
        let name = self.file.rsplit('/').next().unwrap_or_default();
        name.split_once('.').map_or(name, |(stem, _)| stem)
    }

    /// A name by which the reply says what it is about, else the file's own, which must look like one.
    pub(super) fn about(
        &self,
        name: &str,
        what: &'static str,
        example: &'static str,
    ) -> Result<&'a str, AccountError> {
        let prefix = example.split_once('-').map_or(example, |(prefix, _)| prefix);
        let is_name =
            |stem: &&str| stem.split_once('-').is_some_and(|(start, rest)| start == prefix && !rest.is_empty());
        let named = self.text(name).or_else(|| Some(self.stem()).filter(is_name));
        named.ok_or_else(|| AccountError::Nameless { file: self.file.to_owned(), what, example })
    }
}

/// What is told of an object in an error.
fn short(value: &Value) -> String {
    const CHARS_MAX: usize = 80;
    let text = value.to_string();
    if text.chars().count() <= CHARS_MAX { text } else { text.chars().take(CHARS_MAX).collect::<String>() + "…" }
}
