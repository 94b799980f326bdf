//! What is wrong with a prefix list or port list, and its codes (`spec/ecs.md` D2).

use super::{Failure, failure};

/// Why a prefix list or port list cannot be read. `item` is the full name of a parameter, such as
/// `AddEntry.1.Cidr`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "`item` is explained above")]
pub enum ListFault {
    /// The family is neither IPv4 nor IPv6.
    Family,
    /// The name of a prefix list.
    PrefixListName,
    /// The name of a port list.
    PortListName,
    /// The description of a list or of an entry.
    Description { item: String },
    /// A block that is none, is of the other family, or has bits beyond its length.
    Cidr { item: String },
    /// A block that is given twice, or both added and removed.
    CidrTwice { cidr: String },
    /// A range that is none.
    Ports { item: String },
    /// An entry without a range.
    PortEntry { item: String },
    /// A range that is given twice, or both added and removed.
    PortsTwice { ports: String },
    /// More entries than one call takes.
    TooManyEntries { most: usize },
    /// More prefix lists than one call names.
    TooManyIds { most: usize },
    /// More entries than a port list can be made for.
    PortListCapacity { most: u32 },
}

impl ListFault {
    pub(super) fn failure(&self) -> Failure {
        match self {
            Self::Family => {
                failure(400, "InvalidParameter.AddressFamily", "The parameter AddressFamily should be IPv4 or IPv6.")
            }
            Self::PrefixListName => failure(
                400,
                "InvalidParameter.PrefixListName",
                "The specified parameter PrefixListName is not valid.",
            ),
            Self::PortListName => failure(
                400,
                "InvalidParameter.PortRangeListName",
                "The specified parameter PortRangeListName is not valid.",
            ),
            Self::Description { item } => failure(
                400,
                "InvalidDescription.Malformed",
                format!("The specified Description is wrongly formed. ({item})"),
            ),
            Self::Cidr { item } => failure(
                400,
                "InvalidParameter.CidrMalformed",
                format!(
                    "The specified parameter {item} is not valid: give a block of the list's family without bits \
                     beyond its length."
                ),
            ),
            Self::CidrTwice { cidr } => {
                failure(400, "InvalidParameter.CidrDuplicated", format!("The specified Cidr {cidr} is duplicated."))
            }
            Self::Ports { item } => failure(
                400,
                "InvalidParameter.PortRange",
                format!(
                    "The specified parameter PortRange is not valid. It should be two integers less than 65535 in \
                     specified format. ({item})"
                ),
            ),
            Self::PortEntry { item } => {
                failure(400, "InvalidParam.Entry", format!("The specified parameter {item} is not valid."))
            }
            Self::PortsTwice { ports } => failure(
                400,
                "InvalidParameter.PortRangeDuplicated",
                format!("The specified PortRange is duplicated. ({ports})"),
            ),
            Self::TooManyEntries { most } => failure(
                400,
                "LimitExceed.Entry",
                format!("The number of entries added or removed exceeds the limit. (at most {most})"),
            ),
            Self::TooManyIds { most } => failure(
                400,
                "LimitExceed.PrefixListId",
                format!("The number of PrefixListId exceeds the limit. (at most {most})"),
            ),
            Self::PortListCapacity { most } => failure(
                400,
                "InvalidOperation.MaxEntriesCountExceed",
                format!("The specified MaxEntries exceeded the upper limit. (at most {most})"),
            ),
        }
    }
}
