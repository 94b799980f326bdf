//! How EC2 calls things: ARNs, ids of what is made with others, the words of flow logs.

use sekimori_core::ids::AccountId;

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
