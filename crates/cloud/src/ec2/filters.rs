//! Filters of `Describe…`: every one must hold, and of its values any; one engine for all operations.
//!
//! `*` and `?` stand for characters, a backslash takes that from them (`spec/ec2.md` B0). Which filters an operation has is
//! listed in [`names`]; what a thing shows to a filter is said where the thing is described.

use sekimori_core::tags::Tags;

use super::{catalog::Action, errors::Fault};
use crate::{params::Params, wildcard::Pattern};

/// Filters of one call.
const FILTERS_MAX: usize = 50;
/// Values of one filter.
const VALUES_MAX: usize = 200;
/// Characters of a name or a value: longer than anything that has one.
const TEXT_MAX: usize = 1_024;

/// A filter.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Filter {
    name: String,
    values: Vec<Pattern>,
}

/// The filters of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filters(Vec<Filter>);

impl Filters {
    /// Reads `Filter.N.Name` and `Filter.N.Value.M`.
    ///
    /// # Errors
    /// Names a filter that the operation does not have, and what is too much.
    pub(super) fn read(params: &Params, action: Action) -> Result<Self, Fault> {
        let numbers = params.indices("Filter");
        if numbers.len() > FILTERS_MAX {
            return Err(Fault::FilterLimit(format!("A request has at most {FILTERS_MAX} filters.")));
        }
        let filters = numbers.into_iter().map(|number| Filter::read(params, number, action));
        Ok(Self(filters.collect::<Result<_, _>>()?))
    }

    /// Whether a thing passes: one with these tags, which shows these values to filters of other names.
    pub(super) fn pass(&self, tags: &Tags, values: impl Fn(&str) -> Vec<String>) -> bool {
        self.0.iter().all(|filter| match (filter.name.as_str(), filter.name.strip_prefix("tag:")) {
            (_, Some(key)) => tags.get(key).is_some_and(|value| filter.takes(value)),
            ("tag-key", None) => tags.iter().any(|(key, _)| filter.takes(key)),
            (name, None) => values(name).iter().any(|value| filter.takes(value)),
        })
    }

    /// The texts that a filter was given, as they are without patterns.
    pub(super) fn given<'a>(params: &'a Params, name: &str) -> Vec<&'a str> {
        let numbers = params.indices("Filter").into_iter();
        let own = numbers.filter(|number| params.get(&format!("Filter.{number}.Name")) == Some(name));
        own.flat_map(|number| params.list(&format!("Filter.{number}.Value"))).collect()
    }
}

impl Filter {
    fn read(params: &Params, number: u32, action: Action) -> Result<Self, Fault> {
        let name = params.filled(&format!("Filter.{number}.Name"));
        let name = name.ok_or_else(|| Fault::Missing { name: format!("Filter.{number}.Name") })?;
        if !is_known(action, name) {
            return Err(Fault::Value(format!("The filter '{name}' is invalid")));
        }
        let list = format!("Filter.{number}.Value");
        let numbers = params.indices(&list);
        if numbers.len() > VALUES_MAX {
            return Err(Fault::FilterLimit(format!("The filter '{name}' has more than {VALUES_MAX} values.")));
        }
        // An empty value is one: it finds empty texts.
        let values: Vec<&str> = numbers.iter().filter_map(|value| params.get(&format!("{list}.{value}"))).collect();
        if values.is_empty() {
            return Err(Fault::Value(format!("The filter '{name}' has no value; give it at least one")));
        }
        if name.len() > TEXT_MAX || values.iter().any(|value| value.len() > TEXT_MAX) {
            return Err(Fault::FilterLimit(format!("A filter has at most {TEXT_MAX} characters in a value.")));
        }
        Ok(Self { name: name.to_owned(), values: values.into_iter().map(Pattern::with_escapes).collect() })
    }

    fn takes(&self, value: &str) -> bool {
        self.values.iter().any(|pattern| pattern.matches(value))
    }
}

fn is_known(action: Action, name: &str) -> bool {
    let known = names(action);
    match name.strip_prefix("tag:") {
        Some(key) => !key.is_empty() && known.contains(&"tag:<key>"),
        None => known.contains(&name),
    }
}

/// The filters of an operation (`spec/ec2.md`, appendix 3).
#[must_use]
pub fn names(action: Action) -> &'static [&'static str] {
    match action {
        Action::DescribeVpcs => &VPC,
        Action::DescribeSubnets => &SUBNET,
        Action::DescribeSecurityGroups => &GROUP,
        Action::DescribeSecurityGroupRules => &["group-id", "security-group-rule-id", "tag:<key>"],
        Action::DescribeInstances => &INSTANCE,
        Action::DescribeNetworkInterfaces => &INTERFACE,
        Action::DescribeTags => &["key", "resource-id", "resource-type", "tag:<key>", "value"],
        Action::DescribeRegions => &["endpoint", "opt-in-status", "region-name"],
        Action::DescribeAvailabilityZones => &ZONE,
        Action::DescribeVpcClassicLink => &["is-classic-link-enabled", "tag-key", "tag:<key>"],
        Action::DescribeRouteTables => &ROUTE_TABLE,
        Action::DescribeNetworkAcls => &NETWORK_ACL,
        Action::GetSecurityGroupsForVpc => &["description", "group-id", "group-name", "owner-id", "primary-vpc-id"],
        Action::DescribeManagedPrefixLists => &PREFIX_LIST,
        Action::DescribePrefixLists => &["prefix-list-id", "prefix-list-name"],
        Action::DescribeSecurityGroupVpcAssociations => &ASSOCIATION,
        Action::DescribeFlowLogs => &FLOW_LOG,
        Action::DescribeNetworkInsightsPaths => &INSIGHTS_PATH,
        Action::DescribeNetworkInsightsAnalyses => &["path-found", "status", "tag-key", "tag:<key>"],
        Action::GetCallerIdentity
        | Action::DescribeAccountAttributes
        | Action::CreateVpc
        | Action::DeleteVpc
        | Action::CreateSubnet
        | Action::DeleteSubnet
        | Action::CreateSecurityGroup
        | Action::DeleteSecurityGroup
        | Action::AuthorizeSecurityGroupIngress
        | Action::AuthorizeSecurityGroupEgress
        | Action::RevokeSecurityGroupIngress
        | Action::RevokeSecurityGroupEgress
        | Action::RunInstances
        | Action::TerminateInstances
        | Action::CreateTags
        | Action::DeleteTags
        | Action::ModifySecurityGroupRules
        | Action::UpdateSecurityGroupRuleDescriptionsIngress
        | Action::UpdateSecurityGroupRuleDescriptionsEgress
        | Action::DescribeStaleSecurityGroups
        | Action::DescribeSecurityGroupReferences
        | Action::StartInstances
        | Action::StopInstances
        | Action::RebootInstances
        | Action::CreateNetworkInterface
        | Action::DeleteNetworkInterface
        | Action::AttachNetworkInterface
        | Action::DetachNetworkInterface
        | Action::ModifyNetworkInterfaceAttribute
        | Action::ModifyInstanceAttribute
        | Action::DescribeInstanceAttribute
        | Action::DescribeNetworkInterfaceAttribute
        | Action::AssignPrivateIpAddresses
        | Action::UnassignPrivateIpAddresses
        | Action::CreateManagedPrefixList
        | Action::ModifyManagedPrefixList
        | Action::DeleteManagedPrefixList
        | Action::RestoreManagedPrefixListVersion
        | Action::GetManagedPrefixListEntries
        | Action::GetManagedPrefixListAssociations
        | Action::DescribeVpcAttribute
        | Action::ModifyVpcAttribute
        | Action::DescribeVpcClassicLinkDnsSupport
        | Action::DescribeInternetGateways
        | Action::DescribeNatGateways
        | Action::DescribeVpcEndpoints
        | Action::DescribeAddresses
        | Action::DescribeVolumes
        | Action::DescribeSnapshots
        | Action::DescribeImages
        | Action::DescribeLaunchTemplates
        | Action::CreateVpcPeeringConnection
        | Action::AcceptVpcPeeringConnection
        | Action::RejectVpcPeeringConnection
        | Action::DeleteVpcPeeringConnection
        | Action::AssociateSecurityGroupVpc
        | Action::DisassociateSecurityGroupVpc
        | Action::ValidateSecurityGroupQuotasForInterface
        | Action::CreateFlowLogs
        | Action::DeleteFlowLogs
        | Action::CreateNetworkInsightsPath
        | Action::DeleteNetworkInsightsPath
        | Action::StartNetworkInsightsAnalysis
        | Action::DeleteNetworkInsightsAnalysis
        | Action::CreateNetworkAcl
        | Action::DeleteNetworkAcl
        | Action::CreateNetworkAclEntry
        | Action::ReplaceNetworkAclEntry
        | Action::DeleteNetworkAclEntry
        | Action::ReplaceNetworkAclAssociation => &[],
        Action::DescribeVpcPeeringConnections => &PEERING,
    }
}

const VPC: [&str; 16] = [
    "cidr",
    "cidr-block-association.association-id",
    "cidr-block-association.cidr-block",
    "cidr-block-association.state",
    "dhcp-options-id",
    "ipv6-cidr-block-association.association-id",
    "ipv6-cidr-block-association.ipv6-cidr-block",
    "ipv6-cidr-block-association.ipv6-pool",
    "ipv6-cidr-block-association.state",
    "is-default",
    "isDefault",
    "owner-id",
    "state",
    "tag-key",
    "tag:<key>",
    "vpc-id",
];

const SUBNET: [&str; 32] = [
    "availability-zone",
    "availability-zone-id",
    "availabilityZone",
    "availabilityZoneId",
    "available-ip-address-count",
    "cidr",
    "cidr-block",
    "cidrBlock",
    "customer-owned-ipv4-pool",
    "default-for-az",
    "defaultForAz",
    "enable-dns64",
    "enable-lni-at-device-index",
    "ipv6-cidr-block-association.association-id",
    "ipv6-cidr-block-association.ipv6-cidr-block",
    "ipv6-cidr-block-association.state",
    "ipv6-native",
    "map-customer-owned-ip-on-launch",
    "map-public-ip-on-launch",
    "outpost-arn",
    "owner-id",
    "private-dns-name-options-on-launch.enable-resource-name-dns-a-record",
    "private-dns-name-options-on-launch.enable-resource-name-dns-aaaa-record",
    "private-dns-name-options-on-launch.hostname-type",
    "state",
    "subnet-arn",
    "subnet-id",
    "subnetId",
    "tag-key",
    "tag:<key>",
    "vpc-id",
    "vpcId",
];

const GROUP: [&str; 25] = [
    "description",
    "egress.ip-permission.cidr",
    "egress.ip-permission.from-port",
    "egress.ip-permission.group-id",
    "egress.ip-permission.group-name",
    "egress.ip-permission.ipv6-cidr",
    "egress.ip-permission.prefix-list-id",
    "egress.ip-permission.protocol",
    "egress.ip-permission.to-port",
    "egress.ip-permission.user-id",
    "group-id",
    "group-name",
    "ip-permission.cidr",
    "ip-permission.from-port",
    "ip-permission.group-id",
    "ip-permission.group-name",
    "ip-permission.ipv6-cidr",
    "ip-permission.prefix-list-id",
    "ip-permission.protocol",
    "ip-permission.to-port",
    "ip-permission.user-id",
    "owner-id",
    "tag-key",
    "tag:<key>",
    "vpc-id",
];

/// Of `DescribeNetworkInterfaces`. Public addresses and operators of other services are filters that find nothing.
const INTERFACE: [&str; 37] = [
    "addresses.association.owner-id",
    "addresses.association.public-ip",
    "addresses.primary",
    "addresses.private-ip-address",
    "association.allocation-id",
    "association.association-id",
    "association.ip-owner-id",
    "association.public-dns-name",
    "association.public-ip",
    "attachment.attach-time",
    "attachment.attachment-id",
    "attachment.delete-on-termination",
    "attachment.device-index",
    "attachment.instance-id",
    "attachment.instance-owner-id",
    "attachment.status",
    "availability-zone",
    "availability-zone-id",
    "description",
    "group-id",
    "interface-type",
    "ipv6-addresses.ipv6-address",
    "mac-address",
    "network-interface-id",
    "operator.managed",
    "operator.principal",
    "owner-id",
    "private-dns-name",
    "private-ip-address",
    "requester-id",
    "requester-managed",
    "source-dest-check",
    "status",
    "subnet-id",
    "tag-key",
    "tag:<key>",
    "vpc-id",
];
const INSTANCE: [&str; 30] = [
    "availability-zone",
    "client-token",
    "dns-name",
    "image-id",
    "instance-id",
    "instance-state-code",
    "instance-state-name",
    "instance-type",
    "instance.group-id",
    "instance.group-name",
    "ip-address",
    "launch-index",
    "network-interface.addresses.private-ip-address",
    "network-interface.group-id",
    "network-interface.group-name",
    "network-interface.mac-address",
    "network-interface.network-interface-id",
    "network-interface.subnet-id",
    "network-interface.vpc-id",
    "owner-id",
    "placement-group-name",
    "private-dns-name",
    "private-ip-address",
    "reservation-id",
    "source-dest-check",
    "subnet-id",
    "tag-key",
    "tag:<key>",
    "tenancy",
    "vpc-id",
];

/// Of `DescribeRouteTables`. Routes to gateways are filters that find nothing.
const ROUTE_TABLE: [&str; 21] = [
    "association.gateway-id",
    "association.main",
    "association.route-table-association-id",
    "association.route-table-id",
    "association.subnet-id",
    "owner-id",
    "route-table-id",
    "route.destination-cidr-block",
    "route.destination-ipv6-cidr-block",
    "route.destination-prefix-list-id",
    "route.egress-only-internet-gateway-id",
    "route.gateway-id",
    "route.instance-id",
    "route.nat-gateway-id",
    "route.origin",
    "route.state",
    "route.transit-gateway-id",
    "route.vpc-peering-connection-id",
    "tag-key",
    "tag:<key>",
    "vpc-id",
];

/// Of `DescribeNetworkAcls`.
const NETWORK_ACL: [&str; 19] = [
    "association.association-id",
    "association.network-acl-id",
    "association.subnet-id",
    "default",
    "entry.cidr",
    "entry.egress",
    "entry.icmp.code",
    "entry.icmp.type",
    "entry.ipv6-cidr",
    "entry.port-range.from",
    "entry.port-range.to",
    "entry.protocol",
    "entry.rule-action",
    "entry.rule-number",
    "network-acl-id",
    "owner-id",
    "tag-key",
    "tag:<key>",
    "vpc-id",
];

const PEERING: [&str; 12] = [
    "accepter-vpc-info.cidr-block",
    "accepter-vpc-info.owner-id",
    "accepter-vpc-info.vpc-id",
    "expiration-time",
    "requester-vpc-info.cidr-block",
    "requester-vpc-info.owner-id",
    "requester-vpc-info.vpc-id",
    "status-code",
    "status-message",
    "tag:<key>",
    "tag-key",
    "vpc-peering-connection-id",
];

const PREFIX_LIST: [&str; 5] = ["owner-id", "prefix-list-id", "prefix-list-name", "tag-key", "tag:<key>"];

const ASSOCIATION: [&str; 5] = ["group-id", "group-owner-id", "state", "vpc-id", "vpc-owner-id"];

const FLOW_LOG: [&str; 8] = [
    "deliver-log-status",
    "flow-log-id",
    "log-destination-type",
    "log-group-name",
    "resource-id",
    "tag-key",
    "tag:<key>",
    "traffic-type",
];

const INSIGHTS_PATH: [&str; 13] = [
    "destination",
    "filter-at-destination.destination-address",
    "filter-at-destination.destination-port-range",
    "filter-at-destination.source-address",
    "filter-at-destination.source-port-range",
    "filter-at-source.destination-address",
    "filter-at-source.destination-port-range",
    "filter-at-source.source-address",
    "filter-at-source.source-port-range",
    "protocol",
    "source",
    "tag-key",
    "tag:<key>",
];

const ZONE: [&str; 8] =
    ["group-name", "message", "opt-in-status", "region-name", "state", "zone-id", "zone-name", "zone-type"];

#[cfg(test)]
mod tests {
    use sekimori_core::world::Dialect;

    use super::*;

    fn read(query: &str) -> Result<Filters, Fault> {
        Filters::read(&Params::parse(query, None).unwrap(), Action::DescribeSecurityGroups)
    }

    #[test]
    fn all_filters_must_hold_and_of_each_any_value() {
        let tags = Tags::read(Dialect::Ec2, [("env", "prod"), ("empty", "")]).unwrap();
        let passes = |query: &str| {
            let values = |name: &str| if name == "group-name" { vec!["web".to_owned()] } else { Vec::new() };
            read(query).unwrap().pass(&tags, values)
        };
        assert!(passes(""));
        assert!(passes("Filter.1.Name=group-name&Filter.1.Value.1=db&Filter.1.Value.2=w*"));
        assert!(passes("Filter.1.Name=group-name&Filter.1.Value.1=w??&Filter.7.Name=tag:env&Filter.7.Value.3=prod"));
        assert!(!passes("Filter.1.Name=group-name&Filter.1.Value.1=WEB"), "case counts");
        assert!(!passes("Filter.1.Name=group-name&Filter.1.Value.1=web&Filter.2.Name=tag:env&Filter.2.Value.1=test"));
        assert!(passes("Filter.1.Name=tag-key&Filter.1.Value.1=em*&Filter.2.Name=tag:empty&Filter.2.Value.1="));
        assert!(!passes("Filter.1.Name=vpc-id&Filter.1.Value.1=*"), "what shows nothing passes nothing");
    }

    #[test]
    fn unknown_filters_and_too_many_values_are_refused() {
        let value = Err(Fault::Value("The filter 'colour' is invalid".to_owned()));
        assert_eq!(read("Filter.1.Name=colour&Filter.1.Value.1=x"), value);
        assert!(matches!(read("Filter.1.Value.1=x"), Err(Fault::Missing { .. })));
        assert!(matches!(read("Filter.1.Name=group-name"), Err(Fault::Value(_))));
        assert!(matches!(read("Filter.1.Name=tag:&Filter.1.Value.1=x"), Err(Fault::Value(_))));
        let many = |count: usize| {
            let values: String = (0..count).map(|number| format!("&Filter.1.Value.{number}=x")).collect();
            read(&format!("Filter.1.Name=group-name{values}"))
        };
        assert!(many(200).is_ok() && matches!(many(201), Err(Fault::FilterLimit(_))));
        let long = "x".repeat(TEXT_MAX + 1);
        assert!(matches!(
            read(&format!("Filter.1.Name=group-name&Filter.1.Value.1={long}")),
            Err(Fault::FilterLimit(_))
        ));
    }
}
