//! What is around groups and interfaces: attributes of a VPC, the main route table that is
//! made with one, and kinds of things that there are none of here.

use sekimori_core::{
    address::{Cidr, Family},
    ids::VpcId,
    refusal::Kind,
    tags::Tags,
    time::Timestamp,
    world::{Vpc, VpcAttribute},
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
    node::{Fields, Node, list},
};

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

/// The main route table of a VPC, and its tags, which are none: what is inside is reached without a gateway, and everything else by the
/// router of the host, which translates no address and lets begin from either side. In the words of EC2 that is a local gateway.
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

    /// What everything that is not inside is reached by.
    fn way_out(&self) -> String {
        made_with("lgw", self.0.id.as_str())
    }

    /// The blocks that routes are for: of IPv4, and of IPv6 if the VPC has it. Those inside come first.
    fn blocks(&self) -> ([String; 2], Option<[String; 2]>) {
        let world = |family| Cidr::world(family).to_string();
        let v6 = self.0.ipv6.map(|block| [block.to_string(), world(Family::V6)]);
        ([self.0.cidr.to_string(), world(Family::V4)], v6)
    }

    fn fields(&self) -> Fields {
        let (v4, v6) = self.blocks();
        let families = [("destinationCidrBlock", Some(v4)), ("destinationIpv6CidrBlock", v6)];
        let route = |name, block: String, (by, gateway): (&'static str, String)| -> Fields {
            vec![
                (name, block.into()),
                (by, gateway.into()),
                ("state", "active".into()),
                ("origin", "CreateRouteTable".into()),
            ]
        };
        let of_family = |(name, blocks): (&'static str, Option<[String; 2]>)| -> Vec<Fields> {
            let gateways = [("gatewayId", "local".to_owned()), ("localGatewayId", self.way_out())];
            let routes = blocks.into_iter().flatten().zip(gateways);
            routes.map(|(block, gateway)| route(name, block, gateway)).collect()
        };
        let routes = families.into_iter().flat_map(of_family);
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
            ("routeSet", list("item", routes)),
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
            "route.destination-cidr-block" => self.blocks().0.into(),
            "route.destination-ipv6-cidr-block" => self.blocks().1.into_iter().flatten().collect(),
            "route.gateway-id" => vec!["local".to_owned()],
            "route.origin" => vec!["CreateRouteTable".to_owned()],
            "route.state" => vec!["active".to_owned()],
            _ => Vec::new(),
        }
    }
}
