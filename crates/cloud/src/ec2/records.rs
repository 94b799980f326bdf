//! Records of flow logs: one line for each tuple, direction and decision of an interface in an interval (`spec/ec2.md` D).
//!
//! What a field would tell that is not known here is `-`, as in the cloud.

use sekimori_core::{
    flow_log::{FlowLog, LoggedTraffic},
    flow_record::{TrafficKey, TrafficSum},
    rule::Direction,
    time::Timestamp,
    world::{Eni, World},
};

use super::{region::Region, words::flow_log::FIELDS};

/// What stands for what is not known, or does not apply.
const NONE: &str = "-";
/// Fields up to these positions are of version 2, 3, 4, 5, 7 and so on.
const VERSIONS: [(usize, u8); 8] = [(14, 2), (21, 3), (25, 4), (29, 5), (39, 7), (40, 8), (41, 9), (42, 10)];

/// What a line tells.
#[derive(Clone, Copy, Debug)]
pub enum Record<'a> {
    /// Traffic.
    Ok(&'a TrafficKey, &'a TrafficSum),
    /// There was none.
    NoData,
    /// Some of it is missing.
    SkipData,
}

/// Makes the lines of one flow log.
#[derive(Debug)]
pub struct Recorder<'a> {
    log: &'a FlowLog,
    world: &'a World,
    fields: Vec<&'a str>,
    version: u8,
    interval: (i64, i64),
}

impl<'a> Recorder<'a> {
    /// For an interval: from when on, and until when, in seconds since 1970.
    #[must_use]
    pub fn new(log: &'a FlowLog, world: &'a World, interval: (i64, i64)) -> Self {
        let name = |word: &'a str| word.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
        let fields: Vec<&str> = log.config.format.split_whitespace().filter_map(name).collect();
        let version = fields.iter().map(|field| version_of(field)).max().unwrap_or(2);
        Self { log, world, fields, version, interval }
    }

    /// The first line of a file: the names of the fields.
    #[must_use]
    pub fn header(&self) -> String {
        self.fields.join(" ")
    }

    /// A line about an interface.
    #[must_use]
    pub fn line(&self, eni: &Eni, record: Record<'_>) -> String {
        let values: Vec<String> = self.fields.iter().map(|field| self.value(field, eni, record)).collect();
        values.join(" ")
    }

    fn value(&self, field: &str, eni: &Eni, record: Record<'_>) -> String {
        let subnet = || self.world.subnet(&eni.subnet);
        let known = match field {
            "version" => Some(self.version.to_string()),
            "account-id" => Some(eni.account.to_string()),
            "interface-id" => Some(eni.id.to_string()),
            "start" => Some(self.times(record).0.to_string()),
            "end" => Some(self.times(record).1.to_string()),
            "log-status" => Some(status(record).to_owned()),
            "vpc-id" => Some(eni.vpc.to_string()),
            "subnet-id" => Some(eni.subnet.to_string()),
            "instance-id" => eni.instance.as_ref().map(ToString::to_string),
            "region" => Some(self.log.region.clone()),
            "az-id" => subnet().and_then(|subnet| Region::find(&self.log.region)?.zone_id(&subnet.zone)),
            other => match record {
                Record::Ok(key, sum) => self.of_traffic(other, eni, key, sum),
                Record::NoData | Record::SkipData => None,
            },
        };
        known.unwrap_or_else(|| NONE.to_owned())
    }

    /// Of the interval, but of the first and the last packet where there were packets.
    fn times(&self, record: Record<'_>) -> (i64, i64) {
        let (start, end) = self.interval;
        match record {
            Record::Ok(_, sum) => (sum.first_s.clamp(start, end), sum.last_s.clamp(start, end)),
            Record::NoData | Record::SkipData => (start, end),
        }
    }

    fn of_traffic(&self, field: &str, eni: &Eni, key: &TrafficKey, sum: &TrafficSum) -> Option<String> {
        let is_ingress = key.direction == Direction::Ingress;
        // The interface's end is shown with its primary address, whichever of its addresses the packet had.
        let shown = |address: std::net::IpAddr, is_own: bool| {
            let primary = eni.addresses.first().filter(|first| is_own && address.is_ipv4() && first.is_ipv4());
            primary.copied().unwrap_or(address).to_string()
        };
        match field {
            "srcaddr" => Some(shown(key.source, !is_ingress)),
            "dstaddr" => Some(shown(key.destination, is_ingress)),
            "pkt-srcaddr" => Some(key.source.to_string()),
            "pkt-dstaddr" => Some(key.destination.to_string()),
            "srcport" => Some(key.source_port.to_string()),
            "dstport" => Some(key.destination_port.to_string()),
            "protocol" => Some(key.protocol.to_string()),
            "packets" => Some(sum.packets.to_string()),
            "bytes" => Some(sum.bytes.to_string()),
            "action" => Some(if key.passed { "ACCEPT" } else { "REJECT" }.to_owned()),
            "tcp-flags" => Some(sum.tcp_flags.to_string()),
            "type" => Some(if key.source.is_ipv4() { "IPv4" } else { "IPv6" }.to_owned()),
            "flow-direction" => Some(if is_ingress { "ingress" } else { "egress" }.to_owned()),
            "traffic-path" if !is_ingress => self.path(eni, key).map(|path| path.to_string()),
            _ => None,
        }
    }

    /// The way that traffic leaves an interface: within its VPC, or over a peering connection.
    fn path(&self, eni: &Eni, key: &TrafficKey) -> Option<u8> {
        let peer = self.world.eni_seen_from(&eni.vpc, key.destination)?;
        Some(if peer.vpc == eni.vpc { 1 } else { 4 })
    }
}

fn version_of(field: &str) -> u8 {
    let at = FIELDS.iter().position(|known| *known == field).unwrap_or(0);
    VERSIONS.iter().find(|(end, _)| at < *end).map_or(2, |(_, version)| *version)
}

fn status(record: Record<'_>) -> &'static str {
    match record {
        Record::Ok(..) => "OK",
        Record::NoData => "NODATA",
        Record::SkipData => "SKIPDATA",
    }
}

/// Whether a flow log wants traffic that passed, or that did not.
#[must_use]
pub fn is_logged(traffic: LoggedTraffic, passed: bool) -> bool {
    match traffic {
        LoggedTraffic::All => true,
        LoggedTraffic::Accepted => passed,
        LoggedTraffic::Rejected => !passed,
    }
}

/// A moment in the name of a file: `20261127T0610Z`.
#[must_use]
pub fn file_time(at: Timestamp) -> String {
    let moment = jiff::Timestamp::from_second(at.0).unwrap_or_default();
    // A moment can always be written so.
    jiff::fmt::strtime::format("%Y%m%dT%H%MZ", moment).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{super::words::flow_log::default_format, *};

    #[test]
    fn the_version_is_that_of_the_newest_field() {
        let newest = |fields: &[&str]| fields.iter().map(|field| version_of(field)).max();
        assert_eq!(newest(&["srcaddr", "log-status"]), Some(2));
        assert_eq!(newest(&["srcaddr", "vpc-id"]), Some(3));
        assert_eq!(
            (newest(&["pkt-dstaddr"]), newest(&["region"]), newest(&["traffic-path"])),
            (Some(3), Some(4), Some(5))
        );
        assert_eq!((newest(&["ecs-task-id"]), newest(&["reject-reason"])), (Some(7), Some(8)));
        assert_eq!((newest(&["resource-id"]), newest(&["encryption-status"])), (Some(9), Some(10)));
        assert!(default_format().ends_with("${action} ${log-status}"));
        assert_eq!(file_time(Timestamp(1_700_000_400)), "20231114T2220Z");
    }
}
