//! Several interfaces of an instance, and instances that stop and start, with real packets.

use expect_test::expect;
use sekimori_core::{
    address::Family,
    command::Power,
    world::{Eni, TimeoutChoice},
};
use sekimori_tests::lab::{Lab, observe::Answer};

#[test]
fn each_interface_is_judged_by_its_own_groups() {
    let Some(mut lab) = Lab::of(
        "group client basic
         group web basic
           in allow tcp/443 from any as https
         group admin basic
           in allow tcp/22 from any as ssh
           out deny tcp/80 to any as no-http
         instance a client
         instance b web",
    ) else {
        return;
    };
    lab.add_eni("b", &["admin"]);
    // An answer that left through the other interface would be dropped there as spoofed.
    lab.check(expect![[r#"
        a -> b tcp/443: passes [a: default allow] [b: allow https]
        a -> b tcp/22: dropped [a: default allow] [b: default deny]
        a -> b#1 tcp/22: passes [a: default allow] [b#1: allow ssh]
        a -> b#1 tcp/443: dropped [a: default allow] [b#1: default deny]
        outside -> b#1 tcp/22: passes [b#1: allow ssh]
        b -> outside tcp/80: passes [b: default allow]
        b#1 -> outside tcp/80: dropped [b#1: deny no-http]
        b#1 -> outside tcp/81: passes [b#1: default allow]
    "#]]);
    lab.regroup("b", &["admin"]);
    lab.check(expect![[r#"
        a -> b tcp/443: dropped [a: default allow] [b: default deny]
        a -> b tcp/22: passes [a: default allow] [b: allow ssh]
        b -> outside tcp/80: dropped [b: deny no-http]
    "#]]);
}

#[test]
fn an_interface_sends_from_its_own_addresses_only() {
    let Some(mut lab) = Lab::of(
        "group client basic
         group server basic
           in allow udp from any as datagrams
         instance a server
         instance b client",
    ) else {
        return;
    };
    lab.add_eni("b", &["client"]);
    let primary = lab.eni("b").addresses[0];
    let second = lab.eni("b#1").addresses[0];
    assert_eq!((primary.to_string(), second.to_string()), ("10.0.0.2".to_owned(), "10.0.0.3".to_owned()));
    lab.check(expect![[r#"
        b#1 -> a datagram/9: passes [b#1: default allow] [a: allow datagrams]
        b#1 -> a datagram/9 src 10.0.0.2: dropped [b#1: spoofed]
        b -> a datagram/9 src 10.0.0.3: dropped [b: spoofed]
    "#]]);
    lab.edit_eni("b#1", |eni: &mut Eni| eni.source_check = false);
    lab.check(expect![[r#"
        b#1 -> a datagram/9 src 10.0.0.2: passes [b#1: default allow] [a: allow datagrams]
        b -> a datagram/9 src 10.0.0.3: dropped [b: spoofed]
    "#]]);
}

#[test]
fn an_interface_takes_its_groups_along_and_keeps_them_while_it_is_free() {
    let Some(mut lab) = Lab::of(
        "group admin basic
           in allow tcp/22 from any as ssh
         group client basic
           out deny tcp/22 to group:admin as not-there
           out allow all to any as anywhere
         instance a client
         instance b client
         instance c client",
    ) else {
        return;
    };
    let eni = lab.add_eni("b", &["admin"]);
    lab.check(expect![[r#"
        outside -> b#1 tcp/22: passes [b#1: allow ssh]
        a -> b#1 tcp/22: dropped [a: deny not-there]
    "#]]);
    let address = lab.eni("b#1").addresses[0];
    lab.detach_eni(&eni, "b");
    assert_eq!(address.to_string(), "10.0.0.4");
    // Nobody has the address now, and it is still that of a member of `admin`.
    lab.check(expect![[r#"
        a -> outside syn/22 to 10.0.0.4: dropped [a: deny not-there]
    "#]]);
    lab.attach_eni(&eni, "c");
    lab.check(expect![[r#"
        outside -> c#1 tcp/22: passes [c#1: allow ssh]
        outside -> c#1 tcp/443: dropped [c#1: default deny]
        a -> c#1 tcp/22: dropped [a: deny not-there]
        outside -> b tcp/22: dropped [b: default deny]
    "#]]);
    lab.close();
    lab.open();
    lab.check(expect![[r#"
        outside -> c#1 tcp/22: passes [c#1: allow ssh]
    "#]]);
}

#[test]
fn chosen_timeouts_reach_the_kernel() {
    let Some(mut lab) = Lab::of(
        "group client basic
         instance a client",
    ) else {
        return;
    };
    lab.add_eni("a", &["client"]);
    let seen =
        |eni: sekimori_compile::abi::Eni| (eni.tcp_established_s, eni.tcp_closed_s, eni.udp_s, eni.udp_stream_s);
    assert_eq!(seen(lab.kernel_eni("a#1")), (910, 3, 30, 30));
    let udp_s = Some(10);
    let choice = TimeoutChoice { tcp_established_s: Some(60), tcp_closed_s: Some(15), udp_s, udp_stream_s: udp_s };
    lab.choose_timeouts("a#1", choice);
    assert_eq!(seen(lab.kernel_eni("a#1")), (60, 15, 10, 10));
    lab.choose_timeouts("a#1", TimeoutChoice { udp_s: Some(80), ..TimeoutChoice::default() });
    assert_eq!(seen(lab.kernel_eni("a#1")), (60, 15, 80, 10), "what is not chosen stays");
    assert_eq!(seen(lab.kernel_eni("a")), (910, 3, 30, 30), "every interface has its own");
}

#[test]
fn a_stopped_instance_is_not_reachable_and_comes_back() {
    let Some(mut lab) = Lab::of(
        "group client basic
         group web basic
           in allow tcp/443 from any as https
           in allow ping from any as echo
         instance a client
         instance b web",
    ) else {
        return;
    };
    lab.check(expect![[r#"
        a -> b tcp/443: passes [a: default allow] [b: allow https]
    "#]]);
    lab.switch("b", Power::Stop);
    let gone = lab.try_probe("a -> b ping", Family::V4);
    assert_eq!((gone.answer, gone.way), (Answer::Lost, vec!["[a: default allow]".to_owned()]));
    lab.close();
    lab.open();
    assert_eq!(lab.try_probe("a -> b ping", Family::V6).answer, Answer::Lost, "also after a restart");
    lab.switch("b", Power::Start);
    lab.check(expect![[r#"
        a -> b tcp/443: passes [a: default allow] [b: allow https]
        a -> b tcp/80: dropped [a: default allow] [b: default deny]
    "#]]);
    lab.switch("b", Power::Reboot);
    lab.check(expect![[r#"
        a -> b tcp/443: passes [a: default allow] [b: allow https]
        a -> b tcp/80: dropped [a: default allow] [b: default deny]
    "#]]);
}
