//! ENIs at interfaces that others make: a tap with a machine behind it, a veth, a workload's own interface. Real packets, and
//! frames with VLAN tags.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::time::Duration;

use expect_test::expect;
use sekimori_agent::bpf::maps::BPFFS;
use sekimori_compile::abi::{ABI_VERSION, Reason};
use sekimori_core::{
    address::{Family, Mac},
    binding::{Binding, BindingRefusal},
    command::{BindingCommand, Command},
    feed::BoundState,
    rule::Direction,
};
use sekimori_tests::{
    frame::tagged,
    lab::{
        Lab,
        frames::{Frame, frame, is_marked, who_is_the_router},
        host::{FRAME_BYTES_MAX, Host, Link, at},
        observe::Answer,
        pause,
        workload::{Wire, Workload, ip},
    },
};

const WORLD: &str = "
    group client basic isolated
      out deny udp/6667 to any as never
    group server basic isolated
      in allow tcp/443 from group:client as https
      in allow udp/5000 from any as datagrams
      in allow ping from any as echo
      out deny tcp/25 to any as no-mail
    instance a client
    instance b server";

const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

fn is_enforced(lab: &mut Lab) {
    lab.check(expect![[r#"
        a -> b tcp/443: passes [a: default allow] [b: allow https]
        a -> b tcp/22: dropped [a: default allow] [b: default deny]
        a -> b ping: passes [a: default allow] [b: allow echo]
        outside -> b udp/5000: passes [b: allow datagrams]
        outside -> b tcp/443: dropped [b: default deny]
        b -> outside tcp/80: passes [b: default allow]
        b -> outside tcp/25: dropped [b: deny no-mail]
        b -> a datagram/9 src 10.0.0.77: dropped [b: spoofed]
        b -> a datagram/9 mac 02:00:00:00:00:77: dropped [b: spoofed]
    "#]]);
}

#[test]
fn a_tap_a_veth_and_a_workloads_own_interface_are_judged_like_ours() {
    type Choice = fn(&Workload) -> Binding;
    let choices: [(Wire, Choice); 3] =
        [(Wire::Veth, Workload::guest), (Wire::Tap, Workload::guest), (Wire::Veth, Workload::own)];
    for (wire, choice) in choices {
        let Some(mut lab) = Lab::of(WORLD) else { return };
        let mut workload = Workload::new(&lab, "b", wire);
        lab.bind("b", &workload, choice(&workload));
        assert_eq!(lab.standing("b").state, BoundState::Judged, "{wire:?}");
        workload.up();
        is_enforced(&mut lab);
        lab.revoke("server", "https");
        assert_eq!(lab.try_probe("a -> b tcp/443", Family::V4).answer, Answer::Dropped);
        lab.allow("server", "in allow tcp/443 from group:client as https");
        lab.close();
        is_judged_without_an_agent(&lab);
        lab.open();
        is_enforced(&mut lab);
        assert_eq!(lab.verify(), [], "{wire:?}");
    }
}

/// What probes count needs an agent; sockets need none.
fn is_judged_without_an_agent(lab: &Lab) {
    let (outside, to) = (lab.host("outside"), lab.host("b"));
    for family in FAMILIES {
        for (port, is_allowed) in [(22, false), (5_000, true)] {
            let server = to.udp((to.address(family), port).into());
            let client = outside.udp((outside.address(family), 0).into());
            client.send_to(b"?", (to.address(family), port)).unwrap();
            let is_heard = (0..150).any(|_| {
                pause(Duration::from_millis(1));
                server.recv(&mut [0]).is_ok()
            });
            assert_eq!(is_heard, is_allowed, "{family:?} {port}");
        }
    }
}

/// Whether a marked frame to a port arrives soon.
fn arrives(link: &Link, port: u16) -> bool {
    let mut room = vec![0; FRAME_BYTES_MAX];
    for _ in 0..150 {
        while let Some(found) = link.receive(&mut room) {
            let is_to = found.windows(2).any(|two| two == port.to_be_bytes());
            if is_marked(found) && is_to {
                return true;
            }
        }
        pause(Duration::from_millis(1));
    }
    false
}

#[test]
fn an_interface_that_goes_and_comes_back_is_closed_again() {
    for wire in [Wire::Veth, Wire::Tap] {
        let Some(mut lab) = Lab::of(WORLD) else { return };
        let mut workload = Workload::new(&lab, "b", wire);
        lab.bind("b", &workload, workload.guest());
        workload.up();
        for _ in 0..3 {
            workload.unmake();
            lab.look_at_bound();
            let found = lab.standing("b");
            assert_eq!(found.state, BoundState::Absent, "{wire:?}");
            assert!(found.note.starts_with("there is no interface"), "{}", found.note);
            assert_eq!(lab.watch(), [], "an interface that is away is no difference");
            workload.make();
            lab.look_at_bound();
            assert_eq!(lab.standing("b").state, BoundState::Judged, "{wire:?}");
            workload.up();
            is_enforced(&mut lab);
        }
    }
}

#[test]
fn what_is_taken_from_a_bound_interface_is_told_and_put_back() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    let mut workload = Workload::new(&lab, "b", Wire::Veth);
    lab.bind("b", &workload, workload.guest());
    workload.up();
    let pins = lab.dir().join(BPFFS).join(format!("v{ABI_VERSION}")).join("links");
    let name = pins.join(format!("from_{}", lab.eni("b").id));
    std::fs::remove_file(&name).unwrap();
    lab.look_at_bound();
    let told: Vec<String> = lab.watch().iter().map(ToString::to_string).collect();
    assert_eq!(told, [format!("program from {} has lost its name", lab.eni("b").id)]);
    assert!(name.exists());
    assert_eq!(lab.watch(), []);
    is_enforced(&mut lab);
}

/// Renames an interface of a namespace; the kernel wants it down for that.
fn rename(ns: &str, old: &str, new: &str) {
    for words in [vec![old, "down"], vec![old, "name", new], vec![new, "up"]] {
        ip(&format!("-n {ns} link set {}", words.join(" ")));
    }
}

#[test]
fn an_interface_that_is_renamed_stays_judged_until_another_has_its_name() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    let mut workload = Workload::new(&lab, "b", Wire::Veth);
    lab.bind("b", &workload, workload.guest());
    workload.up();
    let router = lab.vpc_id("main").to_string();
    let inside = at(&workload.ns, "eth0").link();
    let (denied, allowed) = (to_b(&lab, Frame::Syn(22), Family::V4), to_b(&lab, Frame::Datagram(5_000), Family::V4));
    rename(&router, &workload.port, "moved");
    let port = at(&workload.router, "moved").link();
    lab.look_at_bound();
    let found = lab.standing("b");
    assert_eq!(found.state, BoundState::Judged);
    assert!(found.note.starts_with("it is called `moved` now"), "{}", found.note);
    port.try_send(&denied);
    assert!(!arrives(&inside, 22), "it is judged under any name");
    port.try_send(&allowed);
    assert!(arrives(&inside, 5_000), "by its own rules");
    assert_eq!(lab.watch(), []);
    // An agent that begins anew knows it by its number too.
    lab.close();
    lab.open();
    lab.look_at_bound();
    assert!(lab.standing("b").note.starts_with("it is called `moved` now"));
    port.try_send(&denied);
    assert!(!arrives(&inside, 22), "nor is it open to the next agent");
    // Bound by its new name it is the same one, and never open in between.
    lab.try_bind("b", Binding { interface: "moved".to_owned(), ..workload.guest() });
    assert_eq!((lab.standing("b").state, lab.standing("b").note.as_str()), (BoundState::Judged, ""));
    // Whoever takes the name takes the place: what had it leads to a workload, and is set down.
    rename(&router, "moved", "again");
    lab.look_at_bound();
    assert!(lab.standing("b").note.starts_with("it is called `again` now"));
    let again = at(&workload.router, "again").link();
    ip(&format!("-n {router} link add moved type veth peer name moved-in"));
    lab.look_at_bound();
    assert_eq!((lab.standing("b").state, lab.standing("b").note.as_str()), (BoundState::Judged, ""));
    assert!(again.send(&allowed).is_err(), "it is down");
    assert!(!arrives(&inside, 5_000));
    // Let go of, nothing of it is left anywhere.
    lab.remove_instance("b");
    assert_eq!(lab.enforcer().bindings().report(), []);
    assert_eq!(lab.verify(), []);
}

#[test]
fn what_is_bound_is_closed_before_any_world_is_known() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    let mut workload = Workload::new(&lab, "b", Wire::Veth);
    lab.bind("b", &workload, workload.guest());
    lab.close();
    // Everything of the kernel goes, as at a reboot; the record stays.
    workload.unmake();
    nix::mount::umount2(&lab.dir().join("bpffs"), nix::mount::MntFlags::MNT_DETACH).unwrap();
    workload.make();
    workload.up();
    lab.open_unheard();
    let (outside, link) = (lab.host("outside"), lab.host("b").link());
    let ends = ((outside.address(Family::V4), 4_000).into(), (lab.host("b").address(Family::V4), 5_000).into());
    outside.link().send(&frame(Frame::Datagram(5_000), outside.mac, ends)).unwrap();
    assert!(!arrives(&link, 5_000), "nothing passes before the world is known");
    lab.close();
    lab.open();
    is_enforced(&mut lab);
}

#[test]
fn an_interface_that_is_let_go_is_nobodys_and_one_whose_eni_is_gone_is_set_down() {
    for is_unbound in [true, false] {
        let Some(mut lab) = Lab::of(WORLD) else { return };
        let mut workload = Workload::new(&lab, "b", Wire::Veth);
        lab.bind("b", &workload, workload.guest());
        workload.up();
        let (port, inside) = (at(&workload.router, &workload.port).link(), at(&workload.ns, "eth0").link());
        let denied = to_b(&lab, Frame::Syn(22), Family::V4);
        port.try_send(&denied);
        assert!(!arrives(&inside, 22));
        if is_unbound {
            lab.unbind("b");
            port.send(&denied).unwrap();
            assert!(arrives(&inside, 22), "its programs are off");
            // The instance has an interface of Sekimori's own again.
            is_enforced(&mut lab);
        } else {
            lab.remove_instance("b");
            assert!(port.send(&denied).is_err(), "it is down");
            assert!(!arrives(&inside, 22));
        }
        assert_eq!(lab.enforcer().bindings().report(), []);
        assert_eq!(lab.verify(), []);
    }
}

#[test]
fn what_is_another_enis_stays_that_enis() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    lab.add_instance("main", "c", &["server"]);
    // By the name that only the kernel knows it by: nothing shows that it is the interface of `b` before the agent looks.
    let router = lab.vpc_id("main").to_string();
    let number = lab.kernel_eni("b").ifindex;
    let links = std::process::Command::new("ip").args(["-n", &router, "-o", "link"]).output().unwrap();
    let links = String::from_utf8(links.stdout).unwrap();
    let line = links.lines().find_map(|line| line.strip_prefix(&format!("{number}: "))).unwrap();
    let interface = line.split(['@', ':']).next().unwrap().to_owned();
    let workload = Workload::new(&lab, "c", Wire::Veth);
    let binding = Binding { netns: Some(router.parse().unwrap()), interface, ..workload.guest() };
    for is_unbound in [true, false] {
        lab.try_bind("c", binding.clone());
        let found = lab.standing("c");
        assert_eq!(found.state, BoundState::Closed);
        assert!(found.note.contains("already; unbind one of them"), "{}", found.note);
        if is_unbound {
            lab.unbind("c");
        } else {
            lab.remove_instance("c");
        }
        is_enforced(&mut lab);
    }
}

#[test]
fn what_cannot_be_enforced_is_refused_or_told() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    let mut workload = Workload::new(&lab, "b", Wire::Veth);
    lab.bind("b", &workload, workload.guest());
    workload.up();
    let bind = |lab: &Lab, name: &str, binding: Binding, mac| {
        let eni = lab.eni(name).id.clone();
        lab.refusal(&Command::Binding(BindingCommand::Bind { eni, binding, mac, is_moved: false }))
    };
    let taken = bind(&lab, "a", workload.guest(), None);
    assert_eq!(
        taken,
        BindingRefusal::InterfaceTaken { eni: lab.eni("b").id.clone(), place: workload.guest().to_string() }
    );
    let elsewhere = bind(&lab, "b", workload.own(), None);
    assert_eq!(
        elsewhere,
        BindingRefusal::Elsewhere { eni: lab.eni("b").id.clone(), place: workload.guest().to_string() }
    );
    let everyone = Mac([0xff; 6]);
    assert_eq!(bind(&lab, "b", workload.guest(), Some(everyone)), BindingRefusal::Mac { mac: everyone });
    // The workload has another Ethernet address than its ENI: what it sends is dropped until the ENI has it.
    let other = Mac([2, 0, 0, 0, 0, 0x42]);
    workload.readdress(other);
    assert_eq!(lab.try_probe("b -> outside tcp/80", Family::V4).answer, Answer::Dropped);
    lab.bind_with("b", &workload, workload.guest(), Some(other));
    assert_eq!(lab.try_probe("b -> outside tcp/80", Family::V4).answer, Answer::Passes);
    lab.unbind("b");
    // What has no Ethernet frames cannot be read, and lets nothing pass.
    ip(&format!("-n {} tuntap add tun0 mode tun", workload.ns));
    let tun = Binding { interface: "tun0".to_owned(), ..workload.own() };
    lab.try_bind("a", tun);
    let found = lab.standing("a");
    assert_eq!(found.state, BoundState::Closed);
    assert!(found.note.starts_with("`tun0` does not carry Ethernet frames"), "{}", found.note);
}

/// The tags of frames that are read.
const TAGS: [&[u16]; 4] = [&[0x8100], &[0x88a8], &[0x88a8, 0x8100], &[0x8100, 0x8100]];

/// A frame as the router sends it to `b`.
fn to_b(lab: &Lab, kind: Frame, family: Family) -> Vec<u8> {
    let (outside, to) = (lab.host("outside"), lab.host("b"));
    frame(kind, to.mac, ((outside.address(family), 4_000).into(), (to.address(family), kind.port()).into()))
}

/// The reason that was counted for what a host sends.
fn judged(lab: &mut Lab, direction: Direction, from: &Host, bytes: &[u8]) -> Option<Reason> {
    let count =
        |lab: &mut Lab| Reason::ALL.iter().map(|reason| lab.count("b", direction, *reason)).collect::<Vec<_>>();
    let before = count(lab);
    let is_discovery = bytes.windows(2).any(|two| two == [0x08, 0x06]);
    from.link().try_send(bytes);
    for _ in 0..200 {
        let after = count(lab);
        // Neighbours are looked for at any time.
        let mut grown = (0..before.len()).filter(|at| after[*at] > before[*at]).filter_map(|at| Reason::ALL.get(at));
        if let Some(reason) = grown.find(|reason| is_discovery || **reason != Reason::Bypass) {
            return Some(*reason);
        }
        pause(Duration::from_millis(1));
    }
    None
}

#[test]
fn nothing_passes_unjudged_because_of_a_tag() {
    // At the guest's side the tags of what goes to the ENI lie in the frame, and the outermost of what comes from it is beside
    // it; at the workload's own side it is the other way round.
    for is_own in [false, true] {
        let Some(mut lab) = Lab::of(WORLD) else { return };
        let mut workload = Workload::new(&lab, "b", Wire::Veth);
        lab.bind("b", &workload, if is_own { workload.own() } else { workload.guest() });
        workload.up();
        let (to, from) = (at(&workload.router, &workload.port), lab.host("b"));
        for family in FAMILIES {
            judges_what_tags_are_around(&mut lab, (&to, &from), family);
            let good = to_b(&lab, Frame::Datagram(5_000), family);
            if !is_own {
                let inside = from.link();
                to.link().send(&tagged(&good, &[0x88a8, 0x8100])).unwrap();
                assert!(arrives(&inside, 5_000), "what is allowed arrives with its tags");
                let cut = &tagged(&good, &[0x8100])[..16];
                assert_eq!(
                    judged(&mut lab, Direction::Ingress, &to, cut),
                    Some(Reason::NotIp),
                    "it ends within its tag"
                );
            }
        }
        let question = who_is_the_router(from.mac, from.address(Family::V4), "10.0.0.1".parse().unwrap());
        assert_eq!(judged(&mut lab, Direction::Egress, &from, &tagged(&question, &[0x8100])), Some(Reason::Bypass));
    }
}

fn judges_what_tags_are_around(lab: &mut Lab, (to, from): (&Host, &Host), family: Family) {
    let (good, bad) = (to_b(lab, Frame::Datagram(5_000), family), to_b(lab, Frame::Syn(22), family));
    let outside = lab.host("outside").address(family);
    let ends = |port| ((from.address(family), 4_000).into(), (outside, port).into());
    let (mail, web) = (frame(Frame::Syn(25), from.mac, ends(25)), frame(Frame::Syn(80), from.mac, ends(80)));
    for tags in TAGS {
        let what = format!("{family:?} {tags:x?}");
        let mut sent = |direction, host, bytes: &[u8]| judged(lab, direction, host, &tagged(bytes, tags));
        assert_eq!(sent(Direction::Ingress, to, &bad), Some(Reason::DefaultDeny), "{what}");
        let passed = sent(Direction::Ingress, to, &good);
        assert!(matches!(passed, Some(Reason::RuleAllow | Reason::KnownFlow)), "{what}: {passed:?}");
        assert_eq!(sent(Direction::Egress, from, &mail), Some(Reason::RuleDeny), "{what}");
        let passed = sent(Direction::Egress, from, &web);
        assert!(matches!(passed, Some(Reason::DefaultAllow | Reason::KnownFlow)), "{what}: {passed:?}");
        let mut stranger = web.clone();
        stranger[11] ^= 1;
        assert_eq!(sent(Direction::Egress, from, &stranger), Some(Reason::Spoofed), "{what}");
    }
    let many = [0x8100; 3];
    assert_eq!(judged(lab, Direction::Ingress, to, &tagged(&good, &many)), Some(Reason::NotIp));
    assert_eq!(judged(lab, Direction::Egress, from, &tagged(&web, &many)), Some(Reason::NotIp));
}
