//! The algebra against brute force: in a small universe every packet can be asked.

use proptest::{collection::vec, prelude::*};

use super::{resolve::Reader, *};
use crate::{
    address::Cidr,
    rule::{Action, Peer, PortRange, Protocol, RuleSpec, Service},
    world::World,
};

const PROTOCOLS: [u8; 5] = [1, 6, 17, 47, 58];
const BLOCKS: [&str; 7] = ["0.0.0.0/0", "10.0.0.0/30", "10.0.0.2/31", "10.0.0.3", "::/0", "fd00::/126", "fd00::2"];

/// Every packet of the small universe in one direction: four ports, four addresses of each family.
fn universe() -> Vec<Packet> {
    let mut packets = Vec::new();
    for family in 0..2 {
        let address = |last: u128| {
            if family == 0 {
                from_number(Family::V4, (10 << 24) + last)
            } else {
                from_number(Family::V6, (0xfd00 << 112) + last)
            }
        };
        for (local, peer) in [(0, 1), (1, 2), (2, 3), (3, 0), (0, 3)] {
            for transport in transports() {
                let (local, peer) = (address(local), address(peer));
                packets.push(Packet { direction: Direction::Ingress, local, peer, transport, is_forwarded: false });
            }
        }
    }
    packets
}

fn transports() -> Vec<Transport> {
    let mut all = vec![Transport::Other { protocol: 47 }];
    for (one, other) in [(0, 0), (0, 3), (1, 2), (2, 1), (3, 0)] {
        all.push(Transport::Tcp { source: one, destination: other });
        all.push(Transport::Udp { source: one, destination: other });
        all.push(Transport::Icmp { protocol: 1, kind: one as u8, code: other as u8 });
        all.push(Transport::Icmp { protocol: 58, kind: one as u8, code: other as u8 });
    }
    all
}

fn range() -> impl Strategy<Value = PortRange> {
    (0_u16..4, 0_u16..4).prop_map(|(a, b)| PortRange::new(a.min(b), a.max(b)).unwrap())
}

fn block() -> impl Strategy<Value = Cidr> {
    prop::sample::select(BLOCKS.to_vec()).prop_map(|text| text.parse().unwrap())
}

fn spec() -> impl Strategy<Value = RuleSpec> {
    let protocol =
        prop_oneof![Just(Protocol::Any), prop::sample::select(PROTOCOLS.to_vec()).prop_map(Protocol::Number)];
    let service = prop_oneof![
        2 => Just(Service::Any),
        2 => range().prop_map(Service::Ports),
        1 => (0_u8..4, prop::option::of(0_u8..4)).prop_map(|(kind, code)| Service::Icmp { kind, code }),
    ];
    let sources = prop::option::weighted(0.3, range());
    (protocol, service, sources, block(), prop::option::weighted(0.3, block())).prop_map(
        |(protocol, service, source_ports, peer, local)| RuleSpec {
            direction: Direction::Ingress,
            action: Action::Allow,
            priority: 1,
            protocol,
            service,
            source_ports,
            peer: Peer::Cidr(peer),
            local,
        },
    )
}

fn set_of(specs: &[RuleSpec]) -> Set {
    let world = World::default();
    let vpc = "vpc-1".into();
    let reader = Reader::new(&world, &vpc, specs);
    specs.iter().fold(Set::empty(), |set, spec| set.union(&reader.rule(spec).unwrap()).unwrap())
}

/// Whether the reference says that one of the rules speaks about a packet.
fn said(specs: &[RuleSpec], packet: &Packet) -> bool {
    let eni = crate::world::Eni {
        resource_group: String::new(),
        tags: Default::default(),
        id: "eni-1".into(),
        account: "1".into(),
        vpc: "vpc-1".into(),
        subnet: "vsw-1".into(),
        instance: None,
        device_index: 0,
        mac: crate::address::Mac([2; 6]),
        addresses: vec![packet.local],
        groups: vec![],
        treatment: None,
        timeouts: crate::world::Timeouts::of(crate::world::Dialect::Ecs),
        source_check: true,
        created_at: crate::time::Timestamp(0),
        name: String::new(),
        description: String::new(),
        delete_on_release: true,
        managed_by: None,
        moved_in: crate::world::Revision(0),
        binding: None,
    };
    specs.iter().any(|spec| crate::verdict::matches(&World::default(), &eni, spec, packet))
}

/// Every packet is in `set` exactly when `expected` says so, and no packet is in two pieces.
fn check(set: &Set, expected: impl Fn(&Packet) -> bool) -> Result<(), TestCaseError> {
    for packet in universe() {
        let holders = set.pieces.iter().filter(|piece| piece.holds(&packet)).count();
        prop_assert_eq!(holders, usize::from(expected(&packet)), "{:?}", packet);
    }
    if let Some(packet) = set.witness() {
        prop_assert!(set.contains(&packet));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_algebra_is_that_of_sets(one in vec(spec(), 0..5), other in vec(spec(), 0..5)) {
        let (a, b) = (set_of(&one), set_of(&other));
        check(&a, |packet| said(&one, packet))?;
        check(&a.union(&b).unwrap(), |packet| said(&one, packet) || said(&other, packet))?;
        check(&a.intersection(&b).unwrap(), |packet| said(&one, packet) && said(&other, packet))?;
        let rest = a.difference(&b).unwrap();
        check(&rest, |packet| said(&one, packet) && !said(&other, packet))?;
        prop_assert_eq!(a.is_within(&b).unwrap(), rest.is_empty());
        prop_assert_eq!(a.meets(&b), !a.intersection(&b).unwrap().is_empty());
        prop_assert_eq!(a.is_empty(), a.witness().is_none());
    }

    #[test]
    fn nothing_is_lost_or_made_up(one in vec(spec(), 0..5), other in vec(spec(), 0..5)) {
        let (a, b) = (set_of(&one), set_of(&other));
        let (rest, both) = (a.difference(&b).unwrap(), a.intersection(&b).unwrap());
        let again = rest.union(&both).unwrap();
        prop_assert!(again.is_within(&a).unwrap() && a.is_within(&again).unwrap());
        prop_assert!(!rest.meets(&b) && both.is_within(&b).unwrap());
    }
}

#[test]
fn a_packet_without_ports_is_one_packet() {
    let packet = Packet {
        direction: Direction::Egress,
        local: "10.0.0.1".parse().unwrap(),
        peer: "10.0.0.2".parse().unwrap(),
        transport: Transport::Other { protocol: 47 },
        is_forwarded: false,
    };
    let one = Set::of(&packet);
    assert_eq!(one.witness(), Some(packet));
    let rest = Set::everything(Direction::Egress).difference(&one).unwrap();
    assert!(!rest.contains(&packet) && one.intersection(&rest).unwrap().is_empty());
    assert!(rest.union(&one).unwrap().contains(&packet));
}

#[test]
fn too_many_pieces_are_an_error_and_no_approximation() {
    let packet = |index: u32| Packet {
        direction: Direction::Ingress,
        local: "10.0.0.1".parse().unwrap(),
        peer: from_number(Family::V4, u128::from(index) * 2),
        transport: Transport::Tcp { source: 1, destination: 2 },
        is_forwarded: false,
    };
    let pieces: Vec<Piece> = (0..=SPACE_PIECES_MAX as u32).flat_map(|index| Set::of(&packet(index)).pieces).collect();
    assert_eq!(bounded(pieces.clone()).unwrap_err(), TooComplex);
    let fitting = bounded(pieces[..SPACE_PIECES_MAX].to_vec()).unwrap();
    assert_eq!(fitting.len(), SPACE_PIECES_MAX);
    assert_eq!(fitting.union(&Set::of(&packet(SPACE_PIECES_MAX as u32))), Err(TooComplex));
    assert!(TooComplex.to_string().contains(&SPACE_PIECES_MAX.to_string()));
}
