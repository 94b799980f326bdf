//! ENIs that are bound to interfaces of others: one place each, one ENI at each.

use super::*;
use crate::{
    address::Mac,
    binding::{Binding, Side},
    command::BindingCommand,
    ids::EniId,
    world::Eni,
};

impl Estate {
    fn spare(&mut self) -> EniId {
        let spec = EniSpec::new(self.subnet.clone(), vec![self.a.clone()]);
        let Outcome::Eni(id) = self.run(Command::CreateEni { account: self.account.clone(), spec }) else { panic!() };
        id
    }

    fn found(&self, id: &EniId) -> Eni {
        Eni::clone(self.state.world().eni(id).expect("it exists"))
    }
}

fn tap(interface: &str) -> Binding {
    let (interface, holder) = (interface.to_owned(), "libvirt web".to_owned());
    Binding { host: "h".into(), netns: None, interface, side: Side::Guest, holder }
}

fn bind(eni: &EniId, binding: Binding) -> Command {
    Command::Binding(BindingCommand::Bind { eni: eni.clone(), binding, mac: None, is_moved: false })
}

fn unbind(eni: &EniId, holder: Option<&str>) -> Command {
    Command::Binding(BindingCommand::Unbind { eni: eni.clone(), holder: holder.map(str::to_owned) })
}

#[test]
fn an_interface_is_one_enis_and_an_eni_is_at_one_place() {
    let mut estate = Estate::new(Dialect::Ecs);
    let (one, other) = (estate.spare(), estate.spare());
    let host = HostId::from("h");
    assert!(!estate.state.world().is_on(&estate.found(&one), &host));
    estate.run(bind(&one, tap("tap0")));
    assert!(
        estate.state.world().is_on(&estate.found(&one), &host),
        "an ENI of no instance is enforced where it is bound"
    );
    estate.run(bind(&one, tap("tap0")));
    let refused = estate.try_run(bind(&other, tap("tap0"))).expect_err("it is taken");
    assert_eq!(
        refused,
        format!("`{one}` is bound to `tap0` of host `h`; unbind it first, or name another interface")
    );
    let refused = estate.try_run(bind(&one, tap("tap1"))).expect_err("it is elsewhere");
    assert_eq!(refused, format!("`{one}` is bound to `tap0` of host `h`; unbind it first, or move it"));
    let own = Binding { side: Side::Own, ..tap("tap0") };
    assert!(estate.try_run(bind(&one, own)).is_err(), "it is turned round only by unbinding");
    let (eni, binding) = (one.clone(), tap("tap1"));
    estate.run(Command::Binding(BindingCommand::Bind { eni, binding, mac: None, is_moved: true }));
    estate.run(bind(&other, tap("tap0")));
    let bound: Vec<String> = estate.state.world().bound().map(|(_, binding)| binding.to_string()).collect();
    assert_eq!(bound.len(), 2);
    estate.run(Command::DeleteEni { account: estate.account.clone(), eni: other });
    assert_eq!(estate.state.world().bound().count(), 1, "an ENI that is gone is bound to nothing");
}

#[test]
fn only_its_holder_lets_an_interface_go() {
    let mut estate = Estate::new(Dialect::Ecs);
    let eni = estate.spare();
    let refused = estate.try_run(unbind(&eni, None)).expect_err("it is not bound");
    assert_eq!(refused, format!("`{eni}` is not bound to an interface; `sekimori eni list` shows which are"));
    estate.run(unbind(&eni, Some("libvirt web")));
    estate.run(bind(&eni, tap("tap0")));
    estate.run(unbind(&eni, Some("somebody who had it before")));
    assert!(estate.found(&eni).binding.is_some());
    estate.run(unbind(&eni, Some("libvirt web")));
    assert!(estate.found(&eni).binding.is_none());
}

#[test]
fn a_workload_has_an_address_of_its_own() {
    let mut estate = Estate::new(Dialect::Ecs);
    let (one, other) = (estate.spare(), estate.spare());
    let with = |eni: &EniId, interface: &str, mac| {
        let (eni, binding) = (eni.clone(), tap(interface));
        Command::Binding(BindingCommand::Bind { eni, binding, mac: Some(Mac(mac)), is_moved: false })
    };
    for bad in [[0; 6], [1, 0, 0x5e, 0, 0, 1], [0xff; 6]] {
        let refused = estate.try_run(with(&one, "tap0", bad)).expect_err("nobody has it");
        assert!(refused.contains("is not the Ethernet address of one interface"), "{refused}");
    }
    let mac = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
    estate.run(with(&one, "tap0", mac));
    assert_eq!(estate.found(&one).mac, Mac(mac));
    let refused = estate.try_run(with(&other, "tap1", mac)).expect_err("it is taken");
    assert!(refused.contains("of the same VPC is bound with the Ethernet address"), "{refused}");
}

#[test]
fn an_eni_is_on_one_host() {
    let mut estate = Estate::new(Dialect::Ecs);
    let a = estate.a.clone();
    let web = estate.instance(std::slice::from_ref(&a));
    let primary = estate.state.world().primary_eni(&web).expect("it has one").id.clone();
    let away = Binding { host: "rack-2".into(), ..tap("tap0") };
    let refused = estate.try_run(bind(&primary, away.clone())).expect_err("its instance is here");
    assert_eq!(refused, format!("`{primary}` is attached to `{web}` of host `h`; bind it there, or detach it first"));
    let eni = estate.spare();
    estate.run(bind(&eni, away));
    let attach = Command::AttachEni { account: estate.account.clone(), eni: eni.clone(), instance: web.clone() };
    let refused = estate.try_run(attach).expect_err("it is bound elsewhere");
    assert_eq!(refused, format!("`{eni}` is bound on host `rack-2`, where `{web}` is not; unbind it first"));
    estate.run(bind(&primary, tap("tap0")));
}
