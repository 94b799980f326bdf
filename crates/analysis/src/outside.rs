//! What is inside of a VPC: its own blocks, those of the VPCs that it is peered with, and the addresses that interfaces have beside
//! them. Everything else is outside, which questions call `internet`.

use sekimori_core::{address::Cidr, ids::VpcId, platform, world::World};

/// The blocks, in no order.
pub(crate) fn inside(world: &World, vpc: &VpcId) -> Vec<Cidr> {
    let mut inside: Vec<Cidr> = Vec::new();
    let joined = world.joined_with(vpc);
    for vpc in &joined {
        inside.extend(platform::blocks(world.vpc(vpc).map(|vpc| &**vpc)).map(Cidr::from));
    }
    let blocks = inside.clone();
    for eni in joined.iter().flat_map(|vpc| world.enis_in(vpc)) {
        let beside = eni.addresses.iter().filter(|own| !blocks.iter().any(|block| block.contains(**own)));
        inside.extend(beside.map(|own| Cidr::from(ipnet::IpNet::from(*own))));
    }
    inside
}
