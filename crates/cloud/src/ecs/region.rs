//! The regions of Alibaba Cloud. A region here is a name that VPCs are sorted by; it says nothing about hosts.

/// The region of credentials that name none.
pub const DEFAULT_REGION: &str = "cn-hangzhou";

/// A region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Its id.
    pub id: &'static str,
    /// Its name for people.
    pub local_name: &'static str,
}

const fn region(id: &'static str, local_name: &'static str) -> Region {
    Region { id, local_name }
}

/// Every region, in the order of `DescribeRegions`.
pub const REGIONS: [Region; 30] = [
    region("cn-qingdao", "China (Qingdao)"),
    region("cn-beijing", "China (Beijing)"),
    region("cn-zhangjiakou", "China (Zhangjiakou)"),
    region("cn-huhehaote", "China (Hohhot)"),
    region("cn-wulanchabu", "China (Ulanqab)"),
    region("cn-hangzhou", "China (Hangzhou)"),
    region("cn-shanghai", "China (Shanghai)"),
    region("cn-nanjing", "China (Nanjing - Local Region)"),
    region("cn-fuzhou", "China (Fuzhou - Local Region)"),
    region("cn-wuhan-lr", "China (Wuhan - Local Region)"),
    region("cn-shenzhen", "China (Shenzhen)"),
    region("cn-heyuan", "China (Heyuan)"),
    region("cn-guangzhou", "China (Guangzhou)"),
    region("cn-chengdu", "China (Chengdu)"),
    region("cn-hongkong", "China (Hong Kong)"),
    region("ap-northeast-1", "Japan (Tokyo)"),
    region("ap-northeast-2", "South Korea (Seoul)"),
    region("ap-southeast-1", "Singapore"),
    region("ap-southeast-3", "Malaysia (Kuala Lumpur)"),
    region("ap-southeast-5", "Indonesia (Jakarta)"),
    region("ap-southeast-6", "Philippines (Manila)"),
    region("ap-southeast-7", "Thailand (Bangkok)"),
    region("us-east-1", "US (Virginia)"),
    region("us-west-1", "US (Silicon Valley)"),
    region("na-south-1", "Mexico"),
    region("eu-west-1", "UK (London)"),
    region("eu-central-1", "Germany (Frankfurt)"),
    region("me-east-1", "UAE (Dubai)"),
    region("me-central-1", "SAU (Riyadh - Partner Region)"),
    region("cn-zhengzhou-jva", "China (Zhengzhou - CUCC Joint Venture)"),
];

impl Region {
    /// The region of an id.
    #[must_use]
    pub fn find(id: &str) -> Option<&'static Self> {
        REGIONS.iter().find(|region| region.id == id)
    }

    /// The host name of the region's ECS service.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("ecs.{}.aliyuncs.com", self.id)
    }

    /// The zones that are shown, as id and name. Others that the region can have are taken too.
    pub fn zones(&self) -> impl Iterator<Item = (String, String)> + use<> {
        let region = *self;
        // Zones of China have a hyphen before their letter, others have none.
        let hyphen = if self.id.starts_with("cn-") { "-" } else { "" };
        ('a'..='c').map(move |letter| {
            let name = format!("{} Zone {}", region.local_name, letter.to_ascii_uppercase());
            (format!("{}{hyphen}{letter}", region.id), name)
        })
    }

    /// Whether a zone id is one that the region can have: `cn-hangzhou-b`, `ap-southeast-1a`.
    #[must_use]
    pub fn has_zone(&self, zone: &str) -> bool {
        let Some(rest) = zone.strip_prefix(self.id) else { return false };
        matches!(rest.strip_prefix('-').unwrap_or(rest).as_bytes(), [letter] if letter.is_ascii_lowercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_known_and_ids_are_unique() {
        assert!(Region::find(DEFAULT_REGION).is_some());
        for one in &REGIONS {
            assert_eq!(REGIONS.iter().filter(|other| other.id == one.id).count(), 1, "{}", one.id);
        }
    }

    #[test]
    fn zones_belong_to_their_region() {
        let zones = |id: &str, zone: &str| Region::find(id).unwrap().has_zone(zone);
        assert!(zones("cn-hangzhou", "cn-hangzhou-b") && zones("ap-southeast-1", "ap-southeast-1a"));
        assert!(!zones("cn-hangzhou", "cn-beijing-b") && !zones("cn-hangzhou", "cn-hangzhou"));
        assert!(!zones("cn-hangzhou", "cn-hangzhou-finance-1"));
        assert!(REGIONS.iter().all(|region| region.zones().all(|(id, _)| region.has_zone(&id))));
    }
}
