//! From a client's request to the kernel: the real binary, signed ECS requests over HTTP.
//!
//! The clock runs from before the request is signed until `GET /v1/wait` has answered, after the request's own
//! answer, that every host enforces the newest revision. So a second request is in the time: it is an upper bound.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use sekimori_core::rule::Protocol;
use serde::Serialize;

use crate::{
    ecs::{Client, ECS, VPC},
    server::Server,
    stats::Stats,
    stop::Stop,
    world::{Filler, fillers},
};

/// Rules of the group that is changed.
const RULES: usize = 1_000;
/// Rules in one request.
const RULES_PER_CALL: usize = 100;
/// How long the instances may take to be there: each is a namespace.
const PATIENCE: Duration = Duration::from_secs(300);

/// What a call costs.
#[derive(Clone, Debug, Serialize)]
pub struct CallCost {
    /// Rules in the group that every call changes.
    pub rules: usize,
    /// ENIs that have it.
    pub enis: usize,
    /// Milliseconds until the client is answered: the change is durable.
    pub answer_ms: Stats,
    /// Milliseconds from the answer until another call has said that the kernel enforces it.
    pub after_ms: Stats,
    /// Milliseconds until the kernel enforces it.
    pub kernel_ms: Stats,
}

/// Calls so often.
///
/// # Errors
/// When the server does not start, or refuses.
pub fn measure(dir: &Path, enis: usize, calls: usize, stop: &Stop) -> anyhow::Result<CallCost> {
    let server = Server::start(dir, stop)?;
    let client = server.client()?;
    let group = stage(&client, enis)?;
    let until = Instant::now() + PATIENCE;
    while let Err(error) = client.wait() {
        stop.check()?;
        anyhow::ensure!(Instant::now() < until, "{enis} instances are not there: {error:#}");
    }
    let (mut answers, mut afters, mut kernels) = (Vec::new(), Vec::new(), Vec::new());
    for call in 0..calls {
        stop.check()?;
        let action = if call % 2 == 0 { "AuthorizeSecurityGroup" } else { "RevokeSecurityGroup" };
        let port = format!("{0}/{0}", 30_000 + call / 2 % 1_000);
        let started = Instant::now();
        let rule = [("IpProtocol", "TCP"), ("PortRange", port.as_str()), ("SourceCidrIp", "192.0.2.0/24")];
        client.call(ECS, action, &[&[("SecurityGroupId", group.as_str())], rule.as_slice()].concat())?;
        answers.push(started.elapsed().as_secs_f64() * 1e3);
        let answered = Instant::now();
        client.wait()?;
        afters.push(answered.elapsed().as_secs_f64() * 1e3);
        kernels.push(started.elapsed().as_secs_f64() * 1e3);
    }
    let all = [answers, afters, kernels].map(Stats::of);
    let [Some(answer_ms), Some(after_ms), Some(kernel_ms)] = all else { anyhow::bail!("no calls") };
    Ok(CallCost { rules: RULES, enis, answer_ms, after_ms, kernel_ms })
}

/// A VPC with instances in a group of many rules; returns the group.
fn stage(client: &Client, enis: usize) -> anyhow::Result<String> {
    let vpc = client.make(VPC, "CreateVpc", &[("CidrBlock", "10.0.0.0/16")], "VpcId")?;
    let zone = format!("{}-a", client.region());
    let vswitch = [("VpcId", vpc.as_str()), ("CidrBlock", "10.0.0.0/16"), ("ZoneId", zone.as_str())];
    let vswitch = client.make(VPC, "CreateVSwitch", &vswitch, "VSwitchId")?;
    let group = [("VpcId", vpc.as_str()), ("SecurityGroupName", "bench")];
    let group = client.make(ECS, "CreateSecurityGroup", &group, "SecurityGroupId")?;
    let instances = [
        ("VSwitchId", vswitch.as_str()),
        ("SecurityGroupId", group.as_str()),
        ("ImageId", "bench"),
        ("InstanceType", "bench"),
        ("Amount", "1"),
    ];
    for _ in 0..enis {
        client.call(ECS, "RunInstances", &instances)?;
    }
    let all: Vec<Filler> = fillers(RULES).collect();
    for some in all.chunks(RULES_PER_CALL) {
        client.call(ECS, "AuthorizeSecurityGroup", &borrow(&permissions(&group, some)))?;
    }
    Ok(group)
}

/// The parameters that add rules to a group.
pub fn permissions(group: &str, rules: &[Filler]) -> Vec<(String, String)> {
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

/// The same parameters, as a client takes them.
pub fn borrow(parameters: &[(String, String)]) -> Vec<(&str, &str)> {
    parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}
