//! Questions to the hosts about the live flows in their kernels.
//!
//! The feed passes a question on and brings the answer back. Nothing is kept of either: a question is over when it is answered, or when whoever
//! asked has stopped waiting, and each host has a bounded number of them to answer at a time.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{oneshot, watch},
    time::{Instant, timeout_at},
};

use sekimori_core::{
    ids::{EniId, HostId},
    limits::{LIVE_FLOW_MATCHES_MAX, LIVE_FLOWS_TOLD_MAX, LIVE_QUESTIONS_PER_HOST_MAX},
    live_flow::{FlowMatch, FlowsWanted, LiveFlow, LiveFlows},
    world::World,
};

use crate::{api::LiveHost, hosts::Hosts};

/// How long hosts may take to tell their live flows before the answer goes without them.
pub const LIVE_FLOWS_WAIT_S: u64 = 5;

/// The questions to all hosts.
#[derive(Debug, Default)]
pub struct Live {
    hosts: Mutex<BTreeMap<HostId, Asked>>,
}

/// The questions to one host that are open.
#[derive(Debug)]
struct Asked {
    /// The number of the newest.
    newest: watch::Sender<u64>,
    open: BTreeMap<u64, (FlowsWanted, oneshot::Sender<LiveFlows>)>,
}

impl Default for Asked {
    fn default() -> Self {
        Self { newest: watch::Sender::new(0), open: BTreeMap::new() }
    }
}

impl Live {
    /// Asks a host; `None` when it has as many questions as it may have.
    fn ask(&self, host: &HostId, wanted: FlowsWanted) -> Option<Waiting<'_>> {
        let mut hosts = self.lock();
        let asked = hosts.entry(host.clone()).or_default();
        if asked.open.len() >= LIVE_QUESTIONS_PER_HOST_MAX {
            return None;
        }
        let number = *asked.newest.borrow() + 1;
        let (tell, answer) = oneshot::channel();
        asked.open.insert(number, (wanted, tell));
        asked.newest.send_replace(number);
        Some(Waiting { live: self, host: host.clone(), number, answer })
    }

    /// Tells of questions to a host, for who passes them on. Those that are open already are news.
    pub(crate) fn news(&self, host: &HostId) -> watch::Receiver<u64> {
        let mut hosts = self.lock();
        let asked = hosts.entry(host.clone()).or_default();
        let mut news = asked.newest.subscribe();
        if !asked.open.is_empty() {
            news.mark_changed();
        }
        news
    }

    /// The open questions to a host with higher numbers than this.
    pub(crate) fn after(&self, host: &HostId, number: u64) -> Vec<(u64, FlowsWanted)> {
        let hosts = self.lock();
        let open = hosts.get(host).into_iter().flat_map(|asked| asked.open.range(number.saturating_add(1)..));
        open.map(|(number, (wanted, _))| (*number, wanted.clone())).collect()
    }

    /// Takes in what a host answers. What nobody waits for is dropped.
    pub(crate) fn note(&self, host: &HostId, mut answer: LiveFlows) {
        let open = self.lock().get_mut(host).and_then(|asked| asked.open.remove(&answer.request));
        let Some((wanted, tell)) = open else { return };
        let told = answer.flows.len();
        answer.flows.truncate(wanted.most.min(LIVE_FLOWS_TOLD_MAX) as usize);
        answer.untold = answer.untold.saturating_add((told - answer.flows.len()) as u64);
        if tell.send(answer).is_err() {
            tracing::debug!(%host, "nobody waits for live flows any more");
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<HostId, Asked>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A question that is open for as long as this is there.
struct Waiting<'a> {
    live: &'a Live,
    host: HostId,
    number: u64,
    answer: oneshot::Receiver<LiveFlows>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(asked) = self.live.lock().get_mut(&self.host) {
            asked.open.remove(&self.number);
        }
    }
}

/// What hosts have told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heard {
    /// The flows, those first that had a packet last, each with its host.
    pub(crate) flows: Vec<(HostId, LiveFlow)>,
    /// Every host that was asked.
    pub(crate) hosts: Vec<LiveHost>,
}

impl Heard {
    /// Flows that were wanted and are not told.
    pub(crate) fn untold(&self) -> u64 {
        self.hosts.iter().fold(0, |sum, host| sum.saturating_add(host.untold))
    }

    /// Whether a host has told its flows.
    pub(crate) fn has_told(&self, host: &HostId) -> bool {
        self.hosts.iter().any(|one| one.host == *host && one.failure.is_none())
    }

    /// In words, the hosts whose live flows are not known.
    pub(crate) fn missing(&self) -> Vec<String> {
        let failed = self.hosts.iter().filter_map(|host| Some((&host.host, host.failure.as_ref()?)));
        failed.map(|(host, failure)| format!("the live flows of host `{host}` are not known: it {failure}")).collect()
    }
}

/// Asks each host for what is wanted of it, all at once, and waits for a bounded time.
pub(crate) async fn ask(hosts: &Hosts, questions: Vec<(HostId, FlowsWanted)>) -> Heard {
    let deadline = Instant::now() + Duration::from_secs(LIVE_FLOWS_WAIT_S);
    let known: BTreeMap<HostId, bool> =
        hosts.all().into_iter().map(|status| (status.host, status.connected)).collect();
    let asked: Vec<_> = questions
        .into_iter()
        .map(|(host, wanted)| {
            let waiting = match known.get(&host) {
                Some(true) => hosts.live.ask(&host, wanted).ok_or_else(|| {
                    format!(
                        "has {LIVE_QUESTIONS_PER_HOST_MAX} such questions to answer already; ask again in a moment"
                    )
                }),
                Some(false) => Err("is not connected".to_owned()),
                None => Err("has not connected since the server started".to_owned()),
            };
            (host, waiting)
        })
        .collect();
    let mut heard = Heard::default();
    for (host, waiting) in asked {
        let answer = match waiting {
            Ok(waiting) => answered(waiting, deadline).await,
            Err(failure) => Err(failure),
        };
        let failure = answer.as_ref().err().cloned();
        let LiveFlows { revision, flows, untold, .. } = answer.unwrap_or_default();
        heard.hosts.push(LiveHost { host: host.clone(), failure, revision, told: flows.len() as u64, untold });
        heard.flows.extend(flows.into_iter().map(|flow| (host.clone(), flow)));
    }
    heard.flows.sort_by_key(|(_, flow)| flow.idle_s);
    heard
}

async fn answered(mut waiting: Waiting<'_>, deadline: Instant) -> Result<LiveFlows, String> {
    match timeout_at(deadline, &mut waiting.answer).await {
        Ok(Ok(LiveFlows { failure: Some(failure), .. })) => Err(failure),
        Ok(Ok(answer)) => Ok(answer),
        // The question lives as long as its host's list of them.
        Ok(Err(_)) => Err("has not kept the question".to_owned()),
        Err(_) => Err(format!("did not answer within {LIVE_FLOWS_WAIT_S} s")),
    }
}

/// What to ask whom about the flows of interfaces: of each only what the matches say, which name no interface themselves. A host of
/// which that is more than one question may name is asked for what the matches say at all its interfaces.
pub(crate) fn of_interfaces(
    hosts: &Hosts,
    world: &World,
    enis: &BTreeSet<EniId>,
    matches: &[FlowMatch],
    most: u32,
) -> Vec<(HostId, FlowsWanted)> {
    if hosts.is_of_files {
        return Vec::new();
    }
    let mut by_home: BTreeMap<&HostId, Vec<&EniId>> = BTreeMap::new();
    for eni in enis.iter().filter_map(|id| world.eni(id)) {
        if let Some(home) = world.home_of(eni) {
            by_home.entry(home).or_default().push(&eni.id);
        }
    }
    let of_eni = |eni: &EniId| {
        matches.iter().map(|one| FlowMatch { eni: Some(eni.clone()), ..one.clone() }).collect::<Vec<_>>()
    };
    let wanted = |(home, enis): (&HostId, Vec<&EniId>)| {
        let is_named = enis.len().saturating_mul(matches.len()) <= LIVE_FLOW_MATCHES_MAX;
        let any = if is_named { enis.into_iter().flat_map(of_eni).collect() } else { matches.to_vec() };
        (home.clone(), FlowsWanted { any, most })
    };
    by_home.into_iter().map(wanted).collect()
}

/// What to ask whom about interfaces that each match names; those that no host has are left out.
pub(crate) fn of_matches(
    hosts: &Hosts,
    world: &World,
    matches: impl IntoIterator<Item = FlowMatch>,
    most: u32,
) -> Vec<(HostId, FlowsWanted)> {
    if hosts.is_of_files {
        return Vec::new();
    }
    let mut by_home: BTreeMap<&HostId, Vec<FlowMatch>> = BTreeMap::new();
    for one in matches {
        let eni = one.eni.as_ref().and_then(|id| world.eni(id));
        if let Some(home) = eni.and_then(|eni| world.home_of(eni)) {
            by_home.entry(home).or_default().push(one);
        }
    }
    by_home.into_iter().map(|(home, any)| (home.clone(), FlowsWanted { any, most })).collect()
}

/// The same about all interfaces, of every host that is known or that an interface is on.
pub(crate) fn of_all(hosts: &Hosts, world: &World, one: &FlowMatch, most: u32) -> Vec<(HostId, FlowsWanted)> {
    if hosts.is_of_files {
        return Vec::new();
    }
    let homes = world.enis().filter_map(|eni| world.home_of(eni)).cloned();
    let all: BTreeSet<HostId> = hosts.all().into_iter().map(|status| status.host).chain(homes).collect();
    all.into_iter().map(|host| (host, FlowsWanted { any: vec![one.clone()], most })).collect()
}

#[cfg(test)]
mod tests;
