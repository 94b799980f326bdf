//! Network ACLs of Alibaba Cloud, as `aliyun vpc DescribeNetworkAcls` and `DescribeNetworkAclAttributes` print them.
//!
//! They are stateless like those of EC2, the first entry that matches decides, what matches none is denied, ports are always those of the
//! destination, and what stays within a vSwitch meets none (VPC guide, "Network ACLs"). Name servers and the metadata server of the cloud
//! are always let pass; no reply lists that.

use sekimori_core::{
    address::Cidr,
    ids::NetworkAclId,
    network_acl::AclEntry,
    rule::{Action, Direction, Peer, PortRange, Protocol, RuleSpec, Service},
};

use super::owner;
use crate::account::{AccountError, Described, SeenAcl, doc::Doc};

/// What every network ACL lets pass before its own entries: name servers, and the server of metadata.
const ALWAYS: [&str; 3] = ["100.100.2.112/28", "100.100.2.128/28", "100.100.100.200/32"];
/// The number of those, before the first of one's own, which count from one as their priorities do.
const BEFORE_ALL: u16 = 0;

/// An ACL with its entries and the vSwitches that have it.
pub(super) fn network_acl(described: &mut Described, doc: Doc<'_>) -> Result<(), AccountError> {
    let id: NetworkAclId = doc.required("NetworkAclId")?.into();
    let account = owner(described, &doc);
    let mut entries = Vec::new();
    for (direction, list, item, peer) in [
        (Direction::Ingress, "IngressAclEntries", "IngressAclEntry", "SourceCidrIp"),
        (Direction::Egress, "EgressAclEntries", "EgressAclEntry", "DestinationCidrIp"),
    ] {
        if !doc.has_nested(list, item) {
            described.note(format!("`{id}`: `{list}` is not described, so all {direction} counts as denied there"));
        }
        entries.extend(ALWAYS.iter().filter_map(|block| block.parse().ok()).map(|block| always(direction, block)));
        for (number, entry) in (1..).zip(doc.items(list, item)) {
            entries.push(AclEntry { number, spec: spec(&entry, direction, peer)? });
        }
    }
    let bound = doc.items("Resources", "Resource").into_iter();
    let is_there = |resource: &Doc<'_>| {
        resource.text("ResourceType").is_none_or(|kind| kind.eq_ignore_ascii_case("VSwitch"))
            && resource.text("Status").is_none_or(|status| status.eq_ignore_ascii_case("BINDED"))
    };
    let subnets = bound.filter(is_there).filter_map(|resource| resource.text("ResourceId")).map(Into::into).collect();
    let vpc = doc.required("VpcId")?.into();
    described.acls.insert(id, SeenAcl { account, vpc, is_default: false, entries, subnets });
    Ok(())
}

fn always(direction: Direction, block: Cidr) -> AclEntry {
    let what = (Protocol::Any, Service::Any);
    AclEntry { number: BEFORE_ALL, spec: RuleSpec::plain(direction, Action::Allow, what, Peer::Cidr(block)) }
}

fn spec(entry: &Doc<'_>, direction: Direction, peer: &str) -> Result<RuleSpec, AccountError> {
    let action = match entry.required("Policy")?.to_ascii_lowercase().as_str() {
        "accept" => Action::Allow,
        "drop" => Action::Deny,
        other => return Err(entry.wrong(format!("policy `{other}` of an entry is neither accept nor drop"))),
    };
    let block: Cidr = entry.required(peer)?.parse().map_err(|error| entry.wrong(error))?;
    let named = entry.required("Protocol")?.to_ascii_lowercase();
    let protocol = Protocol::of_name(&named);
    let protocol = protocol.ok_or_else(|| entry.wrong(format!("`{named}` is no protocol of a network ACL")))?;
    let text = entry.text("Port").unwrap_or("-1/-1");
    let port = |text: &str| text.trim().parse::<u16>().ok();
    let service = match text.split_once('/') {
        _ if text == "-1/-1" => Service::Any,
        Some((first, last)) if protocol.has_ports() => {
            let ports = port(first).zip(port(last)).and_then(|(first, last)| PortRange::new(first, last));
            Service::Ports(ports.ok_or_else(|| entry.wrong(format!("`{text}` is no range of ports")))?)
        }
        Some(_) | None => return Err(entry.wrong(format!("`{text}` is no range of ports of {protocol}"))),
    };
    Ok(RuleSpec::plain(direction, action, (protocol, service), Peer::Cidr(block)))
}
