//! What real clients sent is believed, one changed bit of it is not, and keys of the other dialect call nothing.

use expect_test::expect;
use sekimori_cloud::{
    RawRequest,
    api::{Api, Operation},
    ec2::{self, Call, Fault},
    ecs,
};
use sekimori_core::{ids::AccountId, time::Timestamp, world::World};

use super::{Estate, OWN};
use crate::requests::{Recorded, SECRET, all_of_ec2};

/// 2026-11-26T18:25:00Z: when the requests were recorded.
const THEN: Timestamp = Timestamp(1_795_717_500);
/// A quarter of an hour later: when two clients were recorded again.
const LATER: Timestamp = Timestamp(1_795_718_220);

fn then(recorded: &Recorded) -> Timestamp {
    let is_later = recorded.name.contains("presigned") || recorded.name.starts_with("libcloud-v4");
    if is_later { LATER } else { THEN }
}

fn is_believed(recorded: &Recorded) -> bool {
    Call::parse(&recorded.raw(), "R-1").is_ok_and(|call| {
        call.key_id().as_str() == "AKIASEKIMORITEST0000" && call.verify(SECRET, then(recorded)).is_ok()
    })
}

#[test]
fn every_recorded_request_is_believed_with_its_secret_at_its_time() {
    for recorded in all_of_ec2() {
        let call = Call::parse(&recorded.raw(), "R-1").unwrap();
        let then = then(&recorded);
        assert_eq!(call.verify(SECRET, then), Ok(()), "{}", recorded.name);
        assert_eq!(call.verify(b"another-secret", then), Err(Fault::SignatureMismatch), "{}", recorded.name);
        let late = if recorded.name.contains("presigned") { 3_660 } else { 960 };
        assert_eq!(call.verify(SECRET, Timestamp(then.0 + late)), Err(Fault::Expired), "{}", recorded.name);
        assert_eq!(call.verify(SECRET, Timestamp(then.0 - 1_200)), Err(Fault::Expired), "{}", recorded.name);
    }
}

#[test]
fn a_changed_query_or_form_is_not_believed() {
    let one_bit_off = |text: &str| -> Vec<String> {
        let flips = (0..text.len()).flat_map(|at| (0..7).map(move |bit| (at, bit)));
        let flipped = flips.map(|(at, bit)| {
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] ^= 1 << bit;
            String::from_utf8(bytes).unwrap()
        });
        flipped.collect()
    };
    for original in all_of_ec2() {
        assert!(is_believed(&original), "{}", original.name);
        let params = |recorded: &Recorded| Call::parse(&recorded.raw(), "R-1").unwrap().params().clone();
        let body = String::from_utf8(original.body.clone()).unwrap();
        let queries = one_bit_off(&original.query).into_iter().map(|query| Recorded { query, ..original.clone() });
        let bodies =
            one_bit_off(&body).into_iter().map(|body| Recorded { body: body.into_bytes(), ..original.clone() });
        for tampered in queries.chain(bodies).filter(is_believed) {
            // `%2f` means what `%2F` means.
            assert_eq!(params(&tampered), params(&original), "{tampered:?}");
        }
        let more = Recorded { query: format!("{}&MaxResults=5", original.query), ..original.clone() };
        assert!(!is_believed(&more), "{}: a parameter was added", original.name);
        let mut form = Recorded { body: b"MaxResults=5".to_vec(), ..original.clone() };
        form.headers.push(("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned()));
        assert!(!is_believed(&form), "{}: a form was added", original.name);
    }
}

#[test]
fn what_clients_mean_is_understood() {
    let decoded = |name: &str| {
        let recorded = all_of_ec2().into_iter().find(|recorded| recorded.name == name).unwrap();
        let call = Call::parse(&recorded.raw(), "R-1").unwrap();
        let estate = Estate::new();
        format!("{:?}", ec2::decode(&call, estate.state.world(), &OWN.into()).unwrap())
    };
    expect![[r#"Command(CreateVpc(NewVpc { account: 123456789012, region: "us-east-1", name: "", description: "", cidr: 10.0.0.0/16, ipv6: Any, resource_group: "", tags: Tags({"Name": "prod *~ +/=&"}) }))"#]].assert_eq(&decoded("boto3-create-vpc"));
    expect![[r#"Command(Once { ticket: Ticket { account: 123456789012, text: "t-1", request: "fd360703800d7f1cfc9ccc5c4b45706277ed8b426f13bcdc5fdbad87989d3862" }, command: RunInstances(NewInstances { account: 123456789012, primary: EniSpec { subnet: subnet-0000000000000000a, groups: [sg-0000000000000000b], primary: None, more: NewAddresses { ipv4: [], ipv4_count: 0, ipv6: [], ipv6_count: 0 }, name: "", description: "", timeouts: TimeoutChoice { tcp_established_s: None, tcp_closed_s: None, udp_s: None, udp_stream_s: None }, source_check: true, delete_on_release: true, resource_group: "", tags: Tags({}) }, secondary: [], attached: [], amount: 2, name: "", description: "", image: "ami-1", instance_type: "t3.micro", disk: SystemDisk { category: "cloud_essd", performance_level: "", size_gib: 40, name: "", description: "" }, resource_group: "", tags: Tags({"Name": "web"}) }) })"#]].assert_eq(&decoded("boto3-run-instances"));
    expect![[r#"Command(Authorize { account: 123456789012, group: sg-0000000000000000a, rules: [NewRule { spec: RuleSpec { direction: Ingress, action: Allow, priority: 1, protocol: Number(1), service: Any, source_ports: None, peer: Cidr(0.0.0.0/0), local: None }, description: "", tags: Tags({}) }] })"#]].assert_eq(&decoded("awscli-authorize-ingress"));
    expect![[r#"Command(CreateGroup(NewGroup { account: 123456789012, vpc: vpc-0000000000000000a, flavor: Ec2, name: "web", description: "w", resource_group: "", tags: Tags({}), managed_by: None }))"#]].assert_eq(&decoded("libcloud-v2-create-security-group"));
    for recorded in all_of_ec2() {
        let call = Call::parse(&recorded.raw(), "R-1").unwrap();
        // What has tags must be there before anything is decoded.
        if !matches!(recorded.name.as_str(), "boto3-create-tags" | "boto3-delete-tags") {
            let decoded = ec2::decode(&call, Estate::new().state.world(), &OWN.into());
            assert!(decoded.is_ok(), "{}: {decoded:?}", recorded.name);
        }
    }
}

#[test]
fn a_key_of_one_dialect_is_refused_by_the_other() {
    let estate = Estate::new();
    let recorded = all_of_ec2().into_iter().find(|recorded| recorded.name == "boto3-describe-rules").unwrap();
    let call = Call::parse(&recorded.raw(), "R-1").unwrap();
    let fault = ec2::decode(&call, estate.state.world(), &"1234567890123456".into()).unwrap_err();
    let failure = call.failure(&fault);
    assert_eq!((failure.status, failure.code), (401, "AuthFailure"));

    let query = "AccessKeyId=k&Signature=s&SignatureMethod=HMAC-SHA1&SignatureVersion=1.0&SignatureNonce=n\
        &Timestamp=2026-11-22T05:12:14Z&Action=DescribeRegions&Version=2014-05-26";
    let raw = RawRequest { method: "GET", path: "/", query, headers: &[], body: &[] };
    let call = <ecs::Call as Api>::parse(&raw, "R-1").unwrap();
    let fault = Api::decode(&call, estate.state.world(), &AccountId::from(OWN)).unwrap_err();
    assert_eq!(Api::failure(&call, &fault).code, "InvalidAccessKeyId.NotFound");
}

#[test]
fn sts_tells_what_is_wrong_and_ec2_does_not() {
    let codes = |name: &str| {
        let recorded = all_of_ec2().into_iter().find(|recorded| recorded.name == name).unwrap();
        let call = Call::parse(&recorded.raw(), "R-1").unwrap();
        let faults = [Fault::UnknownKey, Fault::SignatureMismatch, Fault::Expired, Fault::NotSigned];
        faults.map(|fault| call.failure(&fault)).map(|failure| format!("{} {}", failure.status, failure.code))
    };
    let of_ec2 = ["401 AuthFailure", "401 AuthFailure", "400 RequestExpired", "400 MissingParameter"];
    assert_eq!(codes("boto3-describe-rules"), of_ec2);
    let of_sts = [
        "403 InvalidClientTokenId",
        "403 SignatureDoesNotMatch",
        "403 SignatureDoesNotMatch",
        "403 MissingAuthenticationToken",
    ];
    assert_eq!(codes("boto3-get-caller-identity"), of_sts);
}

#[test]
fn who_calls_is_told() {
    let mut estate = Estate::new();
    estate.check("Action=GetCallerIdentity", &expect![[r#"200 <GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:root</Arn><UserId>123456789012</UserId><Account>123456789012</Account></GetCallerIdentityResult><ResponseMetadata><RequestId>R-1</RequestId></ResponseMetadata></GetCallerIdentityResponse>"#]]);
    let recorded = all_of_ec2().into_iter().find(|recorded| recorded.name == "boto3-get-caller-identity").unwrap();
    let call = Call::parse(&recorded.raw(), "R-1").unwrap();
    let world = World::default();
    assert!(matches!(call.decode(&world, &"x".into()), Err(Fault::UnknownKey)));
    assert!(matches!(call.decode(estate.state.world(), &OWN.into()), Ok(Operation::Query(ec2::Query::Caller))));
}
