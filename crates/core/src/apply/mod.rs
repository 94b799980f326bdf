//! A command becomes changes, or a refusal that changes nothing.
//!
//! Every command works on a draft of the world and is judged there: limits, duplicates, references, and
//! at the end whether the data plane can hold the result. Only a command that passes all of it leaves
//! changes behind.

mod account;
mod addresses;
mod group;
mod instance;
mod interface;
mod lists;
mod network;
mod once;
mod operator;
mod resource_group;
mod rules;
mod tags;
#[cfg(test)]
mod tests;
mod together;

use std::sync::Arc;

use crate::{
    capacity::Ledger,
    change::Change,
    command::{Command, Context, Outcome},
    ids::{AccountId, GroupId},
    limits::Limits,
    refusal::{Counted, Kind, Refusal},
    world::{Group, World},
};

/// A world, and what it costs the data plane.
#[derive(Clone, Debug, Default)]
pub struct State {
    world: World,
    ledger: Ledger,
}

impl State {
    /// A state that holds this world. Costs are counted once, here.
    #[must_use]
    pub fn new(world: World) -> Self {
        let ledger = Ledger::count(&world);
        Self { world, ledger }
    }

    /// The world.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.world
    }

    /// What the world costs the data plane.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Numbers the state: the changes that led here were committed as this revision.
    #[must_use]
    pub fn at(mut self, revision: crate::world::Revision) -> Self {
        self.world = self.world.at(revision);
        self
    }
}

/// What a command did.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The state after it, still at the old revision.
    pub state: State,
    /// The changes that lead there. None: the command asked for what was so already.
    pub changes: Vec<Change>,
    /// What the client is told.
    pub outcome: Outcome,
}

/// Carries a command out on a copy of the state.
///
/// # Errors
/// A [`Refusal`] that says what is wrong in neutral words; nothing has changed then.
pub fn apply(state: &State, command: &Command, context: &mut Context) -> Result<Applied, Refusal> {
    let mut draft = Draft { world: state.world.clone(), changes: Vec::new(), context };
    let outcome = draft.run(command)?;
    let Draft { world, changes, .. } = draft;
    let ledger = state.ledger.after(&state.world, &world, &changes)?;
    Ok(Applied { state: State { world, ledger }, changes, outcome })
}

/// A world that a command is being tried on, and what it has changed so far.
struct Draft<'a> {
    world: World,
    changes: Vec<Change>,
    context: &'a mut Context,
}

impl Draft<'_> {
    fn run(&mut self, command: &Command) -> Result<Outcome, Refusal> {
        match command {
            Command::SetBypass { bypass } => Ok(self.set_bypass(bypass)),
            Command::SetPlatform { policy, is_on } => Ok(self.set_platform(*policy, *is_on)),
            Command::CreateAccount(new) => self.create_account(new),
            Command::SetTreatment { of, treatment } => self.set_treatment(of, *treatment),
            Command::CreateVpc(new) => self.create_vpc(new),
            Command::DeleteVpc { account, vpc } => self.delete_vpc(account, vpc),
            Command::CreateSubnet(new) => self.create_subnet(new),
            Command::DeleteSubnet { account, subnet } => self.delete_subnet(account, subnet),
            Command::RunInstances(new) => self.run_instances(new),
            Command::DeleteInstances { account, instances, is_forced } => {
                self.delete_instances(account, instances, *is_forced)
            }
            Command::CreateGroup(new) => self.create_group(new),
            Command::DeleteGroup { account, group } => self.delete_group(account, group),
            Command::SetInnerAccess { account, group, inner_access } => {
                self.set_inner_access(account, group, *inner_access)
            }
            Command::Authorize { account, group, rules } => self.authorize(account, group, rules),
            Command::Revoke { account, group, direction, rules } => self.revoke(account, group, *direction, rules),
            Command::JoinGroup { account, group, member } => self.join_group(account, group, member),
            Command::CloneGroup { group, inner_access, rules } => self.clone_group(group, *inner_access, rules),
            Command::Together { at, commands } => self.together(*at, commands),
            Command::LeaveGroup { account, group, member } => self.leave_group(account, group, member),
            Command::Tag { account, resources, tags } => self.tag(account, resources, tags),
            Command::CreateResourceGroup { account, name } => self.create_resource_group(account, name),
            Command::JoinResourceGroup { account, resource, resource_group } => {
                self.join_resource_group(account, resource, resource_group)
            }
            Command::Once { ticket, command } => self.once(ticket, command),
            Command::Untag { account, resources, keys } => self.untag(account, resources, keys),
            Command::EditGroup { account, group, name, description } => {
                self.edit_group(account, group, name.as_ref(), description.as_ref())
            }
            Command::EditRule { account, group, direction, rule, edit } => {
                self.edit_rule(account, group, *direction, rule, edit)
            }
            Command::DescribeRule { account, group, spec, description } => {
                self.describe_rule(account, group, spec, description.as_ref())
            }
            Command::CreatePrefixList(new) => self.create_prefix_list(new),
            Command::EditPrefixList(edit) => self.edit_prefix_list(edit),
            Command::DeletePrefixList { account, list } => self.delete_prefix_list(account, list),
            Command::CreatePortList(new) => self.create_port_list(new),
            Command::EditPortList(edit) => self.edit_port_list(edit),
            Command::DeletePortList { account, list } => self.delete_port_list(account, list),
            Command::ShareVpc { vpc, with, is_shared } => self.share_vpc(vpc, with, *is_shared),
            Command::ProtectGroup { group, is_protected } => self.protect_group(group, *is_protected),
            Command::ManageGroup { group, managed_by } => self.manage_group(group, *managed_by),
            Command::RemoveGroup { group, force } => self.remove_group(group, *force),
            Command::CreateEni { account, spec } => self.create_eni(account, spec),
            Command::DeleteEni { account, eni } => self.delete_eni(account, eni),
            Command::AttachEni { account, eni, instance } => self.attach_eni(account, eni, instance),
            Command::DetachEni { account, eni, instance } => self.detach_eni(account, eni, instance),
            Command::ModifyEni { account, eni, patch } => self.modify_eni(account, eni, patch),
            Command::AssignAddresses { account, eni, addresses } => self.assign_addresses(account, eni, addresses),
            Command::UnassignAddresses { account, eni, addresses } => {
                self.unassign_addresses(account, eni, addresses)
            }
            Command::ModifyInstance { account, instance, patch } => self.modify_instance(account, instance, patch),
            Command::SetPower { account, instances, power, is_all_or_none } => {
                self.set_power(account, instances, *power, *is_all_or_none)
            }
            Command::ModifyVpc { account, vpc, patch, ipv6 } => self.modify_vpc(account, vpc, patch, *ipv6),
            Command::ModifySubnet { account, subnet, patch, ipv6_index } => {
                self.modify_subnet(account, subnet, patch, *ipv6_index)
            }
        }
    }

    fn put(&mut self, change: Change) {
        self.world.apply(&change);
        self.changes.push(change);
    }

    fn limits(&self, account: &AccountId) -> Limits {
        Limits::of(self.context.limits, self.world.dialect_of(account))
    }

    /// A group that its owner may change: one that a cloud product manages is only looked at.
    fn own_group(&self, account: &AccountId, id: &GroupId) -> Result<Arc<Group>, Refusal> {
        let group = self.world.group(id).filter(|group| group.account == *account);
        let group = group.ok_or_else(|| missing(Kind::Group, id))?;
        if group.managed_by.is_some() {
            return Err(Refusal::Managed { group: id.clone() });
        }
        Ok(Arc::clone(group))
    }
}

fn missing(kind: Kind, id: impl ToString) -> Refusal {
    Refusal::Missing { kind, id: id.to_string() }
}

fn within(counted: Counted, limit: u32, wanted: usize) -> Result<(), Refusal> {
    let (limit, wanted) = (u64::from(limit), wanted as u64);
    if wanted > limit { Err(Refusal::Limit { counted, limit, wanted }) } else { Ok(()) }
}
