//! Alibaba Cloud: ECS 2014-05-26, and of VPC 2016-04-28 what a security group needs around it.
//!
//! The way in is [`Call::parse`] and [`decode()`]; the way out is [`outcome`], [`refused`], [`answer`] and
//! [`Call::fault`]. What exists is listed once, in [`catalog`]; every error once, in [`errors`] (of requests)
//! and [`refusals`] (of commands). Specification: `spec/ecs.md`.

pub mod call;
pub mod catalog;
mod decode;
mod describe;
mod encode;
pub mod errors;
mod metrics;
pub mod query;
pub(crate) mod records;
pub mod refusals;
pub mod region;
pub use crate::token;

use sekimori_core::{
    command::Outcome,
    ids::{AccountId, KeyId},
    refusal::Refusal,
    time::Timestamp,
    world::{Dialect, Revision, World},
};

pub use self::{
    call::{Call, early_fault},
    decode::decode,
    errors::Fault,
    query::Query,
};
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
pub fn outcome(call: &Call, outcome: &Outcome, world: &World, applied: Revision) -> Reply {
    call.success(describe::outcome(call.action(), outcome, world, applied))
}

/// The reply to a command that was refused.
#[must_use]
pub fn refused(call: &Call, refusal: &Refusal) -> Reply {
    call.fault(&Fault::Refused(refusal.clone()))
}

/// The reply to a question.
#[must_use]
pub fn answer(call: &Call, query: &Query, world: &World, account: &AccountId, applied: Revision) -> Reply {
    match describe::answer(query, &describe::View { world, account, applied }) {
        Ok(fields) => call.success(fields),
        Err(fault) => call.fault(&fault),
    }
}

impl Api for Call {
    const DIALECT: Dialect = Dialect::Ecs;
    type Query = Query;
    type Fault = Fault;

    fn parse(raw: &RawRequest<'_>, request_id: &str) -> Result<Self, Box<Reply>> {
        Self::parse(raw, request_id)
    }

    fn key_id(&self) -> &KeyId {
        self.key_id()
    }

    fn nonce(&self) -> Option<&str> {
        self.nonce()
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

    fn outcome(&self, outcome: &Outcome, world: &World, _: &AccountId, applied: Revision) -> Reply {
        self::outcome(self, outcome, world, applied)
    }

    fn failure(&self, fault: &Fault) -> Failure {
        fault.failure(Some(self.action()))
    }

    fn fault(&self, fault: &Fault) -> Reply {
        self.fault(fault)
    }
}
