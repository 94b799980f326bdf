//! Every way in which a request is wrong, and the code, status and message of each: one table.
//!
//! Codes and messages are those of `spec/ec2.md` B1, B2 and B6. Clients parse messages, so they are exact where the cloud's
//! are known. Refusals of commands have a table of their own, [`super::refusals`].

use sekimori_core::refusal::{Kind, Refusal};

use super::{
    catalog::{Action, Version},
    query::Absent,
    refusals,
};
pub use crate::failure::Failure;
pub(super) use crate::failure::failure;
use crate::{api::Trouble, read::Unread};

/// What kind of thing an id names, by the prefix of the id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum IdKind {
    Vpc,
    Subnet,
    Instance,
    Interface,
    Group,
    Rule,
    PrefixList,
    RouteTable,
    NetworkAcl,
    AclAssociation,
    Peering,
    FlowLog,
    InsightsPath,
    InsightsAnalysis,
}

impl IdKind {
    /// The prefix, without its hyphen.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Vpc => "vpc",
            Self::Subnet => "subnet",
            Self::Instance => "i",
            Self::Interface => "eni",
            Self::Group => "sg",
            Self::Rule => "sgr",
            Self::PrefixList => "pl",
            Self::RouteTable => "rtb",
            Self::NetworkAcl => "acl",
            Self::AclAssociation => "aclassoc",
            Self::Peering => "pcx",
            Self::FlowLog => "fl",
            Self::InsightsPath => "nip",
            Self::InsightsAnalysis => "nia",
        }
    }
}

/// Why a request is not answered with success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Another service than those that are spoken here.
    Service,
    /// Another method than GET or POST.
    Method,
    /// More parameters than are read.
    TooManyParameters,
    /// A parameter with two values.
    Contradiction {
        /// The parameter.
        name: String,
    },
    /// No operation is named.
    NoAction,
    /// A version that is not spoken here.
    Version {
        /// The version.
        text: String,
    },
    /// An operation that is not spoken here.
    Action {
        /// Its name.
        name: String,
    },
    /// The request is not signed at all.
    NotSigned,
    /// The signature's parts do not fit together.
    Incomplete {
        /// What is missing or wrong.
        part: &'static str,
    },
    /// The signature is for a region that there is not, or for another service.
    Scope {
        /// What it says.
        text: String,
    },
    /// The access key is not known, or is one of the other dialect.
    UnknownKey,
    /// The signature is wrong.
    SignatureMismatch,
    /// The signature does not hold now.
    Expired,
    /// What whoever serves requests has to say.
    Trouble(Trouble),
    /// A required parameter is not there.
    Missing {
        /// Its name.
        name: String,
    },
    /// A parameter that the operation does not have.
    Unknown {
        /// Its name.
        name: String,
    },
    /// A parameter that the cloud has, and that cannot be kept here.
    Unsupported {
        /// Its name.
        name: String,
    },
    /// A value that a parameter cannot have.
    Value(String),
    /// Values that do not fit what the operation makes.
    Parameter(String),
    /// A key that no tag can have.
    TagKey(String),
    /// Parameters that do not go together.
    Combination(String),
    /// Too many filters, or too many values of one.
    FilterLimit(String),
    /// A token that no part of this listing was answered with.
    PageToken {
        /// The token.
        token: String,
    },
    /// An id that cannot be one.
    MalformedId {
        /// Of what.
        kind: IdKind,
        /// The id.
        id: String,
    },
    /// An id of nothing that can have tags.
    UnknownId {
        /// The id.
        id: String,
    },
    /// A thing of a VPC, without a VPC: there is no default one.
    NoDefaultVpc,
    /// The block of a VPC or subnet is none.
    Block {
        /// Whether it is a subnet's.
        is_subnet: bool,
        /// The block.
        text: String,
    },
    /// An instance that has not one interface but several.
    SeveralInterfaces(String),
    /// An id that cannot be an attachment's.
    MalformedAttachment(String),
    /// An attachment that there is not.
    UnknownAttachment(String),
    /// A rule that is written anew without a source.
    NoSource,
    /// The group is to be called as the default one is.
    ReservedName,
    /// A network interface's parameters that leave no primary one.
    Interfaces(String),
    /// The main route table of a VPC that there is not.
    UnknownRouteTable(String),
    /// A thing of a kind that there are none of here.
    Absent {
        /// Which kind.
        kind: Absent,
        /// Its id, name or address.
        id: String,
    },
}

impl From<Trouble> for Fault {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::UnknownKey | Trouble::WrongDialect => Self::UnknownKey,
            Trouble::NonceUsed
            | Trouble::Throttled
            | Trouble::Internal
            | Trouble::Unavailable
            | Trouble::BodyTooLarge { .. }
            | Trouble::DryRun
            | Trouble::TokenBusy
            | Trouble::Refused(_) => Self::Trouble(trouble),
        }
    }
}

impl From<Unread> for Fault {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Missing { name } => Self::Missing { name },
            Unread::NoBoolean { name, text } => {
                Self::Value(format!("Invalid value '{text}' for {name}. Use true or false."))
            }
            Unread::NoInteger { name, text, range } => Self::Value(format!(
                "Value ( {text} ) for parameter {name} is invalid. Expecting a whole number from {} to {}.",
                range.start(),
                range.end()
            )),
        }
    }
}

/// What EC2 answers to a key or a signature it does not know; it does not tell which.
const NOT_VALIDATED: &str = "AWS was not able to validate the provided access credentials";

impl Fault {
    /// The fault of a name that is not known, or not to this account and region.
    pub(super) fn missing(kind: Kind, id: &str) -> Self {
        Trouble::Refused(Refusal::Missing { kind, id: id.to_owned() }).into()
    }

    /// The fault of a call that changes, or asks for, no attribute.
    pub(super) fn no_attribute() -> Self {
        Self::Combination("No attributes specified.".to_owned())
    }

    /// The fault of a call that changes more than one kind of attribute.
    pub(super) fn several_attributes() -> Self {
        Self::Combination("Fields for multiple attribute types specified: change one at a time".to_owned())
    }

    /// What the client of an operation is told, by the service that it called.
    #[must_use]
    pub fn failure(&self, action: Option<Action>, version: Version) -> Failure {
        match self {
            Self::Service => failure(
                400,
                "InvalidAction",
                "The requested operation is not valid for this web service; EC2 2016-11-15 and STS 2011-06-15 are \
                 spoken here.",
            ),
            Self::Method => failure(
                405,
                "UnsupportedProtocol",
                "The request method is not supported; use GET or POST with the path /.",
            ),
            Self::TooManyParameters => failure(
                400,
                "InvalidQueryParameter",
                format!(
                    "The request has more than {} parameters; send several requests.",
                    crate::params::PARAMETERS_MAX
                ),
            ),
            Self::Contradiction { name } => failure(
                400,
                "MalformedQueryString",
                format!("The parameter {name} is given twice with different values; give it once."),
            ),
            Self::NoAction => {
                failure(400, "MissingAction", "The request is missing an action or a required parameter.")
            }
            Self::Version { text } => {
                failure(400, "NoSuchVersion", format!("The requested version ({text}) is not valid; use 2016-11-15."))
            }
            Self::Action { name } => {
                failure(400, "InvalidAction", format!("The action {name} is not valid for this web service."))
            }
            Self::NotSigned
            | Self::Incomplete { .. }
            | Self::Scope { .. }
            | Self::UnknownKey
            | Self::SignatureMismatch
            | Self::Expired => authentication(self, version),
            Self::Trouble(trouble) => self::trouble(trouble, action),
            Self::Missing { name } => {
                failure(400, "MissingParameter", format!("The request must contain the parameter {name}"))
            }
            Self::Unknown { name } => {
                failure(400, "UnknownParameter", format!("The parameter {name} is not recognized"))
            }
            Self::Unsupported { name } => failure(
                400,
                "UnsupportedOperation",
                format!("The functionality of the parameter {name} is not supported here; leave it out."),
            ),
            Self::Value(message) => failure(400, "InvalidParameterValue", message),
            Self::Parameter(message) => failure(400, "InvalidParameter", message),
            Self::TagKey(message) => failure(400, "InvalidTagKey.Malformed", message),
            Self::Combination(message) => failure(400, "InvalidParameterCombination", message),
            Self::FilterLimit(message) => failure(400, "FilterLimitExceeded", message),
            Self::PageToken { token } => {
                failure(400, "InvalidPaginationToken", format!("Next token '{token}' is invalid"))
            }
            Self::MalformedId { kind, id } => malformed(action, *kind, id),
            Self::UnknownId { id } => failure(400, "InvalidID", format!("The ID '{id}' is not valid")),
            Self::NoDefaultVpc => failure(
                400,
                "VPCIdNotSpecified",
                "No default VPC for this user. GroupName is only supported for EC2-Classic and default VPC.",
            ),
            Self::Block { is_subnet: true, text } => {
                failure(400, "InvalidSubnet.Range", format!("The CIDR '{text}' is invalid."))
            }
            Self::Block { is_subnet: false, text } => {
                failure(400, "InvalidVpc.Range", format!("The CIDR '{text}' is invalid."))
            }
            Self::SeveralInterfaces(instance) => failure(
                400,
                "InvalidInstanceID",
                format!(
                    "There are multiple interfaces attached to instance '{instance}'. Please specify an interface ID for \
                     the operation instead."
                ),
            ),
            Self::MalformedAttachment(text) => failure(
                400,
                "InvalidNetworkInterfaceAttachmentId.Malformed",
                format!("Invalid id: \"{text}\" (expecting \"eni-attach-...\")"),
            ),
            Self::UnknownAttachment(text) => {
                failure(400, "InvalidAttachmentID.NotFound", format!("The attachment '{text}' does not exist."))
            }
            Self::NoSource => failure(
                400,
                "MissingParameter",
                "The request must contain exactly one of: cidrIp, cidrIpv6, prefixListId, or referencedGroupId",
            ),
            Self::ReservedName => {
                failure(400, "InvalidParameterValue", "Cannot use reserved security group name: default")
            }
            Self::Interfaces(message) => failure(400, "InvalidParameterCombination", message),
            Self::UnknownRouteTable(id) => {
                failure(400, "InvalidRouteTableID.NotFound", format!("The routeTable ID '{id}' does not exist"))
            }
            Self::Absent { kind, id } => absent(*kind, id),
        }
    }
}

/// EC2 says one thing about every wrong signature; STS tells what is wrong with it.
fn authentication(fault: &Fault, version: Version) -> Failure {
    match (fault, version) {
        (Fault::NotSigned, Version::Ec2) => {
            failure(400, "MissingParameter", "The request must contain the parameter AWSAccessKeyId")
        }
        (Fault::NotSigned, Version::Sts) => {
            failure(403, "MissingAuthenticationToken", "Request is missing Authentication Token")
        }
        (Fault::Incomplete { part }, _) => failure(
            400,
            "IncompleteSignature",
            format!(
                "The request signature does not conform to AWS standards: {part} is missing, wrong or not signed."
            ),
        ),
        (Fault::Scope { text }, Version::Ec2) => failure(
            401,
            "AuthFailure",
            format!("Credential should be scoped to a valid region and the service ec2, not '{text}'."),
        ),
        (Fault::Scope { text }, Version::Sts) => failure(
            403,
            "SignatureDoesNotMatch",
            format!("Credential should be scoped to a valid region and the service sts, not '{text}'."),
        ),
        (Fault::UnknownKey, Version::Sts) => {
            failure(403, "InvalidClientTokenId", "The security token included in the request is invalid.")
        }
        (Fault::SignatureMismatch, Version::Sts) => failure(
            403,
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret \
             Access Key and signing method. Consult the service documentation for details.",
        ),
        (Fault::Expired, Version::Ec2) => failure(400, "RequestExpired", "Request has expired."),
        (Fault::Expired, Version::Sts) => {
            failure(403, "SignatureDoesNotMatch", "Signature expired: the clocks differ by more than 15 minutes.")
        }
        // Everything else is none of these faults.
        (_, Version::Ec2 | Version::Sts) => failure(401, "AuthFailure", NOT_VALIDATED),
    }
}

fn trouble(trouble: &Trouble, action: Option<Action>) -> Failure {
    match trouble {
        Trouble::UnknownKey | Trouble::WrongDialect | Trouble::NonceUsed => {
            failure(401, "AuthFailure", NOT_VALIDATED)
        }
        Trouble::Throttled => failure(503, "RequestLimitExceeded", "Request limit exceeded."),
        Trouble::TokenBusy => failure(
            503,
            "RequestLimitExceeded",
            "A request with the same client token is being carried out; repeat this one.",
        ),
        Trouble::Internal => failure(500, "InternalError", "An internal error has occurred."),
        Trouble::Unavailable => {
            failure(503, "ServiceUnavailable", "The service is unavailable. Please try again shortly.")
        }
        Trouble::BodyTooLarge { bytes_max } => failure(
            413,
            "InvalidQueryParameter",
            format!("The body of the request is larger than {bytes_max} bytes; send several requests."),
        ),
        Trouble::DryRun => failure(412, "DryRunOperation", "Request would have succeeded, but DryRun flag is set."),
        Trouble::Refused(refusal) => refusals::of_refusal(action, refusal),
    }
}

/// A name of something that there is none of here.
fn absent(kind: Absent, id: &str) -> Failure {
    let (code, what) = match kind {
        Absent::InternetGateway => ("InvalidInternetGatewayID.NotFound", "internetGateway ID"),
        Absent::NatGateway => ("NatGatewayNotFound", "Nat Gateway"),
        Absent::VpcEndpoint => ("InvalidVpcEndpointId.NotFound", "Vpc Endpoint Id"),
        Absent::Address => ("InvalidAddress.NotFound", "address"),
        Absent::Volume => ("InvalidVolume.NotFound", "volume"),
        Absent::Snapshot => ("InvalidSnapshot.NotFound", "snapshot"),
        Absent::Image => ("InvalidAMIID.NotFound", "image id"),
        Absent::LaunchTemplate => ("InvalidLaunchTemplateId.NotFound", "launch template"),
    };
    failure(400, code, format!("The {what} '{id}' does not exist"))
}

fn malformed(action: Option<Action>, kind: IdKind, id: &str) -> Failure {
    let expecting = format!("Invalid id: \"{id}\" (expecting \"{}-...\")", kind.prefix());
    match kind {
        IdKind::Group if action == Some(Action::DeleteSecurityGroup) => {
            failure(400, "InvalidGroupId.Malformed", format!("The security-group ID '{id}' is malformed"))
        }
        IdKind::Group if action == Some(Action::DescribeSecurityGroupRules) => {
            failure(400, "InvalidGroupId.Malformed", format!("The security group ID '{id}' is malformed"))
        }
        IdKind::Group => failure(400, "InvalidGroupId.Malformed", expecting),
        IdKind::Vpc => failure(400, "InvalidVpcID.Malformed", expecting),
        IdKind::Subnet => failure(400, "InvalidSubnetID.Malformed", expecting),
        IdKind::Instance => failure(400, "InvalidInstanceID.Malformed", expecting),
        IdKind::Interface => failure(400, "InvalidNetworkInterfaceId.Malformed", expecting),
        IdKind::Rule => failure(400, "InvalidSecurityGroupRuleId.Malformed", expecting),
        IdKind::PrefixList => failure(400, "InvalidPrefixListId.Malformed", expecting),
        IdKind::RouteTable => failure(400, "InvalidRouteTableId.Malformed", expecting),
        IdKind::NetworkAcl => failure(400, "InvalidNetworkAclId.Malformed", expecting),
        IdKind::AclAssociation => failure(400, "InvalidAssociationID.NotFound", expecting),
        IdKind::Peering => failure(400, "InvalidVpcPeeringConnectionId.Malformed", expecting),
        IdKind::FlowLog => failure(400, "InvalidFlowLogId.Malformed", expecting),
        IdKind::InsightsPath => failure(400, "InvalidNetworkInsightsPathId.Malformed", expecting),
        IdKind::InsightsAnalysis => failure(400, "InvalidNetworkInsightsAnalysisId.Malformed", expecting),
    }
}

/// Why a rule cannot be read, as the cloud says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RuleFault {
    NoProtocol,
    Protocol(String),
    NoPorts { is_icmp: bool },
    Port { is_from: bool, text: String },
    InvertedPorts { from: u32, to: u32 },
    IcmpType(String),
    IcmpCode(String),
    Block(String),
    Description,
    Twice,
    NoSource,
    GroupByName(String),
}

impl From<RuleFault> for Fault {
    fn from(fault: RuleFault) -> Self {
        Self::Value(match fault {
            RuleFault::NoSource => {
                return Self::Missing { name: "cidrIp, cidrIpv6, prefixListId or groupId".to_owned() };
            }
            RuleFault::NoProtocol => {
                "Invalid value 'null' for protocol. VPC security group rules must specify protocols explicitly."
                    .to_owned()
            }
            RuleFault::Protocol(text) => format!("Invalid value '{text}' for IP protocol. Unknown protocol."),
            RuleFault::NoPorts { is_icmp: false } => {
                "Invalid value for portRange. Must specify both from and to ports with TCP/UDP.".to_owned()
            }
            RuleFault::NoPorts { is_icmp: true } => {
                "Invalid value for portRange. Must specify both from and to ports with ICMP.".to_owned()
            }
            RuleFault::Port { is_from: true, text } => format!("TCP/UDP (from) port ({text}) out of range"),
            RuleFault::Port { is_from: false, text } => format!("TCP/UDP (to) port ({text}) out of range"),
            RuleFault::InvertedPorts { from, to } => format!("Invalid TCP/UDP port range ({from}:{to})"),
            RuleFault::IcmpType(text) => format!("ICMP type ({text}) out of range"),
            RuleFault::IcmpCode(text) => format!("ICMP code ({text}) out of range"),
            RuleFault::Block(text) => format!("CIDR block {text} is malformed"),
            RuleFault::Description => format!(
                "Invalid rule description. Valid descriptions are strings less than 256 characters from the following \
                 set:  {CHARACTERS}"
            ),
            RuleFault::Twice => "The same permission must not appear multiple times".to_owned(),
            RuleFault::GroupByName(name) => format!(
                "Invalid value '{name}' for groupName. You may not reference Amazon VPC security groups by name. \
                 Please use the corresponding id for this operation."
            ),
        })
    }
}

/// What names and descriptions of groups and rules are made of.
pub(super) const CHARACTERS: &str = "a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*";

/// Whether a text is made of [`CHARACTERS`], at most 255 of them.
pub(super) fn is_words(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b". _-:/()#,@[]+=&;{}!$*".contains(&byte);
    text.len() <= 255 && text.bytes().all(fits)
}
