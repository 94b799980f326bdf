//! Flow logs: configured, shown, deleted.

use expect_test::expect;

use super::Estate;

const S3: &str = "TrafficType=ALL&LogDestinationType=s3&LogDestination=arn:aws:s3:::bucket/flows";

#[test]
fn flow_logs_are_made_shown_and_deleted() {
    let mut estate = Estate::furnished();
    estate.check(
        &format!(
            "Action=CreateFlowLogs&ResourceType=VPC&ResourceId.1=$1&ResourceId.2=vpc-0123&{S3}&ClientToken=t\
             &MaxAggregationInterval=60&LogFormat=${{version}} ${{srcaddr}} ${{action}}\
             &DestinationOptions.FileFormat=parquet&DestinationOptions.HiveCompatiblePartitions=true\
             &DestinationOptions.PerHourPartition=false&TagSpecification.1.ResourceType=vpc-flow-log\
             &TagSpecification.1.Tag.1.Key=env&TagSpecification.1.Tag.1.Value=prod"
        ),
        &expect!["200 <CreateFlowLogsResponse><clientToken>t</clientToken><flowLogIdSet><item>$5</item></flowLogIdSet><unsuccessful><item><error><code>InvalidVpcID.NotFound</code><message>The vpc ID &apos;vpc-0123&apos; does not exist</message></error><resourceId>vpc-0123</resourceId></item></unsuccessful></CreateFlowLogsResponse>"],
    );
    estate.check(
        "Action=CreateFlowLogs&ResourceType=Subnet&ResourceId.1=$2&TrafficType=REJECT&LogGroupName=flows\
         &DeliverLogsPermissionArn=arn:aws:iam::123456789012:role/flows\
         &DeliverCrossAccountRole=arn:aws:iam::210987654321:role/flows",
        &expect!["200 <CreateFlowLogsResponse><flowLogIdSet><item>$6</item></flowLogIdSet><unsuccessful></unsuccessful></CreateFlowLogsResponse>"],
    );
    estate.check("Action=DescribeFlowLogs", &expect!["200 <DescribeFlowLogsResponse><flowLogSet><item><creationTime>2018-12-12T07:28:41.000Z</creationTime><deliverLogsStatus>SUCCESS</deliverLogsStatus><flowLogId>$5</flowLogId><flowLogStatus>ACTIVE</flowLogStatus><resourceId>$1</resourceId><trafficType>ALL</trafficType><logDestinationType>s3</logDestinationType><logFormat>${version} ${srcaddr} ${action}</logFormat><maxAggregationInterval>60</maxAggregationInterval><logDestination>arn:aws:s3:::bucket/flows</logDestination><destinationOptions><fileFormat>parquet</fileFormat><hiveCompatiblePartitions>true</hiveCompatiblePartitions><perHourPartition>false</perHourPartition></destinationOptions><tagSet><item><key>env</key><value>prod</value></item></tagSet></item><item><creationTime>2018-12-12T07:28:42.000Z</creationTime><deliverLogsStatus>SUCCESS</deliverLogsStatus><flowLogId>$6</flowLogId><flowLogStatus>ACTIVE</flowLogStatus><resourceId>$2</resourceId><trafficType>REJECT</trafficType><logDestinationType>cloud-watch-logs</logDestinationType><logFormat>${version} ${account-id} ${interface-id} ${srcaddr} ${dstaddr} ${srcport} ${dstport} ${protocol} ${packets} ${bytes} ${start} ${end} ${action} ${log-status}</logFormat><maxAggregationInterval>600</maxAggregationInterval><logGroupName>flows</logGroupName><deliverLogsPermissionArn>arn:aws:iam::123456789012:role/flows</deliverLogsPermissionArn><deliverCrossAccountRole>arn:aws:iam::210987654321:role/flows</deliverCrossAccountRole><tagSet></tagSet></item></flowLogSet></DescribeFlowLogsResponse>"]);
    // The same again, and a third one of the VPC.
    estate.check(&format!("Action=CreateFlowLogs&ResourceType=VPC&ResourceId.1=$1&{S3}"), &expect!["200 <CreateFlowLogsResponse><flowLogIdSet></flowLogIdSet><unsuccessful><item><error><code>FlowLogAlreadyExists</code><message>Error. There is an existing Flow Log with the same configuration and log destination.</message></error><resourceId>$1</resourceId></item></unsuccessful></CreateFlowLogsResponse>"]);
    estate.succeed(&format!("Action=CreateFlowLogs&ResourceType=VPC&ResourceId.1=$1&{S3}2"));
    estate.check(&format!("Action=CreateFlowLogs&ResourceType=VPC&ResourceId.1=$1&{S3}3"), &expect!["200 <CreateFlowLogsResponse><flowLogIdSet></flowLogIdSet><unsuccessful><item><error><code>FlowLogsLimitExceeded</code><message>at most 2 flow logs of one VPC, subnet or network interface; this request would make it 3.</message></error><resourceId>$1</resourceId></item></unsuccessful></CreateFlowLogsResponse>"]);
    for (name, value, is_shown) in [
        ("deliver-log-status", "SUCCESS", true),
        ("deliver-log-status", "FAILED", false),
        ("flow-log-id", "$5", true),
        ("log-destination-type", "s3", true),
        ("log-destination-type", "cloud-watch-logs", false),
        ("log-group-name", "flows", false),
        ("resource-id", "$1", true),
        ("traffic-type", "ALL", true),
        ("traffic-type", "REJECT", false),
        ("tag-key", "env", true),
        ("tag:env", "test", false),
    ] {
        let call = format!("Action=DescribeFlowLogs&Filter.1.Name={name}&Filter.1.Value.1={value}");
        assert_eq!(estate.succeed(&call).contains("<flowLogId>$5</flowLogId>"), is_shown, "{name}={value}");
    }
    let tags = estate.succeed("Action=DescribeTags&Filter.1.Name=resource-type&Filter.1.Value.1=vpc-flow-log");
    assert!(tags.contains("<resourceId>$5</resourceId>"), "{tags}");
    estate.check(
        "Action=DeleteFlowLogs&FlowLogId.1=$5&FlowLogId.2=$6",
        &expect!["200 <DeleteFlowLogsResponse><unsuccessful></unsuccessful></DeleteFlowLogsResponse>"],
    );
    let left = estate.succeed("Action=DescribeFlowLogs&MaxResults=1");
    assert!(!left.contains("$5") && !left.contains("nextToken"), "{left}");
}

#[test]
fn flow_logs_are_refused() {
    let mut estate = Estate::furnished();
    let vpc = "Action=CreateFlowLogs&ResourceType=VPC&ResourceId.1=$1&TrafficType=ALL";
    let logs = format!("{vpc}&DeliverLogsPermissionArn=arn:aws:iam::1:role/r");
    estate.refused(
        &format!(
            "Action=CreateFlowLogs&ResourceType=VPC&{S3}
             Action=CreateFlowLogs&ResourceId.1=$1&{S3}
             Action=CreateFlowLogs&ResourceType=TransitGateway&ResourceId.1=$1&{S3}
             Action=CreateFlowLogs&ResourceType=Subnet&ResourceId.1=$1&{S3}
             Action=CreateFlowLogs&ResourceType=VPC&ResourceId.1=$1&LogDestinationType=s3
             Action=CreateFlowLogs&ResourceType=VPC&ResourceId.1=$1&TrafficType=SOME
             {vpc}&LogDestinationType=tape
             {vpc}
             {vpc}&LogGroupName=g
             {logs}&LogGroupName=g&LogDestination=arn:aws:logs:us-east-1:1:log-group:g
             {logs}&LogDestination=arn:aws:s3:::bucket
             {vpc}&LogDestinationType=s3
             {vpc}&LogDestinationType=s3&LogDestination=arn:aws:s3:::b&LogGroupName=g
             {vpc}&LogDestinationType=kinesis-data-firehose&LogDestination=arn:aws:s3:::b
             {vpc}&LogDestinationType=s3&LogDestination=arn:aws:s3:::b&LogFormat=${{colour}}
             {vpc}&LogDestinationType=s3&LogDestination=arn:aws:s3:::b&MaxAggregationInterval=61
             {vpc}&LogDestinationType=s3&LogDestination=arn:aws:s3:::b&DestinationOptions.FileFormat=csv
             {logs}&LogGroupName=g&DestinationOptions.PerHourPartition=true
             {vpc}&LogDestinationType=s3&LogDestination=arn:aws:s3:::b&TagFieldSpecification.1.ResourceType=instance
             {vpc}&LogDestinationType=s3&LogDestination=arn:aws:s3:::b&DryRun=true
             Action=DeleteFlowLogs
             Action=DeleteFlowLogs&FlowLogId.1=fl-0123
             Action=DeleteFlowLogs&FlowLogId.1=flows
             Action=DescribeFlowLogs&FlowLogId.1=fl-0123
             Action=DescribeFlowLogs&MaxResults=0
             Action=DescribeFlowLogs&NextToken=x"
        ),
        &expect![[r#"
            400 MissingParameter: The request must contain the parameter ResourceId
            400 MissingParameter: The request must contain the parameter ResourceType
            400 InvalidParameterValue: Value (TransitGateway) for parameter resourceType is invalid. Use VPC, Subnet or NetworkInterface.
            400 InvalidSubnetID.Malformed: Invalid id: &quot;$1&quot; (expecting &quot;subnet-...&quot;)
            400 MissingParameter: The request must contain the parameter TrafficType
            400 InvalidParameterValue: Value (SOME) for parameter trafficType is invalid. Use ACCEPT, REJECT or ALL.
            400 InvalidParameterValue: Value (tape) for parameter logDestinationType is invalid.
            400 InvalidParameter: LogDestination can&apos;t be empty if LogGroupName is not provided.
            400 InvalidParameter: DeliverLogsPermissionArn can&apos;t be empty if LogDestinationType is cloud-watch-logs.
            400 InvalidParameter: Please only provide LogGroupName or only provide LogDestination.
            400 InvalidParameter: LogDestination is not the ARN of a log group.
            400 InvalidParameter: LogDestination is not the ARN of a bucket.
            400 InvalidParameter: LogGroupName must be empty unless LogDestinationType is cloud-watch-logs.
            400 InvalidParameter: LogDestination is not the ARN of a delivery stream.
            400 InvalidParameter: Unknown fields provided in LogFormat: ${colour}
            400 InvalidParameter: Invalid Flow Log Max Aggregation Interval: use 60 or 600.
            400 InvalidParameterValue: Value (csv) for parameter fileFormat is invalid. Use plain-text or parquet.
            400 InvalidParameter: DestinationOptions are for LogDestinationType s3 only.
            400 UnsupportedOperation: The functionality of the parameter TagFieldSpecification.1.ResourceType is not supported here; leave it out.
            412 DryRunOperation: Request would have succeeded, but DryRun flag is set.
            400 MissingParameter: The request must contain the parameter FlowLogId
            400 InvalidFlowLogId.NotFound: The flow log ID &apos;fl-0123&apos; does not exist
            400 InvalidFlowLogId.Malformed: Invalid id: &quot;flows&quot; (expecting &quot;fl-...&quot;)
            400 InvalidFlowLogId.NotFound: The flow log ID &apos;fl-0123&apos; does not exist
            400 InvalidParameterValue: Value ( 0 ) for parameter maxResults is invalid. Expecting a value greater than 1.
            400 InvalidPaginationToken: Next token &apos;x&apos; is invalid
        "#]],
    );
}
