//! Traffic that goes on while something is done to the agent: what is allowed must not notice, what is denied must not pass.

use std::time::Duration;

use sekimori_core::address::Family;

use super::{
    Lab,
    echo::{Running, Stream},
    flood::{Counting, flood, watch},
    frames::{Frame, frame},
    pause,
    wire::Wire,
};

const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

/// Traffic that goes on during a test: streams and connections that are allowed, and a flood that is denied.
pub struct Traffic {
    streams: Vec<Running>,
    wires: Vec<Wire>,
    flood: Counting,
    watch: Counting,
}

impl Traffic {
    /// Begins it: `a` is a client, `b` serves tcp/443, udp/5000 and pings, and udp/6667 is denied where it is sent.
    #[must_use]
    pub fn begin(lab: &mut Lab) -> Self {
        let kinds = [Stream::Udp(5_000), Stream::Ping];
        let all = FAMILIES.into_iter().flat_map(|family| kinds.map(|kind| (family, kind)));
        let streams = all.map(|(family, kind)| lab.stream("a", "b", family, kind)).collect();
        let wires = FAMILIES.map(|family| lab.connect("a", "b", 443, family)).into();
        let (a, b) = (lab.host("a"), lab.host("b"));
        let denied = FAMILIES.into_iter().flat_map(|family| {
            let ends = |port| ((a.address(family), 30_000).into(), (b.address(family), port).into());
            [Frame::Datagram(6_666), Frame::Datagram(6_667), Frame::Syn(6_666), Frame::Ack(443)]
                .map(|kind| frame(kind, a.mac, ends(kind.port())))
        });
        let frames = denied.collect();
        Self { streams, wires, watch: watch(&b), flood: flood(&a, frames) }
    }

    /// Nothing that was allowed was lost, and nothing that was denied arrived.
    pub fn end(mut self, lab: &mut Lab) {
        let sent = self.flood.stop();
        pause(Duration::from_millis(50));
        let arrived = self.watch.stop();
        assert_eq!(arrived, 0, "of {sent} denied packets");
        for wire in &mut self.wires {
            assert_eq!(lab.talk(wire).to_string(), "passes [a: known-flow] [b: known-flow]");
        }
        let (mut messages, mut lost) = (0, Vec::new());
        for stream in self.streams {
            let result = stream.stop();
            messages += result.sent;
            lost.extend(result.lost);
        }
        println!("{messages} messages, lost {lost:?}; {sent} denied packets, {arrived} arrived");
        assert!(lost.is_empty() && sent > 1_000 && messages > 100);
    }
}
