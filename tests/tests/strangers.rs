//! TCP as nobody's stack speaks it: ports used again, both ends calling at once, resets, SYNs into the middle, floods of what
//! belongs to nothing.

use std::net::SocketAddr;

use sekimori_compile::abi::{FLOW_ESTABLISHED, Reason};
use sekimori_core::{address::Family, rule::Direction};
use sekimori_tests::lab::{
    Lab,
    crafted::{ACK, FIN, RST, Range, SYN, SYN_ACK, packet, tcp},
    frames::{Frame, frame},
    must, pause,
};

const FAMILIES: [Family; 2] = [Family::V4, Family::V6];
const WORLD: &str = "
    group server basic
      in allow tcp/443 from any as https
    instance b server";
const KNOWN: &str = "KnownFlow, arrived";

/// Both directions between the outside and b, at one pair of ports.
struct Talk {
    to: Range,
    from: Range,
    ports: (u16, u16),
}

impl Talk {
    fn new(lab: &Lab, family: Family, ports: (u16, u16)) -> Self {
        let (to, from) = (lab.range("outside", "b", family), lab.range_out("b", "outside", family));
        Self { to, from, ports }
    }

    /// The outside says something.
    fn says(&self, lab: &mut Lab, flags: u8, expected: &str) {
        let shot = lab.shoot(&self.to, &packet(self.to.ends, None, 6, &tcp(self.ports, flags, &[])));
        assert_eq!(shot.to_string(), expected, "{flags:#x} to b");
    }

    /// b says something.
    fn hears(&self, lab: &mut Lab, flags: u8, expected: &str) {
        let ports = (self.ports.1, self.ports.0);
        let shot = lab.shoot(&self.from, &packet(self.from.ends, None, 6, &tcp(ports, flags, &[])));
        assert_eq!(shot.to_string(), expected, "{flags:#x} from b");
    }

    fn shake_hands(&self, lab: &mut Lab) {
        self.says(lab, SYN, "RuleAllow, arrived");
        self.hears(lab, SYN_ACK, "KnownFlow");
        self.says(lab, ACK, KNOWN);
    }
}

#[test]
fn a_port_that_is_used_again_is_a_new_connection() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    for family in FAMILIES {
        let talk = Talk::new(&lab, family, (1_000, 443));
        for _ in 0..2 {
            talk.shake_hands(&mut lab);
            talk.says(&mut lab, FIN, KNOWN);
            talk.hears(&mut lab, FIN, "KnownFlow");
            talk.says(&mut lab, ACK, KNOWN);
        }
        // In TIME_WAIT the rules are asked again, and may have changed.
        lab.revoke("server", "https");
        talk.says(&mut lab, SYN, "DefaultDeny");
        lab.allow("server", "in allow tcp/443 from any as https");
        talk.says(&mut lab, ACK, "MidStream");
        talk.shake_hands(&mut lab);
    }
}

#[test]
fn a_syn_into_a_live_connection_changes_nothing() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    for family in FAMILIES {
        let talk = Talk::new(&lab, family, (1_001, 443));
        talk.shake_hands(&mut lab);
        let before = must("read the flows", lab.enforcer().plane().flows()).len();
        talk.says(&mut lab, SYN, KNOWN);
        talk.hears(&mut lab, SYN, "KnownFlow");
        talk.says(&mut lab, ACK, KNOWN);
        assert_eq!(must("read the flows", lab.enforcer().plane().flows()).len(), before);
    }
}

#[test]
fn both_ends_may_call_at_once() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    for family in FAMILIES {
        // Nothing lets the outside in at this port: b has called first.
        let talk = Talk::new(&lab, family, (7_000, 7_001));
        talk.says(&mut lab, SYN, "DefaultDeny");
        talk.hears(&mut lab, SYN, "DefaultAllow");
        talk.says(&mut lab, SYN, KNOWN);
        talk.hears(&mut lab, SYN_ACK, "KnownFlow");
        talk.says(&mut lab, SYN_ACK, KNOWN);
        talk.hears(&mut lab, ACK, "KnownFlow");
        let flows = must("read the flows", lab.enforcer().plane().flows());
        let own: Vec<_> = flows.iter().filter(|live| live.key.local_port == 7_001).collect();
        assert!(own.iter().all(|live| live.flow.progress & FLOW_ESTABLISHED != 0), "{own:?}");
    }
}

/// A reset is one of the flow by its addresses and ports: whether its number is within the window is for the ends to say. What comes after
/// it passes for as long as a closed flow is remembered, since the ends may not have believed it.
#[test]
fn a_reset_closes_its_flow_and_no_other() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    for family in FAMILIES {
        let [talk, other] = [1_002, 1_003].map(|port| Talk::new(&lab, family, (port, 443)));
        talk.says(&mut lab, RST, "MidStream");
        talk.shake_hands(&mut lab);
        other.shake_hands(&mut lab);
        talk.says(&mut lab, RST, KNOWN);
        talk.hears(&mut lab, ACK, "KnownFlow");
        other.says(&mut lab, ACK, KNOWN);
        // A new connection at the same ports is judged; at the other's they are in use.
        talk.shake_hands(&mut lab);
        other.says(&mut lab, SYN, KNOWN);
        talk.hears(&mut lab, RST, "KnownFlow");
        talk.says(&mut lab, SYN, "RuleAllow, arrived");
    }
}

#[test]
fn what_begins_nothing_makes_no_flow() {
    const SEGMENTS: u16 = 3_000;
    let Some(mut lab) = Lab::of(WORLD) else { return };
    for family in FAMILIES {
        let talk = Talk::new(&lab, family, (1_004, 443));
        // ACK, SYN and ACK, FIN, SYN and FIN, SYN and RST, none, all.
        for flags in [ACK, SYN_ACK, FIN, SYN | 0x01, SYN | RST, 0, 0x3f] {
            talk.says(&mut lab, flags, "MidStream");
            talk.hears(&mut lab, flags, "MidStream");
        }
    }
    let (outside, b) = (lab.host("outside"), lab.host("b"));
    let link = outside.link();
    let (before, dropped) = (flows(&mut lab), lab.count("b", Direction::Ingress, Reason::MidStream));
    for port in 10_000..10_000 + SEGMENTS {
        let ends = (SocketAddr::new(outside.address(Family::V4), port), SocketAddr::new(b.address(Family::V4), 443));
        link.try_send(&frame(Frame::Ack(443), outside.mac, ends));
    }
    pause(std::time::Duration::from_millis(300));
    let dropped = lab.count("b", Direction::Ingress, Reason::MidStream) - dropped;
    assert!(dropped > u64::from(SEGMENTS) / 2, "{dropped}");
    assert_eq!(flows(&mut lab), before);
}

fn flows(lab: &mut Lab) -> usize {
    must("read the flows", lab.enforcer().plane().flows()).len()
}
