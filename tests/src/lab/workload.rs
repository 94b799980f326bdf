//! Workloads that Sekimori did not make: a namespace with the addresses of an instance's ENI, behind a veth or a tap in the
//! VPC's router. Everything is made with `ip`, as a user would.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::Arc,
};

use sekimori_core::{
    address::Mac,
    apply::apply,
    binding::{Binding, BindingRefusal, Side},
    change::Change,
    command::{BindingCommand, Command as Order},
    feed::BoundInterface,
    refusal::Refusal,
    world::Eni,
};

use super::{HOST, Lab, fail, must};

/// The router's Ethernet address on every link.
const ROUTER_MAC: &str = "ee:ff:ff:ff:ff:ff";
/// The router's IPv6 address on every link.
const ROUTER_V6: &str = "fe80::1";

/// What is between the router and the workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// A veth pair: the other end is the workload's.
    Veth,
    /// A tap, and a process that plays the machine behind it.
    Tap,
}

/// A workload; it goes with this.
#[derive(Debug)]
pub struct Workload {
    /// Its namespace.
    pub ns: String,
    /// The interface in the router that leads to it.
    pub port: String,
    /// The router's namespace.
    pub router: String,
    wire: Wire,
    eni: Eni,
    gateway: String,
    relay: Option<Child>,
}

/// Runs `ip`, which must succeed.
pub fn ip(words: &str) {
    let done = must("run ip", Command::new("ip").args(words.split_whitespace()).output());
    if !done.status.success() {
        fail(&format!("ip {words}: {}", String::from_utf8_lossy(&done.stderr)));
    }
}

impl Workload {
    /// Makes the namespace, and the interface: down, so that nothing passes it yet.
    #[must_use]
    pub fn new(lab: &Lab, name: &str, wire: Wire) -> Self {
        let eni = Eni::clone(&lab.eni(name));
        let id = eni.id.as_str();
        let subnet = lab.world().subnet(&eni.subnet).unwrap_or_else(|| fail("no subnet"));
        let gateway = subnet.gateway(lab.world().dialect_of(&eni.account)).to_string();
        let (ns, port) = (format!("wl-{id}"), format!("p{}", &id[id.len() - 8..]));
        let router = eni.vpc.to_string();
        ip(&format!("netns add {ns}"));
        let mut workload = Self { ns, port, router, wire, eni, gateway, relay: None };
        workload.make();
        workload
    }

    /// Makes the interface, again if it was taken away.
    pub fn make(&mut self) {
        let Self { ns, port, router, wire, .. } = self;
        match wire {
            Wire::Veth => ip(&format!("-n {router} link add {port} type veth peer name eth0 netns {ns}")),
            Wire::Tap => {
                ip(&format!("-n {router} tuntap add {port} mode tap vnet_hdr"));
                ip(&format!("-n {ns} link add eth0 type veth peer name vm0"));
                ip(&format!("-n {ns} link set vm0 up"));
            }
        }
    }

    /// Takes the interface away, as at the end of a machine.
    pub fn unmake(&mut self) {
        self.stop_relay();
        ip(&format!("-n {} link del {}", self.router, self.port));
        if self.wire == Wire::Tap {
            ip(&format!("-n {} link del eth0", self.ns));
        }
    }

    /// Sets everything up: from here on packets pass, if they are allowed.
    pub fn up(&mut self) {
        let Self { ns, port, router, wire, eni, gateway, .. } = self;
        let mac = eni.mac;
        ip(&format!("-n {router} link set {port} address {ROUTER_MAC}"));
        ip(&format!("-n {router} link set {port} up"));
        ip(&format!("-n {router} addr add {gateway}/32 dev {port}"));
        ip(&format!("-n {router} addr add {ROUTER_V6}/64 dev {port} nodad"));
        ip(&format!("-n {ns} link set lo up"));
        ip(&format!("-n {ns} link set eth0 address {mac}"));
        ip(&format!("-n {ns} link set eth0 up"));
        for address in &eni.addresses {
            ip(&format!("-n {router} route replace {address} dev {port}"));
            ip(&format!("-n {router} neigh replace {address} lladdr {mac} dev {port} nud permanent"));
            let nodad = if address.is_ipv6() { "nodad" } else { "" };
            ip(&format!("-n {ns} addr add {address} dev eth0 {nodad}"));
        }
        ip(&format!("-n {ns} route add {gateway} dev eth0"));
        for (gateway, version) in [(gateway.as_str(), "-4"), (ROUTER_V6, "-6")] {
            ip(&format!("-n {ns} neigh replace {gateway} lladdr {ROUTER_MAC} dev eth0 nud permanent"));
            ip(&format!("-n {ns} {version} route add default via {gateway} dev eth0"));
        }
        if *wire == Wire::Tap {
            self.relay = Some(self.start_relay());
        }
    }

    /// Gives the workload another Ethernet address, and tells its neighbours.
    pub fn readdress(&mut self, mac: Mac) {
        self.eni.mac = mac;
        let Self { ns, port, router, eni, .. } = self;
        ip(&format!("-n {ns} link set eth0 address {mac}"));
        for address in &eni.addresses {
            ip(&format!("-n {router} neigh replace {address} lladdr {mac} dev {port} nud permanent"));
        }
    }

    /// What binds the interface that leads to the workload.
    #[must_use]
    pub fn guest(&self) -> Binding {
        binding(&self.router, &self.port, Side::Guest)
    }

    /// What binds the workload's own interface.
    #[must_use]
    pub fn own(&self) -> Binding {
        binding(&self.ns, "eth0", Side::Own)
    }

    fn start_relay(&self) -> Child {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/lab/relay.py");
        let words = ["netns", "exec", &self.router, "python3", script, &self.port, &self.ns, "vm0"];
        let started = Command::new("ip").args(words).stdout(Stdio::piped()).spawn();
        let mut relay = must("start the machine behind a tap", started);
        let mut line = String::new();
        let out = relay.stdout.take().unwrap_or_else(|| fail("the relay has no output"));
        must("hear of the relay", BufReader::new(out).read_line(&mut line));
        assert_eq!(line, "running\n", "the relay did not start");
        relay
    }

    fn stop_relay(&mut self) {
        let Some(mut relay) = self.relay.take() else { return };
        must("stop the machine behind a tap", relay.kill());
        must("wait for its end", relay.wait());
    }
}

impl Drop for Workload {
    fn drop(&mut self) {
        if let Some(mut relay) = self.relay.take() {
            drop(relay.kill());
            drop(relay.wait());
        }
        // The router's end may be gone with its namespace.
        let ends = [vec!["-n", &self.router, "link", "del", &self.port], vec!["netns", "del", &self.ns]];
        for words in ends {
            drop(Command::new("ip").args(words).output());
        }
    }
}

fn binding(netns: &str, interface: &str, side: Side) -> Binding {
    let netns = Some(must("name a namespace", netns.parse()));
    Binding { host: HOST.into(), netns, interface: interface.to_owned(), side, holder: String::new() }
}

impl Lab {
    /// Binds the ENI of an instance; probes find it in the workload's namespace then.
    pub fn bind(&mut self, name: &str, workload: &Workload, binding: Binding) {
        self.bind_with(name, workload, binding, None);
    }

    /// The same, with the Ethernet address that the workload sends from.
    pub fn bind_with(&mut self, name: &str, workload: &Workload, binding: Binding, mac: Option<Mac>) {
        let eni = self.eni(name).id.clone();
        self.workloads.insert(name.to_owned(), workload.ns.clone());
        self.run(&Order::Binding(BindingCommand::Bind { eni, binding, mac, is_moved: false }));
    }

    /// Binds an ENI to what may not be fit for it.
    pub fn try_bind(&mut self, name: &str, binding: Binding) {
        let eni = Eni { binding: Some(binding), ..Eni::clone(&self.eni(name)) };
        self.try_change(vec![Change::PutEni(Arc::new(eni))]);
    }

    /// Why a binding is refused.
    #[must_use]
    pub fn refusal(&self, command: &Order) -> BindingRefusal {
        match apply(&self.state, command, &mut self.context.clone()) {
            Err(Refusal::Binding(refusal)) => refusal,
            other => fail(&format!("not refused: {other:?}")),
        }
    }

    /// Lets the ENI of an instance go.
    pub fn unbind(&mut self, name: &str) {
        let eni = self.eni(name).id.clone();
        self.workloads.remove(name);
        self.run(&Order::Binding(BindingCommand::Unbind { eni, holder: None }));
    }

    /// How it stands at the interface that the ENI of an instance is bound to.
    pub fn standing(&mut self, name: &str) -> BoundInterface {
        let eni = self.eni(name).id.clone();
        let found = self.enforcer().bindings().report().into_iter().find(|found| found.eni == eni);
        found.unwrap_or_else(|| fail(&format!("`{name}` is not bound")))
    }

    /// What a running agent does when the kernel announces a change of an interface.
    pub fn look_at_bound(&mut self) {
        let Some(enforcer) = &mut self.enforcer else { return };
        // An announcement is heard by a task of this runtime.
        self.runtime.block_on(async {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            enforcer.look_at_bound().await;
        });
    }
}
