//! The whole server over its port: signed calls, restarts, TLS, and everything that must be refused.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod lab;

use std::{fs, sync::Arc, time::Duration};

use lab::{Server, answer, config, connect, exchange, sign};
use sekimori_server::{TlsConfig, run};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

async fn new_group(server: &Server) -> (String, String) {
    let vpc = server.call("CreateVpc", &[("CidrBlock", "10.0.0.0/8")]).await.field("VpcId");
    let group = server.call("CreateSecurityGroup", &[("VpcId", &vpc), ("SecurityGroupName", "web")]).await;
    (vpc, group.field("SecurityGroupId"))
}

fn rule(group: &str) -> [(&str, &str); 5] {
    [
        ("SecurityGroupId", group),
        ("IpProtocol", "tcp"),
        ("PortRange", "443/443"),
        ("SourceCidrIp", "0.0.0.0/0"),
        ("Policy", "accept"),
    ]
}

#[tokio::test]
async fn a_signed_call_changes_the_world_and_a_restart_keeps_it() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path()).await;
    let first = server.told.clone();
    assert!(first.ecs.access_key_id.starts_with("LTAI5t") && first.ecs.access_key_secret.len() == 30);
    let (_, group) = new_group(&server).await;
    let made = server.call("AuthorizeSecurityGroup", &rule(&group)).await;
    assert_eq!(made.status, 200, "{}", made.body);
    let id = made.json()["RequestId"].as_str().unwrap().to_ascii_lowercase();
    assert!(made.head.contains(&format!("x-acs-request-id: {id}")), "{}", made.head);
    assert!(made.head.contains("content-type: application/json"), "{}", made.head);
    server.stop().await;

    let server = Server::start(dir.path()).await;
    assert_eq!(server.told.ecs.access_key_secret, first.ecs.access_key_secret);
    assert_eq!(server.told.token, first.token);
    let shown = server.call("DescribeSecurityGroupAttribute", &[("SecurityGroupId", &group)]).await;
    assert_eq!(shown.status, 200, "{}", shown.body);
    assert!(shown.body.contains("443/443"), "{}", shown.body);
    let status = server.native("/v1/status").await;
    assert_eq!(status.json()["committed"], 5);
    server.stop().await;
}

#[tokio::test]
async fn a_diagnostic_report_tells_of_the_world_that_it_was_made_in_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path()).await;
    let (vpc, group) = new_group(&server).await;
    let place = [("VpcId", vpc.as_str()), ("ZoneId", "cn-hangzhou-b"), ("CidrBlock", "10.1.0.0/24")];
    let vswitch = server.call("CreateVSwitch", &place).await.field("VSwitchId");
    let run = server.call("RunInstances", &[("VSwitchId", &vswitch), ("SecurityGroupId", &group)]).await;
    let instance = run.json()["InstanceIdSets"]["InstanceIdSet"][0].as_str().unwrap().to_owned();
    let diagnosed = server.call("CreateDiagnosticReport", &[("ResourceId", &instance)]).await;
    let report = diagnosed.field("ReportId");
    let read = [("ReportId", report.as_str())];
    let before = server.call("DescribeDiagnosticReportAttributes", &read).await;
    let told = before.json()["MetricResults"].clone();
    assert!(told.to_string().contains("tcp/443 from 0.0.0.0/0 is closed"), "{told}");
    server.call("AuthorizeSecurityGroup", &rule(&group)).await;
    server.stop().await;
    let server = Server::start(dir.path()).await;
    let after = server.call("DescribeDiagnosticReportAttributes", &read).await;
    assert_eq!(after.json()["MetricResults"], told);
    let list = server.call("DescribeDiagnosticReports", &[]).await;
    assert_eq!(list.json()["Reports"]["Report"].as_array().unwrap().len(), 1, "{}", list.body);
    server.stop().await;
}

#[tokio::test]
async fn a_nonce_passes_once_even_across_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path()).await;
    let (create, list) = (server.sign("CreateVpc", &[("CidrBlock", "10.0.0.0/8")]), server.sign("DescribeVpcs", &[]));
    for path in [&create, &list] {
        assert_eq!(server.get(path).await.status, 200);
        assert_eq!(server.get(path).await.error(), (400, "SignatureNonceUsed".to_owned()));
    }
    server.stop().await;
    let server = Server::start(dir.path()).await;
    assert_eq!(server.get(&create).await.error(), (400, "SignatureNonceUsed".to_owned()));
    let vpcs = server.call("DescribeVpcs", &[]).await;
    assert_eq!(vpcs.json()["TotalCount"], 1, "{}", vpcs.body);
    server.stop().await;
}

#[tokio::test]
async fn calls_that_prove_nothing_are_refused_with_the_clouds_codes() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path()).await;
    let (id, secret) = (server.told.ecs.access_key_id.as_str(), server.told.ecs.access_key_secret.as_str());
    let call = ("DescribeVpcs", [].as_slice());
    for (path, expected) in [
        (sign((id, "wrong"), "n1", 0, call), (400, "SignatureDoesNotMatch")),
        (sign(("LTAInobody", secret), "n2", 0, call), (404, "InvalidAccessKeyId.NotFound")),
        (sign((id, secret), "n3", -1_000, call), (400, "InvalidTimeStamp.Expired")),
        (sign((id, secret), "n4", 1_000, call), (400, "InvalidTimeStamp.Expired")),
        (sign((id, secret), "n5", 0, ("DescribeNothing", &[])), (404, "InvalidAction.NotFound")),
        ("/?Format=JSON".to_owned(), (400, "MissingParameter")),
        ("/?Format=JSON&Version=1999-01-01&Action=DescribeVpcs".to_owned(), (400, "InvalidParameter")),
        ("/other?Format=JSON".to_owned(), (404, "InvalidAction.NotFound")),
    ] {
        let answer = server.get(&path).await;
        assert_eq!(answer.error(), (expected.0, expected.1.to_owned()), "{path}: {}", answer.body);
        assert!(answer.head.contains("x-acs-request-id: "), "{}", answer.head);
    }
    assert_eq!(server.native("/v1/status").await.json()["committed"], 2);
    server.stop().await;
}

#[tokio::test]
async fn a_refused_command_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path()).await;
    let refused = server.call("AuthorizeSecurityGroup", &rule("sg-nobody")).await;
    assert_eq!(refused.error(), (404, "InvalidSecurityGroupId.NotFound".to_owned()), "{}", refused.body);
    let refused = server.call("CreateVpc", &[("CidrBlock", "10.0.0.0/99")]).await;
    assert_eq!(refused.status / 100, 4, "{}", refused.body);
    assert_eq!(server.native("/v1/status").await.json()["committed"], 2);
    server.stop().await;
}

#[tokio::test]
async fn what_is_not_http_or_too_large_gets_a_clean_answer() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path()).await;
    let length = sekimori_server::BODY_BYTES_MAX + 1;
    let head = format!("POST /?Format=JSON HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: {length}");
    let large = server.send(&format!("{head}\r\n\r\n{}", "x".repeat(length))).await;
    assert_eq!(large.error(), (413, "RequestEntityTooLarge".to_owned()), "{}", large.body);
    assert_eq!(server.send("hello\r\n\r\n").await.status, 400);
    let put = server.send("PUT /?Format=JSON HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").await;
    assert_eq!(put.error(), (403, "UnsupportedHTTPMethod".to_owned()));
    let headers = "x: y\r\n".repeat(40_000);
    let many = server.send(&format!("GET / HTTP/1.1\r\n{headers}\r\n")).await;
    assert!(many.status == 431 || many.status == 400 || many.status == 0, "{many:?}");
    let health = server.get("/healthz").await;
    assert_eq!((health.status, health.json()["status"].as_str()), (503, Some("starting")));
    server.stop().await;
}

#[tokio::test]
async fn a_request_in_flight_is_finished_when_the_server_stops() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path()).await;
    let path = server.sign("CreateVpc", &[("CidrBlock", "10.0.0.0/8")]);
    let mut idle = connect(server.told.listen).await;
    let mut stream = connect(server.told.listen).await;
    let head = format!("GET {path} HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nbo");
    stream.write_all(head.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let address = server.told.listen;
    let stopping = server.tell_to_stop();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(TcpStream::connect(address).await.is_err());
    assert!(!stopping.is_finished());
    stream.write_all(b"dy").await.unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    assert_eq!(answer(&bytes).status, 200);
    timeout(lab::PATIENCE, stopping).await.unwrap().unwrap().unwrap();
    assert_eq!(idle.read(&mut [0]).await.unwrap_or(0), 0);
    let server = Server::start(dir.path()).await;
    assert_eq!(server.native("/v1/status").await.json()["committed"], 3);
    server.stop().await;
}

#[tokio::test]
async fn a_generated_certificate_is_trusted_through_the_bootstrap() {
    let dir = tempfile::tempdir().unwrap();
    let server =
        Server::start_with(sekimori_server::ServerConfig { tls: TlsConfig::Generated, ..config(dir.path()) });
    let server = server.await;
    let pem = server.told.tls_ca_pem.clone().unwrap();
    let mut roots = rustls::RootCertStore::empty();
    let ca =
        <rustls::pki_types::CertificateDer<'_> as rustls::pki_types::pem::PemObject>::from_pem_slice(pem.as_bytes());
    roots.add(ca.unwrap()).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(client));
    let path = server.sign("DescribeRegions", &[]);
    for name in ["localhost", "127.0.0.1"] {
        let stream = connect(server.told.listen).await;
        let stream = connector.connect(name.try_into().unwrap(), stream).await.unwrap();
        let path = if name == "localhost" { &path } else { "/healthz" };
        let answer =
            exchange(stream, &format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")).await;
        assert_eq!(answer.status, if name == "localhost" { 200 } else { 503 }, "{}", answer.body);
    }
    let plain = server.get("/healthz").await;
    assert_eq!(plain.status, 0, "{plain:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_configuration_that_cannot_work_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let refused = async |config| {
        let error = timeout(lab::PATIENCE, run(config, std::future::pending::<()>())).await.unwrap().unwrap_err();
        format!("{error:#}")
    };
    let mut open = config(dir.path());
    open.listen = "0.0.0.0:0".parse().unwrap();
    assert!(refused(open).await.contains("`0.0.0.0:0` can be reached from other machines"));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    let mut bypass = config(dir.path());
    bypass.bypass = Some(vec!["nonsense".to_owned()]);
    assert!(refused(bypass).await.contains("`nonsense`"));
    let server = Server::start(dir.path()).await;
    assert!(refused(config(dir.path())).await.contains("is in use by another sekimori"));
    let other = tempfile::tempdir().unwrap();
    let mut taken = config(other.path());
    taken.listen = server.told.listen;
    assert!(refused(taken).await.contains(&format!("cannot listen on `{}`", server.told.listen)));
    server.stop().await;
}

#[tokio::test]
async fn a_damaged_directory_never_starts() {
    let dir = tempfile::tempdir().unwrap();
    Server::start(dir.path()).await.stop().await;
    for (file, words) in [("store.redb", "is missing"), ("master.key", "is missing")] {
        let path = dir.path().join(file);
        let kept = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let error = run(config(dir.path()), std::future::pending::<()>()).await.unwrap_err().to_string();
        assert!(error.contains(file) && error.contains(words), "{error}");
        assert!(!path.exists());
        fs::write(&path, kept).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    }
    Server::start(dir.path()).await.stop().await;
}

#[tokio::test]
async fn the_configured_bypass_set_is_stored() {
    let dir = tempfile::tempdir().unwrap();
    let mut with_bypass = config(dir.path());
    with_bypass.bypass = Some(vec!["none".to_owned()]);
    Server::start_with(with_bypass).await.stop().await;
    let server = Server::start(dir.path()).await;
    assert_eq!(server.native("/v1/bypass").await.body, r#"{"entries":[]}"#);
    server.stop().await;
}
