//! Names of things: one type for each kind, so that a group cannot be passed where a VPC is meant.
//!
//! Ids are opaque. They are made by [`IdSource`] from entropy that the caller brings, in the shape of the
//! cloud whose account owns the thing (ECS: `sg-` and 20 lower-case letters and digits; EC2: `sg-` and 17
//! hex digits).

use std::{
    borrow::Borrow,
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::world::Dialect;

/// The text of an id. Ids are what the maps of a world are searched by, and most differ in their first bytes: those are at hand, so
/// that a search seldom has to follow a pointer. The order is that of the text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Text {
    /// The first eight bytes, the first one highest; zeros follow a shorter text.
    head: u64,
    whole: Arc<str>,
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        let mut head = [0; 8];
        head.iter_mut().zip(text.bytes()).for_each(|(place, byte)| *place = byte);
        Self { head: u64::from_be_bytes(head), whole: Arc::from(text) }
    }
}

/// As the text alone does it, by which ids may be looked up.
impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.whole.hash(state);
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.whole)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text::from(text))
            }
        }

        deserializer.deserialize_str(Visitor)
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Text);

        impl $name {
            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0.whole
            }
        }

        impl<T: AsRef<str>> From<T> for $name {
            fn from(text: T) -> Self {
                Self(Text::from(text.as_ref()))
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0.whole
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0.whole)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0.whole)
            }
        }
    };
}

id!(
    /// A tenant (ECS: 16 digits, EC2: 12 digits).
    AccountId
);
id!(
    /// The public half of an access key.
    KeyId
);
id!(
    /// A virtual private cloud.
    VpcId
);
id!(
    /// A subnet, called vSwitch in ECS.
    SubnetId
);
id!(
    /// A virtual machine; under local compute, a network namespace of this name.
    InstanceId
);
id!(
    /// An elastic network interface.
    EniId
);
id!(
    /// A security group.
    GroupId
);
id!(
    /// A rule of a security group.
    RuleId
);
id!(
    /// A prefix list.
    PrefixListId
);
id!(
    /// A port list.
    PortListId
);
id!(
    /// A diagnostic report.
    ReportId
);
id!(
    /// A machine that runs an agent.
    HostId
);
id!(
    /// A policy of snapshots of group rules.
    SnapshotPolicyId
);
id!(
    /// A snapshot of a group's rules.
    SnapshotId
);
id!(
    /// A peering connection of two VPCs.
    PeeringId
);

id!(
    /// A network ACL.
    NetworkAclId
);
id!(
    /// The association of a network ACL with a subnet.
    AclAssociationId
);

id!(
    /// A flow log.
    FlowLogId
);

id!(
    /// A path whose reachability is asked about.
    InsightsPathId
);
id!(
    /// An analysis of a path.
    InsightsAnalysisId
);

/// A source of fresh ids: a deterministic stream seeded by the caller's entropy.
///
/// The generator is splitmix64. It needs to be unpredictable only as far as the seed is; uniqueness is
/// checked against the world by whoever takes an id.
#[derive(Clone, Debug)]
pub struct IdSource {
    state: u64,
}

impl IdSource {
    /// Starts a stream from a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next 64 bits of the stream.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A fresh id with this prefix, in the dialect's shape, for which `taken` is false.
    pub fn fresh<T: From<String>>(&mut self, dialect: Dialect, prefix: &str, taken: impl Fn(&T) -> bool) -> T {
        loop {
            let id = T::from(format!("{prefix}-{}", self.tail(dialect)));
            if !taken(&id) {
                return id;
            }
        }
    }

    fn tail(&mut self, dialect: Dialect) -> String {
        let (alphabet, length): (&[u8], usize) = match dialect {
            Dialect::Ecs => (b"abcdefghijklmnopqrstuvwxyz0123456789", 20),
            Dialect::Ec2 => (b"0123456789abcdef", 17),
        };
        let size = alphabet.len() as u64;
        (0..length)
            .map(|_| alphabet.get((self.next_u64() % size) as usize).copied().map_or('0', char::from))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashSet};

    use super::*;

    #[test]
    fn the_order_of_ids_is_that_of_their_texts() {
        let texts = [
            "",
            "\0",
            "a",
            "a\0",
            "a\0b",
            "ab",
            "eni-0001",
            "eni-00010",
            "eni-00010\0",
            "eni-0001é",
            "eni-001",
            "é",
            "\u{ffff}",
        ];
        for one in texts {
            for other in texts {
                let (ids, by) = ([EniId::from(one), EniId::from(other)], one.cmp(other));
                assert_eq!((ids[0].cmp(&ids[1]), ids[0] == ids[1]), (by, by.is_eq()), "{one:?} and {other:?}");
            }
        }
        let (sorted, hashed): (BTreeSet<EniId>, HashSet<EniId>) =
            (texts.iter().map(EniId::from).collect(), texts.iter().map(EniId::from).collect());
        assert!(texts.iter().all(|text| sorted.contains(*text) && hashed.contains(*text)));
    }

    #[test]
    fn an_id_is_a_string_in_json() {
        let id = EniId::from("eni-\"1\"");
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(json, r#""eni-\"1\"""#);
        assert_eq!(serde_json::from_str::<EniId>(&json).unwrap(), id);
        assert!(serde_json::from_str::<EniId>("1").is_err());
    }
}
