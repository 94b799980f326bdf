//! The two clouds’ wire formats: signatures, parameters, requests and replies.
//!
//! Bytes of a request come in, a [`sekimori_core::command::Command`] or a question goes out; an outcome, a
//! refusal or an answer comes in, bytes of a reply go out. Nothing here opens a socket, reads a clock or
//! keeps state: the time, the request id and the secret are arguments. Whoever serves requests does so in
//! this order (`crates/server`):
//!
//! 1. [`api::dialect_of`] tells which dialect's [`api::Api`] it is; [`api::early_fault`] answers what is not read;
//! 2. [`api::Api::parse`]; an error is the reply to send;
//! 3. [`api::Api::key_id`] names the key; [`api::Api::verify`] proves that the caller has its secret;
//! 4. [`api::Api::decode`] gives the operation: a command for the writer, or a query for a snapshot;
//! 5. what a diagnosis finds is written into its command ([`sekimori_core::command::Command::report_mut`]);
//! 6. [`api::Api::outcome`], [`api::Api::answer`] or [`api::Api::fault`] makes the reply.
//!
//! What the dialects share, reading, listing, signing, writing and the records of flow logs, is in modules of its own; [`ecs`] and [`ec2`] hold
//! what differs: names, forms and codes.

#![warn(clippy::wildcard_enum_match_arm)]

pub mod api;
pub mod catalog;
pub mod ec2;
pub mod ecs;
pub mod failure;
mod node;
mod page;
pub mod params;
mod read;
pub mod records;
pub mod sign;
pub mod time;
pub mod token;
pub mod unsigned;
pub mod wildcard;

/// A request as it came over the wire, nothing decoded.
#[derive(Clone, Copy, Debug)]
pub struct RawRequest<'a> {
    /// The method, in upper case.
    pub method: &'a str,
    /// The path, percent-encoded as sent.
    pub path: &'a str,
    /// The query without its question mark, percent-encoded as sent.
    pub query: &'a str,
    /// The headers; names in lower case, values as sent.
    pub headers: &'a [(String, String)],
    /// The body.
    pub body: &'a [u8],
}

impl RawRequest<'_> {
    /// The value of a header; if it was sent more than once, the values joined with commas.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        let mut values = self.headers.iter().filter(|(own, _)| own == name).map(|(_, value)| value.trim());
        let first = values.next()?;
        Some(values.fold(first.to_owned(), |joined, value| joined + "," + value))
    }

    /// The body if it is a form, by its content type.
    #[must_use]
    pub fn form(&self) -> Option<&[u8]> {
        let kind = self.header("content-type")?;
        let essence = kind.split(';').next().unwrap_or_default().trim();
        essence.eq_ignore_ascii_case("application/x-www-form-urlencoded").then_some(self.body)
    }
}

/// A reply, ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The `Content-Type`.
    pub content_type: &'static str,
    /// The body.
    pub body: Vec<u8>,
}
