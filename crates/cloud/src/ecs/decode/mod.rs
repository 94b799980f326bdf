//! From parameters to meaning: a [`Call`] becomes a command for `core` or a [`Query`](super::Query).
//!
//! What needs no world is judged here: forms, ranges, contradictions. Whether a thing exists and may be
//! changed is judged by `core`, with one exception: a thing in another region than the request names does
//! not exist for the request, and `core` knows no request.

mod disks;
mod flow_logs;
mod groups;
mod instances;
mod interfaces;
mod lists;
mod network;
mod queries;
mod questions;
mod reports;
mod rule;
mod rule_edit;
mod rules;
mod scope;
mod table;
mod tags;

use sekimori_core::{
    ids::AccountId,
    world::{Dialect, World},
};

use self::{
    scope::Scope,
    table::{Decoder, decoder},
};
use super::{Call, Operation, errors::Fault};
use crate::api::once;

/// What a verified call asks for. The world tells regions and the accounts that peers belong to.
///
/// # Errors
/// The fault to answer with [`Call::fault`].
pub fn decode(call: &Call, world: &World, account: &AccountId) -> Result<Operation, Fault> {
    if world.dialect_of(account) != Dialect::Ecs {
        return Err(Fault::WrongDialect);
    }
    let scope = Scope::new(call, world, account)?;
    let is_dry_run = scope.boolean("DryRun")?.unwrap_or(false);
    match operation(&scope)? {
        Operation::Query(_) if is_dry_run => Err(Fault::DryRun),
        Operation::Command(command) if is_dry_run => Ok(Operation::DryRun(command)),
        Operation::Command(command) => {
            Ok(Operation::Command(once(call.client_token(), account, call.fingerprint(), command)))
        }
        Operation::Query(query) => Ok(Operation::Query(query)),
        // `operation` makes none.
        Operation::DryRun(command) => Ok(Operation::DryRun(command)),
    }
}

fn operation(scope: &Scope<'_>) -> Result<Operation, Fault> {
    match decoder(scope.call.action()) {
        Decoder::Command(read) => read(scope).map(Operation::Command),
        Decoder::Query(read) => read(scope).map(Operation::Query),
    }
}
