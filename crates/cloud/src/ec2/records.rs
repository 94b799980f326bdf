//! What the fields of a flow log's record are called and mean in EC2 (`spec/ec2.md` D).

use std::net::IpAddr;

use sekimori_core::{flow_record::TrafficKey, rule::Direction, world::Eni};

use super::{region::Region, words::flow_log::FIELDS};
use crate::records::{Record, Recorder};

/// Fields up to these positions are of version 2, 3, 4, 5, 7 and so on.
const VERSIONS: [(usize, u8); 8] = [(14, 2), (21, 3), (25, 4), (29, 5), (39, 7), (40, 8), (41, 9), (42, 10)];

/// The version of a record with these fields: that of the newest.
pub(crate) fn version_of(fields: &[&str]) -> u8 {
    let of_field = |field: &&str| {
        let at = FIELDS.iter().position(|known| known == field).unwrap_or(0);
        VERSIONS.iter().find(|(end, _)| at < *end).map_or(2, |(_, version)| *version)
    };
    fields.iter().map(of_field).max().unwrap_or(2)
}

/// Whether a record may have a field of this name.
pub(crate) fn is_field(name: &str) -> bool {
    FIELDS.contains(&name)
}

/// A field that ECS has not, or has differently.
pub(crate) fn value(of: &Recorder<'_>, version: u8, field: &str, eni: &Eni, record: Record<'_>) -> Option<String> {
    match field {
        "version" => Some(version.to_string()),
        "interface-id" => Some(eni.id.to_string()),
        "subnet-id" => Some(eni.subnet.to_string()),
        "instance-id" => eni.instance.as_ref().map(ToString::to_string),
        "az-id" => {
            let subnet = of.world.subnet(&eni.subnet)?;
            Region::find(&of.log.region)?.zone_id(&subnet.zone)
        }
        other => match record {
            Record::Ok(key, _) => of_traffic(of, other, eni, key),
            Record::NoData | Record::SkipData => None,
        },
    }
}

fn of_traffic(of: &Recorder<'_>, field: &str, eni: &Eni, key: &TrafficKey) -> Option<String> {
    let is_ingress = key.direction == Direction::Ingress;
    // The interface's end is shown with its primary address, whichever of its addresses the packet had.
    let shown = |address: IpAddr, is_own: bool| {
        let primary = eni.addresses.first().filter(|first| is_own && address.is_ipv4() && first.is_ipv4());
        primary.copied().unwrap_or(address).to_string()
    };
    match field {
        "srcaddr" => Some(shown(key.source, !is_ingress)),
        "dstaddr" => Some(shown(key.destination, is_ingress)),
        "pkt-srcaddr" => Some(key.source.to_string()),
        "pkt-dstaddr" => Some(key.destination.to_string()),
        "type" => Some(if key.source.is_ipv4() { "IPv4" } else { "IPv6" }.to_owned()),
        "flow-direction" => Some(if is_ingress { "ingress" } else { "egress" }.to_owned()),
        "traffic-path" if !is_ingress => path(of, eni, key).map(|path| path.to_string()),
        _ => None,
    }
}

/// The way that traffic leaves an interface: within its VPC, or over a peering connection.
fn path(of: &Recorder<'_>, eni: &Eni, key: &TrafficKey) -> Option<u8> {
    let peer = of.world.eni_seen_from(&eni.vpc, key.destination)?;
    Some(if peer.vpc == eni.vpc { 1 } else { 4 })
}

#[cfg(test)]
mod tests {
    use super::{super::words::flow_log::default_format, *};

    #[test]
    fn the_version_is_that_of_the_newest_field() {
        assert_eq!(version_of(&["srcaddr", "log-status"]), 2);
        assert_eq!(version_of(&["srcaddr", "vpc-id"]), 3);
        assert_eq!((version_of(&["pkt-dstaddr"]), version_of(&["region"]), version_of(&["traffic-path"])), (3, 4, 5));
        assert_eq!((version_of(&["ecs-task-id"]), version_of(&["reject-reason"])), (7, 8));
        assert_eq!((version_of(&["resource-id"]), version_of(&["encryption-status"])), (9, 10));
        assert!(default_format().ends_with("${action} ${log-status}"));
    }
}
