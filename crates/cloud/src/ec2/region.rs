//! The regions of Amazon. A region here is a name that VPCs are sorted by; it says nothing about hosts.

/// The region of credentials that name none, and of signatures that name none.
pub const DEFAULT_REGION: &str = "us-east-1";

/// A region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Its name.
    pub name: &'static str,
    /// How the ids of its zones begin.
    pub zone_prefix: &'static str,
    /// Whether an account of the cloud has to ask for it.
    pub is_opt_in: bool,
}

const fn region(name: &'static str, zone_prefix: &'static str) -> Region {
    Region { name, zone_prefix, is_opt_in: false }
}

const fn opt_in(name: &'static str, zone_prefix: &'static str) -> Region {
    Region { name, zone_prefix, is_opt_in: true }
}

/// Every region.
pub const REGIONS: [Region; 31] = [
    opt_in("af-south-1", "afs1"),
    opt_in("ap-east-1", "ape1"),
    region("ap-northeast-1", "apne1"),
    region("ap-northeast-2", "apne2"),
    region("ap-northeast-3", "apne3"),
    region("ap-south-1", "aps1"),
    opt_in("ap-south-2", "aps2"),
    region("ap-southeast-1", "apse1"),
    region("ap-southeast-2", "apse2"),
    opt_in("ap-southeast-3", "apse3"),
    opt_in("ap-southeast-4", "apse4"),
    opt_in("ap-southeast-5", "apse5"),
    region("ca-central-1", "cac1"),
    opt_in("ca-west-1", "caw1"),
    region("eu-central-1", "euc1"),
    opt_in("eu-central-2", "euc2"),
    region("eu-north-1", "eun1"),
    opt_in("eu-south-1", "eus1"),
    opt_in("eu-south-2", "eus2"),
    region("eu-west-1", "euw1"),
    region("eu-west-2", "euw2"),
    region("eu-west-3", "euw3"),
    opt_in("il-central-1", "ilc1"),
    opt_in("me-central-1", "mec1"),
    opt_in("me-south-1", "mes1"),
    opt_in("mx-central-1", "mxc1"),
    region("sa-east-1", "sae1"),
    region("us-east-1", "use1"),
    region("us-east-2", "use2"),
    region("us-west-1", "usw1"),
    region("us-west-2", "usw2"),
];

/// A zone of a region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// Its name, `us-east-1a`.
    pub name: String,
    /// Its id, `use1-az1`.
    pub id: String,
}

impl Region {
    /// The region of a name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        REGIONS.iter().find(|region| region.name == name)
    }

    /// Where the region's service is.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("ec2.{}.amazonaws.com", self.name)
    }

    /// Its zones.
    pub fn zones(&self) -> impl Iterator<Item = Zone> + use<> {
        let region = *self;
        ('a'..='c').zip(1..).map(move |(letter, number)| Zone {
            name: format!("{}{letter}", region.name),
            id: format!("{}-az{number}", region.zone_prefix),
        })
    }

    /// The id of a zone's name.
    #[must_use]
    pub fn zone_id(&self, name: &str) -> Option<String> {
        self.zones().find(|zone| zone.name == name).map(|zone| zone.id)
    }

    /// What an instance's private name ends with.
    #[must_use]
    pub fn internal_domain(&self) -> String {
        if self.name == DEFAULT_REGION {
            "ec2.internal".to_owned()
        } else {
            format!("{}.compute.internal", self.name)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_known_and_names_are_unique_and_sorted() {
        assert!(Region::find(DEFAULT_REGION).is_some());
        assert!(REGIONS.windows(2).all(|pair| pair[0].name < pair[1].name));
        let region = Region::find("ap-northeast-1").unwrap();
        assert_eq!(region.zone_id("ap-northeast-1c").as_deref(), Some("apne1-az3"));
        assert_eq!(region.zone_id("us-east-1a"), None);
    }
}
