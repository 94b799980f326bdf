//! Flow logs of the VPC product: from query to reply, and the records that they get.

use crate::{ecs::check, estate::Estate};
use expect_test::expect;
use sekimori_cloud::records::{Record, Recorder, file_end};
use sekimori_core::{
    flow_log::FlowLog,
    flow_record::{TrafficKey, TrafficSum},
    rule::Direction,
    world::Eni,
};

const CREATE: &str = "CreateFlowLog&Version=2016-04-28&ProjectName=flows&LogStoreName=of_vpc";
const OF_VPC: &str = "CreateFlowLog&ResourceType=VPC&ResourceId=$1&TrafficType=All";
/// Where the interval of the records starts.
const START: i64 = 1_700_000_400;

/// A call of the VPC product.
fn vpc(call: &str) -> String {
    format!("{call}&Version=2016-04-28")
}

/// An estate with a flow log `$7` of its VPC `$1`.
fn logged(more: &str) -> Estate {
    let mut estate = Estate::furnished();
    let made = estate.call(&format!("{CREATE}&ResourceType=VPC&ResourceId=$1&TrafficType=All{more}"));
    assert!(made.starts_with(r#"{"Success":"true","FlowLogId":"$7","#), "{made}");
    estate
}

#[test]
fn a_flow_log_is_made_shown_changed_turned_off_and_on_and_deleted() {
    let mut estate = Estate::furnished();
    let more = "FlowLogName=all&Description=x&AggregationInterval=1&IpVersion=IPv4&LogFormat=${srcaddr} ${action}\
                &TrafficPath.1=internetGateway&TrafficPath.2=INTERNETGATEWAY&ResourceGroupId=rg-1&Tag.1.Key=env&Tag.1.Value=prod";
    check(
        &mut estate,
        &format!("{CREATE}&ResourceType=VPC&ResourceId=$1&TrafficType=all&{more}"),
        &expect![[r#"{"Success":"true","FlowLogId":"$7","ResourceGroupId":"rg-1"}"#]],
    );
    check(
        &mut estate,
        &vpc("DescribeFlowLogs"),
        &expect![[
            r#"{"Success":"true","PageNumber":"1","PageSize":"20","TotalCount":"1","FlowLogs":{"FlowLog":[{"FlowLogId":"$7","FlowLogName":"all","Description":"x","RegionId":"cn-hangzhou","ResourceType":"VPC","ResourceId":"$1","TrafficType":"All","TrafficPath":{"TrafficPathList":["internetGateway"]},"IpVersion":"IPv4","ProjectName":"flows","LogStoreName":"of_vpc","LogFormat":"${srcaddr} ${action}","AggregationInterval":1,"Status":"Active","BusinessStatus":"Normal","FlowLogDeliverStatus":"SUCCESS","FlowLogDeliverErrorMessage":"","ServiceType":"","CreationTime":"2018-12-12T07:28:38Z","ResourceGroupId":"rg-1","Tags":{"Tag":[{"Key":"env","Value":"prod"}]}}]}}"#
        ]],
    );
    // With nothing but what is needed.
    let least = "CreateFlowLog&ResourceType=VSwitch&ResourceId=$4&TrafficType=Drop";
    check(&mut estate, &vpc(least), &expect![[r#"{"Success":"true","FlowLogId":"$8","ResourceGroupId":""}"#]]);
    check(
        &mut estate,
        &vpc("DescribeFlowLogs&FlowLogId=$8"),
        &expect![[
            r#"{"Success":"true","PageNumber":"1","PageSize":"20","TotalCount":"1","FlowLogs":{"FlowLog":[{"FlowLogId":"$8","FlowLogName":"","Description":"","RegionId":"cn-hangzhou","ResourceType":"VSwitch","ResourceId":"$4","TrafficType":"Drop","TrafficPath":{"TrafficPathList":["all"]},"IpVersion":"DualStack","ProjectName":"","LogStoreName":"","LogFormat":"${version} ${vswitch-id} ${vm-id} ${vpc-id} ${account-id} ${eni-id} ${region} ${srcaddr} ${srcport} ${dstaddr} ${dstport} ${protocol} ${direction} ${packets} ${bytes} ${start} ${end} ${log-status} ${action} ${tcp-flags} ${traffic_path}","AggregationInterval":10,"Status":"Active","BusinessStatus":"Normal","FlowLogDeliverStatus":"SUCCESS","FlowLogDeliverErrorMessage":"","ServiceType":"","CreationTime":"2018-12-12T07:28:38Z","ResourceGroupId":"","Tags":{"Tag":[]}}]}}"#
        ]],
    );
    let edit = "ModifyFlowLogAttribute&FlowLogId=$8&FlowLogName=drops&Description=y&AggregationInterval=5&IpVersion=IPv6\
                &LogFormat=${packets}";
    for change in [edit, "DeactiveFlowLog&FlowLogId=$8", "DeactiveFlowLog&FlowLogId=$8"] {
        assert_eq!(estate.call(&vpc(change)), r#"{"Success":"true"}"#, "{change}");
    }
    check(
        &mut estate,
        &vpc("DescribeFlowLogs&Status=Inactive"),
        &expect![[
            r#"{"Success":"true","PageNumber":"1","PageSize":"20","TotalCount":"1","FlowLogs":{"FlowLog":[{"FlowLogId":"$8","FlowLogName":"drops","Description":"y","RegionId":"cn-hangzhou","ResourceType":"VSwitch","ResourceId":"$4","TrafficType":"Drop","TrafficPath":{"TrafficPathList":["all"]},"IpVersion":"IPv6","ProjectName":"","LogStoreName":"","LogFormat":"${packets}","AggregationInterval":5,"Status":"Inactive","BusinessStatus":"Normal","FlowLogDeliverStatus":"SUCCESS","FlowLogDeliverErrorMessage":"","ServiceType":"","CreationTime":"2018-12-12T07:28:38Z","ResourceGroupId":"","Tags":{"Tag":[]}}]}}"#
        ]],
    );
    for change in ["ActiveFlowLog&FlowLogId=$8", "ModifyFlowLogAttribute&FlowLogId=$8", "DeleteFlowLog&FlowLogId=$7"]
    {
        assert_eq!(estate.call(&vpc(change)), r#"{"Success":"true"}"#, "{change}");
    }
    let left = estate.call(&vpc("DescribeFlowLogs"));
    assert!(left.contains(r#""TotalCount":"1""#) && left.contains(r#""Status":"Active""#), "{left}");
    assert!(left.contains(r#""FlowLogName":"drops""#) && left.contains(r#""AggregationInterval":5"#), "{left}");
}

#[test]
fn flow_logs_are_found_by_what_they_have_and_come_in_pages() {
    let mut estate = logged("&FlowLogName=all&Description=everything&Tag.1.Key=env&ResourceGroupId=rg-1");
    let made = estate.call("CreateNetworkInterface&VSwitchId=$4&SecurityGroupId=$5");
    assert!(made.contains("$8"), "{made}");
    for make in [
        "ResourceType=NetworkInterface&ResourceId=$8&TrafficType=Drop",
        "ResourceType=VSwitch&ResourceId=$4&TrafficType=Allow&ProjectName=other&LogStoreName=store",
    ] {
        estate.call(&vpc(&format!("CreateFlowLog&{make}")));
    }
    estate.call(&vpc("DeactiveFlowLog&FlowLogId=$9"));
    estate.call(&vpc("TagResources&ResourceType=FLOWLOG&ResourceId.1=$9&Tag.1.Key=team&Tag.1.Value=db"));
    for (filter, found) in [
        ("FlowLogId=$7", vec![7]),
        ("FlowLogName=all", vec![7]),
        ("FlowLogName=al", vec![]),
        ("Description=everything", vec![7]),
        ("ResourceType=NetworkInterface", vec![9]),
        ("ResourceId=$4", vec![10]),
        ("VpcId=$1", vec![7, 9, 10]),
        ("VpcId=vpc-other", vec![]),
        ("TrafficType=Allow", vec![10]),
        ("ProjectName=flows", vec![7]),
        ("LogStoreName=store", vec![10]),
        ("Status=active", vec![7, 10]),
        ("Status=Inactive", vec![9]),
        ("Status=Activating", vec![]),
        ("ResourceGroupId=rg-1", vec![7]),
        ("ResourceGroupId=rg-default", vec![9, 10]),
        ("Tags.1.Key=env", vec![7]),
        ("Tags.1.Key=team&Tags.1.Value=db", vec![9]),
        ("Tags.1.Key=team&Tags.1.Value=web", vec![]),
        ("RegionId=cn-beijing", vec![]),
    ] {
        let answer = estate.call(&vpc(&format!("DescribeFlowLogs&{filter}")));
        for place in [7, 9, 10] {
            let is_shown = answer.contains(&format!(r#""FlowLogId":"${place}""#));
            assert_eq!(is_shown, found.contains(&place), "{filter}: {answer}");
        }
        assert!(answer.contains(&format!(r#""TotalCount":"{}""#, found.len())), "{filter}: {answer}");
    }
    let mut seen = 0;
    for page in 1..=3 {
        let answer = estate.call(&vpc(&format!("DescribeFlowLogs&PageSize=2&PageNumber={page}")));
        assert!(answer.contains(&format!(r#""PageNumber":"{page}","PageSize":"2","TotalCount":"3""#)), "{answer}");
        seen += answer.matches("FlowLogName").count();
    }
    assert_eq!(seen, 3);
    let tags = estate.call(&vpc("ListTagResources&ResourceType=FLOWLOG&Tag.1.Key=team"));
    assert!(
        tags.contains(r#"{"ResourceId":"$9","ResourceType":"FLOWLOG","TagKey":"team","TagValue":"db"}"#),
        "{tags}"
    );
}

/// Calls that are refused where `$7` is a flow log of the VPC `$1`.
fn wrong_calls() -> Vec<String> {
    let calls = [
        "CreateFlowLog&ResourceId=$1&TrafficType=All",
        "CreateFlowLog&ResourceType=VPC&TrafficType=All",
        "CreateFlowLog&ResourceType=VPC&ResourceId=$1",
        "CreateFlowLog&ResourceType=TransitRouter&ResourceId=$1&TrafficType=All",
        "CreateFlowLog&ResourceType=VPC&ResourceId=vpc*&TrafficType=All",
        "CreateFlowLog&ResourceType=VPC&ResourceId=vpc-1&TrafficType=All",
        "CreateFlowLog&ResourceType=VPC&ResourceId=$1&TrafficType=All&RegionId=cn-beijing",
        "CreateFlowLog&ResourceType=VSwitch&ResourceId=$1&TrafficType=All",
        "CreateFlowLog&ResourceType=NetworkInterface&ResourceId=eni-1&TrafficType=All",
        "CreateFlowLog&ResourceType=VPC&ResourceId=$1&TrafficType=ACCEPT",
        &format!("{OF_VPC}&AggregationInterval=2"),
        &format!("{OF_VPC}&AggregationInterval=many"),
        &format!("{OF_VPC}&IpVersion=IPX"),
        &format!("{OF_VPC}&LogFormat=${{colour}}"),
        &format!("{OF_VPC}&LogFormat=%20"),
        &format!("{OF_VPC}&TrafficPath.1=moon"),
        &format!("{OF_VPC}&ProjectName=of_vpc"),
        &format!("{OF_VPC}&ProjectName=ab"),
        &format!("{OF_VPC}&LogStoreName=../up"),
        &format!("{OF_VPC}&LogStoreName=-store"),
        &format!("{OF_VPC}&FlowLogName=http://x"),
        &format!("{OF_VPC}&Description=https://x"),
        &format!("{OF_VPC}&ResourceGroupId=rg-none"),
        &format!("{OF_VPC}&Tag.1.Key=aliyun"),
        &format!("{OF_VPC}&ProjectName=flows&LogStoreName=of_vpc"),
        "ModifyFlowLogAttribute&FlowLogId=fl-none&FlowLogName=x",
        "ModifyFlowLogAttribute&FlowLogId=$7&AggregationInterval=0",
        "ActiveFlowLog&FlowLogId=fl-none",
        "DeactiveFlowLog&FlowLogId=$7&RegionId=cn-beijing",
        "DeactiveFlowLog",
        "DeleteFlowLog&FlowLogId=fl*",
        "DeleteFlowLog&FlowLogId=fl-none",
        "DescribeFlowLogs&PageSize=51",
        "DescribeFlowLogs&PageNumber=0",
        "DescribeFlowLogs&ResourceType=Instance",
        "DescribeFlowLogs&TrafficType=Some",
    ];
    calls.into_iter().map(vpc).collect()
}

#[test]
fn flow_logs_are_refused() {
    let mut estate = logged("");
    let told: Vec<String> = wrong_calls().iter().map(|call| estate.call(call)).collect();
    expect![[r#"
        400 MissingParameter The input parameter "ResourceType" that is required for processing this request is not supplied.
        400 MissingParameter The input parameter "ResourceId" that is required for processing this request is not supplied.
        400 MissingParameter The input parameter "TrafficType" that is required for processing this request is not supplied.
        400 InvalidParameter The specified parameter "ResourceType" is not valid: `TransitRouter` is not NetworkInterface, VSwitch or VPC.
        400 InvalidParameter The specified parameter ResourceId is not valid.
        404 InvalidVpcId.NotFound Specified VPC does not exist.
        404 InvalidVpcId.NotFound Specified VPC does not exist.
        404 InvalidVSwitchId.NotFound Specified virtual switch does not exist.
        404 InvalidEniId.NotFound The specified EniId is not found.
        400 InvalidParameter The specified parameter "TrafficType" is not valid: `ACCEPT` is not All, Allow or Drop.
        400 InvalidParameter The specified parameter "AggregationInterval" is not valid: `2` is not 1, 5 or 10 minutes.
        400 InvalidParameter The specified parameter "AggregationInterval" is not valid: `many` is not a whole number from 1 to 10.
        400 InvalidParameter The specified parameter "IpVersion" is not valid: `IPX` is not IPv4, IPv6 or DualStack.
        400 InvalidParameter The specified parameter "LogFormat" is not valid: `${colour}` is no field such as ${srcaddr}.
        400 InvalidParameter The specified parameter "LogFormat" is not valid: it has 1 to 1024 bytes.
        400 InvalidParameter The specified parameter "TrafficPath" is not valid: `moon` is no way of traffic; use all or internetGateway.
        400 InvalidParameter The specified parameter "ProjectName" is not valid: it has 3 to 63 letters, digits, hyphens, and a letter or digit at both ends.
        400 InvalidParameter The specified parameter "ProjectName" is not valid: it has 3 to 63 letters, digits, hyphens, and a letter or digit at both ends.
        400 InvalidParameter The specified parameter "LogStoreName" is not valid: it has 3 to 63 letters, digits, hyphens and underscores, and a letter or digit at both ends.
        400 InvalidParameter The specified parameter "LogStoreName" is not valid: it has 3 to 63 letters, digits, hyphens and underscores, and a letter or digit at both ends.
        400 InvalidParameter The specified parameter "FlowLogName" is not valid.
        400 InvalidDescription.Malformed The specified parameter "Description" is not valid.
        404 InvalidResourceGroup.NotFound The ResourceGroup provided does not exist in our records.
        400 InvalidTagKey.Malformed Specified tag key is not valid.
        400 ResourceAlreadyExist.FlowLog `$1` has a flow log of the same traffic to the same destination already; keep that one.
        404 InvalidFlowLogId.NotFound The specified FlowLogId does not exist.
        400 InvalidParameter The specified parameter "AggregationInterval" is not valid: `0` is not a whole number from 1 to 10.
        404 InvalidFlowLogId.NotFound The specified FlowLogId does not exist.
        404 InvalidFlowLogId.NotFound The specified FlowLogId does not exist.
        400 MissingParameter The input parameter "FlowLogId" that is required for processing this request is not supplied.
        400 InvalidParameter The specified parameter FlowLogId is not valid.
        404 InvalidFlowLogId.NotFound The specified FlowLogId does not exist.
        400 InvalidParameter The specified parameter "PageSize" is not valid: `51` is not a whole number from 1 to 50.
        400 InvalidParameter The specified parameter "PageNumber" is not valid: `0` is not a whole number from 1 to 1000000.
        400 InvalidParameter The specified parameter "ResourceType" is not valid: `Instance` is not NetworkInterface, VSwitch or VPC.
        400 InvalidParameter The specified parameter "TrafficType" is not valid: `Some` is not All, Allow or Drop."#]].assert_eq(&told.join("\n"));
    for store in 1..10 {
        assert!(estate.call(&vpc(&format!("{OF_VPC}&LogStoreName=store{store}"))).starts_with('{'));
    }
    let full = estate.call(&vpc(&format!("{OF_VPC}&LogStoreName=store10")));
    assert!(full.starts_with("400 QuotaExceeded.FlowLog Flow log quota exceeded: "), "{full}");
    // ECS itself has none of these.
    assert!(estate.call(OF_VPC).starts_with("404 InvalidAction.NotFound"));
}

/// The flow log, an interface in its VPC, and one line for each record.
fn lines(estate: &Estate, records: &[(TrafficKey, TrafficSum)]) -> String {
    let (log, eni) = parts(estate);
    let recorder = Recorder::new(log, estate.world(), (START, START + 60));
    assert_eq!(recorder.header(), None);
    let told = records.iter().filter(|(key, _)| recorder.wants(key));
    let mut text: String = told.map(|(key, sum)| recorder.line(eni, Record::Ok(key, sum)) + "\n").collect();
    for rest in [Record::NoData, Record::SkipData] {
        text += &(recorder.line(eni, rest) + "\n");
    }
    [
        (log.account.as_str(), "ACCOUNT"),
        (eni.id.as_str(), "ENI"),
        (eni.vpc.as_str(), "VPC"),
        (eni.subnet.as_str(), "VSW"),
    ]
    .into_iter()
    .chain(eni.instance.iter().map(|id| (id.as_str(), "INSTANCE")))
    .fold(text, |text, (id, name)| text.replace(id, name))
}

fn parts(estate: &Estate) -> (&FlowLog, &Eni) {
    (estate.world().flow_logs().next().unwrap(), estate.world().enis().next().unwrap())
}

/// Two packets of an interface's traffic: which way, whether they passed, of whom, to whom, and flags.
fn seen(
    estate: &Estate,
    (direction, passed): (Direction, bool),
    (source, destination): (&str, &str),
    tcp_flags: u8,
) -> (TrafficKey, TrafficSum) {
    let key = TrafficKey {
        eni: parts(estate).1.id.clone(),
        direction,
        passed,
        protocol: 6,
        source: source.parse().unwrap(),
        destination: destination.parse().unwrap(),
        source_port: 40_000,
        destination_port: 443,
    };
    (key, TrafficSum { packets: 2, bytes: 120, tcp_flags, first_s: START + 7, last_s: START + 9 })
}

#[test]
fn a_record_has_the_fields_of_the_documents() {
    let mut estate = logged("");
    estate.call("RunInstances&VSwitchId=$4&SecurityGroupId=$5");
    let (inside, outside) = (("10.1.0.9", "10.1.0.4"), ("10.1.0.4", "198.51.100.7"));
    let records = [
        // A connection that goes on, one that ended, one that was refused, and IPv6 to the outside.
        seen(&estate, (Direction::Ingress, true), inside, 18),
        seen(&estate, (Direction::Egress, true), outside, 3),
        seen(&estate, (Direction::Ingress, false), inside, 2),
        seen(&estate, (Direction::Egress, true), ("2001:db8::1", "2001:db8:ffff::1"), 2),
    ];
    expect![[r#"
        {"__topic__":"flow_log","version":"1","vswitch-id":"VSW","vm-id":"INSTANCE","vpc-id":"VPC","account-id":"ACCOUNT","eni-id":"ENI","region":"cn-hangzhou","srcaddr":"10.1.0.9","srcport":"40000","dstaddr":"10.1.0.4","dstport":"443","protocol":"6","direction":"in","packets":"2","bytes":"120","start":"1700000407","end":"1700000460","log-status":"OK","action":"ACCEPT","tcp-flags":"18","traffic_path":"2"}
        {"__topic__":"flow_log","version":"1","vswitch-id":"VSW","vm-id":"INSTANCE","vpc-id":"VPC","account-id":"ACCOUNT","eni-id":"ENI","region":"cn-hangzhou","srcaddr":"10.1.0.4","srcport":"40000","dstaddr":"198.51.100.7","dstport":"443","protocol":"6","direction":"out","packets":"2","bytes":"120","start":"1700000407","end":"1700000409","log-status":"OK","action":"ACCEPT","tcp-flags":"3","traffic_path":"0"}
        {"__topic__":"flow_log","version":"1","vswitch-id":"VSW","vm-id":"INSTANCE","vpc-id":"VPC","account-id":"ACCOUNT","eni-id":"ENI","region":"cn-hangzhou","srcaddr":"10.1.0.9","srcport":"40000","dstaddr":"10.1.0.4","dstport":"443","protocol":"6","direction":"in","packets":"2","bytes":"120","start":"1700000407","end":"1700000409","log-status":"OK","action":"REJECT","tcp-flags":"2","traffic_path":"2"}
        {"__topic__":"flow_log","version":"1","vswitch-id":"VSW","vm-id":"INSTANCE","vpc-id":"VPC","account-id":"ACCOUNT","eni-id":"ENI","region":"cn-hangzhou","srcaddr":"2001:db8::1","srcport":"40000","dstaddr":"2001:db8:ffff::1","dstport":"443","protocol":"6","direction":"out","packets":"2","bytes":"120","start":"1700000407","end":"1700000460","log-status":"OK","action":"ACCEPT","tcp-flags":"2","traffic_path":"0"}
        {"__topic__":"flow_log","version":"1","vswitch-id":"VSW","vm-id":"INSTANCE","vpc-id":"VPC","account-id":"ACCOUNT","eni-id":"ENI","region":"cn-hangzhou","srcaddr":"-","srcport":"-","dstaddr":"-","dstport":"-","protocol":"-","direction":"-","packets":"-","bytes":"-","start":"1700000400","end":"1700000460","log-status":"NODATA","action":"-","tcp-flags":"-","traffic_path":"-"}
        {"__topic__":"flow_log","version":"1","vswitch-id":"VSW","vm-id":"INSTANCE","vpc-id":"VPC","account-id":"ACCOUNT","eni-id":"ENI","region":"cn-hangzhou","srcaddr":"-","srcport":"-","dstaddr":"-","dstport":"-","protocol":"-","direction":"-","packets":"-","bytes":"-","start":"1700000400","end":"1700000460","log-status":"SKIPDATA","action":"-","tcp-flags":"-","traffic_path":"-"}
    "#]].assert_eq(&lines(&estate, &records));
    let (log, _) = parts(&estate);
    let name = Recorder::new(log, estate.world(), (START, START + 60)).file_name(0xa1);
    assert_eq!(name, format!("flows_of_vpc_cn-hangzhou_{}_20231114T2221Z_000000a1.log", log.id));
    assert_eq!((file_end(&name, 0xa1), file_end(&name, 0xa2), file_end("x", 0xa1)), (Some(START + 60), None, None));
}

#[test]
fn records_are_of_the_traffic_that_was_asked_for() {
    for (more, expected) in [
        ("&TrafficPath.1=all", vec![0, 1, 2, 3]),
        ("&IpVersion=IPv4", vec![0, 1, 2]),
        ("&IpVersion=IPv6", vec![3]),
        ("&TrafficPath.1=internetGateway", vec![1, 3]),
        ("&TrafficPath.1=natGateway&TrafficPath.2=vpnGateway", vec![]),
        ("&TrafficPath.1=natGateway&TrafficPath.2=internetGateway", vec![1, 3]),
    ] {
        let mut estate = logged(more);
        estate.call("RunInstances&VSwitchId=$4&SecurityGroupId=$5");
        let (inside, outside) = (("10.1.0.9", "10.1.0.4"), ("10.1.0.4", "198.51.100.7"));
        let records = [
            seen(&estate, (Direction::Ingress, true), inside, 2),
            seen(&estate, (Direction::Egress, true), outside, 2),
            seen(&estate, (Direction::Ingress, false), inside, 2),
            seen(&estate, (Direction::Egress, true), ("2001:db8::1", "2001:db8:ffff::1"), 2),
        ];
        let (log, _) = parts(&estate);
        let recorder = Recorder::new(log, estate.world(), (START, START + 60));
        let wanted: Vec<usize> = (0..records.len()).filter(|n| recorder.wants(&records[*n].0)).collect();
        assert_eq!(wanted, expected, "{more}");
    }
}
