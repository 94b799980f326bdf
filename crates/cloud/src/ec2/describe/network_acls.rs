//! Network ACLs, their entries, and the subnets that have them.

use std::sync::Arc;

use sekimori_core::{
    address::Family,
    ids::{AclAssociationId, NetworkAclId},
    network_acl::{AclAssociation, AclEntry, NetworkAcl},
    refusal::Kind,
    rule::{Action, Direction, Peer, PortRange, Protocol, RuleSpec, Service, ec2},
    tags::Tags,
    time::Timestamp,
    world::Subnet,
};

use super::{
    View,
    listing::{Item, named, part},
    tags,
};
use crate::{
    ec2::{Call, errors::Fault, query::Listing},
    node::{Fields, Node, list, number},
};

/// The rules that end the entries of a family: everything else is denied (`spec/ec2.md` A3).
const LAST_V4: u32 = 32_767;
const LAST_V6: u32 = 32_768;

pub(super) fn network_acls(call: &Call, listing: &Listing<NetworkAclId>, view: &View<'_>) -> Result<Fields, Fault> {
    let is_own = |acl: &&Arc<NetworkAcl>| view.owns(&acl.account, &acl.vpc);
    let one = |id: &NetworkAclId| view.world.network_acl(id).filter(is_own).map(|acl| &**acl);
    let all = || view.world.network_acls().filter(is_own).map(|acl| &**acl).collect();
    let (wanted, next) = part(call, listing, named(&listing.ids, Kind::NetworkAcl, one, all)?, view);
    let items = wanted.into_iter().map(|acl| fields(acl, view));
    Ok(std::iter::once(("networkAclSet", list("item", items))).chain(next).collect())
}

pub(super) fn created(call: &Call, id: &NetworkAclId, view: &View<'_>) -> Fields {
    let token = call.params().filled("ClientToken").map(|token| ("clientToken", token.into()));
    let acl = view.world.network_acl(id).map(|acl| ("networkAcl", fields(acl, view).into()));
    acl.into_iter().chain(token).collect()
}

pub(super) fn associated(id: &AclAssociationId) -> Fields {
    vec![("newAssociationId", id.as_str().into())]
}

/// An entry as it is shown, the last one of a family included.
struct Shown {
    number: u32,
    spec: RuleSpec,
}

impl Shown {
    /// Both directions, each in the order in which entries are looked at.
    fn of(acl: &NetworkAcl, view: &View<'_>) -> Vec<Self> {
        let has_ipv6 = view.world.vpc(&acl.vpc).is_some_and(|vpc| vpc.ipv6.is_some());
        let of_direction = |direction| {
            let own = acl.entries_of(direction).map(Self::entry);
            let last = NetworkAcl::default_entries_of(direction).into_iter().zip([LAST_V4, LAST_V6]);
            let last = last
                .take(if has_ipv6 { 2 } else { 1 })
                .map(|(entry, number)| Self { number, spec: RuleSpec { action: Action::Deny, ..entry.spec } });
            own.chain(last).collect::<Vec<_>>()
        };
        [Direction::Egress, Direction::Ingress].into_iter().flat_map(of_direction).collect()
    }

    fn entry(entry: &AclEntry) -> Self {
        Self { number: u32::from(entry.number), spec: entry.spec.clone() }
    }

    fn fields(&self) -> Fields {
        let mut fields: Fields = vec![
            ("ruleNumber", number(self.number)),
            ("protocol", ec2::protocol_number(self.spec.protocol).into()),
            ("ruleAction", self.spec.action.to_string().into()),
            ("egress", self.is_egress().into()),
        ];
        fields.extend(block(&self.spec));
        fields.extend(self.ports().map(|ports| ("portRange", range(ports))));
        fields.extend(self.icmp().map(|(kind, code)| {
            ("icmpTypeCode", Node::Object(vec![("type", number(kind)), ("code", number(code))]))
        }));
        fields
    }

    fn is_egress(&self) -> bool {
        self.spec.direction == Direction::Egress
    }

    fn ports(&self) -> Option<PortRange> {
        if let Service::Ports(ports) = self.spec.service { Some(ports) } else { None }
    }

    /// Type and code; `-1` is every one.
    fn icmp(&self) -> Option<(i64, i64)> {
        match self.spec.service {
            Service::Icmp { kind, code } => Some((kind.into(), code.map_or(-1, i64::from))),
            Service::Any if matches!(self.spec.protocol, Protocol::ICMP | Protocol::ICMPV6) => Some((-1, -1)),
            Service::Any | Service::Ports(_) | Service::PortList(_) => None,
        }
    }
}

/// An entry of an ACL as part of the analysis of a path.
pub(super) fn analysed(entry: &AclEntry) -> Fields {
    let shown = Shown::entry(entry);
    let mut fields: Fields = vec![
        ("egress", shown.is_egress().into()),
        ("protocol", ec2::protocol_number(entry.spec.protocol).into()),
        ("ruleAction", entry.spec.action.to_string().into()),
        ("ruleNumber", number(shown.number)),
    ];
    fields.extend(block(&entry.spec).map(|(_, block)| ("cidr", block)));
    fields.extend(shown.ports().map(|ports| ("portRange", range(ports))));
    fields
}

fn range(ports: PortRange) -> Node {
    Node::Object(vec![("from", number(ports.first())), ("to", number(ports.last()))])
}

fn block(spec: &RuleSpec) -> Option<(&'static str, Node)> {
    let Peer::Cidr(cidr) = &spec.peer else { return None };
    let name = match cidr.family() {
        Family::V4 => "cidrBlock",
        Family::V6 => "ipv6CidrBlock",
    };
    Some((name, cidr.to_string().into()))
}

fn fields(acl: &NetworkAcl, view: &View<'_>) -> Fields {
    let item = |(subnet, association): (&Subnet, &AclAssociation)| -> Fields {
        vec![
            ("networkAclAssociationId", association.id.as_str().into()),
            ("networkAclId", acl.id.as_str().into()),
            ("subnetId", subnet.id.as_str().into()),
        ]
    };
    vec![
        ("networkAclId", acl.id.as_str().into()),
        ("vpcId", acl.vpc.as_str().into()),
        ("ownerId", acl.account.as_str().into()),
        ("default", acl.is_default.into()),
        ("entrySet", list("item", Shown::of(acl, view).iter().map(Shown::fields))),
        ("associationSet", list("item", associations(acl, view).map(item))),
        tags::set(&acl.tags),
    ]
}

/// The subnets that have an ACL.
fn associations<'a>(acl: &'a NetworkAcl, view: &View<'a>) -> impl Iterator<Item = (&'a Subnet, &'a AclAssociation)> {
    let behind = view.world.subnets().filter(|subnet| subnet.has_acl(&acl.id));
    behind.filter_map(|subnet| Some((&**subnet, subnet.acl.as_ref()?)))
}

impl Item for NetworkAcl {
    fn place(&self) -> (Timestamp, &str) {
        (self.created_at, self.id.as_str())
    }

    fn tags(&self) -> &Tags {
        &self.tags
    }

    fn values(&self, filter: &str, view: &View<'_>) -> Vec<String> {
        let of_entries =
            |value: fn(&Shown) -> Option<String>| Shown::of(self, view).iter().filter_map(value).collect();
        let blocks = |family: Family| {
            let all = Shown::of(self, view).into_iter().filter_map(|shown| match shown.spec.peer {
                Peer::Cidr(cidr) => Some(cidr),
                Peer::PrefixList(_) | Peer::Group { .. } => None,
            });
            all.filter(|cidr| cidr.family() == family).map(|cidr| cidr.to_string()).collect()
        };
        match filter {
            "network-acl-id" => vec![self.id.to_string()],
            "association.network-acl-id" => associations(self, view).map(|_| self.id.to_string()).collect(),
            "association.association-id" => associations(self, view).map(|(_, own)| own.id.to_string()).collect(),
            "association.subnet-id" => associations(self, view).map(|(subnet, _)| subnet.id.to_string()).collect(),
            "default" => vec![self.is_default.to_string()],
            "vpc-id" => vec![self.vpc.to_string()],
            "owner-id" => vec![self.account.to_string()],
            "entry.cidr" => blocks(Family::V4),
            "entry.ipv6-cidr" => blocks(Family::V6),
            "entry.egress" => of_entries(|shown| Some(shown.is_egress().to_string())),
            "entry.protocol" => of_entries(|shown| Some(ec2::protocol_number(shown.spec.protocol))),
            "entry.rule-action" => of_entries(|shown| Some(shown.spec.action.to_string())),
            "entry.rule-number" => of_entries(|shown| Some(shown.number.to_string())),
            "entry.port-range.from" => of_entries(|shown| Some(shown.ports()?.first().to_string())),
            "entry.port-range.to" => of_entries(|shown| Some(shown.ports()?.last().to_string())),
            "entry.icmp.type" => of_entries(|shown| Some(shown.icmp()?.0.to_string())),
            "entry.icmp.code" => of_entries(|shown| Some(shown.icmp()?.1.to_string())),
            _ => Vec::new(),
        }
    }
}
