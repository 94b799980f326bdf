//! What is said about network ACLs.

use serde::{Deserialize, Serialize};

use crate::{
    ids::{AclAssociationId, NetworkAclId, VpcId},
    network_acl::AclEntry,
    rule::Direction,
    tags::Tags,
};

/// What is to be done to a network ACL of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AclCommand {
    /// Makes one without entries, which denies everything.
    Create {
        /// The VPC whose subnets may have it.
        vpc: VpcId,
        /// Tags.
        tags: Tags,
    },
    /// Deletes one that no subnet has.
    Delete {
        /// The ACL.
        acl: NetworkAclId,
    },
    /// Adds an entry, or puts one in the place of another.
    PutEntry {
        /// The ACL.
        acl: NetworkAclId,
        /// The entry.
        entry: AclEntry,
        /// Whether it is added; else it takes the place of the one with its number.
        is_new: bool,
    },
    /// Deletes an entry.
    DeleteEntry {
        /// The ACL.
        acl: NetworkAclId,
        /// The entry's direction.
        direction: Direction,
        /// Its number.
        number: u16,
    },
    /// Gives a subnet another ACL of its VPC.
    Associate {
        /// The association of the subnet with its ACL of now.
        association: AclAssociationId,
        /// The ACL to come.
        acl: NetworkAclId,
    },
}
