//! Which addresses outside something leads to and from, and the interfaces that are alike in that: routes and public addresses of an
//! account that was read from files. Elsewhere everything leads everywhere. Every answer about what is outside asks here.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use sekimori_core::{
    address::{Family, number},
    ids::{SubnetId, VpcId},
    packet::{Packet, Transport},
    rule::Direction,
    ways::Gap,
    world::{Eni, World},
};

use crate::outside::{Run, cut, runs_inside, without};

/// Runs of addresses outside, each with what is missing on the way to it; those of a gap are closed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Led(Option<Vec<(Run, Option<Gap>)>>);

impl Led {
    /// The parts of a run that something leads to.
    pub(crate) fn within(&self, run: Run) -> Vec<Run> {
        let Some(parts) = &self.0 else { return vec![run] };
        let open = parts.iter().filter(|(_, gap)| gap.is_none());
        open.filter_map(|(part, _)| meet(*part, run)).collect()
    }

    /// The first address of a run that nothing leads to, with what is missing; addresses of the link are nobody's.
    pub(crate) fn gap(&self, run: Run) -> Option<(IpAddr, &Gap)> {
        let closed = self.0.iter().flatten().filter_map(|(part, gap)| Some((meet(*part, run)?.0, gap.as_ref()?)));
        closed.into_iter().find(|(_, gap)| !matches!(gap, Gap::Link { .. }))
    }

    /// What is missing on the way to a run.
    pub(crate) fn missing(&self, run: Run) -> impl Iterator<Item = &Gap> {
        let parts = self.0.iter().flatten();
        parts.filter(move |(part, _)| meet(*part, run).is_some()).filter_map(|(_, gap)| gap.as_ref())
    }
}

fn meet(one: Run, other: Run) -> Option<Run> {
    let both = (one.0.max(other.0), one.1.min(other.1));
    (Family::of(one.0) == Family::of(other.0) && both.0 <= both.1).then_some(both)
}

/// Addresses of interfaces.
pub(crate) type Members = Vec<(Arc<Eni>, IpAddr)>;

/// What tells interfaces of a VPC apart by what leads to them or from them; nothing where no ways are known.
pub(crate) fn kind(world: &World, eni: &Eni, own: IpAddr) -> Option<(SubnetId, bool)> {
    world.ways(&eni.vpc).map(|_| (eni.subnet.clone(), world.lacks_public_address(eni, own)))
}

/// Members of one family by what leads to them or from them. `inside` is what is inside of their VPC.
pub(crate) fn alike(world: &World, members: &Members, direction: Direction, inside: &[Run]) -> Vec<(Members, Led)> {
    let mut by: BTreeMap<Option<(SubnetId, bool)>, Members> = BTreeMap::new();
    for (eni, own) in members {
        by.entry(kind(world, eni, *own)).or_default().push((Arc::clone(eni), *own));
    }
    let of = |(key, members): (Option<(SubnetId, bool)>, Members)| {
        let first = members.first().filter(|_| key.is_some());
        let led = first.map(|(eni, own)| led(world, (eni, *own), direction, inside)).unwrap_or_default();
        (members, led)
    };
    by.into_iter().map(of).collect()
}

/// What leads to an interface at one of its addresses, or from it. Without known ways everything does.
pub(crate) fn led(world: &World, (eni, own): (&Eni, IpAddr), direction: Direction, inside: &[Run]) -> Led {
    if world.ways(&eni.vpc).is_none() {
        return Led::default();
    }
    let blocks = world.blocks_of_ways(eni).into_iter().map(|block| block.network());
    let runs = blocks.map(|net| (net.network(), net.broadcast())).chain(inside.iter().copied());
    let part = |run: Run| {
        let transport = Transport::Other { protocol: 0 };
        let packet = Packet { direction, local: own, peer: run.0, transport, is_forwarded: false };
        (run, world.gaps(eni, &packet).into_iter().next())
    };
    Led(Some(cut(Family::of(own), runs).into_iter().map(part).collect()))
}

/// Which interfaces of a world nothing outside leads to. What is inside of a VPC takes a look at all its interfaces, so it is worked
/// out once for all that are asked about.
pub(crate) struct CutOff<'a> {
    world: &'a World,
    inside: BTreeMap<VpcId, Vec<Run>>,
}

impl<'a> CutOff<'a> {
    /// Of a world.
    pub(crate) fn of(world: &'a World) -> Self {
        Self { world, inside: BTreeMap::new() }
    }

    /// What is missing on the way to an interface, if nothing outside is known to lead to any of its addresses.
    pub(crate) fn gap(&mut self, eni: &Eni) -> Option<Gap> {
        let world = self.world;
        world.ways(&eni.vpc)?;
        let inside = self.inside.entry(eni.vpc.clone()).or_insert_with(|| runs_inside(world, &eni.vpc));
        let mut first = None;
        for own in &eni.addresses {
            let Led(parts) = led(world, (eni, *own), Direction::Ingress, inside);
            for ((from, to), gap) in parts.into_iter().flatten() {
                match gap {
                    None if without((number(from), number(to)), Family::of(from), inside).is_empty() => {}
                    None => return None,
                    Some(Gap::Link { .. }) => {}
                    Some(gap) => {
                        first.get_or_insert(gap);
                    }
                }
            }
        }
        first
    }

    /// The same in words.
    pub(crate) fn words(&mut self, eni: &Eni) -> Option<String> {
        self.gap(eni).map(|gap| format!("nothing outside leads to it as things are: {gap}"))
    }
}
