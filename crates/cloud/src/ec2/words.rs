//! How EC2 writes what a rule says: protocols, ports, ARNs.

use sekimori_core::{
    ids::AccountId,
    rule::{Protocol, Service},
};

/// A protocol as EC2 writes it: four have names, `-1` is all, the others are numbers.
pub(super) fn protocol(protocol: Protocol) -> String {
    match protocol {
        Protocol::Any => "-1".to_owned(),
        Protocol::TCP => "tcp".to_owned(),
        Protocol::UDP => "udp".to_owned(),
        Protocol::ICMP => "icmp".to_owned(),
        Protocol::ICMPV6 => "icmpv6".to_owned(),
        Protocol::Number(number) => number.to_string(),
    }
}

/// A protocol as a client writes it, in any case.
pub(super) fn read_protocol(text: &str) -> Option<Protocol> {
    match text.to_ascii_lowercase().as_str() {
        "-1" => Some(Protocol::Any),
        "tcp" => Some(Protocol::TCP),
        "udp" => Some(Protocol::UDP),
        "icmp" => Some(Protocol::ICMP),
        "icmpv6" => Some(Protocol::ICMPV6),
        number => number.parse().ok().map(Protocol::Number),
    }
}

/// First and last port, or ICMP type and code; `None` where a rule has none.
pub(super) fn ports(protocol: Protocol, service: &Service) -> Option<(i64, i64)> {
    match service {
        Service::Ports(ports) => Some((i64::from(ports.first()), i64::from(ports.last()))),
        Service::Icmp { kind, code } => Some((i64::from(*kind), code.map_or(-1, i64::from))),
        Service::Any if matches!(protocol, Protocol::ICMP | Protocol::ICMPV6) => Some((-1, -1)),
        // EC2 has no port lists.
        Service::Any | Service::PortList(_) => None,
    }
}

/// `arn:aws:ec2:us-east-1:123456789012:security-group/sg-…`.
pub(super) fn arn(region: &str, account: &AccountId, kind: &str, id: &str) -> String {
    format!("arn:aws:ec2:{region}:{account}:{kind}/{id}")
}

/// What is made with a thing is called as it is: `rtb-…` of `vpc-…`, and back.
pub(super) fn made_with(prefix: &str, id: &str) -> String {
    format!("{prefix}-{}", tail(id))
}

fn tail(id: &str) -> &str {
    id.split_once('-').map_or(id, |(_, tail)| tail)
}

/// An interface has one attachment at a time, which is called as it is.
pub(super) fn attachment_of(eni: &str) -> String {
    format!("{ATTACHMENT}{}", tail(eni))
}

/// The interface that an attachment is of, if the text can be an attachment's id.
pub(super) fn interface_of_attachment(text: &str) -> Option<String> {
    let tail = text.strip_prefix(ATTACHMENT)?;
    let is_id = !tail.is_empty() && tail.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_id.then(|| format!("eni-{tail}"))
}

/// The words of flow logs.
pub(super) mod flow_log {
    pub(in crate::ec2) const CLOUD_WATCH_LOGS: &str = "cloud-watch-logs";
    pub(in crate::ec2) const S3: &str = "s3";
    pub(in crate::ec2) const FIREHOSE: &str = "kinesis-data-firehose";

    /// Fields that a record always has, in the order of the usual format.
    const USUAL: usize = 14;

    /// Every field that a record may have, by version (`spec/ec2.md` D).
    pub(in crate::ec2) const FIELDS: [&str; 42] = [
        "version",
        "account-id",
        "interface-id",
        "srcaddr",
        "dstaddr",
        "srcport",
        "dstport",
        "protocol",
        "packets",
        "bytes",
        "start",
        "end",
        "action",
        "log-status",
        "vpc-id",
        "subnet-id",
        "instance-id",
        "tcp-flags",
        "type",
        "pkt-srcaddr",
        "pkt-dstaddr",
        "region",
        "az-id",
        "sublocation-type",
        "sublocation-id",
        "pkt-src-aws-service",
        "pkt-dst-aws-service",
        "flow-direction",
        "traffic-path",
        "ecs-cluster-arn",
        "ecs-cluster-name",
        "ecs-container-instance-arn",
        "ecs-container-instance-id",
        "ecs-container-id",
        "ecs-second-container-id",
        "ecs-service-name",
        "ecs-task-definition-arn",
        "ecs-task-arn",
        "ecs-task-id",
        "reject-reason",
        "resource-id",
        "encryption-status",
    ];

    /// The format of a flow log that names none.
    pub(in crate::ec2) fn default_format() -> String {
        crate::records::format_of(FIELDS.get(..USUAL).unwrap_or(&FIELDS))
    }
}

/// How ids of attachments begin.
const ATTACHMENT: &str = "eni-attach-";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_named_protocols_are_their_names() {
        for (sent, shown) in
            [("6", "tcp"), ("TCP", "tcp"), ("17", "udp"), ("1", "icmp"), ("58", "icmpv6"), ("47", "47")]
        {
            assert_eq!(protocol(read_protocol(sent).unwrap()), shown);
        }
        for unknown in ["all", "esp", "256", "-2", ""] {
            assert_eq!(read_protocol(unknown), None, "{unknown}");
        }
    }
}
