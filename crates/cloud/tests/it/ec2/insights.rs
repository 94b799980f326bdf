//! Paths whose reachability is asked about. What analyses find is `analysis`'s to say; here it is what they look like.

use expect_test::expect;
use sekimori_core::{
    apply::apply,
    command::{Command, NewInsightsAnalysis},
    insights::{Hop, Obstacle, PathFinding, PathPacket},
    rule::Direction,
};

use super::Estate;

const PATH: &str = "Action=CreateNetworkInsightsPath&ClientToken";

impl Estate {
    /// A furnished estate with two interfaces, `$5` and `$6`, of the group `web`.
    fn with_interfaces() -> Self {
        let mut estate = Self::furnished();
        for _ in 0..2 {
            estate.succeed("Action=CreateNetworkInterface&SubnetId=$2&SecurityGroupId.1=$3");
        }
        estate
    }

    /// Keeps an analysis of the only path in which this was found.
    fn analysed(&mut self, finding: PathFinding) {
        let world = self.state.world();
        let path = world.insights_paths().next().unwrap().id.clone();
        let (account, revision) = (self.account.clone(), world.revision());
        let new = NewInsightsAnalysis { account, path, revision, finding, tags: Default::default() };
        let command = Command::CreateInsightsAnalysis(Box::new(new));
        let applied = apply(&self.state, &command, &mut self.context).unwrap();
        self.state = applied.state.at(self.state.world().revision().next());
        self.context.now.0 += 1;
    }
}

#[test]
fn a_path_is_made_shown_and_deleted() {
    let mut estate = Estate::with_interfaces();
    estate.check(
        &format!(
            "{PATH}=t&Source=$5&Destination=arn:aws:ec2:us-east-1:123456789012:network-interface/$6&Protocol=tcp\
             &DestinationPort=443&SourceIp=10.0.1.4&DestinationIp=10.0.1.5\
             &TagSpecification.1.ResourceType=network-insights-path&TagSpecification.1.Tag.1.Key=env\
             &TagSpecification.1.Tag.1.Value=prod"
        ),
        &expect!["200 <CreateNetworkInsightsPathResponse><networkInsightsPath><networkInsightsPathId>$7</networkInsightsPathId><networkInsightsPathArn>arn:aws:ec2:us-east-1:123456789012:network-insights-path/$7</networkInsightsPathArn><createdDate>2018-12-12T07:28:43.000Z</createdDate><source>$5</source><sourceArn>arn:aws:ec2:us-east-1:123456789012:network-interface/$5</sourceArn><protocol>tcp</protocol><destination>$6</destination><destinationArn>arn:aws:ec2:us-east-1:123456789012:network-interface/$6</destinationArn><sourceIp>10.0.1.4</sourceIp><destinationIp>10.0.1.5</destinationIp><destinationPort>443</destinationPort><tagSet><item><key>env</key><value>prod</value></item></tagSet></networkInsightsPath></CreateNetworkInsightsPathResponse>"],
    );
    let at = "FilterAtSource.SourceAddress=10.0.1.4&FilterAtSource.SourcePortRange.FromPort=1000\
        &FilterAtSource.SourcePortRange.ToPort=2000&FilterAtSource.DestinationAddress=10.0.1.5\
        &FilterAtSource.DestinationPortRange.FromPort=80&FilterAtSource.DestinationPortRange.ToPort=90";
    let there = at.replace("FilterAtSource", "FilterAtDestination");
    estate.check(&format!("{PATH}=u&Source=$6&Destination=$5&Protocol=udp&{at}&{there}"), &expect!["200 <CreateNetworkInsightsPathResponse><networkInsightsPath><networkInsightsPathId>$8</networkInsightsPathId><networkInsightsPathArn>arn:aws:ec2:us-east-1:123456789012:network-insights-path/$8</networkInsightsPathArn><createdDate>2018-12-12T07:28:44.000Z</createdDate><source>$6</source><sourceArn>arn:aws:ec2:us-east-1:123456789012:network-interface/$6</sourceArn><protocol>udp</protocol><destination>$5</destination><destinationArn>arn:aws:ec2:us-east-1:123456789012:network-interface/$5</destinationArn><filterAtSource><sourceAddress>10.0.1.4</sourceAddress><sourcePortRange><fromPort>1000</fromPort><toPort>2000</toPort></sourcePortRange><destinationAddress>10.0.1.5</destinationAddress><destinationPortRange><fromPort>80</fromPort><toPort>90</toPort></destinationPortRange></filterAtSource><filterAtDestination><sourceAddress>10.0.1.4</sourceAddress><sourcePortRange><fromPort>1000</fromPort><toPort>2000</toPort></sourcePortRange><destinationAddress>10.0.1.5</destinationAddress><destinationPortRange><fromPort>80</fromPort><toPort>90</toPort></destinationPortRange></filterAtDestination><tagSet></tagSet></networkInsightsPath></CreateNetworkInsightsPathResponse>"]);
    for (name, value, is_shown) in [
        ("source", "$5", true),
        ("source", "$6", false),
        ("destination", "$6", true),
        ("protocol", "udp", false),
        ("tag-key", "env", true),
        ("tag:env", "test", false),
    ] {
        let call = format!("Action=DescribeNetworkInsightsPaths&Filter.1.Name={name}&Filter.1.Value.1={value}");
        assert_eq!(estate.succeed(&call).contains("<source>$5</source>"), is_shown, "{name}={value}");
    }
    for (name, value) in [
        ("filter-at-source.source-address", "10.0.1.4"),
        ("filter-at-source.source-port-range", "1000-2000"),
        ("filter-at-source.destination-address", "10.0.1.5"),
        ("filter-at-source.destination-port-range", "80-*"),
        ("filter-at-destination.source-address", "10.0.1.4"),
        ("filter-at-destination.source-port-range", "1000-2000"),
        ("filter-at-destination.destination-address", "10.0.1.5"),
        ("filter-at-destination.destination-port-range", "80-*"),
    ] {
        let told = estate
            .succeed(&format!("Action=DescribeNetworkInsightsPaths&Filter.1.Name={name}&Filter.1.Value.1={value}"));
        assert!(told.contains("<source>$6</source>") && !told.contains("<source>$5</source>"), "{name}");
    }
    let first = estate.succeed("Action=DescribeNetworkInsightsPaths&MaxResults=1");
    let token = first.split("<nextToken>").nth(1).unwrap().split('<').next().unwrap().to_owned();
    let second = estate.succeed(&format!("Action=DescribeNetworkInsightsPaths&NextToken={token}"));
    assert!(first.contains("<source>$5</source>") && second.contains("<source>$6</source>"));
    estate.check("Action=DeleteNetworkInsightsPath&NetworkInsightsPathId=$7", &expect!["200 <DeleteNetworkInsightsPathResponse><networkInsightsPathId>$7</networkInsightsPathId></DeleteNetworkInsightsPathResponse>"]);
    estate.refused(
        "Action=DescribeNetworkInsightsPaths&NetworkInsightsPathId.1=$7",
        &expect![[r#"
        400 InvalidNetworkInsightsPathId.NotFound: The network insights path ID &apos;$7&apos; does not exist
    "#]],
    );
}

#[test]
fn analyses_look_like_what_was_found() {
    let mut estate = Estate::with_interfaces();
    estate.succeed(&format!("{PATH}=t&Source=$5&Destination=$6&Protocol=tcp&DestinationPort=443"));
    estate.succeed(
        "Action=AuthorizeSecurityGroupIngress&GroupId=$3&IpProtocol=tcp&FromPort=443&ToPort=444&CidrIp=10.0.0.0/8",
    );
    let enis: Vec<_> = estate.state.world().enis().cloned().collect();
    let (group, rules) = {
        let group = estate.state.world().group(&enis[0].groups[0]).unwrap();
        (group.id.clone(), group.rules.values().map(|rule| rule.spec.clone()).collect::<Vec<_>>())
    };
    let of = |direction| rules.iter().find(|rule| rule.direction == direction).unwrap().clone();
    let hop = |direction| Hop::Group { group: group.clone(), rule: Box::new(of(direction)) };
    let hops = vec![
        Hop::Eni(enis[0].id.clone()),
        hop(Direction::Egress),
        hop(Direction::Ingress),
        Hop::Eni(enis[1].id.clone()),
    ];
    let packet = PathPacket {
        source: "10.0.1.4".parse().unwrap(),
        destination: "10.0.1.5".parse().unwrap(),
        source_port: 50_000,
        destination_port: 443,
    };
    estate.analysed(PathFinding { is_found: true, packet: Some(packet), hops, ..PathFinding::default() });
    let (eni, direction) = (enis[1].id.clone(), Direction::Ingress);
    let obstacles = vec![
        Obstacle::RulesMismatch { eni: eni.clone(), groups: vec![group.clone()], direction },
        Obstacle::NoRules { eni: eni.clone(), group, direction },
        Obstacle::ForeignAddress { eni: eni.clone(), address: "10.0.1.9".into() },
        Obstacle::Stopped("i-0123".into()),
        Obstacle::NoRoute { eni, destination: "10.9.0.1".into() },
    ];
    estate.analysed(PathFinding { obstacles, ..PathFinding::default() });
    estate.analysed(PathFinding::failed("The source eni-1 does not exist."));
    let found = "Action=DescribeNetworkInsightsAnalyses&Filter.1.Name=path-found&Filter.1.Value.1";
    estate.check(&format!("{found}=true"), &expect!["200 <DescribeNetworkInsightsAnalysesResponse><networkInsightsAnalysisSet><item><networkInsightsAnalysisId>$9</networkInsightsAnalysisId><networkInsightsAnalysisArn>arn:aws:ec2:us-east-1:123456789012:network-insights-analysis/$9</networkInsightsAnalysisArn><networkInsightsPathId>$7</networkInsightsPathId><startDate>2018-12-12T07:28:45.000Z</startDate><status>succeeded</status><networkPathFound>true</networkPathFound><forwardPathComponentSet><item><sequenceNumber>1</sequenceNumber><component><id>$6</id><arn>arn:aws:ec2:us-east-1:123456789012:network-interface/$6</arn></component><subnet><id>$2</id><arn>arn:aws:ec2:us-east-1:123456789012:subnet/$2</arn></subnet><vpc><id>$1</id><arn>arn:aws:ec2:us-east-1:123456789012:vpc/$1</arn></vpc><outboundHeader><sourceAddressSet><item>10.0.1.4</item></sourceAddressSet><sourcePortRangeSet><item><from>50000</from><to>50000</to></item></sourcePortRangeSet><destinationAddressSet><item>10.0.1.5</item></destinationAddressSet><destinationPortRangeSet><item><from>443</from><to>443</to></item></destinationPortRangeSet><protocol>tcp</protocol></outboundHeader></item><item><sequenceNumber>2</sequenceNumber><component><id>$3</id><arn>arn:aws:ec2:us-east-1:123456789012:security-group/$3</arn><name>web</name></component><securityGroupRule><direction>egress</direction><securityGroupId>$3</securityGroupId><protocol>-1</protocol><cidr>::/0</cidr></securityGroupRule><inboundHeader><sourceAddressSet><item>10.0.1.4</item></sourceAddressSet><sourcePortRangeSet><item><from>50000</from><to>50000</to></item></sourcePortRangeSet><destinationAddressSet><item>10.0.1.5</item></destinationAddressSet><destinationPortRangeSet><item><from>443</from><to>443</to></item></destinationPortRangeSet><protocol>tcp</protocol></inboundHeader></item><item><sequenceNumber>3</sequenceNumber><component><id>$3</id><arn>arn:aws:ec2:us-east-1:123456789012:security-group/$3</arn><name>web</name></component><securityGroupRule><direction>ingress</direction><securityGroupId>$3</securityGroupId><protocol>tcp</protocol><cidr>10.0.0.0/8</cidr><portRange><from>443</from><to>444</to></portRange></securityGroupRule><inboundHeader><sourceAddressSet><item>10.0.1.4</item></sourceAddressSet><sourcePortRangeSet><item><from>50000</from><to>50000</to></item></sourcePortRangeSet><destinationAddressSet><item>10.0.1.5</item></destinationAddressSet><destinationPortRangeSet><item><from>443</from><to>443</to></item></destinationPortRangeSet><protocol>tcp</protocol></inboundHeader></item><item><sequenceNumber>4</sequenceNumber><component><id>$5</id><arn>arn:aws:ec2:us-east-1:123456789012:network-interface/$5</arn></component><subnet><id>$2</id><arn>arn:aws:ec2:us-east-1:123456789012:subnet/$2</arn></subnet><vpc><id>$1</id><arn>arn:aws:ec2:us-east-1:123456789012:vpc/$1</arn></vpc><inboundHeader><sourceAddressSet><item>10.0.1.4</item></sourceAddressSet><sourcePortRangeSet><item><from>50000</from><to>50000</to></item></sourcePortRangeSet><destinationAddressSet><item>10.0.1.5</item></destinationAddressSet><destinationPortRangeSet><item><from>443</from><to>443</to></item></destinationPortRangeSet><protocol>tcp</protocol></inboundHeader></item></forwardPathComponentSet><returnPathComponentSet></returnPathComponentSet><explanationSet></explanationSet><alternatePathHintSet></alternatePathHintSet><tagSet></tagSet></item></networkInsightsAnalysisSet></DescribeNetworkInsightsAnalysesResponse>"]);
    estate.check(&format!("{found}=false&Filter.2.Name=status&Filter.2.Value.1=succeeded"), &expect!["200 <DescribeNetworkInsightsAnalysesResponse><networkInsightsAnalysisSet><item><networkInsightsAnalysisId>$10</networkInsightsAnalysisId><networkInsightsAnalysisArn>arn:aws:ec2:us-east-1:123456789012:network-insights-analysis/$10</networkInsightsAnalysisArn><networkInsightsPathId>$7</networkInsightsPathId><startDate>2018-12-12T07:28:46.000Z</startDate><status>succeeded</status><networkPathFound>false</networkPathFound><forwardPathComponentSet></forwardPathComponentSet><returnPathComponentSet></returnPathComponentSet><explanationSet><item><explanationCode>ENI_SG_RULES_MISMATCH</explanationCode><networkInterface><id>$5</id><arn>arn:aws:ec2:us-east-1:123456789012:network-interface/$5</arn></networkInterface><subnet><id>$2</id><arn>arn:aws:ec2:us-east-1:123456789012:subnet/$2</arn></subnet><vpc><id>$1</id><arn>arn:aws:ec2:us-east-1:123456789012:vpc/$1</arn></vpc><securityGroupSet><item><id>$3</id><arn>arn:aws:ec2:us-east-1:123456789012:security-group/$3</arn><name>web</name></item></securityGroupSet><direction>ingress</direction></item><item><explanationCode>SG_HAS_NO_RULES</explanationCode><networkInterface><id>$5</id><arn>arn:aws:ec2:us-east-1:123456789012:network-interface/$5</arn></networkInterface><subnet><id>$2</id><arn>arn:aws:ec2:us-east-1:123456789012:subnet/$2</arn></subnet><vpc><id>$1</id><arn>arn:aws:ec2:us-east-1:123456789012:vpc/$1</arn></vpc><securityGroup><id>$3</id><arn>arn:aws:ec2:us-east-1:123456789012:security-group/$3</arn><name>web</name></securityGroup><direction>ingress</direction></item><item><explanationCode>ENI_ADDRESS_RESTRICTION</explanationCode><networkInterface><id>$5</id><arn>arn:aws:ec2:us-east-1:123456789012:network-interface/$5</arn></networkInterface><subnet><id>$2</id><arn>arn:aws:ec2:us-east-1:123456789012:subnet/$2</arn></subnet><vpc><id>$1</id><arn>arn:aws:ec2:us-east-1:123456789012:vpc/$1</arn></vpc><address>10.0.1.9</address></item><item><explanationCode>BAD_STATE</explanationCode><component><id>i-0123</id><arn>arn:aws:ec2:us-east-1:123456789012:instance/i-0123</arn></component><state>stopped</state></item><item><explanationCode>NO_ROUTE_TO_DESTINATION</explanationCode><networkInterface><id>$5</id><arn>arn:aws:ec2:us-east-1:123456789012:network-interface/$5</arn></networkInterface><subnet><id>$2</id><arn>arn:aws:ec2:us-east-1:123456789012:subnet/$2</arn></subnet><vpc><id>$1</id><arn>arn:aws:ec2:us-east-1:123456789012:vpc/$1</arn></vpc></item></explanationSet><alternatePathHintSet></alternatePathHintSet><tagSet></tagSet></item></networkInsightsAnalysisSet></DescribeNetworkInsightsAnalysesResponse>"]);
    estate.check("Action=DescribeNetworkInsightsAnalyses&Filter.1.Name=status&Filter.1.Value.1=failed", &expect!["200 <DescribeNetworkInsightsAnalysesResponse><networkInsightsAnalysisSet><item><networkInsightsAnalysisId>$11</networkInsightsAnalysisId><networkInsightsAnalysisArn>arn:aws:ec2:us-east-1:123456789012:network-insights-analysis/$11</networkInsightsAnalysisArn><networkInsightsPathId>$7</networkInsightsPathId><startDate>2018-12-12T07:28:47.000Z</startDate><status>failed</status><statusMessage>The source eni-1 does not exist.</statusMessage><forwardPathComponentSet></forwardPathComponentSet><returnPathComponentSet></returnPathComponentSet><explanationSet></explanationSet><alternatePathHintSet></alternatePathHintSet><tagSet></tagSet></item></networkInsightsAnalysisSet></DescribeNetworkInsightsAnalysesResponse>"]);
    let since =
        |moment: &str| format!("Action=DescribeNetworkInsightsAnalyses&AnalysisStartTime={moment}&MaxResults=100");
    assert!(estate.succeed(&since("2018-01-01T00:00:00Z")).contains("<status>"));
    assert!(!estate.succeed(&since("2030-01-01T00:00:00.000Z")).contains("<status>"));
    let until = "Action=DescribeNetworkInsightsAnalyses&AnalysisEndTime=2018-01-01T00:00:00Z";
    assert!(!estate.succeed(until).contains("<status>"));
    assert!(estate.succeed("Action=DescribeNetworkInsightsAnalyses&NetworkInsightsPathId=$7").contains("<status>"));
    assert!(
        !estate.succeed("Action=DescribeNetworkInsightsAnalyses&NetworkInsightsPathId=nip-0123").contains("<status>")
    );
}

#[test]
fn analyses_are_tagged_and_hold_their_path() {
    let mut estate = Estate::with_interfaces();
    estate.succeed(&format!("{PATH}=t&Source=$5&Destination=$6&Protocol=tcp&DestinationPort=443"));
    let tags = "TagSpecification.1.ResourceType=network-insights-analysis&TagSpecification.1.Tag.1.Key=env\
        &TagSpecification.1.Tag.1.Value=prod";
    let started =
        estate.succeed(&format!("Action=StartNetworkInsightsAnalysis&NetworkInsightsPathId=$7&ClientToken=a&{tags}"));
    let id = started.split("AnalysisId>").nth(1).unwrap().split('<').next().unwrap().to_owned();
    let tagged = "Action=DescribeNetworkInsightsAnalyses&Filter.1.Name=tag:env&Filter.1.Value.1=prod\
        &Filter.2.Name=tag-key&Filter.2.Value.1=env";
    assert_eq!(estate.succeed(tagged).matches("<status>").count(), 1);
    estate.refused(
        "Action=DeleteNetworkInsightsPath&NetworkInsightsPathId=$7",
        &expect![[r#"
        400 AnalysisExistsForNetworkInsightsPath: The path &apos;$7&apos; has dependencies and cannot be deleted.
    "#]],
    );
    estate.check(&format!("Action=DeleteNetworkInsightsAnalysis&NetworkInsightsAnalysisId={id}"), &expect!["200 <DeleteNetworkInsightsAnalysisResponse><networkInsightsAnalysisId>$8</networkInsightsAnalysisId></DeleteNetworkInsightsAnalysisResponse>"]);
    estate.refused(
        &format!("Action=DescribeNetworkInsightsAnalyses&NetworkInsightsAnalysisId.1={id}"),
        &expect![[r#"
            400 InvalidNetworkInsightsAnalysisId.NotFound: The network insights analysis ID &apos;$8&apos; does not exist
        "#]],
    );
}

#[test]
fn insights_are_refused() {
    let mut estate = Estate::with_interfaces();
    let path = format!("{PATH}=t&Source=$5&Destination=$6");
    estate.refused(
        &format!(
            "Action=CreateNetworkInsightsPath&Source=$5&Destination=$6&Protocol=tcp
             {path}
             {path}&Protocol=icmp
             {path}&Protocol=tcp&DestinationPort=65536
             {path}&Protocol=tcp&SourceIp=here
             {path}&Protocol=tcp&SourceIp=10.0.1.4&FilterAtSource.SourceAddress=10.0.1.4
             {path}&Protocol=tcp&DestinationIp=10.0.1.4&FilterAtDestination.SourceAddress=10.0.1.4
             {path}&Protocol=tcp&FilterAtSource.SourcePortRange.FromPort=1
             {path}&Protocol=tcp&FilterAtSource.SourcePortRange.FromPort=2&FilterAtSource.SourcePortRange.ToPort=1
             {path}&Protocol=tcp&DryRun=true
             {PATH}=t&Source=$5&Protocol=tcp
             {PATH}=t&Source=igw-0123&Destination=$6&Protocol=tcp
             {PATH}=t&Source=eni-0123&Destination=$6&Protocol=tcp
             {PATH}=t&Source=$5&Destination=i-0123&Protocol=tcp
             Action=StartNetworkInsightsAnalysis&NetworkInsightsPathId=nip-0123&ClientToken=t
             Action=StartNetworkInsightsAnalysis&NetworkInsightsPathId=nip-0123&ClientToken=t&FilterInArn.1=arn:aws:ec2:::x
             Action=StartNetworkInsightsAnalysis&NetworkInsightsPathId=nip-0123&ClientToken=t&FilterOutArn.1=arn:aws:ec2:::x
             Action=StartNetworkInsightsAnalysis&NetworkInsightsPathId=nip-0123&ClientToken=t&AdditionalAccount.1=1
             Action=StartNetworkInsightsAnalysis&NetworkInsightsPathId=web&ClientToken=t
             Action=DeleteNetworkInsightsPath&NetworkInsightsPathId=nip-0123
             Action=DeleteNetworkInsightsAnalysis&NetworkInsightsAnalysisId=nia-0123
             Action=DeleteNetworkInsightsAnalysis&NetworkInsightsAnalysisId=web
             Action=DescribeNetworkInsightsAnalyses&AnalysisStartTime=yesterday
             Action=DescribeNetworkInsightsAnalyses&NextToken=x
             Action=DescribeNetworkInsightsPaths&MaxResults=101"
        ),
        &expect![[r#"
            400 MissingParameter: The request must contain the parameter ClientToken
            400 MissingParameter: The request must contain the parameter Protocol
            400 InvalidParameterValue: Value (icmp) for parameter protocol is invalid. Use tcp or udp.
            400 InvalidParameterValue: Value ( 65536 ) for parameter DestinationPort is invalid. Expecting a whole number from 0 to 65535.
            400 InvalidParameterValue: Invalid value &apos;here&apos; for private IP address.
            400 InvalidParameterCombination: FilterAtSource cannot be used with SourceIp or DestinationPort
            400 InvalidParameterCombination: FilterAtDestination cannot be used with DestinationIp
            400 MissingParameter: The request must contain the parameter FilterAtSource.SourcePortRange.FromPort and ToPort
            400 InvalidParameterValue: Invalid port range (2:1) in FilterAtSource
            412 DryRunOperation: Request would have succeeded, but DryRun flag is set.
            400 MissingParameter: The request must contain the parameter Destination or DestinationIp
            400 InvalidParameterValue: Value (igw-0123) is no network interface or instance; paths begin and end at these here.
            400 InvalidNetworkInterfaceID.NotFound: The networkInterface ID &apos;eni-0123&apos; does not exist
            400 InvalidInstanceID.NotFound: The instance ID &apos;i-0123&apos; does not exist
            400 InvalidNetworkInsightsPathId.NotFound: The network insights path ID &apos;nip-0123&apos; does not exist
            400 UnsupportedOperation: The functionality of the parameter FilterInArn.1 is not supported here; leave it out.
            400 UnsupportedOperation: The functionality of the parameter FilterOutArn.1 is not supported here; leave it out.
            400 UnsupportedOperation: The functionality of the parameter AdditionalAccount.1 is not supported here; leave it out.
            400 InvalidNetworkInsightsPathId.Malformed: Invalid id: &quot;web&quot; (expecting &quot;nip-...&quot;)
            400 InvalidNetworkInsightsPathId.NotFound: The network insights path ID &apos;nip-0123&apos; does not exist
            400 InvalidNetworkInsightsAnalysisId.NotFound: The network insights analysis ID &apos;nia-0123&apos; does not exist
            400 InvalidNetworkInsightsAnalysisId.Malformed: Invalid id: &quot;web&quot; (expecting &quot;nia-...&quot;)
            400 InvalidParameterValue: Value (yesterday) for parameter AnalysisStartTime is no time.
            400 InvalidPaginationToken: Next token &apos;x&apos; is invalid
            400 InvalidParameterValue: Value ( 101 ) for parameter maxResults is invalid. Expecting a value smaller than 100.
        "#]],
    );
}
