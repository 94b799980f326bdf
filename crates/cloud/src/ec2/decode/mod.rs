//! From parameters to meaning: a [`Call`] becomes a command for `core` or a [`Query`](super::Query).
//!
//! What needs no world is judged here: forms, ranges, contradictions. Whether a thing exists and may be changed is judged by
//! `core`, with one exception: a thing in another region than the request's does not exist for the request, and `core`
//! knows no request.

mod flow_logs;
mod groups;
mod insights;
mod instances;
mod interfaces;
mod listings;
mod network;
mod network_acls;
mod peerings;
mod permissions;
mod prefix_lists;
mod rules;
mod scope;
mod surroundings;
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
use super::{Call, Operation, call::CLIENT_TOKEN_MAX, errors::Fault};
use crate::api::{Trouble, once};

/// What a verified call asks for. The world tells regions and the accounts that peers belong to.
///
/// # Errors
/// The fault to answer with [`Call::fault`].
pub fn decode(call: &Call, world: &World, account: &AccountId) -> Result<Operation, Fault> {
    if world.dialect_of(account) != Dialect::Ec2 {
        return Err(Trouble::WrongDialect.into());
    }
    call.check_parameters()?;
    let scope = Scope::new(call, world, account)?;
    let is_dry_run = call.entry().accepts("DryRun") && scope.boolean("DryRun")?.unwrap_or(false);
    let token = call.client_token();
    if token.is_some_and(|token| token.len() > CLIENT_TOKEN_MAX || !token.bytes().all(|byte| byte.is_ascii_graphic()))
    {
        return Err(Fault::Value(format!(
            "Invalid client token: use at most {CLIENT_TOKEN_MAX} printable characters."
        )));
    }
    match decoder(call.action()) {
        Decoder::Query(read) => {
            let query = read(&scope)?;
            if is_dry_run { Err(Trouble::DryRun.into()) } else { Ok(Operation::Query(query)) }
        }
        Decoder::Command(read) => {
            let command = read(&scope)?;
            if is_dry_run {
                return Ok(Operation::DryRun(command));
            }
            Ok(Operation::Command(once(token, account, call.fingerprint(), command)))
        }
    }
}
