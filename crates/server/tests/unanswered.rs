//! A server that is killed between the commit of a request and its answer: the client cannot know whether it was carried
//! out, sends it again under the same token, and nothing is there twice.
//!
//! The moment is chosen, not hoped for: the test runs itself as a child process, a whole server on a store that keeps the
//! commit and then does not return. Only then is the child killed.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "other tests use the rest")]
mod lab;

use std::{
    env,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    sync::Arc,
};

use lab::{Answer, PATIENCE, Server, config, connect, sign};
use sekimori_core::{
    change::Commit,
    world::{Revision, World},
};
use sekimori_server::{
    api::Bootstrap,
    bootstrap, control_socket_in, run_on,
    store::{RedbStore, Store, StoreError},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

const DIR: &str = "SEKIMORI_UNANSWERED_TEST_DIR";
const OPERATION: &str = "SEKIMORI_UNANSWERED_TEST_OPERATION";
/// What the child says once the commit is durable.
const DURABLE: &str = "the commit is durable";

/// A store that keeps the commits of one operation, and never says so.
struct Silent {
    store: RedbStore,
    operation: String,
}

impl Store for Silent {
    fn append(&self, expected: Revision, commits: &[Commit]) -> Result<(), StoreError> {
        self.store.append(expected, commits)?;
        if commits.iter().all(|commit| commit.actor.operation != self.operation) {
            return Ok(());
        }
        println!("{DURABLE}");
        std::io::stdout().flush().unwrap();
        loop {
            std::thread::park();
        }
    }

    fn read(&self) -> Result<World, StoreError> {
        self.store.read()
    }

    fn log(&self, after: Revision, max: usize) -> Result<Vec<Commit>, StoreError> {
        self.store.log(after, max)
    }
}

/// Not a test of its own: the process that is killed.
#[tokio::test]
#[ignore = "started by the test below, with a directory and an operation"]
async fn child() {
    let (Ok(dir), Ok(operation)) = (env::var(DIR), env::var(OPERATION)) else { return };
    let open = |dir: &Path| -> Result<Arc<dyn Store>, StoreError> {
        Ok(Arc::new(Silent { store: RedbStore::open(dir)?, operation }))
    };
    run_on(config(Path::new(&dir)), open, std::future::pending::<()>()).await.unwrap();
}

/// A child that serves, and what it says.
struct Doomed {
    child: Child,
    output: BufReader<ChildStdout>,
    told: Bootstrap,
}

impl Doomed {
    async fn start(dir: &Path, operation: &str) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "child", "--ignored", "--nocapture", "--test-threads=1"]);
        command.env(DIR, dir).env(OPERATION, operation).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let told = async {
            loop {
                match bootstrap::fetch(&control_socket_in(dir)).await {
                    Ok(told) => return told,
                    Err(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
                }
            }
        };
        let told = timeout(PATIENCE, told).await.expect("the child serves");
        Self { child, output, told }
    }

    /// Sends a request, waits until it is carried out, kills the server, and returns what the client has heard.
    async fn ask_and_kill(mut self, call: (&str, &[(&str, &str)])) -> Vec<u8> {
        let key = (self.told.ecs.access_key_id.as_str(), self.told.ecs.access_key_secret.as_str());
        let path = sign(key, &format!("first-{}", std::process::id()), 0, call);
        let mut stream = connect(self.told.listen).await;
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n").as_bytes()).await.unwrap();
        let output = self.output;
        let is_durable = || output.lines().map_while(Result::ok).any(|line| line.contains(DURABLE));
        let said = timeout(PATIENCE, async { tokio::task::block_in_place(is_durable) }).await;
        assert_eq!(said, Ok(true), "{call:?} was not carried out");
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let mut heard = Vec::new();
        // The connection ends with or without an error.
        let _ = timeout(PATIENCE, stream.read_to_end(&mut heard)).await.expect("the connection ends");
        heard
    }
}

/// An estate to ask for something in: a VPC, a vSwitch and a group.
async fn furnished(dir: &Path) -> [String; 3] {
    let server = Server::start(dir).await;
    let vpc = server.call("CreateVpc", &[("CidrBlock", "10.0.0.0/8")]).await.field("VpcId");
    let place = [("VpcId", vpc.as_str()), ("CidrBlock", "10.1.0.0/24"), ("ZoneId", "cn-hangzhou-b")];
    let vswitch = server.call("CreateVSwitch", &place).await.field("VSwitchId");
    let group = server.call("CreateSecurityGroup", &[("VpcId", &vpc)]).await.field("SecurityGroupId");
    server.stop().await;
    [vpc, vswitch, group]
}

/// Has a request carried out and not answered, repeats it, and tells how many things there are of what it makes.
async fn unanswered(operation: &str, parameters: &[(&str, &str)], describe: &str) -> (u64, String) {
    let dir = tempfile::tempdir().unwrap();
    let [vpc, vswitch, group] = furnished(dir.path()).await;
    let own = |value: &str| value.replace("$VPC", &vpc).replace("$VSW", &vswitch).replace("$SG", &group);
    let filled: Vec<(&str, String)> = parameters.iter().map(|(name, value)| (*name, own(value))).collect();
    let mut call: Vec<(&str, &str)> = filled.iter().map(|(name, value)| (*name, value.as_str())).collect();
    call.push(("ClientToken", "the-same"));
    let doomed = Doomed::start(dir.path(), operation).await;
    assert_eq!(doomed.ask_and_kill((operation, &call)).await, b"", "{operation} was answered");
    let server = Server::start(dir.path()).await;
    let again = server.call(operation, &call).await;
    assert_eq!(again.status, 200, "{}", again.body);
    let third = server.call(operation, &call).await;
    assert_eq!(told(&third), told(&again));
    let found = server.call(describe, &[]).await;
    assert_eq!(found.status, 200, "{}", found.body);
    let other = server.call(operation, &[call.as_slice(), &[("Description", "other words")]].concat()).await;
    assert_eq!(other.error(), (400, "IdempotentParameterMismatch".to_owned()));
    server.stop().await;
    (found.json()["TotalCount"].as_u64().unwrap(), again.body + &found.body)
}

/// An answer without what is each request's own.
fn told(answer: &Answer) -> serde_json::Value {
    let mut told = answer.json();
    told.as_object_mut().unwrap().remove("RequestId");
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_was_carried_out_and_not_answered_is_not_carried_out_again() {
    let group = [("VpcId", "$VPC"), ("SecurityGroupName", "once")];
    let (groups, said) = unanswered("CreateSecurityGroup", &group, "DescribeSecurityGroups").await;
    assert_eq!((groups, said.matches("\"once\"").count()), (2, 1), "one of the estate, and one: {said}");
    let instances = [("VSwitchId", "$VSW"), ("SecurityGroupId", "$SG"), ("ImageId", "any"), ("Amount", "2")];
    let instances = [instances.as_slice(), &[("InstanceType", "ecs.any")]].concat();
    let (instances, said) = unanswered("RunInstances", &instances, "DescribeInstances").await;
    assert_eq!(instances, 2, "{said}");
    let (vpcs, said) = unanswered("CreateVpc", &[("CidrBlock", "192.168.0.0/16")], "DescribeVpcs").await;
    assert_eq!(vpcs, 2, "one of the estate, and one: {said}");
}
