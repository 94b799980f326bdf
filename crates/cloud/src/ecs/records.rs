//! What the fields of a flow log's record are called and mean in ECS (`spec/ecs.md` G), and which way traffic goes there.
//!
//! A line is an object of texts, as Log Service keeps and exports its entries.

use std::net::IpAddr;

use sekimori_core::{
    flow_record::{TrafficKey, TrafficSum},
    rule::Direction,
    world::{Eni, World},
};

use super::encode::{Fields, Node};
use crate::records::{Record, Recorder};

/// Every field of a record, in the order of the documents.
pub(super) const FIELDS: [&str; 21] = [
    "version",
    "vswitch-id",
    "vm-id",
    "vpc-id",
    "account-id",
    "eni-id",
    "region",
    "srcaddr",
    "srcport",
    "dstaddr",
    "dstport",
    "protocol",
    "direction",
    "packets",
    "bytes",
    "start",
    "end",
    "log-status",
    "action",
    "tcp-flags",
    "traffic_path",
];
/// Ways of traffic that a flow log may be about: all of them, and the one that exists here.
pub(super) const ALL_PATHS: &str = "all";
pub(super) const INTERNET_PATH: &str = "internetGateway";
/// The others, which nothing takes here.
const OTHER_PATHS: [&str; 8] = [
    "natGateway",
    "vpnGateway",
    "transitRouter",
    "gatewayEndpoint",
    "vbr",
    "ecr",
    "ipv4Gateway",
    "gatewayLoadBalancerEndpoint",
];

/// What tells entries of flow logs from others in a store.
const TOPIC: (&str, &str) = ("__topic__", "flow_log");
/// Of every record.
const VERSION: &str = "1";
/// Numbers of `traffic_path`.
const PATH_OTHER: &str = "0";
const PATH_IN_VPC: &str = "2";
/// FIN and RST: a connection that ended.
const ENDED: u8 = 1 | 4;

/// The way of traffic that a client names, as it is written.
pub(super) fn path_named(name: &str) -> Option<&'static str> {
    let mut known = [ALL_PATHS, INTERNET_PATH].into_iter().chain(OTHER_PATHS);
    known.find(|path| path.eq_ignore_ascii_case(name))
}

/// Whether traffic goes one of these ways; none named is every way.
pub(crate) fn goes(paths: &[String], key: &TrafficKey, world: &World) -> bool {
    let named = |name: &str| paths.iter().any(|path| path == name);
    let is_outward = || world.eni(&key.eni).is_some_and(|eni| !stays(eni, key, world));
    paths.is_empty() || named(ALL_PATHS) || (named(INTERNET_PATH) && is_outward())
}

/// A line of a file: an object of these fields, in their order.
pub(crate) fn line(fields: &[&str], value: impl Fn(&str) -> String) -> String {
    let known = FIELDS.iter().filter(|name| fields.contains(name));
    let mut object: Fields = vec![(TOPIC.0, TOPIC.1.into())];
    object.extend(known.map(|name| (*name, value(name).into())));
    // Texts can always be written so.
    serde_json::to_string(&Node::Object(object)).unwrap_or_default()
}

/// A field that EC2 has not, or has differently.
pub(crate) fn value(of: &Recorder<'_>, field: &str, eni: &Eni, record: Record<'_>) -> Option<String> {
    match field {
        "version" => Some(VERSION.to_owned()),
        "eni-id" => Some(eni.id.to_string()),
        "vswitch-id" => Some(eni.subnet.to_string()),
        "vm-id" => eni.instance.as_ref().map(ToString::to_string),
        other => match record {
            Record::Ok(key, sum) => of_traffic(of, other, eni, (key, sum)),
            Record::NoData | Record::SkipData => None,
        },
    }
}

fn of_traffic(of: &Recorder<'_>, field: &str, eni: &Eni, (key, sum): (&TrafficKey, &TrafficSum)) -> Option<String> {
    match field {
        "direction" => Some(if key.direction == Direction::Ingress { "in" } else { "out" }.to_owned()),
        // A connection that goes on is there until the end of the window.
        "end" if key.passed && sum.tcp_flags & ENDED == 0 => Some(of.interval.1.to_string()),
        "traffic_path" => Some(if stays(eni, key, of.world) { PATH_IN_VPC } else { PATH_OTHER }.to_owned()),
        _ => None,
    }
}

/// Whether the other end is an address of the interface's own VPC.
fn stays(eni: &Eni, key: &TrafficKey, world: &World) -> bool {
    let other = if key.direction == Direction::Ingress { key.source } else { key.destination };
    world.vpc(&eni.vpc).is_some_and(|vpc| match other {
        IpAddr::V4(address) => vpc.cidr.contains(&address),
        IpAddr::V6(address) => vpc.ipv6.is_some_and(|block| block.contains(&address)),
    })
}
