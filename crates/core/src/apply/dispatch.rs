//! Which function carries a command out: one line for each, and nothing else.

use super::Draft;
use crate::{
    command::{Command, Outcome},
    refusal::Refusal,
};

impl Draft<'_> {
    pub(super) fn run(&mut self, command: &Command) -> Result<Outcome, Refusal> {
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
            Command::RewriteRules { account, group, rules } => self.rewrite_rules(account, group, rules),
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
            Command::CreateSnapshotPolicy(new) => self.create_snapshot_policy(new),
            Command::EditSnapshotPolicy(edit) => self.edit_snapshot_policy(edit),
            Command::DeleteSnapshotPolicy { policy } => self.delete_snapshot_policy(policy),
            Command::AttachSnapshotPolicy { policy, groups } => self.attach_snapshot_policy(policy, groups),
            Command::DetachSnapshotPolicy { policy, groups } => self.detach_snapshot_policy(policy, groups),
            Command::KeepSnapshots => Ok(self.keep_snapshots()),
            Command::ForgetTerminated => Ok(self.forget_terminated()),
            Command::SetVpcAttribute { account, vpc, attribute, is_on } => {
                self.set_vpc_attribute(account, vpc, *attribute, *is_on)
            }
            Command::RestoreSnapshot { snapshot } => self.restore_snapshot(snapshot),
            Command::CreateReport(new) => self.create_report(new),
            Command::DeleteResourceGroup { account, resource_group } => {
                self.delete_resource_group(account, resource_group)
            }
            Command::ManageEni { eni, managed_by } => self.manage_eni(eni, *managed_by),
            Command::AssociateGroup { account, group, vpc, is_associated } => {
                self.associate_group(account, group, vpc, *is_associated)
            }
            Command::CheckGroups { account, groups } => self.check_groups(account, groups),
            Command::FlowLogs { account, region, command } => self.run_flow_logs(account, region, command),
            Command::CreateInsightsPath(new) => self.create_insights_path(new),
            Command::DeleteInsightsPath { account, path } => self.delete_insights_path(account, path),
            Command::CreateInsightsAnalysis(new) => self.create_insights_analysis(new),
            Command::DeleteInsightsAnalysis { account, analysis } => self.delete_insights_analysis(account, analysis),
            Command::RestorePrefixList { account, list, version, at } => {
                self.restore_prefix_list(account, list, *version, *at)
            }
            Command::CreatePeering(new) => self.create_peering(new),
            Command::AcceptPeering { account, peering } => self.accept_peering(account, peering),
            Command::RejectPeering { account, peering } => self.reject_peering(account, peering),
            Command::KeepPeerings => Ok(self.keep_peerings()),
            Command::DeletePeering { account, peering } => self.delete_peering(account, peering),
            Command::NetworkAcl { account, command } => self.run_acl(account, command),
            Command::Shadow(command) => self.run_shadow(command),
            Command::Invariant(command) => self.run_invariant(command),
            Command::Trial(command) => self.run_trial(command),
            Command::Binding(command) => self.run_binding(command),
        }
    }
}
