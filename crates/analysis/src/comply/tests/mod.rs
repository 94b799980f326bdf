//! Every control in both modes: what passes, what fails, and where the two modes differ.

mod fixing;
mod network;
mod reports;
mod sampled;

use sekimori_core::world::World;

use super::*;
use crate::fixture;

/// Asks one control.
fn ask_of(world: &World, control: &str, mode: Mode, parameters: &[&str]) -> Report {
    let question = Question {
        rules: vec![control.to_owned()],
        mode,
        parameters: parameters.iter().map(|text| (*text).to_owned()).collect(),
        ..Question::default()
    };
    check(world, &question).unwrap()
}

/// `web: r1 r2`, `pass`, or `n/a`.
fn told_of(world: &World, control: &str, mode: Mode, parameters: &[&str]) -> String {
    let report = ask_of(world, control, mode, parameters);
    let one = |finding: &Finding| {
        let name = |cause: &Cause| {
            let rule = cause.rule.as_ref().map(ToString::to_string);
            rule.or(cause.entry.map(|number| number.to_string())).unwrap_or_else(|| "-".to_owned())
        };
        let causes: Vec<String> = finding.causes.iter().map(name).collect();
        format!("{}: {}", finding.resource.id.trim_start_matches("sg-"), causes.join(" "))
    };
    match (report.findings.as_slice(), report.control(control).unwrap().checked) {
        ([], 0) => "n/a".to_owned(),
        ([], _) => "pass".to_owned(),
        (findings, _) => findings.iter().map(one).collect::<Vec<_>>().join(", "),
    }
}

/// What a control says of a small world in either mode.
fn both(control: &str, text: &str, literal: &str, semantic: &str) {
    both_with(control, &[], text, literal, semantic);
}

fn both_with(control: &str, parameters: &[&str], text: &str, literal: &str, semantic: &str) {
    let world = fixture::world(text);
    assert_eq!(told_of(&world, control, Mode::Literal, parameters), literal, "{control}, literal: {text}");
    assert_eq!(told_of(&world, control, Mode::Semantic, parameters), semantic, "{control}, semantic: {text}");
}

/// A rule of an EC2 group that an interface carries.
fn ec2(rules: &[&str]) -> String {
    let lines: Vec<String> = rules.iter().map(|rule| format!("web: {rule}")).collect();
    format!("ec2\nlist all 0.0.0.0/1 128.0.0.0/1\nsg web ec2\n{}\neni a 10.0.0.1 fd00::1 in web", lines.join("\n"))
}

/// The same of a basic ECS group.
fn ecs(rules: &[&str]) -> String {
    let lines: Vec<String> = rules.iter().map(|rule| format!("web: {rule}")).collect();
    format!("list all 0.0.0.0/1 128.0.0.0/1\nsg web\n{}\neni a 10.0.0.1 fd00::1 in web", lines.join("\n"))
}

#[test]
fn ec2_2_default_groups_are_closed() {
    both("EC2.2", "ec2\nsg web ec2\nweb: in allow tcp 22 from 0.0.0.0/0", "n/a", "n/a");
    both("EC2.2", "ec2\nsg home ec2 default", "pass", "pass");
    both("EC2.2", "ec2\nsg home ec2 default\nhome: out allow all to 0.0.0.0/0", "home: r1", "home: r1");
    // A rule for the members of a group that has none lets nothing pass.
    both("EC2.2", "ec2\nsg home ec2 default\nhome: in allow all from sg-home", "home: r1", "pass");
}

#[test]
fn ec2_13_and_14_one_port_from_everywhere() {
    for (control, port) in [("EC2.13", "22"), ("EC2.14", "3389")] {
        let open = format!("in allow tcp {port} from 0.0.0.0/0");
        both(control, &ec2(&[&open]), "web: r1", "web: r1");
        both(control, &ec2(&[&format!("in allow tcp {port} from ::/0")]), "web: r1", "web: r1");
        both(control, &ec2(&["in allow all from ::/0"]), "web: r1", "web: r1");
        both(control, &ec2(&[&format!("in allow udp {port} from 0.0.0.0/0")]), "pass", "pass");
        both(control, &ec2(&[&format!("in allow tcp {port} from 192.0.2.0/24")]), "pass", "pass");
        // Two halves, and a list of them, are the world.
        let halves = [format!("in allow tcp {port} from 0.0.0.0/1"), format!("in allow tcp {port} from 128.0.0.0/1")];
        both(control, &ec2(&[&halves[0], &halves[1]]), "pass", "web: r1 r2");
        both(control, &ec2(&[&format!("in allow tcp {port} from pl-all")]), "pass", "web: r1");
    }
}

#[test]
fn ec2_18_only_authorized_ports() {
    both("EC2.18", &ec2(&["in allow tcp 22 from 192.0.2.0/24"]), "n/a", "n/a");
    both("EC2.18", &ec2(&["in allow tcp 80 from 0.0.0.0/0", "in allow tcp 443 from ::/0"]), "pass", "pass");
    both("EC2.18", &ec2(&["in allow tcp 80-443 from 0.0.0.0/0"]), "web: r1", "web: r1");
    both("EC2.18", &ec2(&["in allow udp 53 from 0.0.0.0/0"]), "web: r1", "web: r1");
    both("EC2.18", &ec2(&["in allow all from 0.0.0.0/0"]), "web: r1", "web: r1");
    // A port that only two rules open to everyone, each to one half.
    let split = ec2(&["in allow tcp 8000-8010 from 0.0.0.0/1", "in allow tcp 8005 from 128.0.0.0/1"]);
    both("EC2.18", &split, "n/a", "web: r1 r2");
    let custom = ["authorizedTcpPorts=22,8000-8010", "EC2.18.authorizedUdpPorts=53"];
    both_with(
        "EC2.18",
        &custom,
        &ec2(&["in allow tcp 8003-8005 from 0.0.0.0/0", "in allow udp 53 from ::/0"]),
        "pass",
        "pass",
    );
    both_with("EC2.18", &custom, &ec2(&["in allow tcp 443 from 0.0.0.0/0"]), "web: r1", "web: r1");
    both_with("EC2.18", &["authorizedTcpPorts="], &ec2(&["in allow tcp 80 from 0.0.0.0/0"]), "web: r1", "web: r1");
}

#[test]
fn ec2_19_high_risk_ports() {
    both("EC2.19", &ec2(&["in allow tcp 443 from 0.0.0.0/0"]), "pass", "pass");
    both("EC2.19", &ec2(&["in allow tcp 3306 from 0.0.0.0/0"]), "web: r1", "web: r1");
    both("EC2.19", &ec2(&["in allow udp 5000-5100 from ::/0"]), "web: r1", "web: r1");
    both("EC2.19", &ec2(&["in allow tcp 9200 from pl-all"]), "pass", "web: r1");
}

#[test]
fn ec2_22_groups_that_nobody_uses() {
    both("EC2.22", &ec2(&[]), "pass", "pass");
    both("EC2.22", "ec2\nsg lost ec2", "lost: -", "lost: -");
    let named = "ec2\nsg peer ec2\nsg web ec2\nweb: in allow tcp 80 from sg-peer\neni a 10.0.0.1 in web";
    both("EC2.22", named, "peer: -", "pass");
    both("EC2.22", "ec2\nsg home ec2 default", "home: -", "n/a");
}

#[test]
fn ec2_53_and_54_administration() {
    let v4 = ec2(&["in allow udp 3389 from 0.0.0.0/0"]);
    both("EC2.53", &v4, "web: r1", "web: r1");
    both("EC2.54", &v4, "pass", "pass");
    let v6 = ec2(&["in allow tcp 20-25 from ::/0"]);
    both("EC2.53", &v6, "pass", "pass");
    both("EC2.54", &v6, "web: r1", "web: r1");
    both("EC2.53", &ec2(&["in allow tcp 22 from pl-all"]), "pass", "web: r1");
    both("EC2.54", &ec2(&["in allow tcp 22 from ::/1", "in allow tcp 22 from 8000::/1"]), "pass", "web: r1");
}

#[test]
fn public_access_on_all_ports() {
    let control = "sg-public-access-check";
    both(control, &ecs(&["in allow tcp 80 from 0.0.0.0/0"]), "pass", "pass");
    both(control, &ecs(&["in allow all from 0.0.0.0/0"]), "web: r1", "web: r1");
    let denied = ["in allow all from 0.0.0.0/0 priority 2", "in deny all from 0.0.0.0/0 priority 1"];
    both(control, &ecs(&denied), "pass", "pass");
    // Ping has no ports, and is written with all of them.
    both(control, &ecs(&["in allow icmp from 0.0.0.0/0"]), "web: r1", "pass");
    let split = ["in allow tcp 1-30000 from 0.0.0.0/0", "in allow tcp 30001-65535 from 0.0.0.0/0"];
    both(control, &ecs(&split), "pass", "web: r1 r2");
    both(control, "sg web managed\nweb: in allow all from 0.0.0.0/0", "n/a", "n/a");
}

#[test]
fn risky_ports() {
    let control = "sg-risky-ports-check";
    both(control, &ecs(&["in allow tcp 8080 from 0.0.0.0/0"]), "pass", "pass");
    both(control, &ecs(&["in allow tcp 6000-7000 from 0.0.0.0/0"]), "web: r1", "web: r1");
    both_with(control, &["ports=8080"], &ecs(&["in allow tcp 8080 from 0.0.0.0/0"]), "web: r1", "web: r1");
    both(control, &ecs(&["in allow tcp 22 from ::/0"]), "pass", "web: r1");
    // This one does not ask for denials; the packets do.
    let denied = ["in allow tcp 22 from 0.0.0.0/0 priority 2", "in deny tcp 22 from 0.0.0.0/0 priority 1"];
    both(control, &ecs(&denied), "web: r1", "pass");
}

#[test]
fn risky_ports_with_their_protocol() {
    let control = "ecs-security-group-risky-ports-check-with-protocol";
    both(control, &ecs(&["in allow tcp 80 from 0.0.0.0/0"]), "pass", "pass");
    both(control, &ecs(&["in allow tcp 22 from 0.0.0.0/0"]), "web: r1", "web: r1");
    both_with(control, &["protocol=udp"], &ecs(&["in allow tcp 22 from 0.0.0.0/0"]), "pass", "pass");
    let denied = ["in allow tcp 22-23 from 0.0.0.0/0 priority 2", "in deny tcp 22 from 0.0.0.0/0 priority 1"];
    both(control, &ecs(&denied), "pass", "pass");
    // A denial in two halves denies, and one at a higher priority of another group as well.
    let halves = [
        "in allow tcp 22 from 0.0.0.0/0 priority 2",
        "in deny tcp 22 from 0.0.0.0/1 priority 1",
        "in deny tcp 22 from 128.0.0.0/1 priority 1",
    ];
    both(control, &ecs(&halves), "web: r1", "pass");
    let wall =
        "sg web\nsg wall\nweb: in allow tcp 22 from 0.0.0.0/0 priority 2\nwall: in deny all from 0.0.0.0/0 priority 1
        eni a 10.0.0.1 in web wall";
    both(control, wall, "web: r1", "pass");
    // One interface that carries the group without the wall is enough.
    both(control, &format!("{wall}\neni b 10.0.0.2 in web"), "web: r1", "web: r1");
    // Denying a few does not make it less than everyone.
    let few = ["in allow tcp 22 from 0.0.0.0/0 priority 2", "in deny tcp 22 from 1.0.0.0/8 priority 1"];
    both(control, &ecs(&few), "web: r1", "web: r1");
}

#[test]
fn ports_that_are_listed() {
    let control = "ecs-security-group-white-list-port-check";
    both(control, &ecs(&["in allow tcp 80 from 0.0.0.0/0"]), "pass", "pass");
    both(control, &ecs(&["in allow tcp 443 from 0.0.0.0/0"]), "web: r1", "web: r1");
    both_with(control, &["ports=80,443"], &ecs(&["in allow tcp 443 from 0.0.0.0/0"]), "pass", "pass");
    both(control, &ecs(&["in allow tcp 443 from pl-all"]), "pass", "web: r1");
}

#[test]
fn all_ports_and_all_protocols() {
    let (ports, protocols) = ("ecs-security-group-not-open-all-port", "ecs-security-group-not-open-all-protocol");
    for control in [ports, protocols] {
        both(control, &ecs(&["in allow tcp 80 from 10.0.0.0/8"]), "pass", "pass");
        both(control, &ecs(&["in allow all from 10.9.0.0/16"]), "web: r1", "web: r1");
        let denied = ["in allow all from 10.9.0.0/16 priority 2", "in deny all from 0.0.0.0/0 priority 1"];
        // The service compares the sources, the packets do not need to.
        both(control, &ecs(&denied), "web: r1", "pass");
    }
    let split = ["in allow udp 1-30000 from 10.9.0.0/16", "in allow udp 30001-65535 from 10.9.0.7"];
    both(ports, &ecs(&split), "pass", "web: r1 r2");
    both(
        ports,
        &ecs(&["in allow gre from 10.9.0.0/16"].map(|rule| rule.replace("gre", "47")).each_ref().map(String::as_str)),
        "web: r1",
        "pass",
    );
    // TCP is denied, so that not every protocol is let in.
    let without = ["in allow all from 10.9.0.0/16 priority 2", "in deny tcp from 0.0.0.0/0 priority 1"];
    both(protocols, &ecs(&without), "web: r1", "pass");
}

#[test]
fn private_addresses_only() {
    let control = "ecs-security-group-not-internet-cidr-access";
    both(control, &ecs(&["in allow tcp 80 from 10.0.0.0/8", "in allow tcp 80 from 100.64.1.0/24"]), "pass", "pass");
    both(control, &ecs(&["in allow tcp 80 from 192.0.2.7"]), "web: r1", "web: r1");
    both(control, &ecs(&["in allow tcp 80 from 192.168.0.0/15"]), "web: r1", "web: r1");
    both(control, &ecs(&["in allow tcp 80 from pl-all"]), "pass", "web: r1");
    let denied = ["in allow tcp 80 from 192.0.2.7 priority 2", "in deny all from 192.0.0.0/8 priority 1"];
    both(control, &ecs(&denied), "web: r1", "pass");
}

#[test]
fn not_everything_leaves() {
    let control = "ecs-security-group-egress-not-all-access";
    let closed = "sg web enterprise\nweb: out allow tcp 443 to 0.0.0.0/0\neni a 10.0.0.1 in web";
    both(control, closed, "pass", "pass");
    both(control, "sg web enterprise\nweb: out allow all to 0.0.0.0/0", "web: r1", "web: r1");
    both(control, "sg web enterprise\nweb: out allow tcp 1-65535 to 0.0.0.0/0", "pass", "web: r1");
    // A basic group lets out what no rule denies.
    both(control, &ecs(&[]), "pass", "web: -");
    both(control, &ecs(&["out deny all to 0.0.0.0/0", "out deny all to ::/0"]), "pass", "pass");
}

#[test]
fn enterprise_groups() {
    let control = "ecs-security-group-type-not-normal";
    both(control, "sg web enterprise", "pass", "pass");
    both(control, "sg web", "web: -", "web: - -");
    // A basic group that is as closed as an enterprise one.
    both(control, "sg web drop\nweb: out deny all to 0.0.0.0/0\nweb: out deny all to ::/0", "web: -", "pass");
}

#[test]
fn instances_carry_a_listed_group() {
    let control = "ecs-instance-attached-security-group";
    let text = "sg web\nsg db\neni a 10.0.0.1 in web\neni b 10.0.0.2 in db";
    both_with(control, &["securityGroupIds=sg-web,sg-db"], text, "pass", "pass");
    both_with(control, &["securityGroupIds=sg-web"], text, "i-b: -", "i-b: -");
    let report = ask_of(&fixture::world(text), control, Mode::Literal, &[]);
    assert!(report.notes[0].contains("give its parameter securityGroupIds"), "{:?}", report.notes);
    assert_eq!(report.control(control).unwrap().checked, 0);
}

#[test]
fn merged_groups_are_judged_where_they_meet() {
    // Neither group opens anything to everyone by itself; the interface that carries both does.
    let text =
        "ec2\nsg low ec2\nsg high ec2\nlow: in allow tcp 22 from 16.0.0.0/5\nhigh: in allow tcp 22 from 128.0.0.0/5
        eni a 10.0.0.1 in low high";
    both("EC2.13", text, "pass", "high: r2, low: r1");
    let report = ask_of(&fixture::world(text), "EC2.13", Mode::Semantic, &[]);
    let opens = &report.findings[0].causes[0].opens;
    assert_eq!(opens, &["tcp 22 from 7.2 % of the public IPv4 addresses, merged with sg-low at 1 interface"]);
    // A part of the world that is more than anybody's network is everyone.
    both("EC2.13", &ec2(&["in allow tcp 22 from 0.0.0.0/1"]), "pass", "web: r1");
    both("EC2.13", &ec2(&["in allow tcp 22 from 64.0.0.0/5"]), "pass", "pass");
}

#[test]
fn only_those_who_open_something_are_blamed() {
    // A restricted rule beside one for everyone, in the same group and in another one.
    both(
        "EC2.13",
        &ec2(&["in allow tcp 22 from 0.0.0.0/0", "in allow tcp 22 from 192.0.2.0/24"]),
        "web: r1",
        "web: r1",
    );
    let text = "ec2\nsg web ec2\nsg office ec2\nweb: in allow all from 0.0.0.0/0\noffice: in allow tcp 20-25 from 192.0.2.0/24
        office: in allow tcp 443 from 0.0.0.0/0\neni a 10.0.0.1 in web office";
    both("EC2.13", text, "web: r1", "web: r1");
    both("EC2.18", text, "web: r1", "web: r1");
    // Of what two groups open both are to blame.
    let text = "sg web\nsg more\nweb: in allow tcp 1-65535 from 0.0.0.0/0\nmore: in allow tcp 1-65535 from 0.0.0.0/0
        more: in allow tcp 80 from 0.0.0.0/0\neni a 10.0.0.1 in web more";
    both("ecs-security-group-not-open-all-port", text, "pass", "more: r2, web: r1");
    both("sg-public-access-check", text, "pass", "more: r2, web: r1");
}

#[test]
fn rules_that_wait_for_a_member_are_noted() {
    let text = "ec2\nsg web ec2\nsg none ec2\nweb: in allow tcp 22 from sg-none\neni a 10.0.0.1 in web";
    let report = ask_of(&fixture::world(text), "EC2.13", Mode::Semantic, &[]);
    assert_eq!(report.notes.len(), 1);
    assert!(report.notes[0].contains("nobody carries sg-none"), "{:?}", report.notes);
    assert!(ask_of(&fixture::world(text), "EC2.13", Mode::Literal, &[]).notes.is_empty());
}

#[test]
fn questions_that_name_nothing_are_refused() {
    let world = fixture::world(&ec2(&[]));
    let error = |question: Question| check(&world, &question).unwrap_err().to_string();
    let names = |name: &str| vec![name.to_owned()];
    assert!(error(Question { standards: names("pci"), ..Question::default() }).contains("use one of security-hub"));
    assert!(error(Question { rules: names("EC2.99"), ..Question::default() }).contains("use one of EC2.2"));
    let nothing = Question { rules: names("EC2.19"), standards: names("cis-aws-5.0"), ..Question::default() };
    assert_eq!(check(&world, &nothing), Err(ComplyError::Nothing));
    assert!(error(Question { resource: Some("sg-x".to_owned()), ..Question::default() }).contains("`sg-x`"));
    assert!(error(Question { rules: vec![String::new(); 65], ..Question::default() }).contains("too many"));
    for (bad, told) in [
        ("ports", "is not a parameter"),
        ("nothing=1", "names no parameter"),
        ("EC2.19.ports=1", "names no parameter"),
        ("authorizedTcpPorts=x", "is not a port"),
        ("protocol=gre", "is not a protocol with ports"),
        ("securityGroupIds=", "no group is named"),
    ] {
        let question = Question { parameters: names(bad), ..Question::default() };
        assert!(error(question).contains(told), "{bad}");
    }
    let many = format!("ports={}", vec!["1"; 257].join(","));
    assert!(error(Question { parameters: vec![many], ..Question::default() }).contains("too many"));
}

#[test]
fn standards_choose_controls() {
    let world = fixture::world(&ec2(&[]));
    let of = |standard: &str| {
        let question = Question { standards: vec![standard.to_owned()], ..Question::default() };
        let controls = check(&world, &question).unwrap().controls;
        controls.into_iter().map(|asked| asked.id).collect::<Vec<_>>()
    };
    assert_eq!(of("security-hub").len(), 10);
    assert_eq!(of("cloud-config").len(), 10);
    assert_eq!(of("cloud-config-best-practices").len(), 8);
    assert_eq!(of("cis-aws-1.2"), ["EC2.2", "EC2.6", "EC2.13", "EC2.14"]);
    assert_eq!(of("cis-aws-5.0"), ["EC2.2", "EC2.6", "EC2.21", "EC2.53", "EC2.54"]);
    let all = check(&world, &Question::default()).unwrap();
    assert_eq!(all.controls.len(), 20);
    let admin = all.control("EC2.53").unwrap();
    assert_eq!(admin.cis.last().map(|cis| (cis.version.as_str(), cis.number.as_str())), Some(("7.0", "6.3")));
    // The controls of one cloud are not asked about accounts of the other.
    assert!(all.controls.iter().all(|asked| asked.checked == 0 || asked.service == Service::SecurityHub));
}
