//! How what was described is joined with what is outside: route tables and gateways of EC2, and the public addresses of either cloud.
//!
//! A route counts as what it leads to only as far as that is told: what goes to a transit gateway, a VPN or an appliance is open, since nobody
//! here knows what is beyond, and it is said so.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use sekimori_core::{
    address::Cidr,
    ids::{EniId, InstanceId, PrefixListId, SubnetId, VpcId},
    ways::{Route, RouteTable, Target, TargetKind, Ways},
    world::{Dialect, Eni, Subnet, Vpc},
};

use super::{AccountError, Described, Lists, doc::Doc, read_lists};

/// Everything that files say of it.
#[derive(Debug, Default)]
pub(super) struct SeenRoutes {
    tables: BTreeMap<String, SeenTable>,
    /// By internet gateway, the VPCs that it is attached to.
    gateways: BTreeMap<String, BTreeSet<VpcId>>,
    nats: BTreeMap<String, SeenNat>,
    /// By interface whose public addresses are told, those that have one.
    publics: BTreeMap<EniId, BTreeMap<IpAddr, IpAddr>>,
    allocated: Vec<Allocated>,
    /// Whether all elastic addresses of Alibaba Cloud are told.
    has_eips: bool,
}

#[derive(Debug)]
struct SeenTable {
    vpc: VpcId,
    is_main: bool,
    subnets: Vec<SubnetId>,
    routes: Vec<(To, Target)>,
}

#[derive(Debug)]
enum To {
    Block(Cidr),
    List(PrefixListId),
}

#[derive(Debug)]
struct SeenNat {
    subnet: Option<SubnetId>,
    is_public: bool,
    is_there: bool,
}

/// A public address, and whose it is.
#[derive(Debug)]
struct Allocated {
    public: IpAddr,
    eni: Option<EniId>,
    instance: Option<InstanceId>,
    own: Option<IpAddr>,
}

/// Takes in a reply. Whether it is one of these.
pub(super) fn read(described: &mut Described, doc: Doc<'_>) -> Result<bool, AccountError> {
    described.routes.has_eips |= doc.has_nested("EipAddresses", "EipAddress");
    read_lists(described, doc, READERS)
}

const READERS: &Lists = &[
    ("RouteTables", "", route_table),
    ("InternetGateways", "", gateway),
    ("EgressOnlyInternetGateways", "", gateway),
    ("NatGateways", "", nat_gateway),
    ("Addresses", "", address),
    ("EipAddresses", "EipAddress", eip),
];

fn route_table(described: &mut Described, doc: Doc<'_>) -> Result<(), AccountError> {
    let id = doc.required("RouteTableId")?;
    let (mut is_main, mut subnets) = (false, Vec::new());
    let is_there = |one: &Doc<'_>| {
        let state = one.part("AssociationState");
        state.and_then(|state| state.text("State")).is_none_or(|state| state == "associated")
    };
    for one in doc.items("Associations", "").into_iter().filter(is_there) {
        is_main |= one.is("Main") == Some(true);
        subnets.extend(one.text("SubnetId").map(SubnetId::from));
        if let Some(gateway) = one.text("GatewayId") {
            described.note(format!("`{id}` is for what comes in by `{gateway}`, which is not looked at"));
        }
    }
    let mut routes = Vec::new();
    for route in doc.items("Routes", "") {
        let block = route.text("DestinationCidrBlock").or_else(|| route.text("DestinationIpv6CidrBlock"));
        let to = match (block, route.text("DestinationPrefixListId")) {
            (Some(text), _) => To::Block(text.parse::<Cidr>().map_err(|error| route.wrong(error))?.canonical()),
            (None, Some(list)) => To::List(list.into()),
            (None, None) => return Err(route.wrong(format!("a route of `{id}` names no destination"))),
        };
        let target = target(&route, matches!(to, To::List(_)))?;
        routes.extend(target.map(|target| (to, target)));
    }
    let vpc = doc.required("VpcId")?.into();
    described.routes.tables.insert(id.to_owned(), SeenTable { vpc, is_main, subnets, routes });
    Ok(())
}

/// By what a route may name its target; the interface of an instance comes before the instance.
const TARGETS: [&str; 12] = [
    "NatGatewayId",
    "EgressOnlyInternetGatewayId",
    "TransitGatewayId",
    "VpcPeeringConnectionId",
    "VpcEndpointId",
    "NetworkInterfaceId",
    "InstanceId",
    "LocalGatewayId",
    "CarrierGatewayId",
    "CoreNetworkArn",
    "OdbNetworkArn",
    "GatewayId",
];

/// Where a route leads; nothing for one that stays within the VPC.
fn target(route: &Doc<'_>, is_for_list: bool) -> Result<Option<Target>, AccountError> {
    let named = TARGETS.iter().find_map(|name| route.text(name));
    if named == Some("local") {
        return Ok(None);
    }
    let is_blackhole = route.text("State") == Some("blackhole");
    let Some(name) = named.or(is_blackhole.then_some("nothing")) else {
        return Err(route.wrong("a route names no target that is known here"));
    };
    let kind = match name.split_once('-').map_or(name, |(kind, _)| kind) {
        _ if is_blackhole => TargetKind::Blackhole,
        "igw" => TargetKind::Internet,
        "eigw" | "nat" => TargetKind::Outgoing { from: None },
        // What a gateway endpoint leads to answers and begins nothing; one of a load balancer goes on to an appliance.
        "vpce" if is_for_list => TargetKind::Outgoing { from: None },
        _ => TargetKind::Elsewhere,
    };
    Ok(Some(Target { name: name.to_owned(), kind }))
}

/// An internet gateway, or one that is for egress only.
fn gateway(described: &mut Described, doc: Doc<'_>) -> Result<(), AccountError> {
    let id = doc.text("InternetGatewayId").or_else(|| doc.text("EgressOnlyInternetGatewayId"));
    let id = id.ok_or_else(|| doc.wrong("a gateway has no name"))?.to_owned();
    let is_there = |one: &Doc<'_>| matches!(one.text("State"), None | Some("available" | "attached"));
    let attached = doc.items("Attachments", "").into_iter().filter(is_there);
    let vpcs = attached.filter_map(|one| one.text("VpcId")).map(VpcId::from).collect();
    described.routes.gateways.insert(id, vpcs);
    Ok(())
}

fn nat_gateway(described: &mut Described, doc: Doc<'_>) -> Result<(), AccountError> {
    let id = doc.required("NatGatewayId")?.to_owned();
    let seen = SeenNat {
        subnet: doc.text("SubnetId").map(Into::into),
        is_public: doc.text("ConnectivityType") != Some("private"),
        is_there: doc.text("State").is_none_or(|state| state == "available"),
    };
    described.routes.nats.insert(id, seen);
    Ok(())
}

/// An elastic address of EC2.
fn address(described: &mut Described, doc: Doc<'_>) -> Result<(), AccountError> {
    let Some(public) = doc.text("PublicIp") else { return Ok(()) };
    let seen = Allocated {
        public: doc.address(public)?,
        eni: doc.text("NetworkInterfaceId").map(Into::into),
        instance: doc.text("InstanceId").map(Into::into),
        own: doc.text("PrivateIpAddress").map(|own| doc.address(own)).transpose()?,
    };
    described.routes.allocated.push(seen);
    Ok(())
}

/// An elastic address of Alibaba Cloud.
fn eip(described: &mut Described, doc: Doc<'_>) -> Result<(), AccountError> {
    let public = doc.address(doc.required("IpAddress")?)?;
    let Some(of) = doc.text("InstanceId") else { return Ok(()) };
    let (eni, instance) = match doc.text("InstanceType") {
        Some("EcsInstance") => (None, Some(of.into())),
        Some("NetworkInterface") => (Some(of.into()), None),
        kind => {
            let kind = kind.unwrap_or("something");
            described.note(format!("{public} belongs to `{of}`, a {kind}; what that passes on is not looked at"));
            return Ok(());
        }
    };
    let own = doc.text("PrivateIpAddress").map(|own| doc.address(own)).transpose()?;
    described.routes.allocated.push(Allocated { public, eni, instance, own });
    Ok(())
}

/// The public addresses of an interface of EC2, as it or its instance is described.
pub(super) fn public_addresses(described: &mut Described, id: &EniId, doc: &Doc<'_>) -> Result<(), AccountError> {
    let mut found = BTreeMap::new();
    for one in std::iter::once(*doc).chain(doc.items("PrivateIpAddresses", "")) {
        let public = one.part("Association").and_then(|association| association.text("PublicIp"));
        if let Some((own, public)) = one.text("PrivateIpAddress").zip(public) {
            found.insert(one.address(own)?, one.address(public)?);
        }
    }
    described.routes.publics.entry(id.clone()).or_default().extend(found);
    Ok(())
}

/// The public addresses of an instance of Alibaba Cloud, which its primary interface has.
pub(super) fn public_addresses_of_instance(
    described: &mut Described,
    eni: &Eni,
    doc: &Doc<'_>,
) -> Result<(), AccountError> {
    if !doc.has("PublicIpAddress") && !doc.has("EipAddress") {
        return Ok(());
    }
    let own = eni.addresses.iter().find(|own| own.is_ipv4());
    let public = doc.texts("PublicIpAddress", "IpAddress").into_iter().next();
    let elastic = doc.part("EipAddress").and_then(|elastic| elastic.text("IpAddress"));
    let public = elastic.or(public).map(|text| doc.address(text)).transpose()?;
    let known = described.routes.publics.entry(eni.id.clone()).or_default();
    known.extend(own.copied().zip(public));
    Ok(())
}

/// The elastic addresses of an interface of Alibaba Cloud. Whether a primary one has a public address its instance tells.
pub(super) fn public_addresses_of_interface(
    described: &mut Described,
    (eni, is_primary): (&Eni, bool),
    doc: &Doc<'_>,
) -> Result<(), AccountError> {
    let mut found = BTreeMap::new();
    let own = eni.addresses.iter().find(|own| own.is_ipv4()).map(ToString::to_string);
    for one in std::iter::once(*doc).chain(doc.items("PrivateIpSets", "PrivateIpSet")) {
        let public = one.part("AssociatedPublicIp").and_then(|public| public.text("PublicIpAddress"));
        if let Some((own, public)) = one.text("PrivateIpAddress").or(own.as_deref()).zip(public) {
            found.insert(one.address(own)?, one.address(public)?);
        }
    }
    let is_told = !is_primary && doc.has("AssociatedPublicIp");
    if is_told || !found.is_empty() {
        described.routes.publics.entry(eni.id.clone()).or_default().extend(found);
    }
    Ok(())
}

/// Gives the VPCs the ways that were described, with a note for each of which none were.
pub(super) fn join(described: &mut Described, vpcs: &mut [Vpc], (subnets, enis): (&[Subnet], &[Eni])) {
    allocate(described, enis);
    let mut notes = Vec::new();
    for vpc in vpcs.iter_mut() {
        let here: Vec<&Eni> = enis.iter().filter(|eni| eni.vpc == vpc.id).collect();
        if here.is_empty() {
            continue;
        }
        let dialect = described.dialects.get(&vpc.account).copied().unwrap_or(Dialect::Ecs);
        let within: Vec<&Subnet> = subnets.iter().filter(|subnet| subnet.vpc == vpc.id).collect();
        let ways = Ways { tables: tables(described, vpc, &within, &mut notes), publics: publics(described, &here) };
        let is_told = match dialect {
            Dialect::Ec2 => !ways.tables.is_empty(),
            // Only the list of elastic addresses tells that there are no others.
            Dialect::Ecs => described.routes.has_eips && !ways.publics.is_empty(),
        };
        notes.push(said(&vpc.id, dialect, is_told));
        vpc.ways = is_told.then(|| Arc::new(ways));
    }
    described.notes.extend(notes);
}

/// What the answers about what is outside of a VPC rest on.
fn said(vpc: &VpcId, dialect: Dialect, is_told: bool) -> String {
    match (is_told, dialect) {
        (true, Dialect::Ec2) => format!(
            "`{vpc}`: routes and public addresses decide who is outside and reaches what; what load balancers and accelerators pass on is not looked at"
        ),
        (true, Dialect::Ecs) => format!(
            "`{vpc}`: public addresses decide what the internet reaches; routes, IPv6 gateways, and what load balancers and NAT gateways pass on are not looked at"
        ),
        (false, Dialect::Ec2) => format!(
            "routes of `{vpc}` are not described, so routes and public addresses are not looked at; give describe-route-tables"
        ),
        (false, Dialect::Ecs) => format!(
            "public addresses in `{vpc}` are not described, so they are not looked at; give DescribeEipAddresses"
        ),
    }
}

fn publics(described: &Described, enis: &[&Eni]) -> BTreeMap<EniId, BTreeMap<IpAddr, IpAddr>> {
    let known = enis.iter().filter_map(|eni| Some((eni.id.clone(), described.routes.publics.get(&eni.id)?.clone())));
    known.collect()
}

/// Gives interfaces the public addresses that lists of these tell.
fn allocate(described: &mut Described, enis: &[Eni]) {
    if described.routes.has_eips {
        let is_secondary = |eni: &&Eni| {
            eni.device_index > 0 && described.dialects.get(&eni.account).is_none_or(|own| *own == Dialect::Ecs)
        };
        let secondary: Vec<EniId> = enis.iter().filter(is_secondary).map(|eni| eni.id.clone()).collect();
        for id in secondary {
            described.routes.publics.entry(id).or_default();
        }
    }
    for Allocated { public, eni, instance, own } in std::mem::take(&mut described.routes.allocated) {
        let is_it = |other: &&Eni| match (&eni, &instance) {
            (Some(id), _) => other.id == *id,
            (None, Some(instance)) => other.instance.as_ref() == Some(instance) && other.device_index == 0,
            (None, None) => false,
        };
        let Some(holder) = enis.iter().find(is_it) else { continue };
        let own = own.or_else(|| holder.addresses.iter().copied().find(IpAddr::is_ipv4));
        let known = described.routes.publics.entry(holder.id.clone()).or_default();
        known.extend(own.map(|own| (own, public)));
    }
}

/// The tables of a VPC's subnets: those that they are associated with, else the main one.
fn tables(
    described: &Described,
    vpc: &Vpc,
    subnets: &[&Subnet],
    notes: &mut Vec<String>,
) -> BTreeMap<SubnetId, Arc<RouteTable>> {
    let here = described.routes.tables.iter().filter(|(_, table)| table.vpc == vpc.id);
    let here: Vec<(&String, &SeenTable)> = here.collect();
    if here.is_empty() {
        return BTreeMap::new();
    }
    let made: BTreeMap<&String, Arc<RouteTable>> =
        here.iter().map(|(id, table)| (*id, Arc::new(made(described, (id, table), notes)))).collect();
    let mut by_subnet = BTreeMap::new();
    for subnet in subnets {
        let own = here.iter().find(|(_, table)| table.subnets.contains(&subnet.id));
        let main = || here.iter().find(|(_, table)| table.is_main);
        match own.or_else(main).and_then(|(id, _)| made.get(id)) {
            Some(table) => drop(by_subnet.insert(subnet.id.clone(), Arc::clone(table))),
            None => {
                notes.push(format!("no route table of `{}` is described, so its routes are not looked at", subnet.id))
            }
        }
    }
    by_subnet
}

fn made(described: &Described, (id, table): (&str, &SeenTable), notes: &mut Vec<String>) -> RouteTable {
    let mut made = RouteTable { id: id.to_owned(), ..RouteTable::default() };
    for (to, target) in &table.routes {
        let target = found(described, &table.vpc, target, notes);
        match to {
            To::Block(block) => made.routes.push(Route { to: *block, target }),
            To::List(list) => match described.prefix_lists.get(list).and_then(|list| list.entries.as_ref()) {
                Some(entries) => {
                    let route = |block: Cidr| Route { to: block, target: target.clone() };
                    made.routes.extend(entries.iter().map(|entry| route(entry.cidr)));
                }
                None => {
                    let name = &target.name;
                    notes.push(format!("the addresses of `{list}` are not described, so what `{id}` leads to `{name}` counts as any address"));
                    made.unplaced.push(target);
                }
            },
        }
    }
    made
}

/// A target, as far as its own description says more than the route.
fn found(described: &Described, vpc: &VpcId, target: &Target, notes: &mut Vec<String>) -> Target {
    let Target { name, kind } = target.clone();
    let SeenRoutes { gateways, nats, .. } = &described.routes;
    let is_detached = gateways.get(&name).is_some_and(|vpcs| !vpcs.contains(vpc));
    if is_detached {
        notes.push(format!("`{name}` is not attached to `{vpc}`, so routes to it lead nowhere"));
        return Target { name, kind: TargetKind::Blackhole };
    }
    match (nats.get(&name), kind) {
        (Some(nat), TargetKind::Outgoing { .. }) if !nat.is_there => Target { name, kind: TargetKind::Blackhole },
        (Some(nat), TargetKind::Outgoing { .. }) => {
            let from = nat.subnet.clone().filter(|_| nat.is_public);
            Target { name, kind: TargetKind::Outgoing { from } }
        }
        (_, kind) => Target { name, kind },
    }
}
