//! Records of real packets: they are in the cloud's format, and add up to what was sent, minute by minute.

#![expect(clippy::expect_used, reason = "a test fails by panicking, in its helpers too")]

use sekimori_agent::{
    bpf::clock::Moment,
    traffic::{Ledger, Sampler},
};
use sekimori_cloud::records::{Record, Recorder};
use sekimori_core::{
    address::Family,
    flow_log::{FlowLog, FlowLogConfig, LogDestinationKind, LoggedAddresses, LoggedTraffic},
    flow_record::TrafficPart,
    resource::Resource,
    time::Timestamp,
};
use sekimori_tests::lab::Lab;

const FORMAT: &str = "${version} ${account-id} ${interface-id} ${srcaddr} ${dstaddr} ${srcport} ${dstport} ${protocol} \
    ${packets} ${bytes} ${action} ${log-status} ${vpc-id} ${subnet-id} ${instance-id} ${tcp-flags} ${type} ${flow-direction} \
    ${traffic-path} ${reject-reason}";
/// Ethernet, IPv4, UDP.
const HEADERS: u64 = 14 + 20 + 8;
const SIZE: u64 = 100;

fn flow_log(lab: &Lab, instance: &str) -> FlowLog {
    let eni = lab.eni(instance);
    FlowLog {
        id: "fl-1".into(),
        account: eni.account.clone(),
        region: String::new(),
        resource: Resource::Eni(eni.id.clone()),
        name: String::new(),
        description: String::new(),
        resource_group: String::new(),
        config: FlowLogConfig {
            traffic: LoggedTraffic::All,
            destination_kind: LogDestinationKind::S3,
            destination: String::new(),
            log_group: String::new(),
            role: String::new(),
            cross_account_role: String::new(),
            format: FORMAT.to_owned(),
            interval_s: 60,
            files: None,
            addresses: LoggedAddresses::Both,
            paths: Vec::new(),
        },
        tags: Default::default(),
        created_at: Timestamp(0),
        active_since: Some(Timestamp(0)),
    }
}

/// The kernel as it is now, as if it were so many seconds later.
fn see(lab: &mut Lab, sampler: &mut Sampler, ledger: &mut Ledger, (start, later_s): (Moment, i64)) {
    lab.take_events().iter().for_each(|event| ledger.refused(event));
    let now_s = start.now_s + later_s;
    // A later moment whose flows were seen just now.
    let at = Moment { now_s, ..Moment::now().expect("there are clocks") };
    let source = lab.enforcer().flow_source().expect("flows are readable");
    ledger.passed(now_s, source.sample(sampler, at).expect("flows are readable"));
}

/// The records of an interface, by fields, without what only names things.
fn records(lab: &Lab, instance: &str, parts: &[TrafficPart]) -> Vec<Vec<String>> {
    let (log, eni) = (flow_log(lab, instance), lab.eni(instance));
    let start = parts.first().map_or(0, |part| part.start_s);
    let recorder = Recorder::new(&log, lab.world(), (start, start + 60));
    let own = parts.iter().flat_map(|part| &part.facts).filter(|(key, _)| key.eni == eni.id);
    let lines = own.map(|(key, sum)| recorder.line(&eni, Record::Ok(key, sum)));
    let (account, id) = (eni.account.to_string(), eni.id.to_string());
    lines
        .map(|line| {
            let fields: Vec<String> = line.split(' ').map(str::to_owned).collect();
            assert_eq!(fields.len(), recorder.header().expect("files of EC2 have one").split(' ').count(), "{line}");
            assert_eq!(fields[..3], ["8".to_owned(), account.clone(), id.clone()], "{line}");
            assert_eq!(
                fields[12..15],
                [eni.vpc.to_string(), eni.subnet.to_string(), lab.instance_id(instance).to_string()]
            );
            [&fields[3..12], &fields[15..]].concat()
        })
        .collect()
}

/// Records of denied packets that differ in nothing but packets and bytes as one, all in order: each is noted in the minute in which it came, and a
/// minute may end between two of them.
fn added_up(records: impl Iterator<Item = Vec<String>>) -> Vec<Vec<String>> {
    let mut sums: Vec<Vec<String>> = Vec::new();
    let number = |text: &str| text.parse::<u64>().expect("packets and bytes are numbers");
    for record in records {
        let is_denied = record[7] == "REJECT";
        let is_same = |sum: &&mut Vec<String>| is_denied && sum[..5] == record[..5] && sum[7..] == record[7..];
        match sums.iter_mut().find(is_same) {
            Some(sum) => (5..7).for_each(|at| sum[at] = (number(&sum[at]) + number(&record[at])).to_string()),
            None => sums.push(record),
        }
    }
    sums.sort();
    sums
}

#[test]
fn records_add_up_to_what_was_sent() {
    let Some(mut lab) = Lab::of(
        "group web basic
         group db basic isolated
         in allow udp/53 from any as dns
         instance a web
         instance b db",
    ) else {
        return;
    };
    lab.want_events(true);
    let (mut sampler, mut ledger) = (Sampler::default(), Ledger::default());
    let start = Moment::now().expect("there are clocks");
    let [a, b] = ["a", "b"].map(|name| lab.host(name).address(Family::V4).to_string());
    see(&mut lab, &mut sampler, &mut ledger, (start, 0));
    for (round, packets) in [(1, 3_u64), (2, 2)] {
        for _ in 0..packets {
            let found = lab.try_probe(&format!("a -> b udp/53 sport 5353 size {SIZE}"), Family::V4);
            assert!(found.to_string().starts_with("passes"), "{found}");
            lab.try_probe(&format!("a -> b udp/99 sport 5353 server none size {SIZE}"), Family::V4);
        }
        see(&mut lab, &mut sampler, &mut ledger, (start, 300 * round));
        see(&mut lab, &mut sampler, &mut ledger, (start, 300 * round + 60));
        let mut parts = Vec::new();
        loop {
            let minute = ledger.oldest();
            let Some(last) = minute.last() else { break };
            ledger.written(last.start_s);
            parts.extend(minute);
        }
        let (count, bytes) = (packets.to_string(), (packets * (HEADERS + SIZE)).to_string());
        let line = |source: [&str; 2], to: [&str; 2], verdict: &str, way: &str, path: &str| {
            let [from, source_port] = source;
            let [to, port] = to;
            let fields =
                [from, to, source_port, port, "17", &count, &bytes, verdict, "OK", "0", "IPv4", way, path, "-"];
            fields.map(str::to_owned).to_vec()
        };
        let mut expected = vec![
            line([&a, "5353"], [&b, "53"], "ACCEPT", "ingress", "-"),
            line([&a, "5353"], [&b, "99"], "REJECT", "ingress", "-"),
            line([&b, "53"], [&a, "5353"], "ACCEPT", "egress", "1"),
        ];
        let found = added_up(records(&lab, "b", &parts).into_iter().filter(|fields| fields[4] == "17"));
        expected.sort();
        assert_eq!(found, expected, "in round {round}");
    }
}
