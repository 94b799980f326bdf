//! The binary as scripts see it: exit codes, output, errors, and where the token goes.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod stub;

use std::{
    fs::{self, File},
    io::Write as _,
    process::{Command, Output, Stdio},
    thread,
    time::Duration,
};

use expect_test::expect;
use flate2::{Compression, write::GzEncoder};
use sekimori_cloud::records::{Record, Recorder};
use sekimori_core::{
    flow_log::{FlowLog, FlowLogConfig, LogDestinationKind, LoggedAddresses, LoggedTraffic},
    flow_record::{TrafficKey, TrafficSum},
    resource::Resource,
    rule::Direction,
    time::Timestamp,
    world::World,
};
use stub::Stub;
use tempfile::TempDir;

const WHY: &str = r#"{"allowed":ALLOWED,"vpc":"vpc-1","from":{"name":"i-web","address":"10.2.0.1","eni":"eni-1",
    "instance":"i-web"},"to":{"name":"i-db","address":"10.1.0.1","eni":"eni-2","instance":"i-db"},"service":"tcp/5432",
    "transport":{"Tcp":{"source":50000,"destination":5432}},"legs":[],"revision":7,"pairs":1,"pairs_allowed":1,"pairs_answered":ANSWERED,
    "answers":[],"answers_more":0,"blockers":[],"openers":[],"peering":null,"notes":[],"goal":"allow","change":null,"no_change":null,
    "evidence":{"hosts":[],"counters":[],"watched_since":0,"flows":[],"recorded_since":null}}"#;

const STATUS: &str = r#"{"version":"0.1.0","committed":7,"limits":"cloud","hosts":[],"counts":{"accounts":1,"vpcs":0,
    "instances":0,"enis":0,"groups":0,"rules":0},"capacity":[]}"#;

fn why(allowed: bool) -> String {
    let (allowed, answered) = if allowed { ("true", "1") } else { ("false", "0") };
    WHY.replace("ALLOWED", allowed).replace("ANSWERED", answered)
}

/// The command without anything of the environment.
fn sekimori(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sekimori"));
    command.env_clear().args(words);
    command
}

fn asking(stub: &Stub, words: &[&str]) -> Command {
    let mut command = sekimori(words);
    command.env("SEKIMORI_ENDPOINT", format!("http://{}", stub.address)).env("SEKIMORI_TOKEN", "the-token");
    command
}

/// Exit code, standard output and standard error.
fn run(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

#[test]
fn help_and_version_are_no_errors_and_nonsense_is_usage() {
    assert_eq!(
        run(&mut sekimori(&["--version"])),
        (0, format!("sekimori {}\n", env!("CARGO_PKG_VERSION")), String::new())
    );
    for words in [&["help"][..], &["up", "--help"], &["server", "-h"], &["policy", "show", "--help"]] {
        let (code, out, error) = run(&mut sekimori(words));
        assert!(code == 0 && out.contains("Usage:") && error.is_empty(), "{words:?}: {code} {error}");
    }
    for words in [&["frobnicate"][..], &["why", "a"], &["treatment", "set", "eni-1", "drop"], &["wait", "-x"]] {
        let (code, out, error) = run(&mut sekimori(words));
        assert!(code == 64 && out.is_empty() && error.starts_with("sekimori: "), "{words:?}: {code} {error}");
    }
    let (code, out, error) = run(&mut sekimori(&[]));
    assert!(code == 64 && out.is_empty() && error.contains("Usage: sekimori"), "{code} {error}");
}

#[test]
fn a_missing_server_is_usage_and_one_that_is_away_is_a_failure() {
    let (code, _, error) = run(&mut sekimori(&["status"]));
    assert!(code == 64 && error.starts_with("sekimori: no server is named"), "{code} {error}");
    let mut away = sekimori(&["status"]);
    away.env("SEKIMORI_ENDPOINT", "http://127.0.0.1:1").env("SEKIMORI_TOKEN", "t");
    let (code, _, error) = run(&mut away);
    assert!(code == 1 && error.contains("`http://127.0.0.1:1`") && error.contains("sekimori up"), "{code} {error}");
    assert_eq!(error.lines().count(), 1, "{error}");
}

#[test]
fn why_answers_with_its_exit_code() {
    for (allowed, expected) in [(true, 0), (false, 2)] {
        let stub = Stub::answering("200 OK", &why(allowed));
        let (code, out, error) = run(&mut asking(&stub, &["why", "i-web", "i-db", "tcp/5432", "--source-port", "7"]));
        assert_eq!((code, error.as_str()), (expected, ""));
        assert!(out.starts_with(if allowed { "allowed: tcp/5432" } else { "denied: tcp/5432" }), "{out}");
        let asked = stub.asked();
        assert!(
            asked.starts_with("get /v1/why?from=i-web&to=i-db&service=tcp%2f5432&source_port=7 http/1.1"),
            "{asked}"
        );
        assert!(asked.contains("authorization: bearer the-token\r\n"), "{asked}");
    }
}

#[test]
fn a_refusal_is_the_servers_own_words() {
    let body = r#"{"error":{"code":"not-found","message":"no interface `x y`; list them"}}"#;
    let stub = Stub::answering("404 Not Found", body);
    let (code, out, error) = run(&mut asking(&stub, &["policy", "show", "x y"]));
    assert_eq!((code, out.as_str(), error.as_str()), (1, "", "sekimori: no interface `x y`; list them\n"));
    assert!(stub.asked().starts_with("get /v1/policy/x%20y http/1.1"));
}

#[test]
fn an_answer_that_is_not_ours_is_told() {
    for (status, body) in [("200 OK", "<html>"), ("502 Bad Gateway", "<html>"), ("302 Found", "")] {
        let stub = Stub::answering(status, body);
        let (code, _, error) = run(&mut asking(&stub, &["status"]));
        assert!(code == 1 && error.contains("sekimori server"), "{status}: {code} {error}");
    }
}

#[test]
fn json_is_json_and_a_table_without_a_terminal_has_no_colours() {
    let stub = Stub::answering("200 OK", &why(false));
    let (_, out, _) = run(&mut asking(&stub, &["why", "a", "b", "icmp", "--output", "json"]));
    assert_eq!(serde_json::from_str::<serde_json::Value>(&out).unwrap()["allowed"], false);
    let stub = Stub::answering("200 OK", STATUS);
    let (code, out, _) = run(&mut asking(&stub, &["status"]));
    assert!(code == 0 && !out.contains('\u{1b}') && out.contains("revision 7"), "{out}");
}

#[test]
fn the_token_never_goes_to_a_proxy() {
    let (server, proxy) = (Stub::answering("200 OK", STATUS), Stub::answering("200 OK", STATUS));
    let mut command = asking(&server, &["status"]);
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env(name, format!("http://{}", proxy.address));
    }
    assert_eq!(run(&mut command).0, 0);
    assert!(server.asked().contains("the-token") && proxy.was_left_alone());
}

#[test]
fn credentials_come_from_the_data_directory() {
    let stub =
        Stub::answering("200 OK", r#"[{"id":"1","dialect":"ecs","name":"n","treatment":null,"keys":["LTAI"]}]"#);
    let dir = tempfile::tempdir().unwrap();
    let text = format!("SEKIMORI_ENDPOINT=http://{}\nSEKIMORI_TOKEN=of-the-directory\n", stub.address);
    fs::write(dir.path().join("credentials.env"), text).unwrap();
    let (code, out, _) = run(&mut sekimori(&["account", "list", "--data-dir", dir.path().to_str().unwrap()]));
    assert!(code == 0 && out.contains("LTAI"), "{code} {out}");
    assert!(stub.asked().contains("authorization: bearer of-the-directory\r\n"));
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let stub = Stub::answering("200 OK", r#"{"hosts":[],"total":{"rules":[],"enis":[],"flows":0}}"#);
    let mut watching = asking(&stub, &["counters", "--watch", "--interval-s", "1"]);
    let mut watching = watching.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(watching.stdout.take());
    let mut ended = None;
    for _ in 0..100 {
        ended = watching.try_wait().unwrap();
        if ended.is_some() {
            break;
        }
        thread::park_timeout(Duration::from_millis(100));
    }
    let _ = watching.kill();
    assert_eq!(ended.expect("it ends by itself").code(), Some(0));
    assert_eq!(String::from_utf8(watching.wait_with_output().unwrap().stderr).unwrap(), "");
}

#[test]
fn an_exposed_server_must_be_asked_for_and_a_reserved_port_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().to_str().unwrap();
    let (code, _, error) = run(&mut sekimori(&["up", "--data-dir", dir, "--listen", "0.0.0.0:0"]));
    assert!(code == 64 && error.contains("--tls-generate"), "{code} {error}");
    let (code, _, error) = run(&mut sekimori(&["up", "--data-dir", dir, "--listen", "127.0.0.1:1"]));
    let first: u16 =
        fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap().trim().parse().unwrap();
    assert!(first <= 1 || (code == 64 && error.contains("port `1` is reserved")), "{code} {error}");
}

#[test]
fn findings_are_the_answer_no() {
    let healthy = r#"{"revision":7,"groups":1,"rules":3,"findings":[]}"#;
    let stub = Stub::answering("200 OK", healthy);
    let (code, out, error) = run(&mut asking(&stub, &["health", "sg-1", "--unused-since", "1970-01-02"]));
    assert_eq!((code, out.as_str(), error.as_str()), (0, "nothing found in 3 rules of 1 group, revision 7\n", ""));
    assert!(stub.asked().starts_with("get /v1/health?group=sg-1&unused_since=86400 http/1.1"));
    assert_eq!(run(&mut asking(&stub, &["health", "--fix", "--yes"])).0, 0);
    assert!(stub.asked().starts_with("get ") && stub.was_left_alone());
    let finding = r#"{"revision":7,"groups":1,"rules":3,"findings":[],"empty_peers":[{"group":{"id":"sg-1","name":"web"},"rule":"sgr-1",
        "direction":"Ingress","rule_text":"allow tcp 22 from group sg-2","names":"sg-2","why":"deleted"}]}"#;
    let ill = Stub::answering("200 OK", finding);
    for words in [&["health"][..], &["health", "--fix", "--yes"], &["health", "--merge", "--yes"]] {
        let (code, out, error) = run(&mut asking(&ill, words));
        assert!(
            code == 2 && out.contains("sgr-1") && error.is_empty(),
            "nothing of it can be changed: {code} {out}{error}"
        );
        assert!(ill.asked().starts_with("get /v1/health http/1.1") && ill.was_left_alone());
    }
    let (code, _, error) = run(&mut asking(&stub, &["health", "--unused-since", "soon"]));
    assert!(code == 64 && error.contains("`soon` is not a date"), "{code} {error}");
    let check =
        r#"{"service":"tcp/22","family":"V4","local":"10.0.0.1","peer":"0.0.0.0/0","access":"closed","deciding":[]}"#;
    let report = format!(
        r#"{{"eni":"eni-1","instance":null,"vpc":"vpc-1","groups":[],"direction":"Ingress","revision":7,"checks":[{check}]}}"#
    );
    let stub = Stub::answering("200 OK", &report);
    let (code, out, _) = run(&mut asking(&stub, &["diagnose", "eni-1", "--port", "22"]));
    assert!(code == 2 && out.contains("closed"), "{code} {out}");
    assert!(stub.asked().starts_with("get /v1/diagnose?target=eni-1&direction=ingress&service=tcp%2f22 http/1.1"));
    for words in
        [&["diagnose", "eni-1", "--open", "--port", "22"][..], &["diagnose", "eni-1", "--port", "22", "--from-world"]]
    {
        assert_eq!(run(&mut asking(&stub, words)).0, 64, "{words:?}");
    }
}

#[test]
fn rules_are_written_under_the_documented_name() {
    let export = r#"{"group":"sg-1","region":"cn-hangzhou","format":"json","rules":0,"text":"[]\n"}"#;
    let stub = Stub::answering("200 OK", export);
    let dir = tempfile::tempdir().unwrap();
    let words = ["group", "export", "sg-1", "--dir", dir.path().to_str().unwrap()];
    let (code, out, error) = run(&mut asking(&stub, &words));
    assert_eq!((code, error.as_str()), (0, ""), "{out}");
    assert_eq!(fs::read_to_string(dir.path().join("ecs_cn-hangzhou_sg-1.json")).unwrap(), "[]\n");
    let (code, out, _) = run(&mut asking(&stub, &["group", "export", "sg-1", "--stdout"]));
    assert_eq!((code, out.as_str()), (0, "[]\n"));
}

/// Two instances behind the same open group: one with a public address and a route, one with neither.
const ACCOUNT: &str = r#"
    {"Vpcs": [{"VpcId": "vpc-1", "CidrBlock": "10.0.0.0/16", "OwnerId": "123456789012"}]}
    {"Subnets": [
        {"SubnetId": "subnet-open", "VpcId": "vpc-1", "CidrBlock": "10.0.0.0/24", "AvailabilityZone": "eu-west-1a"},
        {"SubnetId": "subnet-nat", "VpcId": "vpc-1", "CidrBlock": "10.0.1.0/24", "AvailabilityZone": "eu-west-1a"}]}
    {"RouteTables": [
        {"RouteTableId": "rtb-open", "VpcId": "vpc-1", "Associations": [{"Main": false, "SubnetId": "subnet-open"}], "Routes": [
            {"DestinationCidrBlock": "10.0.0.0/16", "GatewayId": "local", "State": "active"},
            {"DestinationCidrBlock": "0.0.0.0/0", "GatewayId": "igw-1", "State": "active"}]},
        {"RouteTableId": "rtb-main", "VpcId": "vpc-1", "Associations": [{"Main": true}], "Routes": [
            {"DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": "nat-1", "State": "active"}]}]}
    {"SecurityGroups": [{"GroupId": "sg-1", "GroupName": "web", "OwnerId": "123456789012", "VpcId": "vpc-1",
        "IpPermissions": [{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}],
        "IpPermissionsEgress": []}]}
    {"Reservations": [{"OwnerId": "123456789012", "Instances": [
        {"InstanceId": "i-open", "VpcId": "vpc-1", "SubnetId": "subnet-open", "NetworkInterfaces": [
            {"NetworkInterfaceId": "eni-1", "VpcId": "vpc-1", "SubnetId": "subnet-open", "PrivateIpAddress": "10.0.0.4",
             "Association": {"PublicIp": "198.51.100.4"}, "Groups": [{"GroupId": "sg-1"}]}]},
        {"InstanceId": "i-shut", "VpcId": "vpc-1", "SubnetId": "subnet-nat", "NetworkInterfaces": [
            {"NetworkInterfaceId": "eni-2", "VpcId": "vpc-1", "SubnetId": "subnet-nat", "PrivateIpAddress": "10.0.1.4",
             "Groups": [{"GroupId": "sg-1"}]}]}]}]}"#;

/// Of a request: tcp/22 for everybody.
const SSH: &str = "IpPermissions.1.IpProtocol=tcp&IpPermissions.1.FromPort=22&IpPermissions.1.ToPort=22&\
                   IpPermissions.1.IpRanges.1.CidrIp=0.0.0.0/0";

/// A directory with an account in it.
fn account(text: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("account.json"), text).unwrap();
    dir
}

#[test]
fn an_account_in_files_is_asked_with_its_routes_and_public_addresses() {
    let dir = account(ACCOUNT);
    let files = dir.path().to_str().unwrap();
    let ask = |words: &[&str]| run(&mut sekimori(&[&["--account-files", files], words].concat()));
    let (code, out, notes) = ask(&["who", "--from", "internet"]);
    assert_eq!(code, 0, "{notes}");
    expect![[r#"
        revision 1

        reached from outside:
        INTERFACES     ADDRESSES  OUTSIDE                      SERVICES
        i-open         10.0.0.4   0.0.0.0-9.255.255.255        tcp/443
        in sg-1 (web)             10.1.0.0-169.253.255.255     udp/68 from port 67
                                  169.255.0.0-255.255.255.255

        groups let it pass, but nothing leads there: i-shut (10.0.1.4): no public address
    "#]]
    .assert_eq(&out);
    expect![[r#"
        note: `vpc-1`: routes and public addresses decide who is outside and reaches what; what load balancers and accelerators pass on is not looked at
    "#]].assert_eq(&notes);
    let (code, out, _) = ask(&["why", "203.0.113.9", "i-shut", "tcp/443"]);
    assert_eq!(code, 2);
    expect![[r#"
        denied: tcp/443 from 203.0.113.9, outside every interface to i-shut (10.0.1.4) in vpc-1, revision 1
        AT       INTERFACE  INSTANCE  DECISION  REASON
        ingress  eni-2      i-shut    deny      10.0.1.4 has no public address
        ingress  eni-2      i-shut    allow     rule sg-1/ingress/1 of sg-1 (web): allow tcp 443 from 0.0.0.0/0

        everything that drops it:
        AT       INTERFACE  INSTANCE  DECISION  REASON
        ingress  eni-2      i-shut    deny      10.0.1.4 has no public address
        ingress  eni-2      i-shut    deny      route table rtb-main of the subnet leads to nat-1, by which no flow comes in

        no change would allow it: no rule helps where nothing leads: 10.0.1.4 has no public address
    "#]].assert_eq(&out);
    let request = format!("Action=AuthorizeSecurityGroupIngress&Version=2016-11-15&GroupId=sg-1&{SSH}");
    let (code, out, notes) = ask(&["diff", "--request", &request]);
    assert_eq!(code, 0, "{notes}");
    let cut_off: Vec<&str> = out.lines().filter(|line| line.contains("leads to")).collect();
    assert_eq!(
        cut_off,
        ["i-shut: nothing outside leads to it as things are: 10.0.1.4 has no public address"],
        "{out}"
    );
    let unrouted = ACCOUNT.replace("RouteTables", "Unrouted");
    let dir = account(&unrouted);
    let files = dir.path().to_str().unwrap();
    let (code, out, notes) = run(&mut sekimori(&["--account-files", files, "who", "--from", "internet"]));
    assert!(code == 0 && out.contains("i-shut"), "{out}");
    assert!(notes.contains("routes of `vpc-1` are not described, so routes and public addresses are not looked at"));
}

#[test]
fn what_an_account_in_files_cannot_tell_or_do_is_refused() {
    let dir = account(ACCOUNT);
    let files = dir.path().to_str().unwrap();
    let ask = |words: &[&str]| run(&mut sekimori(&[&["--account-files", files], words].concat()));
    for (words, said) in [
        (&["health", "--fix", "--yes"][..], "nothing can be changed"),
        (&["health", "--merge", "--yes"], "nothing can be changed"),
        (&["flows"], "tell nothing that happens; ask a server"),
        (&["flows", "--live"], "tell nothing that happens; ask a server"),
        (&["flows", "--watch"], "tell nothing that happens; ask a server"),
        (&["counters"], "tell nothing that happens; ask a server"),
        (&["who", "--to", "i-open", "--vpc", "vpc-9"], "no VPC `vpc-9`"),
        (&["why", "i-open", "i-shut", "tcp/443", "--at", "2100-01-01"], "2100-01-01T00:00:00Z is not there yet"),
        (&["diff", "--from", "2100-01-01"], "2100-01-01T00:00:00Z is not there yet"),
        (&["diff", "--at", "2100-01-01"], "2100-01-01T00:00:00Z is not there yet"),
        (&["health", "--unused-since", "2100-01-01"], "2100-01-01T00:00:00Z is not there yet"),
    ] {
        let (code, out, error) = ask(words);
        assert!(code == 1 && out.is_empty() && error.contains(said), "{words:?}: {code} {out}{error}");
    }
    let (code, out, notes) = ask(&["health", "--too-wide"]);
    assert!(code == 0 && out.starts_with("nothing found") && !out.contains("recorded"), "{code} {out}");
    assert!(notes.contains("files of an account tell no flows"), "{notes}");
}

/// What a server writes of some traffic of an interface: the first packets from an address, the answers to them, and a refused one.
fn written(world: &World, kind: LogDestinationKind, format: &str) -> String {
    let config = FlowLogConfig {
        traffic: LoggedTraffic::All,
        destination_kind: kind,
        destination: String::new(),
        log_group: String::new(),
        role: String::new(),
        cross_account_role: String::new(),
        format: format.to_owned(),
        interval_s: 60,
        files: None,
        addresses: LoggedAddresses::Both,
        paths: Vec::new(),
    };
    let log = FlowLog {
        id: "fl-1".into(),
        account: "123456789012".into(),
        region: "eu-west-1".to_owned(),
        resource: Resource::Vpc("vpc-1".into()),
        name: String::new(),
        description: String::new(),
        resource_group: String::new(),
        config,
        tags: Default::default(),
        created_at: Timestamp(0),
        active_since: Some(Timestamp(0)),
    };
    let recorder = Recorder::new(&log, world, (1_790_000_000, 1_790_000_060));
    let eni = world.eni(&"eni-1".into()).unwrap();
    let mut lines: Vec<String> = recorder.header().into_iter().collect();
    let mut line = |direction,
                    passed,
                    (source, source_port): (&str, u16),
                    (destination, destination_port): (&str, u16),
                    tcp_flags| {
        let (source, destination) = (source.parse().unwrap(), destination.parse().unwrap());
        let eni_id = eni.id.clone();
        let key = TrafficKey {
            eni: eni_id,
            direction,
            passed,
            protocol: 6,
            source,
            destination,
            source_port,
            destination_port,
        };
        let sum = TrafficSum { packets: 4, bytes: 400, tcp_flags, first_s: 1_790_000_007, last_s: 1_790_000_009 };
        lines.push(recorder.line(eni, Record::Ok(&key, &sum)));
    };
    for port in [50_001, 50_002, 50_003] {
        line(Direction::Ingress, true, ("203.0.113.7", port), ("10.0.0.4", 443), 3);
        line(Direction::Egress, true, ("10.0.0.4", 443), ("203.0.113.7", port), 19);
    }
    line(Direction::Ingress, false, ("192.0.2.1", 50_001), ("10.0.0.4", 22), 2);
    lines.push(recorder.line(eni, Record::NoData));
    lines.join("\n") + "\n"
}

const EC2_FORMAT: &str = "${version} ${account-id} ${interface-id} ${srcaddr} ${dstaddr} ${srcport} ${dstport} ${protocol} \
                          ${packets} ${bytes} ${start} ${end} ${action} ${log-status}";
const ECS_FORMAT: &str = "${eni-id} ${srcaddr} ${srcport} ${dstaddr} ${dstport} ${protocol} ${direction} ${start} ${log-status} \
                          ${action} ${tcp-flags}";

#[test]
fn what_is_too_wide_is_told_by_records_that_a_server_wrote() {
    let dir = account(ACCOUNT);
    let mut world = World::default();
    let file = sekimori_analysis::account::File { name: "a.json".to_owned(), text: ACCOUNT.to_owned() };
    sekimori_analysis::account::read(&[file]).unwrap().changes.iter().for_each(|change| world.apply(change));
    let logs = tempfile::tempdir().unwrap();
    let day = logs.path().join("AWSLogs/2026/11");
    fs::create_dir_all(&day).unwrap();
    let mut packed = GzEncoder::new(File::create(day.join("a.log.gz")).unwrap(), Compression::default());
    packed.write_all(written(&world, LogDestinationKind::S3, EC2_FORMAT).as_bytes()).unwrap();
    packed.finish().unwrap();
    fs::write(logs.path().join("b.log"), written(&world, LogDestinationKind::LogService, ECS_FORMAT)).unwrap();
    fs::write(logs.path().join("README.md"), "nothing").unwrap();
    let (files, logs) = (dir.path().to_str().unwrap(), logs.path().to_str().unwrap());
    let words = ["--account-files", files, "health", "--too-wide", "--flow-logs", logs];
    let (code, out, notes) = run(&mut sekimori(&words));
    assert_eq!(code, 2, "{notes}");
    expect![[r#"
        1 rule is wider than the flows recorded since 2026-09-21T14:13:27Z have used
        GROUP       RULE            SAYS                                   FLOWS SEEN  ENOUGH FOR THEM
        sg-1 (web)  sg-1/ingress/1  ingress: allow tcp 443 from 0.0.0.0/0  6 of 6      allow tcp 443 from 203.0.113.7/32
    "#]].assert_eq(&out);
    expect![[r#"
        note: `vpc-1`: routes and public addresses decide who is outside and reaches what; what load balancers and accelerators pass on is not looked at
        sekimori: 1 use in 12 records of what passed; 6 of answers, 2 of what was refused
    "#]].assert_eq(&notes);
    let cut = day.join("c.log");
    fs::write(&cut, written(&world, LogDestinationKind::S3, EC2_FORMAT).trim_end().trim_end_matches("NODATA"))
        .unwrap();
    let (code, out, error) = run(&mut sekimori(&words));
    let said = format!("`{}`, line 9: it has 13 values for the 14 fields of the first line", cut.display());
    assert!(code == 1 && out.is_empty() && error.contains(&said), "{code} {error}");
    fs::write(&cut, b"PAR1\xff\xff").unwrap();
    let (code, _, error) = run(&mut sekimori(&words));
    assert!(code == 1 && error.contains("c.log` is no text"), "{code} {error}");
    assert_eq!(run(&mut sekimori(&["health", "--flow-logs", logs])).0, 64, "only with --too-wide");
}
