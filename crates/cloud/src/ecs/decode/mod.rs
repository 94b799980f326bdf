//! From parameters to meaning: a [`Call`] becomes a command for `core` or a [`Query`].
//!
//! What needs no world is judged here: forms, ranges, contradictions. Whether a thing exists and may be
//! changed is judged by `core`, with one exception: a thing in another region than the request names does
//! not exist for the request, and `core` knows no request.

mod groups;
mod instances;
mod lists;
mod network;
mod queries;
mod rule;
mod rule_edit;
mod rules;
mod scope;
mod tags;

use sekimori_core::{
    command::Command,
    ids::AccountId,
    token::Ticket,
    world::{Dialect, World},
};

use self::scope::Scope;
use super::{Call, Operation, Query, catalog::Action, errors::Fault};

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
        Operation::Command(command) => Ok(Operation::Command(once(call, account, command))),
        Operation::Query(query) => Ok(Operation::Query(query)),
        // `operation` makes none.
        Operation::DryRun(command) => Ok(Operation::DryRun(command)),
    }
}

/// A command that came with a client's token is carried out at most once.
fn once(call: &Call, account: &AccountId, command: Command) -> Command {
    let Some(text) = call.client_token() else { return command };
    let ticket = Ticket { account: account.clone(), text: text.to_owned(), request: call.fingerprint() };
    Command::Once { ticket, command: Box::new(command) }
}

fn operation(scope: &Scope<'_>) -> Result<Operation, Fault> {
    match scope.call.action() {
        Action::CreateVpc => network::create_vpc(scope).map(Operation::Command),
        Action::DeleteVpc => network::delete_vpc(scope).map(Operation::Command),
        Action::CreateVSwitch => network::create_vswitch(scope).map(Operation::Command),
        Action::DeleteVSwitch => network::delete_vswitch(scope).map(Operation::Command),
        Action::RunInstances => instances::run(scope).map(Operation::Command),
        Action::DeleteInstance => instances::delete_one(scope).map(Operation::Command),
        Action::DeleteInstances => instances::delete_many(scope).map(Operation::Command),
        Action::CreateSecurityGroup => groups::create(scope).map(Operation::Command),
        Action::DeleteSecurityGroup => groups::delete(scope).map(Operation::Command),
        Action::ModifySecurityGroupPolicy => groups::set_inner_access(scope).map(Operation::Command),
        Action::AuthorizeSecurityGroup | Action::AuthorizeSecurityGroupEgress => {
            rules::authorize(scope).map(Operation::Command)
        }
        Action::RevokeSecurityGroup | Action::RevokeSecurityGroupEgress => {
            rules::revoke(scope).map(Operation::Command)
        }
        Action::JoinSecurityGroup => groups::join(scope).map(Operation::Command),
        Action::LeaveSecurityGroup => groups::leave(scope).map(Operation::Command),
        Action::TagResources => tags::tag(scope).map(Operation::Command),
        Action::UntagResources | Action::UnTagResources => tags::untag(scope).map(Operation::Command),
        Action::JoinResourceGroup => tags::join_resource_group(scope).map(Operation::Command),
        Action::ListTagResources => tags::list(scope).map(Query::Tags).map(Operation::Query),
        Action::GetCallerIdentity => Ok(Operation::Query(Query::Caller)),
        Action::DescribeEndpoints => queries::endpoints(scope).map(Query::Endpoints).map(Operation::Query),
        Action::DescribeRegions => Ok(Operation::Query(Query::Regions)),
        Action::DescribeVpcs => queries::vpcs(scope).map(Query::Vpcs).map(Operation::Query),
        Action::DescribeVSwitches => queries::vswitches(scope).map(Query::VSwitches).map(Operation::Query),
        Action::DescribeInstances => {
            queries::instances(scope).map(Box::new).map(Query::Instances).map(Operation::Query)
        }
        Action::DescribeSecurityGroups => queries::groups(scope).map(Query::Groups).map(Operation::Query),
        Action::DescribeSecurityGroupAttribute => queries::rules(scope).map(Query::Rules).map(Operation::Query),
        Action::ModifySecurityGroupAttribute => groups::edit(scope).map(Operation::Command),
        Action::ModifySecurityGroupRule | Action::ModifySecurityGroupEgressRule => {
            rule_edit::modify(scope).map(Operation::Command)
        }
        Action::DescribeSecurityGroupReferences => {
            queries::references(scope).map(Query::References).map(Operation::Query)
        }
        Action::CreatePrefixList => lists::create_prefix_list(scope).map(Operation::Command),
        Action::ModifyPrefixList => lists::edit_prefix_list(scope).map(Operation::Command),
        Action::DeletePrefixList => lists::delete_prefix_list(scope).map(Operation::Command),
        Action::DescribePrefixLists => lists::prefix_lists(scope).map(Query::PrefixLists).map(Operation::Query),
        Action::DescribePrefixListAttributes => {
            lists::prefix_list(scope).map(Query::PrefixList).map(Operation::Query)
        }
        Action::DescribePrefixListAssociations => {
            lists::prefix_list(scope).map(Query::PrefixListUsers).map(Operation::Query)
        }
        Action::CreatePortRangeList => lists::create_port_list(scope).map(Operation::Command),
        Action::ModifyPortRangeList => lists::edit_port_list(scope).map(Operation::Command),
        Action::DeletePortRangeList => lists::delete_port_list(scope).map(Operation::Command),
        Action::DescribePortRangeLists => lists::port_lists(scope).map(Query::PortLists).map(Operation::Query),
        Action::DescribePortRangeListEntries => lists::port_list(scope).map(Query::PortList).map(Operation::Query),
        Action::DescribePortRangeListAssociations => {
            lists::port_list(scope).map(Query::PortListUsers).map(Operation::Query)
        }
    }
}
