//! Amazon EC2 2016-11-15, as far as security groups need it, and of STS 2011-06-15 who calls.
//!
//! The way in is [`Call::parse`] and [`decode()`]; the way out is [`outcome`], [`answer`] and [`Call::fault`]. What exists
//! is listed once, in [`catalog`] and [`filters`]; every error once, in [`errors`] (of requests) and [`refusals`] (of
//! commands). Specification: `spec/ec2.md`.

pub mod call;
pub mod catalog;
mod decode;
mod describe;
pub mod errors;
pub mod filters;
pub mod query;
pub(crate) mod records;
pub mod refusals;
pub mod region;
mod reply;
mod words;

use sekimori_core::{
    command::Outcome,
    ids::{AccountId, KeyId},
    time::Timestamp,
    world::{Dialect, Revision, World},
};

pub(crate) use self::call::{early_fault, is_spoken_by};
pub use self::{call::Call, decode::decode, errors::Fault, query::Query};
use crate::{
    RawRequest, Reply,
    api::{self, Api},
    failure::Failure,
};

/// What a call asks for.
pub type Operation = api::Operation<Query>;

/// The reply to a command that was carried out, in the world that holds the result, of which the kernels enforce a
/// revision.
#[must_use]
pub fn outcome(call: &Call, outcome: &Outcome, world: &World, account: &AccountId, applied: Revision) -> Reply {
    let view = describe::View { world, account, applied, region: call.region() };
    call.success(describe::outcome(call, outcome, &view))
}

/// The reply to a question.
#[must_use]
pub fn answer(call: &Call, query: &Query, world: &World, account: &AccountId, applied: Revision) -> Reply {
    let view = describe::View { world, account, applied, region: call.region() };
    match describe::answer(call, query, &view) {
        Ok(fields) => call.success(fields),
        Err(fault) => call.fault(&fault),
    }
}

impl Api for Call {
    const DIALECT: Dialect = Dialect::Ec2;
    type Query = Query;
    type Fault = Fault;

    fn parse(raw: &RawRequest<'_>, request_id: &str) -> Result<Self, Box<Reply>> {
        Self::parse(raw, request_id)
    }

    fn key_id(&self) -> &KeyId {
        self.key_id()
    }

    fn nonce(&self) -> Option<&str> {
        None
    }

    fn verify(&self, secret: &[u8], now: Timestamp) -> Result<(), Fault> {
        self.verify(secret, now)
    }

    fn operation(&self) -> &'static str {
        self.entry().name
    }

    fn request_id(&self) -> &str {
        self.request_id()
    }

    fn decode(&self, world: &World, account: &AccountId) -> Result<Operation, Fault> {
        decode(self, world, account)
    }

    fn answer(&self, query: &Query, world: &World, account: &AccountId, applied: Revision) -> Reply {
        answer(self, query, world, account, applied)
    }

    fn outcome(&self, outcome: &Outcome, world: &World, account: &AccountId, applied: Revision) -> Reply {
        self::outcome(self, outcome, world, account, applied)
    }

    fn failure(&self, fault: &Fault) -> Failure {
        self.failure(fault)
    }

    fn fault(&self, fault: &Fault) -> Reply {
        self.fault(fault)
    }
}
