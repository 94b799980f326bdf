//! Zones and instance types: names that clients look for before they make something. Local compute treats every zone
//! and every type alike, and takes other names too.

use sekimori_core::{
    limits::{LimitMode, Limits},
    world::Dialect,
};

use super::page::{Order, part};
use crate::ecs::{
    encode::{Fields, Node, list, number},
    query::TypeQuery,
    region::Region,
};

/// A type that is shown: name, processors, memory in GiB.
struct InstanceType {
    id: &'static str,
    cpus: u32,
    memory_gib: u32,
}

const fn kind(id: &'static str, cpus: u32, memory_gib: u32) -> InstanceType {
    InstanceType { id, cpus, memory_gib }
}

/// In the order of ids.
const TYPES: [InstanceType; 6] = [
    kind("ecs.c7.large", 2, 4),
    kind("ecs.c7.xlarge", 4, 8),
    kind("ecs.g7.large", 2, 8),
    kind("ecs.g7.xlarge", 4, 16),
    kind("ecs.r7.large", 2, 16),
    kind("ecs.r7.xlarge", 4, 32),
];

impl InstanceType {
    /// `ecs.g7` of `ecs.g7.large`.
    fn family(&self) -> &'static str {
        self.id.rsplit_once('.').map_or(self.id, |(family, _)| family)
    }
}

/// What `DescribeZones` answers.
pub(super) fn zones(region: &Region) -> Fields {
    let types = || list("InstanceTypes", TYPES.iter().map(|one| one.id));
    let zone = |(id, name): (String, String)| {
        let resources = vec![
            ("InstanceTypes", list("supportedInstanceType", TYPES.iter().map(|one| one.id))),
            ("NetworkTypes", list("supportedNetworkCategory", ["vpc"])),
            ("IoOptimized", true.into()),
        ];
        Node::Object(vec![
            ("ZoneId", id.into()),
            ("LocalName", name.into()),
            ("ZoneType", "AvailabilityZone".into()),
            ("AvailableResourceCreation", list("ResourceTypes", ["VSwitch", "IoOptimized", "Instance"])),
            ("AvailableInstanceTypes", types()),
            ("AvailableDiskCategories", list("DiskCategories", ["cloud_essd"])),
            ("AvailableVolumeCategories", list::<&str>("VolumeCategories", [])),
            ("AvailableDedicatedHostTypes", list::<&str>("DedicatedHostType", [])),
            ("DedicatedHostGenerations", list::<&str>("DedicatedHostGeneration", [])),
            ("AvailableResources", list("ResourcesInfo", [Node::Object(resources)])),
        ])
    };
    vec![("Zones", list("Zone", region.zones().map(zone)))]
}

/// What `DescribeInstanceTypes` answers.
pub(super) fn instance_types(query: &TypeQuery) -> Fields {
    let limits = Limits::of(LimitMode::Cloud, Dialect::Ecs);
    let enough = |wanted: Option<u32>, has: u32| wanted.is_none_or(|wanted| wanted <= has);
    let passes = |one: &&InstanceType| {
        (query.ids.is_empty() || query.ids.iter().any(|id| id == one.id))
            && (query.families.is_empty() || query.families.iter().any(|family| family == one.family()))
            && enough(query.cpus_min, one.cpus)
            && query.cpus_max.is_none_or(|most| one.cpus <= most)
            && enough(query.enis_min, limits.enis_per_instance)
            && enough(query.ipv4_min, limits.ipv4_per_eni)
            && enough(query.ipv6_min, limits.ipv6_per_eni)
    };
    let all: Vec<&InstanceType> = TYPES.iter().filter(passes).collect();
    let (wanted, mut fields) = part(all, &query.page, Order::Ascending, |one| one.id.to_owned());
    let nodes = wanted.into_iter().map(|one| type_node(one, &limits));
    fields.push(("InstanceTypes", list("InstanceType", nodes)));
    fields
}

fn type_node(one: &InstanceType, limits: &Limits) -> Node {
    Node::Object(vec![
        ("InstanceTypeId", one.id.into()),
        ("InstanceTypeFamily", one.family().into()),
        ("InstanceFamilyLevel", "EnterpriseLevel".into()),
        ("CpuArchitecture", "X86".into()),
        ("CpuCoreCount", number(one.cpus)),
        ("MemorySize", number(one.memory_gib)),
        ("EniQuantity", number(limits.enis_per_instance)),
        ("EniTotalQuantity", number(limits.enis_per_instance)),
        ("EniPrivateIpAddressQuantity", number(limits.ipv4_per_eni)),
        ("EniIpv6AddressQuantity", number(limits.ipv6_per_eni)),
        ("EniTrunkSupported", false.into()),
        ("GPUAmount", number(0)),
        ("LocalStorageAmount", number(0)),
    ])
}
