//! Which function reads the parameters of which operation: one line for each.

use sekimori_core::command::Power;

use super::{
    disks, flow_logs, groups, instances, interfaces, lists, network, queries, questions, reports, rule_edit, rules,
    scope::Scope, tags,
};
use crate::ecs::{catalog::Action, errors::Fault, query};

/// What reads an operation's parameters.
pub(super) enum Decoder {
    /// A change.
    Command(fn(&Scope<'_>) -> Result<sekimori_core::command::Command, Fault>),
    /// A question.
    Query(fn(&Scope<'_>) -> Result<query::Query, Fault>),
}

/// The function of an operation.
pub(super) fn decoder(action: Action) -> Decoder {
    use Decoder::{Command, Query};
    match action {
        Action::CreateVpc => Command(network::create_vpc),
        Action::DeleteVpc => Command(network::delete_vpc),
        Action::CreateVSwitch => Command(network::create_vswitch),
        Action::DeleteVSwitch => Command(network::delete_vswitch),
        Action::RunInstances => Command(instances::run),
        Action::DeleteInstance => Command(instances::delete_one),
        Action::DeleteInstances => Command(instances::delete_many),
        Action::CreateSecurityGroup => Command(groups::create),
        Action::DeleteSecurityGroup => Command(groups::delete),
        Action::ModifySecurityGroupPolicy => Command(groups::set_inner_access),
        Action::AuthorizeSecurityGroup | Action::AuthorizeSecurityGroupEgress => Command(rules::authorize),
        Action::RevokeSecurityGroup | Action::RevokeSecurityGroupEgress => Command(rules::revoke),
        Action::JoinSecurityGroup => Command(groups::join),
        Action::LeaveSecurityGroup => Command(groups::leave),
        Action::TagResources => Command(tags::tag),
        Action::UntagResources | Action::UnTagResources => Command(tags::untag),
        Action::JoinResourceGroup => Command(tags::join_resource_group),
        Action::ListTagResources => Query(|scope| tags::list(scope).map(query::Query::Tags)),
        Action::ModifySecurityGroupAttribute => Command(groups::edit),
        Action::ModifySecurityGroupRule | Action::ModifySecurityGroupEgressRule => Command(rule_edit::modify),
        Action::DescribeSecurityGroupReferences => {
            Query(|scope| queries::references(scope).map(query::Query::References))
        }
        Action::CreatePrefixList => Command(lists::create_prefix_list),
        Action::ModifyPrefixList => Command(lists::edit_prefix_list),
        Action::DeletePrefixList => Command(lists::delete_prefix_list),
        Action::DescribePrefixLists => Query(|scope| lists::prefix_lists(scope).map(query::Query::PrefixLists)),
        Action::DescribePrefixListAttributes => {
            Query(|scope| lists::prefix_list(scope).map(query::Query::PrefixList))
        }
        Action::DescribePrefixListAssociations => {
            Query(|scope| lists::prefix_list(scope).map(query::Query::PrefixListUsers))
        }
        Action::CreatePortRangeList => Command(lists::create_port_list),
        Action::ModifyPortRangeList => Command(lists::edit_port_list),
        Action::DeletePortRangeList => Command(lists::delete_port_list),
        Action::DescribePortRangeLists => Query(|scope| lists::port_lists(scope).map(query::Query::PortLists)),
        Action::DescribePortRangeListEntries => Query(|scope| lists::port_list(scope).map(query::Query::PortList)),
        Action::DescribePortRangeListAssociations => {
            Query(|scope| lists::port_list(scope).map(query::Query::PortListUsers))
        }
        Action::GetCallerIdentity => Query(|_| Ok(query::Query::Caller)),
        Action::DescribeEndpoints => Query(|scope| queries::endpoints(scope).map(query::Query::Endpoints)),
        Action::DescribeRegions => Query(|_| Ok(query::Query::Regions)),
        Action::DescribeVpcs => Query(|scope| queries::vpcs(scope).map(query::Query::Vpcs)),
        Action::DescribeVSwitches => Query(|scope| queries::vswitches(scope).map(query::Query::VSwitches)),
        Action::DescribeInstances => {
            Query(|scope| queries::instances(scope).map(Box::new).map(query::Query::Instances))
        }
        Action::DescribeSecurityGroups => Query(|scope| queries::groups(scope).map(query::Query::Groups)),
        Action::DescribeSecurityGroupAttribute => Query(|scope| queries::rules(scope).map(query::Query::Rules)),
        Action::CreateNetworkInterface => Command(interfaces::create),
        Action::AttachNetworkInterface => Command(interfaces::attach),
        Action::DetachNetworkInterface => Command(interfaces::detach),
        Action::DeleteNetworkInterface => Command(interfaces::delete),
        Action::ModifyNetworkInterfaceAttribute => Command(interfaces::modify),
        Action::AssignPrivateIpAddresses => Command(interfaces::assign_ipv4),
        Action::UnassignPrivateIpAddresses => Command(interfaces::unassign_ipv4),
        Action::AssignIpv6Addresses => Command(interfaces::assign_ipv6),
        Action::UnassignIpv6Addresses => Command(interfaces::unassign_ipv6),
        Action::ModifyInstanceAttribute => Command(instances::modify),
        Action::StartInstance => Command(|scope| instances::switch_one(scope, Power::Start)),
        Action::StartInstances => Command(|scope| instances::switch_many(scope, Power::Start)),
        Action::StopInstance => Command(|scope| instances::switch_one(scope, Power::Stop)),
        Action::StopInstances => Command(|scope| instances::switch_many(scope, Power::Stop)),
        Action::RebootInstance => Command(|scope| instances::switch_one(scope, Power::Reboot)),
        Action::RebootInstances => Command(|scope| instances::switch_many(scope, Power::Reboot)),
        Action::ModifyVpcAttribute => Command(network::modify_vpc),
        Action::ModifyVSwitchAttribute => Command(network::modify_vswitch),
        Action::DescribeNetworkInterfaces => Query(questions::interfaces),
        Action::DescribeNetworkInterfaceAttribute => Query(questions::interface),
        Action::DescribeInstanceStatus => Query(questions::statuses),
        Action::DescribeInstanceAttribute => Query(questions::instance),
        Action::DescribeZones => Query(questions::zones),
        Action::DescribeInstanceTypes => Query(questions::instance_types),
        Action::DescribeVpcAttribute => Query(questions::vpc),
        Action::DescribeVSwitchAttributes => Query(questions::vswitch),
        Action::DescribeDisks => Query(disks::disks),
        Action::CreateDiagnosticReport => Command(reports::create),
        Action::DescribeDiagnosticReports => Query(reports::reports),
        Action::DescribeDiagnosticReportAttributes => Query(reports::report),
        Action::DescribeDiagnosticMetrics => Query(reports::metrics),
        Action::DescribeDiagnosticMetricSets => Query(reports::metric_sets),
        Action::CreateFlowLog => Command(flow_logs::create),
        Action::DescribeFlowLogs => Query(flow_logs::flow_logs),
        Action::ModifyFlowLogAttribute => Command(flow_logs::modify),
        Action::ActiveFlowLog => Command(|scope| flow_logs::set_active(scope, true)),
        Action::DeactiveFlowLog => Command(|scope| flow_logs::set_active(scope, false)),
        Action::DeleteFlowLog => Command(flow_logs::delete),
    }
}
