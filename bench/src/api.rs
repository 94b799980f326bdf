//! From a client's request to the kernel: the real binary, signed ECS requests over HTTP.
//!
//! The clock runs from before the request is signed until `GET /v1/wait` has answered, after the request's own
//! answer, that every host enforces the newest revision. So a second request is in the time: it is an upper bound.

use std::{
    fs,
    net::TcpListener,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use sekimori_core::rule::Protocol;
use serde::Serialize;

use crate::{
    ecs::{Client, ECS, Key, VPC},
    stats::Stats,
    stop::Stop,
    world::{Filler, fillers},
};

/// Rules of the group that is changed.
const RULES: usize = 1_000;
/// Rules in one request.
const RULES_PER_CALL: usize = 100;
/// How long the server may take to serve, and to end.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// What a call costs.
#[derive(Clone, Debug, Serialize)]
pub struct CallCost {
    /// Rules in the group that every call changes.
    pub rules: usize,
    /// Milliseconds until the client is answered: the change is durable.
    pub answer_ms: Stats,
    /// Milliseconds until the kernel enforces it.
    pub kernel_ms: Stats,
}

/// Calls so often.
///
/// # Errors
/// When the server does not start, or refuses.
pub fn measure(dir: &Path, calls: usize, stop: &Stop) -> anyhow::Result<CallCost> {
    let server = Server::start(dir, stop)?;
    let client = server.client()?;
    let group = stage(&client)?;
    client.wait()?;
    let (mut answers, mut kernels) = (Vec::new(), Vec::new());
    for call in 0..calls {
        stop.check()?;
        let action = if call % 2 == 0 { "AuthorizeSecurityGroup" } else { "RevokeSecurityGroup" };
        let port = format!("{0}/{0}", 30_000 + call / 2 % 1_000);
        let started = Instant::now();
        let rule = [("IpProtocol", "TCP"), ("PortRange", port.as_str()), ("SourceCidrIp", "192.0.2.0/24")];
        client.call(ECS, action, &[&[("SecurityGroupId", group.as_str())], rule.as_slice()].concat())?;
        answers.push(started.elapsed().as_secs_f64() * 1e3);
        client.wait()?;
        kernels.push(started.elapsed().as_secs_f64() * 1e3);
    }
    let both = Stats::of(answers).zip(Stats::of(kernels)).context("no calls")?;
    Ok(CallCost { rules: RULES, answer_ms: both.0, kernel_ms: both.1 })
}

/// A VPC with two instances in a group of many rules; returns the group.
fn stage(client: &Client) -> anyhow::Result<String> {
    let vpc = client.make(VPC, "CreateVpc", &[("CidrBlock", "10.0.0.0/16")], "VpcId")?;
    let zone = format!("{}-a", client.region());
    let vswitch = [("VpcId", vpc.as_str()), ("CidrBlock", "10.0.1.0/24"), ("ZoneId", zone.as_str())];
    let vswitch = client.make(VPC, "CreateVSwitch", &vswitch, "VSwitchId")?;
    let group = [("VpcId", vpc.as_str()), ("SecurityGroupName", "bench")];
    let group = client.make(ECS, "CreateSecurityGroup", &group, "SecurityGroupId")?;
    let instances = [
        ("VSwitchId", vswitch.as_str()),
        ("SecurityGroupId", group.as_str()),
        ("ImageId", "bench"),
        ("InstanceType", "bench"),
        ("Amount", "2"),
    ];
    client.call(ECS, "RunInstances", &instances)?;
    let all: Vec<Filler> = fillers(RULES).collect();
    for some in all.chunks(RULES_PER_CALL) {
        client.call(ECS, "AuthorizeSecurityGroup", &borrow(&permissions(&group, some)))?;
    }
    Ok(group)
}

fn permissions(group: &str, rules: &[Filler]) -> Vec<(String, String)> {
    let mut parameters = vec![("SecurityGroupId".to_owned(), group.to_owned())];
    for (index, Filler { peer, protocol, port }) in rules.iter().enumerate() {
        let name = |field| format!("Permissions.{}.{field}", index + 1);
        let protocol = if *protocol == Protocol::TCP { "TCP" } else { "UDP" };
        parameters.push((name("IpProtocol"), protocol.to_owned()));
        parameters.push((name("PortRange"), format!("{port}/{port}")));
        parameters.push((name("SourceCidrIp"), peer.to_string()));
    }
    parameters
}

fn borrow(parameters: &[(String, String)]) -> Vec<(&str, &str)> {
    parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

/// A `sekimori up` that is ended, with everything that it made, when this goes.
struct Server {
    binary: PathBuf,
    dir: PathBuf,
    child: Child,
}

impl Server {
    fn start(dir: &Path, stop: &Stop) -> anyhow::Result<Self> {
        let binary = binary()?;
        let base = dir.parent().context("the data directory has no parent")?;
        fs::create_dir_all(base).with_context(|| format!("cannot create `{}`", base.display()))?;
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let log = fs::File::create(log_of(dir))?;
        let mut command = Command::new(&binary);
        command.args(["up", "--limits", "host", "--listen"]).arg(format!("127.0.0.1:{port}"));
        command.arg("--data-dir").arg(dir).stdout(log.try_clone()?).stderr(log).stdin(Stdio::null());
        // Ctrl-C is for us, who then end it in order.
        let child = command.process_group(0).spawn();
        let child = child.with_context(|| format!("cannot run `{}`", binary.display()))?;
        let mut server = Self { binary, dir: dir.to_owned(), child };
        server.wait_until_ready(port, stop)?;
        Ok(server)
    }

    fn wait_until_ready(&mut self, port: u16, stop: &Stop) -> anyhow::Result<()> {
        let until = Instant::now() + PATIENCE;
        let url = format!("http://127.0.0.1:{port}/healthz");
        while ureq::get(&url).call().is_err() {
            let ended = self.child.try_wait()?;
            let log = || fs::read_to_string(log_of(&self.dir)).unwrap_or_default();
            anyhow::ensure!(ended.is_none(), "`sekimori up` has ended: {}", log());
            anyhow::ensure!(Instant::now() < until, "`sekimori up` does not serve: {}", log());
            stop.pause(PAUSE)?;
        }
        Ok(())
    }

    fn client(&self) -> anyhow::Result<Client> {
        let path = self.dir.join("credentials.env");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
        let value = |name: &str| {
            let found = text.lines().filter_map(|line| line.split_once('=')).find(|(key, _)| *key == name);
            let found = found.map(|(_, value)| value.trim().to_owned());
            found.with_context(|| format!("`{}` has no `{name}`", path.display()))
        };
        let key =
            Key { id: value("ALIBABA_CLOUD_ACCESS_KEY_ID")?, secret: value("ALIBABA_CLOUD_ACCESS_KEY_SECRET")? };
        Ok(Client::new(value("SEKIMORI_ENDPOINT")?, value("SEKIMORI_TOKEN")?, value("ALIBABA_CLOUD_REGION_ID")?, key))
    }

    fn end(&mut self) -> anyhow::Result<()> {
        if self.child.try_wait()?.is_none() {
            kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGTERM)?;
        }
        let never = Stop::default();
        let until = Instant::now() + PATIENCE;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > until {
                self.child.kill()?;
            }
            never.pause(PAUSE)?;
        }
        let down = Command::new(&self.binary).args(["down", "--data-dir"]).arg(&self.dir).output()?;
        let words = String::from_utf8_lossy(&down.stderr);
        anyhow::ensure!(down.status.success(), "`sekimori down` says: {}", words.trim());
        fs::remove_file(log_of(&self.dir))?;
        if self.dir.exists() {
            fs::remove_dir_all(&self.dir)?;
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("cannot remove `{}`: {error:#}", self.dir.display());
        }
    }
}

/// Beside the data directory, which must hold nothing else.
fn log_of(dir: &Path) -> PathBuf {
    dir.with_extension("log")
}

/// The binary that was built together with this one.
fn binary() -> anyhow::Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name("sekimori");
    anyhow::ensure!(path.exists(), "there is no `{}`; build it with `make build`", path.display());
    Ok(path)
}
