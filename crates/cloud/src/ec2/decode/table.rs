//! Which function reads the parameters of which operation: one line for each.

use sekimori_core::{
    command::{self, Power},
    rule::Direction,
};

use super::{
    flow_logs, groups, insights, instances, interfaces, listings, network, network_acls, peerings, prefix_lists,
    rules, scope::Scope, surroundings, tags,
};
use crate::ec2::{
    catalog::Action,
    errors::Fault,
    query::{self, Absent},
};

/// What reads an operation's parameters.
pub(super) enum Decoder {
    /// A change.
    Command(fn(&Scope<'_>) -> Result<command::Command, Fault>),
    /// A question.
    Query(fn(&Scope<'_>) -> Result<query::Query, Fault>),
}

/// The function of an operation.
pub(super) fn decoder(action: Action) -> Decoder {
    use Decoder::{Command, Query};
    match action {
        Action::GetCallerIdentity => Query(|_| Ok(query::Query::Caller)),
        Action::DescribeRegions => Query(listings::regions),
        Action::DescribeAvailabilityZones => Query(listings::zones),
        Action::DescribeAccountAttributes => Query(listings::account_attributes),
        Action::CreateVpc => Command(network::create_vpc),
        Action::DescribeVpcs => Query(listings::vpcs),
        Action::DeleteVpc => Command(network::delete_vpc),
        Action::CreateSubnet => Command(network::create_subnet),
        Action::DescribeSubnets => Query(listings::subnets),
        Action::DeleteSubnet => Command(network::delete_subnet),
        Action::CreateSecurityGroup => Command(groups::create),
        Action::DescribeSecurityGroups => Query(listings::groups),
        Action::DeleteSecurityGroup => Command(groups::delete),
        Action::AuthorizeSecurityGroupIngress => Command(|scope| rules::authorize(scope, Direction::Ingress)),
        Action::AuthorizeSecurityGroupEgress => Command(|scope| rules::authorize(scope, Direction::Egress)),
        Action::RevokeSecurityGroupIngress => Command(|scope| rules::revoke(scope, Direction::Ingress)),
        Action::RevokeSecurityGroupEgress => Command(|scope| rules::revoke(scope, Direction::Egress)),
        Action::DescribeSecurityGroupRules => Query(listings::rules),
        Action::RunInstances => Command(instances::run),
        Action::DescribeInstances => Query(listings::instances),
        Action::TerminateInstances => Command(instances::terminate),
        Action::CreateTags => Command(tags::create),
        Action::DeleteTags => Command(tags::delete),
        Action::DescribeTags => Query(listings::tags),
        Action::ModifySecurityGroupRules => Command(rules::rewrite),
        Action::UpdateSecurityGroupRuleDescriptionsIngress => {
            Command(|scope| rules::describe(scope, Direction::Ingress))
        }
        Action::UpdateSecurityGroupRuleDescriptionsEgress => {
            Command(|scope| rules::describe(scope, Direction::Egress))
        }
        Action::DescribeStaleSecurityGroups => Query(listings::stale_groups),
        Action::DescribeSecurityGroupReferences => Query(listings::references),
        Action::GetSecurityGroupsForVpc => Query(listings::groups_for_vpc),
        Action::StartInstances => Command(|scope| instances::switch(scope, Power::Start)),
        Action::StopInstances => Command(|scope| instances::switch(scope, Power::Stop)),
        Action::RebootInstances => Command(|scope| instances::switch(scope, Power::Reboot)),
        Action::CreateNetworkInterface => Command(interfaces::create),
        Action::DescribeNetworkInterfaces => Query(listings::interfaces),
        Action::DeleteNetworkInterface => Command(interfaces::delete),
        Action::AttachNetworkInterface => Command(interfaces::attach),
        Action::DetachNetworkInterface => Command(interfaces::detach),
        Action::ModifyNetworkInterfaceAttribute => Command(interfaces::modify),
        Action::ModifyInstanceAttribute => Command(interfaces::modify_instance),
        Action::DescribeInstanceAttribute => Query(listings::instance_attribute),
        Action::DescribeNetworkInterfaceAttribute => Query(listings::interface_attribute),
        Action::AssignPrivateIpAddresses => Command(interfaces::assign),
        Action::UnassignPrivateIpAddresses => Command(interfaces::unassign),
        Action::CreateManagedPrefixList => Command(prefix_lists::create),
        Action::ModifyManagedPrefixList => Command(prefix_lists::modify),
        Action::DeleteManagedPrefixList => Command(prefix_lists::delete),
        Action::RestoreManagedPrefixListVersion => Command(prefix_lists::restore),
        Action::DescribeManagedPrefixLists => Query(prefix_lists::lists),
        Action::GetManagedPrefixListEntries => Query(prefix_lists::entries_of),
        Action::GetManagedPrefixListAssociations => Query(prefix_lists::associations),
        Action::DescribePrefixLists => Query(prefix_lists::service_lists),
        Action::DescribeVpcAttribute => Query(surroundings::vpc_attribute),
        Action::ModifyVpcAttribute => Command(surroundings::set_vpc_attribute),
        Action::DescribeVpcClassicLink => Query(surroundings::classic_links),
        Action::DescribeVpcClassicLinkDnsSupport => Query(surroundings::classic_link_names),
        Action::DescribeRouteTables => Query(surroundings::route_tables),
        Action::DescribeNetworkAcls => Query(network_acls::list),
        Action::CreateNetworkAcl => Command(network_acls::create),
        Action::DeleteNetworkAcl => Command(network_acls::delete),
        Action::CreateNetworkAclEntry => Command(network_acls::create_entry),
        Action::ReplaceNetworkAclEntry => Command(network_acls::replace_entry),
        Action::DeleteNetworkAclEntry => Command(network_acls::delete_entry),
        Action::ReplaceNetworkAclAssociation => Command(network_acls::replace_association),
        Action::DescribeInternetGateways => Query(|scope| surroundings::nothing(scope, Absent::InternetGateway)),
        Action::DescribeNatGateways => Query(|scope| surroundings::nothing(scope, Absent::NatGateway)),
        Action::DescribeVpcEndpoints => Query(|scope| surroundings::nothing(scope, Absent::VpcEndpoint)),
        Action::DescribeAddresses => Query(|scope| surroundings::nothing(scope, Absent::Address)),
        Action::DescribeVolumes => Query(|scope| surroundings::nothing(scope, Absent::Volume)),
        Action::DescribeSnapshots => Query(|scope| surroundings::nothing(scope, Absent::Snapshot)),
        Action::DescribeImages => Query(|scope| surroundings::nothing(scope, Absent::Image)),
        Action::DescribeLaunchTemplates => Query(|scope| surroundings::nothing(scope, Absent::LaunchTemplate)),
        Action::CreateVpcPeeringConnection => Command(peerings::create),
        Action::AcceptVpcPeeringConnection => Command(peerings::accept),
        Action::RejectVpcPeeringConnection => Command(peerings::reject),
        Action::DeleteVpcPeeringConnection => Command(peerings::delete),
        Action::DescribeVpcPeeringConnections => Query(peerings::list),
        Action::AssociateSecurityGroupVpc => Command(|scope| groups::associate(scope, true)),
        Action::DisassociateSecurityGroupVpc => Command(|scope| groups::associate(scope, false)),
        Action::DescribeSecurityGroupVpcAssociations => Query(listings::associations),
        Action::ValidateSecurityGroupQuotasForInterface => Command(groups::validate),
        Action::CreateFlowLogs => Command(flow_logs::create),
        Action::DescribeFlowLogs => Query(flow_logs::flow_logs),
        Action::DeleteFlowLogs => Command(flow_logs::delete),
        Action::CreateNetworkInsightsPath => Command(insights::create_path),
        Action::DescribeNetworkInsightsPaths => Query(insights::paths),
        Action::DeleteNetworkInsightsPath => Command(insights::delete_path),
        Action::StartNetworkInsightsAnalysis => Command(insights::start),
        Action::DescribeNetworkInsightsAnalyses => Query(insights::analyses),
        Action::DeleteNetworkInsightsAnalysis => Command(insights::delete_analysis),
    }
}
