//! Every way in which a request is wrong, and the code, status and message of each: one table.
//!
//! Codes and messages are those of `spec/ecs.md` B4 and D, misspelt ones included: they are part of the API.
//! Refusals of commands have a table of their own, [`super::refusals`].

use sekimori_core::{refusal::Refusal, rule::Direction};

mod lists;

pub use self::lists::ListFault;
use super::{catalog::Action, refusals};
pub use crate::failure::Failure;
pub(super) use crate::failure::failure;
use crate::{api::Trouble, read::Unread};

/// Why a request is not answered with success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Another method than GET or POST.
    Method,
    /// Another path than `/`.
    Path,
    /// The body is larger than this many bytes.
    BodyTooLarge {
        /// The bound.
        bytes_max: usize,
    },
    /// More parameters than are read.
    TooManyParameters,
    /// A parameter with two values.
    Contradiction {
        /// The parameter.
        name: String,
    },
    /// A version that is not spoken here.
    Version,
    /// An operation that the version does not have.
    Action,
    /// A required parameter, or part of a signature, is not there.
    Missing {
        /// Its name.
        name: String,
    },
    /// The signature's parts do not fit together.
    Incomplete,
    /// The access key is not known.
    UnknownKey,
    /// The access key belongs to an account of the other dialect.
    WrongDialect,
    /// The key is permanent, but the token of a temporary one was sent.
    SecurityToken,
    /// The signature is wrong.
    SignatureMismatch {
        /// What it should have been over.
        string_to_sign: String,
    },
    /// The nonce was used before.
    NonceUsed,
    /// The time stamp is not a time stamp.
    TimestampFormat,
    /// The time stamp is too far from now.
    TimestampExpired,
    /// Too many requests.
    Throttled,
    /// The server failed.
    Internal,
    /// The server cannot work now.
    Unavailable,
    /// The request is well-formed, and was only to be checked.
    DryRun,
    /// The client token is not a token.
    ClientToken,
    /// A request with the same client token is being carried out.
    TokenBusy,
    /// A region that does not exist.
    Region,
    /// A zone that the region does not have.
    Zone,
    /// An id that cannot be one.
    MalformedId {
        /// The parameter.
        name: &'static str,
    },
    /// A value that the parameter cannot have.
    Invalid {
        /// The parameter.
        name: String,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// A name or description that the cloud's rules forbid.
    Words(Words),
    /// The group's type is neither `normal` nor `enterprise`.
    GroupType,
    /// A group needs a VPC: there is no classic network.
    VpcNeeded,
    /// The intra-group policy is neither `Accept` nor `Drop`.
    InnerAccess,
    /// Both a member instance and a member interface.
    TwoMembers,
    /// A number of instances that cannot be started.
    Amount {
        /// What would be right.
        reason: &'static str,
    },
    /// A private address that is none.
    AddressFormat,
    /// An IPv6 address that is none.
    Ipv6Format,
    /// The same address twice in one call.
    AddressTwice,
    /// An IPv4 block that is none.
    BlockFormat,
    /// A wrong rule.
    Rule(RuleFault),
    /// A wrong request about tags.
    Tag(TagFault),
    /// A wrong prefix list or port list.
    List(ListFault),
    /// Groups whose references are asked for: none, too many, or one whose id cannot be one.
    References,
    /// An attribute of a group that cannot be asked for.
    Attribute {
        /// Its name.
        name: String,
    },
    /// A diagnostic report that does not exist.
    Report,
    /// The command was refused.
    Refused(Refusal),
}

/// What a text names or describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Words {
    VpcName,
    VpcDescription,
    VSwitchName,
    VSwitchDescription,
    GroupName,
    GroupDescription,
    InstanceName,
    InstanceDescription,
    InterfaceName,
    InterfaceDescription,
    FlowLogName,
    FlowLogDescription,
}

/// Why a rule cannot be read. `item` is the full name of a parameter, such as `Permissions.1.SourceCidrIp`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "`item` is explained above")]
pub enum RuleFault {
    /// The protocol is none.
    Protocol { item: String },
    /// Ports for a protocol without ports.
    ProtocolAndPorts,
    /// No port range.
    PortsMissing,
    /// A port range that is none.
    Ports { item: String },
    /// A source port range that is none, or of a protocol without ports.
    SourcePorts,
    /// A port list for a protocol without ports.
    PortListProtocol,
    /// A port list id that cannot be one.
    PortList,
    /// A prefix list id that cannot be one.
    PrefixList,
    /// A peer group id that cannot be one.
    PeerGroup { direction: Direction },
    /// An address that is none, or of the other family.
    Address { at: Address, item: String },
    /// An IPv4 and an IPv6 address at the same end.
    BothFamilies { is_source: bool, item: String },
    /// ICMP with an IPv6 address.
    Ipv4Protocol,
    /// ICMPv6 with an IPv4 address.
    Ipv6Protocol,
    /// An IPv4 address at one end, an IPv6 address at the other.
    FamiliesDiffer,
    /// The same address at both ends.
    SameAddress,
    /// The policy is neither accept nor drop.
    Policy { item: String },
    /// The priority is no number.
    PriorityFormat,
    /// The priority is not 1 to 100.
    PriorityRange { item: String },
    /// The description is too long or has control characters.
    Description { item: String },
    /// No peer; `item` is absent for a flat rule.
    PeerMissing { direction: Direction, item: Option<String> },
    /// `Permissions` together with a flat rule or rule ids.
    Mixed,
    /// More rules than one call takes.
    TooMany,
    /// The same rule twice in one call.
    Twice,
    /// A rule id that cannot be one, or too many.
    RuleId,
    /// The same rule id twice in one call.
    RuleIdTwice,
    /// A rule is to be changed, and nothing of it.
    NothingToModify,
    /// A group as the end that is the group's own.
    GroupOfOwnEnd,
}

/// Why a request about tags cannot be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagFault {
    /// A key that cannot be one.
    Key,
    /// A value that cannot be one.
    Value,
    /// A key twice in one call.
    KeyTwice,
    /// More tags, or keys, than one call takes.
    TooManyTags,
    /// More resources than one call takes.
    TooManyResources,
    /// Neither tags nor keys.
    NoTags,
    /// No resource.
    NoResources,
    /// A type of resources that does not exist.
    ResourceType,
    /// A resource that does not exist.
    Resource,
}

/// One of the four address parameters of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the cloud's, and say whether the rule is a flat one")]
pub enum Address {
    FlatSourceCidrIp,
    FlatDestCidrIp,
    SourceCidrIp,
    DestCidrIp,
    Ipv6SourceCidrIp,
    Ipv6DestCidrIp,
}

impl From<Trouble> for Fault {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::UnknownKey => Self::UnknownKey,
            Trouble::WrongDialect => Self::WrongDialect,
            Trouble::NonceUsed => Self::NonceUsed,
            Trouble::Throttled => Self::Throttled,
            Trouble::Internal => Self::Internal,
            Trouble::Unavailable => Self::Unavailable,
            Trouble::BodyTooLarge { bytes_max } => Self::BodyTooLarge { bytes_max },
            Trouble::DryRun => Self::DryRun,
            Trouble::TokenBusy => Self::TokenBusy,
            Trouble::Refused(refusal) => Self::Refused(refusal),
        }
    }
}

impl From<Unread> for Fault {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Missing { name } => Self::Missing { name },
            Unread::NoBoolean { name, text } => {
                Self::Invalid { name, reason: format!("`{text}` is neither true nor false") }
            }
            Unread::NoInteger { name, text, range } => {
                let reason = format!("`{text}` is not a whole number from {} to {}", range.start(), range.end());
                Self::Invalid { name, reason }
            }
        }
    }
}

impl Fault {
    /// What the client of an operation is told.
    #[must_use]
    pub fn failure(&self, action: Option<Action>) -> Failure {
        match self {
            Self::Method => failure(403, "UnsupportedHTTPMethod", "This http method is not supported."),
            Self::Path | Self::Action => failure(
                404,
                "InvalidAction.NotFound",
                "Specified api is not found, please check your url and method.",
            ),
            Self::BodyTooLarge { bytes_max } => failure(
                413,
                "RequestEntityTooLarge",
                format!("The body of the request is larger than {bytes_max} bytes; send several requests."),
            ),
            Self::TooManyParameters => failure(
                400,
                "InvalidParameter",
                format!(
                    "The request has more than {} parameters; send several requests.",
                    crate::params::PARAMETERS_MAX
                ),
            ),
            Self::Contradiction { name } => failure(
                400,
                "InvalidParameter",
                format!("The specified parameter \"{name}\" is given twice with different values."),
            ),
            Self::Version => {
                failure(400, "InvalidParameter", "The specified parameter \"Action or Version\" is not valid.")
            }
            Self::Missing { name } => missing(action, name),
            Self::Incomplete => failure(
                400,
                "IncompleteSignature",
                "The request signature does not conform to Alibaba Cloud standards.",
            ),
            Self::UnknownKey | Self::WrongDialect => {
                failure(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
            }
            Self::SecurityToken => failure(
                400,
                "InvalidSecurityToken.MismatchWithAccessKey",
                "Specified SecurityToken mismatch with the AccessKey.",
            ),
            // Without a colon before the string to sign, aliyun-python-sdk-core fails with IndexError.
            Self::SignatureMismatch { string_to_sign } => failure(
                400,
                "SignatureDoesNotMatch",
                format!(
                    "Specified signature is not matched with our calculation. server string to sign is:{string_to_sign}"
                ),
            ),
            Self::NonceUsed => failure(400, "SignatureNonceUsed", "The request signature nonce has been used."),
            Self::TimestampFormat => {
                failure(400, "InvalidTimeStamp.Format", "Specified time stamp or date value is not well formatted.")
            }
            Self::TimestampExpired => {
                failure(400, "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.")
            }
            Self::Throttled => failure(400, "Throttling", "Request was denied due to request throttling."),
            Self::Internal => failure(
                500,
                "InternalError",
                "The request processing has failed due to some unknown error, exception or failure.",
            ),
            Self::Unavailable => {
                failure(503, "ServiceUnavailable", "The request has failed due to a temporary failure of the server.")
            }
            Self::DryRun => {
                failure(400, "DryRunOperation", "Request validation has been passed with DryRun flag set.")
            }
            Self::ClientToken => {
                failure(400, "InvalidClientToken.ValueNotSupported", "The ClientToken provided is invalid.")
            }
            Self::TokenBusy => {
                failure(403, "IdempotentProcessing", "The previous idempotent request(s) is still processing.")
            }
            Self::Region => failure(404, "InvalidRegionId.NotFound", "The specified RegionId does not exist."),
            Self::Zone => failure(404, "InvalidZoneId.NotFound", "Specified zone does not exist."),
            Self::MalformedId { name } => malformed_id(action, name),
            Self::Invalid { name, reason } => failure(
                400,
                "InvalidParameter",
                format!("The specified parameter \"{name}\" is not valid: {reason}."),
            ),
            Self::Words(words) => self::words(*words),
            Self::GroupType => {
                failure(400, "InvalidParams.GroupType", "The specified security group type is not valid.")
            }
            Self::VpcNeeded => {
                failure(403, "InvalidVpcId.NotFound", "The VpcId must not empty when only support vpc vm.")
            }
            Self::InnerAccess => failure(
                400,
                "InvalidPolicy.Malformed",
                "The Policy is invalid. Only 'Accept' and 'Drop' are supported. Ignore case.",
            ),
            Self::TwoMembers => failure(
                403,
                "InvalidParam.EniIdAndInstanceId.Conflict",
                "The parameters NetworkInterfaceId and InstanceId cannot be specified at the same time.",
            ),
            Self::Amount { reason } => {
                failure(403, "InvalidParam.Amount", format!("The specified parameter Amount is not valid: {reason}."))
            }
            Self::AddressFormat => {
                failure(400, "InvalidPrivateIpAddress.Malformed", "Specified private IP address is malformed.")
            }
            Self::Ipv6Format => failure(403, "InvalidIp.Address", "The specified IPv6 address is not valid."),
            Self::AddressTwice => {
                failure(403, "InvalidIp.IpRepeated", "The specified IP address is repeated in the request.")
            }
            Self::BlockFormat => block(action),
            Self::Rule(fault) => rule(fault, action),
            Self::Tag(fault) => tag(*fault),
            Self::List(fault) => fault.failure(),
            Self::References => failure(
                400,
                "InvalidSecurityGroupId.Malformed",
                "The specified parameter SecurityGroupId is essential and size should less than 10",
            ),
            Self::Attribute { name } => failure(
                400,
                "InvalidParameter.AttributeNotSupported",
                format!("The specified attribute \"{name}\" is not supported; use snapshotPolicyIds."),
            ),
            Self::Report => failure(400, "InvalidReport.NotExists", "The specified report not exists."),
            Self::Refused(refusal) => refusals::of_refusal(action, refusal),
        }
    }
}

fn missing(action: Option<Action>, name: &str) -> Failure {
    match (action, name) {
        (Some(Action::DeleteSecurityGroup), "RegionId") => {
            failure(400, "MissingParameter.RegionId", "The parameter \"RegionId\" should not be null.")
        }
        (Some(Action::DescribeSecurityGroupAttribute), "RegionId") => {
            failure(400, "MissingParameter.RegionId", "The parameter RegionId is missing.")
        }
        (Some(Action::ModifySecurityGroupPolicy), "RegionId") => {
            failure(400, "MissingParamter.RegionId", "The RegionId should not be null.")
        }
        (Some(Action::JoinSecurityGroup | Action::LeaveSecurityGroup), "RegionId") => {
            failure(400, "MissingParameter.RegionId", "The specified RegionId should not be null.")
        }
        (Some(action), "RegionId") if is_about_tags(action) => {
            failure(404, "MissingParameter.RegionId", "The parameter - RegionId should not be null.")
        }
        (Some(action), "ResourceType") if is_about_tags(action) => {
            failure(404, "MissingParameter.ResourceType", "The parameter - ResourceType should not be null.")
        }
        _ => failure(
            400,
            "MissingParameter",
            format!("The input parameter \"{name}\" that is required for processing this request is not supplied."),
        ),
    }
}

fn is_about_tags(action: Action) -> bool {
    let actions = [Action::TagResources, Action::UntagResources, Action::UnTagResources, Action::ListTagResources];
    actions.contains(&action)
}

fn malformed_id(action: Option<Action>, name: &str) -> Failure {
    let code = match name {
        "SecurityGroupId" if action == Some(Action::ModifySecurityGroupPolicy) => {
            return failure(
                400,
                "InvalidSecurityGroupId.Malformed",
                "The SecurityGroupId is invalid. Only letters, numbers and underscores are supported. \
                 Maximum length is 100 characters.",
            );
        }
        "SecurityGroupId" | "SecurityGroupIds" => "InvalidSecurityGroupId.Malformed",
        "InstanceId" if action.is_some_and(is_of_interface) => "InvalidInstanceID.Malformed",
        "NetworkInterfaceId" if action.is_some_and(is_of_interface) => "InvalidParams.EniId",
        "InstanceId" | "InstanceIds" => "InvalidInstanceId.Malformed",
        "VpcId" => "InvalidVpcId.Malformed",
        "VSwitchId" => "InvalidVSwitchId.Malformed",
        "NetworkInterfaceId" => "InvalidParam.Malformed",
        "PrefixListId" => return no_prefix_list(),
        "PortRangeListId" => return no_port_list(),
        "SecurityGroupRuleId" => "InvalidParam.SecurityGroupRuleId",
        _ => "InvalidParameter",
    };
    failure(400, code, format!("The specified parameter {name} is not valid."))
}

/// Whether an operation is one of the interfaces' own, which share one table of errors.
pub(super) fn is_of_interface(action: Action) -> bool {
    matches!(
        action,
        Action::CreateNetworkInterface
            | Action::AttachNetworkInterface
            | Action::DetachNetworkInterface
            | Action::DeleteNetworkInterface
            | Action::DescribeNetworkInterfaces
            | Action::DescribeNetworkInterfaceAttribute
            | Action::ModifyNetworkInterfaceAttribute
            | Action::AssignPrivateIpAddresses
            | Action::UnassignPrivateIpAddresses
            | Action::AssignIpv6Addresses
            | Action::UnassignIpv6Addresses
    )
}

fn words(words: Words) -> Failure {
    let (code, message) = match words {
        Words::VpcName => ("InvalidVpcName.Malformed", "Specified VPC name is not valid."),
        Words::VpcDescription => ("InvalidVpcDiscription.Malformed", "Specified VPC description is not valid."),
        Words::VSwitchName => ("InvalidVSwitchName.Malformed", "Specified virtual switch name is not valid."),
        Words::VSwitchDescription => {
            ("InvalidVSwitchDiscription.Malformed", "Specified virtual switch description is not valid.")
        }
        Words::GroupName => {
            ("InvalidSecurityGroupName.Malformed", "The specified parameter SecurityGroupName is not valid.")
        }
        Words::GroupDescription => {
            ("InvalidSecurityGroupDiscription.Malformed", "Specified security group description is not valid.")
        }
        Words::InstanceName => {
            ("InvalidInstanceName.Malformed", "The specified parameter \"InstanceName\" is not valid.")
        }
        Words::InterfaceName => {
            ("InvalidParameter", "The specified parameter \"NetworkInterfaceName\" is not valid.")
        }
        Words::FlowLogName => ("InvalidParameter", "The specified parameter \"FlowLogName\" is not valid."),
        Words::InstanceDescription | Words::InterfaceDescription | Words::FlowLogDescription => {
            ("InvalidDescription.Malformed", "The specified parameter \"Description\" is not valid.")
        }
    };
    failure(400, code, message)
}

fn block(action: Option<Action>) -> Failure {
    match action {
        Some(Action::CreateVSwitch) => {
            failure(400, "InvalidCidrBlock.Malformed", "Specified CIDR block is not valid.")
        }
        _ => failure(400, "InvalidParameter", "Specified CIDR block is not valid."),
    }
}

fn rule(fault: &RuleFault, action: Option<Action>) -> Failure {
    let is_revoke = matches!(action, Some(Action::RevokeSecurityGroup | Action::RevokeSecurityGroupEgress));
    match fault {
        RuleFault::Protocol { item } => failure(
            400,
            "InvalidIpProtocol.ValueNotSupported",
            format!("The parameter {item} must be specified with case insensitive TCP, UDP, ICMP, GRE or All."),
        ),
        RuleFault::ProtocolAndPorts if is_revoke => {
            failure(400, "InvalidIpPortRange.Malformed", "The specified parameter PortRange is not valid.")
        }
        RuleFault::ProtocolAndPorts => failure(
            400,
            "OperationDenied",
            "The specified IpProtocol does not exist or IpProtocol and PortRange do not match.",
        ),
        RuleFault::PortsMissing => {
            failure(400, "InvalidPortRange.Malformed", "The specified parameter PortRange must set.")
        }
        RuleFault::Ports { item } => failure(
            400,
            "InvalidParam.PortRange",
            format!(
                "The specified parameter {item} is not valid. It should be two integers less than 65535 in ?/? format."
            ),
        ),
        RuleFault::SourcePorts => {
            failure(400, "InvalidSourcePortRange.Malformed", "The specified parameter SourcePortRange is not valid.")
        }
        RuleFault::PortListProtocol => failure(
            400,
            "InvalidParam.ProtocolNotSupportPortRangeList",
            "The specified protocol does not support the port range list.",
        ),
        RuleFault::PortList => no_port_list(),
        RuleFault::PrefixList => no_prefix_list(),
        RuleFault::PeerGroup { direction } => peer_group(*direction),
        RuleFault::Address { at, item } => address(*at, item),
        RuleFault::BothFamilies { is_source: true, item } => failure(
            400,
            "InvalidParam.SourceIp",
            format!("The Parameters SourceCidrIp and Ipv6SourceCidrIp in {item} cannot be set at the same time."),
        ),
        RuleFault::BothFamilies { is_source: false, item } => failure(
            400,
            "InvalidParam.DestIp",
            format!("The Parameters DestCidrIp and Ipv6DestCidrIp in {item} cannot be set at the same time."),
        ),
        RuleFault::Ipv4Protocol => failure(
            400,
            "InvalidParam.Ipv4ProtocolConflictWithIpv6Address",
            "IPv6 address cannot be specified for IPv4-specific protocol.",
        ),
        RuleFault::Ipv6Protocol => failure(
            400,
            "InvalidParam.Ipv6ProtocolConflictWithIpv4Address",
            "IPv4 address cannot be specified for IPv6-specific protocol.",
        ),
        RuleFault::FamiliesDiffer => {
            failure(400, "InvalidParameter.Conflict", "IPv6 and IPv4 addresses cannot exist at the same time.")
        }
        RuleFault::SameAddress => failure(
            400,
            "InvalidParamter.Conflict",
            "The specified SourceCidrIp should be different from the DestCidrIp.",
        ),
        RuleFault::Policy { item } => {
            failure(400, "InvalidPolicy.Malformed", format!("The specified parameter {item} is not valid."))
        }
        RuleFault::PriorityFormat => failure(400, "InvalidPriority.Malformed", "The parameter Priority is invalid."),
        RuleFault::PriorityRange { item } => {
            failure(400, "InvalidPriority.ValueNotSupported", format!("The specified parameter {item} is invalid."))
        }
        RuleFault::Description { item } => failure(
            400,
            "InvalidSecurityGroupDiscription.Malformed",
            format!("The specified security group rule description parameter {item} is not valid."),
        ),
        RuleFault::PeerMissing { direction, item } => peer_missing(*direction, item.as_deref(), is_revoke),
        RuleFault::Mixed => failure(
            400,
            "InvalidParam.Permissions",
            "The specified parameter Permissions cannot coexist with other parameters.",
        ),
        RuleFault::TooMany => failure(
            400,
            "InvalidParam.Permissions",
            "The specified parameter Permissions is not valid. One call takes at most 100.",
        ),
        RuleFault::Twice => failure(
            400,
            "InvalidParam.DuplicatePermissions",
            "There are duplicate permissions in the specified parameter Permissions.",
        ),
        RuleFault::RuleId => failure(
            400,
            "InvalidParam.SecurityGroupRuleId",
            "The specified parameter SecurityGroupRuleId is not valid.",
        ),
        RuleFault::RuleIdTwice => failure(
            400,
            "InvalidParam.SecurityGroupRuleIdRepeated",
            "The specified parameter SecurityGroupRuleId is repeated.",
        ),
        RuleFault::NothingToModify => {
            failure(400, "InvalidParam.InvalidModifyRuleRequest", "The request parameters are illegal.")
        }
        RuleFault::GroupOfOwnEnd => failure(
            400,
            "InvalidSourceOrDestGroupId.DirectionMissmatch",
            "An inbound rule takes SourceGroupId and an outbound rule DestGroupId; give the other end as addresses.",
        ),
    }
}

fn tag(fault: TagFault) -> Failure {
    let (status, code, message) = match fault {
        TagFault::Key => (400, "InvalidTagKey.Malformed", "Specified tag key is not valid."),
        TagFault::Value => (400, "InvalidTagValue.Malformed", "Specified tag value is not valid."),
        TagFault::KeyTwice => (400, "Duplicate.TagKey", "The Tag.N.Key contain duplicate key."),
        TagFault::TooManyTags => (400, "NumberExceed.Tags", "The maximum number of Tags is exceeded."),
        TagFault::TooManyResources => {
            (400, "NumberExceed.ResourceIds", "The maximum number of ResourceIds is exceeded.")
        }
        TagFault::NoTags => (404, "MissingParameter.Tags", "The parameter - Tags should not be null."),
        TagFault::NoResources => {
            (404, "MissingParameter.ResourceIds", "The parameter - ResourceIds should not be null.")
        }
        TagFault::ResourceType => {
            (404, "InvalidResourceType.NotFound", "The ResourceType provided does not exist in our records.")
        }
        TagFault::Resource => {
            (404, "InvalidResourceId.NotFound", "The specified ResourceIds are not found in our records.")
        }
    };
    failure(status, code, message)
}

pub(super) fn no_port_list() -> Failure {
    failure(400, "InvalidPortRangeListId.NotFound", "The specified port range list was not found.")
}

pub(super) fn no_prefix_list() -> Failure {
    failure(404, "InvalidPrefixListId.NotFound", "The specified prefix list was not found.")
}

pub(super) fn peer_group(direction: Direction) -> Failure {
    match direction {
        Direction::Ingress => {
            failure(404, "InvalidSourceGroupId.NotFound", "The SourceGroupId provided does not exist in our records.")
        }
        Direction::Egress => {
            failure(404, "InvalidDestGroupId.NotFound", "The DestGroupId provided does not exist in our records.")
        }
    }
}

fn address(at: Address, item: &str) -> Failure {
    let code = match at {
        Address::FlatSourceCidrIp => "InvalidSourceCidrIp.Malformed",
        Address::FlatDestCidrIp => "InvalidDestCidrIp.Malformed",
        Address::SourceCidrIp => "InvalidParam.SourceCidrIp",
        Address::DestCidrIp => "InvalidParam.DestCidrIp",
        Address::Ipv6SourceCidrIp => "InvalidParam.Ipv6SourceCidrIp",
        Address::Ipv6DestCidrIp => "InvalidParam.Ipv6DestCidrIp",
    };
    failure(400, code, format!("The specified parameter {item} is not valid."))
}

fn peer_missing(direction: Direction, item: Option<&str>, is_revoke: bool) -> Failure {
    let end = match direction {
        Direction::Ingress => "Source",
        Direction::Egress => "Dest",
    };
    let Some(item) = item else {
        let status = if is_revoke { 400 } else { 403 };
        let message = format!("The input parameter {end}GroupId or {end}CidrIp cannot be both blank.");
        return failure(status, "MissingParameter", message);
    };
    let code = match direction {
        Direction::Ingress => "MissingParameter.Source",
        Direction::Egress => "MissingParameter.Dest",
    };
    let one_of = format!("{end}CidrIp, Ipv6{end}CidrIp, {end}GroupId or {end}PrefixListId");
    failure(400, code, format!("One of the parameters {one_of} in {item} must be specified."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(fault: Fault, action: Action) -> String {
        let Failure { status, code, message } = fault.failure(Some(action));
        format!("{status} {code} {message}")
    }

    #[test]
    fn a_missing_region_has_a_code_of_its_own_in_each_operation() {
        let missing = || Fault::Missing { name: "RegionId".to_owned() };
        let codes = [
            (
                Action::DeleteSecurityGroup,
                "400 MissingParameter.RegionId The parameter \"RegionId\" should not be null.",
            ),
            (Action::ModifySecurityGroupPolicy, "400 MissingParamter.RegionId The RegionId should not be null."),
            (Action::JoinSecurityGroup, "400 MissingParameter.RegionId The specified RegionId should not be null."),
        ];
        for (action, expected) in codes {
            assert_eq!(told(missing(), action), expected);
        }
        assert!(
            told(missing(), Action::CreateVpc).starts_with("400 MissingParameter The input parameter \"RegionId\"")
        );
    }

    #[test]
    fn the_same_rule_fault_differs_between_authorize_and_revoke() {
        let fault = || Fault::Rule(RuleFault::PeerMissing { direction: Direction::Ingress, item: None });
        assert!(told(fault(), Action::AuthorizeSecurityGroup).starts_with("403 MissingParameter The input"));
        assert!(told(fault(), Action::RevokeSecurityGroup).starts_with("400 MissingParameter The input"));
        let ports = || Fault::Rule(RuleFault::ProtocolAndPorts);
        assert!(told(ports(), Action::AuthorizeSecurityGroup).starts_with("400 OperationDenied"));
        assert!(told(ports(), Action::RevokeSecurityGroupEgress).starts_with("400 InvalidIpPortRange.Malformed"));
    }

    #[test]
    fn a_signature_mismatch_shows_what_was_to_be_signed_after_a_colon() {
        let failure = Fault::SignatureMismatch { string_to_sign: "GET&%2F&A".to_owned() }.failure(None);
        assert_eq!(failure.message.split_once(':').map(|(_, rest)| rest), Some("GET&%2F&A"));
    }
}
