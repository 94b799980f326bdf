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
pub mod refusals;
pub mod region;
pub mod token;

use sekimori_core::{
    command::{Command, Outcome},
    ids::AccountId,
    refusal::Refusal,
    world::{Revision, World},
};

pub use self::{
    call::{Call, early_fault, oversized},
    decode::decode,
    errors::Fault,
    query::Query,
};
use crate::Reply;

/// What a call asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A change, for the writer.
    Command(Command),
    /// A change that is only to be judged: [`Fault::DryRun`] is the reply to one that would succeed.
    DryRun(Command),
    /// A question, to be answered from a snapshot with [`answer`].
    Query(Query),
}

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
