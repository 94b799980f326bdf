//! What is around groups and interfaces: attributes of a VPC, what is made with one (the main route table, the default
//! network ACL), and kinds of things that there are none of here.

use sekimori_core::{
    ids::VpcId,
    refusal::Kind,
    tags::Tags,
    time::Timestamp,
    world::{Subnet, Vpc, VpcAttribute},
};

use super::{
    View,
    attributes::value,
    listing::{Item, named, named_or, part},
    network::{own_vpc, own_vpcs},
    tags,
};
use crate::{
    ec2::{
        Call,
        errors::{Fault, IdKind},
        query::{Absent, Listing},
        words::made_with,
    },
    node::{Fields, Node, list, number},
};

/// The rule that ends an ACL's entries of a family: everything else is denied (`spec/ec2.md` A3).
const LAST_V4: u32 = 32_767;
const LAST_V6: u32 = 32_768;
/// The entries of a default ACL that allow everything of a family.
const FIRST_V4: u32 = 100;
const FIRST_V6: u32 = 101;
const WORLD_V4: &str = "0.0.0.0/0";
const WORLD_V6: &str = "::/0";

/// What `DescribeVpcAttribute` answers.
pub(super) fn vpc_attribute(id: &VpcId, attribute: VpcAttribute, view: &View<'_>) -> Result<Fields, Fault> {
    let vpc = own_vpc(id, view).ok_or_else(|| Fault::missing(Kind::Vpc, id.as_str()))?;
    let name = match attribute {
        VpcAttribute::DnsSupport => "enableDnsSupport",
        VpcAttribute::DnsHostnames => "enableDnsHostnames",
        VpcAttribute::AddressUsageMetrics => "enableNetworkAddressUsageMetrics",
    };
    let is_on = vpc.attributes.contains(&attribute);
    Ok(vec![("vpcId", id.as_str().into()), (name, value(is_on.into()))])
}

/// What older clients ask about every VPC: none is linked to a network without VPCs.
pub(super) fn classic_links(call: &Call, listing: &Listing<VpcId>, view: &View<'_>) -> Result<Fields, Fault> {
    let (vpcs, next) = vpcs(call, listing, view)?;
    let item = |vpc: &Vpc| -> Fields {
        vec![("vpcId", vpc.id.as_str().into()), ("classicLinkEnabled", false.into()), tags::set(&vpc.tags)]
    };
    Ok(fields(("vpcSet", list("item", vpcs.into_iter().map(item))), next))
}

pub(super) fn classic_link_names(call: &Call, listing: &Listing<VpcId>, view: &View<'_>) -> Result<Fields, Fault> {
    let (vpcs, next) = vpcs(call, listing, view)?;
    let item =
        |vpc: &Vpc| -> Fields { vec![("vpcId", vpc.id.as_str().into()), ("classicLinkDnsSupported", false.into())] };
    Ok(fields(("vpcs", list("item", vpcs.into_iter().map(item))), next))
}

fn vpcs<'a>(call: &Call, listing: &Listing<VpcId>, view: &View<'a>) -> Result<(Vec<&'a Vpc>, Fields), Fault> {
    let things = named(&listing.ids, Kind::Vpc, |id| own_vpc(id, view), || own_vpcs(view))?;
    Ok(part(call, listing, things, view))
}

/// The main route table of each VPC.
pub(super) fn route_tables(call: &Call, listing: &Listing<VpcId>, view: &View<'_>) -> Result<Fields, Fault> {
    let missing = |vpc: &VpcId| Fault::UnknownRouteTable(made_with(IdKind::RouteTable.prefix(), vpc.as_str()));
    let one = |id: &VpcId| own_vpc(id, view).map(RouteTable::of);
    let all = || own_vpcs(view).into_iter().map(RouteTable::of).collect();
    let (wanted, next) = part(call, listing, named_or(&listing.ids, missing, one, all)?, view);
    let items = wanted.iter().map(RouteTable::fields);
    Ok(fields(("routeTableSet", list("item", items)), next))
}

/// The default network ACL of each VPC.
pub(super) fn network_acls(call: &Call, listing: &Listing<VpcId>, view: &View<'_>) -> Result<Fields, Fault> {
    let missing = |vpc: &VpcId| Fault::UnknownNetworkAcl(made_with(IdKind::NetworkAcl.prefix(), vpc.as_str()));
    let one = |id: &VpcId| own_vpc(id, view).map(NetworkAcl::of);
    let all = || own_vpcs(view).into_iter().map(NetworkAcl::of).collect();
    let (wanted, next) = part(call, listing, named_or(&listing.ids, missing, one, all)?, view);
    let items = wanted.iter().map(|acl| acl.fields(view));
    Ok(fields(("networkAclSet", list("item", items)), next))
}

/// An empty list.
pub(super) fn nothing(kind: Absent) -> Fields {
    let name = match kind {
        Absent::InternetGateway => "internetGatewaySet",
        Absent::NatGateway => "natGatewaySet",
        Absent::VpcEndpoint => "vpcEndpointSet",
        Absent::Address => "addressesSet",
        Absent::Volume => "volumeSet",
        Absent::Snapshot => "snapshotSet",
        Absent::Image => "imagesSet",
        Absent::LaunchTemplate => "launchTemplates",
    };
    vec![(name, list::<&str>("item", []))]
}

fn fields(first: (&'static str, Node), next: Fields) -> Fields {
    std::iter::once(first).chain(next).collect()
}

/// The main route table of a VPC, and its tags, which are none: what is inside is reached without a gateway.
struct RouteTable<'a>(&'a Vpc, Tags);

impl<'a> RouteTable<'a> {
    fn of(vpc: &'a Vpc) -> Self {
        Self(vpc, Tags::default())
    }

    fn id(&self) -> String {
        made_with(IdKind::RouteTable.prefix(), self.0.id.as_str())
    }

    fn association(&self) -> String {
        made_with("rtbassoc", self.0.id.as_str())
    }

    fn fields(&self) -> Fields {
        let route = |(name, block): (&'static str, String)| -> Fields {
            vec![
                (name, block.into()),
                ("gatewayId", "local".into()),
                ("state", "active".into()),
                ("origin", "CreateRouteTable".into()),
            ]
        };
        let v6 = self.0.ipv6.map(|block| ("destinationIpv6CidrBlock", block.to_string()));
        let blocks = std::iter::once(("destinationCidrBlock", self.0.cidr.to_string())).chain(v6);
        let state: Fields = vec![("state", "associated".into())];
        let association: Fields = vec![
            ("routeTableAssociationId", self.association().into()),
            ("routeTableId", self.id().into()),
            ("main", true.into()),
            ("associationState", state.into()),
        ];
        vec![
            ("routeTableId", self.id().into()),
            ("vpcId", self.0.id.as_str().into()),
            ("ownerId", self.0.account.as_str().into()),
            ("routeSet", list("item", blocks.map(route))),
            ("associationSet", list("item", [association])),
            ("propagatingVgwSet", list::<&str>("item", [])),
            tags::set(&self.1),
        ]
    }
}

impl Item for RouteTable<'_> {
    fn place(&self) -> (Timestamp, &str) {
        self.0.place()
    }

    fn tags(&self) -> &Tags {
        &self.1
    }

    fn values(&self, filter: &str, _: &View<'_>) -> Vec<String> {
        match filter {
            "route-table-id" | "association.route-table-id" => vec![self.id()],
            "association.route-table-association-id" => vec![self.association()],
            "association.main" => vec!["true".to_owned()],
            "vpc-id" => vec![self.0.id.to_string()],
            "owner-id" => vec![self.0.account.to_string()],
            "route.destination-cidr-block" => vec![self.0.cidr.to_string()],
            "route.destination-ipv6-cidr-block" => self.0.ipv6.map(|block| block.to_string()).into_iter().collect(),
            "route.gateway-id" => vec!["local".to_owned()],
            "route.origin" => vec!["CreateRouteTable".to_owned()],
            "route.state" => vec!["active".to_owned()],
            _ => Vec::new(),
        }
    }
}

/// The default network ACL of a VPC: it allows everything, for all of its subnets.
struct NetworkAcl<'a>(&'a Vpc, Tags);

/// One of its entries.
struct Entry {
    number: u32,
    is_egress: bool,
    is_ipv6: bool,
}

impl Entry {
    fn action(&self) -> &'static str {
        if self.number < LAST_V4 { "allow" } else { "deny" }
    }

    fn fields(&self) -> Fields {
        let block = if self.is_ipv6 { ("ipv6CidrBlock", WORLD_V6.into()) } else { ("cidrBlock", WORLD_V4.into()) };
        vec![
            ("ruleNumber", number(self.number)),
            ("protocol", "-1".into()),
            ("ruleAction", self.action().into()),
            ("egress", self.is_egress.into()),
            block,
        ]
    }
}

impl<'a> NetworkAcl<'a> {
    fn of(vpc: &'a Vpc) -> Self {
        Self(vpc, Tags::default())
    }

    fn id(&self) -> String {
        made_with(IdKind::NetworkAcl.prefix(), self.0.id.as_str())
    }

    /// Both directions, each in the order in which entries are looked at.
    fn entries(&self) -> Vec<Entry> {
        let has_ipv6 = self.0.ipv6.is_some();
        let numbers = [(FIRST_V4, false), (FIRST_V6, true), (LAST_V4, false), (LAST_V6, true)];
        let of_direction = |is_egress| {
            let present = numbers.into_iter().filter(move |(_, is_ipv6)| has_ipv6 || !is_ipv6);
            present.map(move |(number, is_ipv6)| Entry { number, is_egress, is_ipv6 })
        };
        of_direction(true).chain(of_direction(false)).collect()
    }

    fn fields(&self, view: &View<'_>) -> Fields {
        let item = |subnet: &Subnet| -> Fields {
            vec![
                ("networkAclAssociationId", association(subnet).into()),
                ("networkAclId", self.id().into()),
                ("subnetId", subnet.id.as_str().into()),
            ]
        };
        vec![
            ("networkAclId", self.id().into()),
            ("vpcId", self.0.id.as_str().into()),
            ("ownerId", self.0.account.as_str().into()),
            ("default", true.into()),
            ("entrySet", list("item", self.entries().iter().map(Entry::fields))),
            ("associationSet", list("item", subnets(self.0, view).map(item))),
            tags::set(&self.1),
        ]
    }
}

impl Item for NetworkAcl<'_> {
    fn place(&self) -> (Timestamp, &str) {
        self.0.place()
    }

    fn tags(&self) -> &Tags {
        &self.1
    }

    fn values(&self, filter: &str, view: &View<'_>) -> Vec<String> {
        let of_entries = |value: fn(&Entry) -> String| self.entries().iter().map(value).collect();
        match filter {
            "network-acl-id" | "association.network-acl-id" => vec![self.id()],
            "association.association-id" => subnets(self.0, view).map(association).collect(),
            "association.subnet-id" => subnets(self.0, view).map(|subnet| subnet.id.to_string()).collect(),
            "default" => vec!["true".to_owned()],
            "vpc-id" => vec![self.0.id.to_string()],
            "owner-id" => vec![self.0.account.to_string()],
            "entry.cidr" => vec![WORLD_V4.to_owned()],
            "entry.ipv6-cidr" => self.0.ipv6.map(|_| WORLD_V6.to_owned()).into_iter().collect(),
            "entry.egress" => of_entries(|entry| entry.is_egress.to_string()),
            "entry.protocol" => of_entries(|_| "-1".to_owned()),
            "entry.rule-action" => of_entries(|entry| entry.action().to_owned()),
            "entry.rule-number" => of_entries(|entry| entry.number.to_string()),
            _ => Vec::new(),
        }
    }
}

/// The subnets of a VPC.
fn subnets<'a>(vpc: &'a Vpc, view: &View<'a>) -> impl Iterator<Item = &'a Subnet> {
    view.world.subnets().filter(|subnet| subnet.vpc == vpc.id).map(|subnet| &**subnet)
}

fn association(subnet: &Subnet) -> String {
    made_with("aclassoc", subnet.id.as_str())
}
