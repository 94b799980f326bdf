//! Groups in further VPCs than their own: who may carry them, and what they hold.

use super::*;
use crate::{ids::EniId, world::Eni};

/// A second VPC of an EC2 account, with a subnet.
fn another(estate: &mut Estate) -> (VpcId, SubnetId) {
    let Outcome::Vpc(vpc) = estate.run(estate.new_vpc("10.1.0.0/16", VpcIpv6::Off)) else { panic!() };
    let own = std::mem::replace(&mut estate.vpc, vpc.clone());
    let Outcome::Subnet(subnet) = estate.run(estate.new_subnet("10.1.0.0/24")) else { panic!() };
    estate.vpc = own;
    (vpc, subnet)
}

impl Estate {
    fn associate(&self, group: &GroupId, vpc: &VpcId, is_associated: bool) -> Command {
        let (account, group, vpc) = (self.account.clone(), group.clone(), vpc.clone());
        Command::AssociateGroup { account, group, vpc, is_associated }
    }

    fn new_eni(&self, subnet: &SubnetId, group: &GroupId) -> Command {
        let spec = EniSpec::new(subnet.clone(), vec![group.clone()]);
        Command::CreateEni { account: self.account.clone(), spec }
    }

    fn eni_of(&self, id: &EniId) -> &Eni {
        self.state.world().eni(id).expect("it exists")
    }
}

#[test]
fn interfaces_of_an_associated_vpc_carry_the_group_and_hold_it() {
    let mut estate = Estate::new(Dialect::Ec2);
    let a = estate.a.clone();
    let (vpc, subnet) = another(&mut estate);
    let refused = estate.try_run(estate.new_eni(&subnet, &a)).expect_err("it is of another VPC");
    assert!(refused.ends_with("are not in the same VPC; use two of one VPC"), "{refused}");
    estate.run(estate.associate(&a, &vpc, true));
    estate.run(estate.associate(&a, &vpc, true));
    assert_eq!(estate.state.world().vpcs_of(std::slice::from_ref(&a)), [&estate.vpc, &vpc]);
    let Outcome::Eni(eni) = estate.run(estate.new_eni(&subnet, &a)) else { panic!() };
    assert_eq!((&estate.eni_of(&eni).vpc, &estate.eni_of(&eni).groups), (&vpc, &vec![a.clone()]));
    // Groups of two VPCs go together where both may be carried, and nowhere else.
    let both = EniSpec::new(subnet, vec![a.clone(), estate.b.clone()]);
    estate.try_run(Command::CreateEni { account: estate.account.clone(), spec: both }).expect_err("b may not");
    let refused = estate.try_run(estate.associate(&a, &vpc, false)).expect_err("an interface has it");
    assert!(refused.ends_with(&format!("is still used by `{eni}`; remove that first")), "{refused}");
    estate.run(Command::DeleteEni { account: estate.account.clone(), eni });
    let delete = Command::DeleteGroup { account: estate.account.clone(), group: a.clone() };
    let refused = estate.try_run(delete.clone()).expect_err("it is associated");
    assert!(refused.contains(&format!("is still used by `{vpc}`")), "{refused}");
    estate.run(estate.associate(&a, &vpc, false));
    estate.try_run(estate.associate(&a, &vpc, false)).expect_err("it is not any more");
    estate.run(delete);
}

#[test]
fn a_default_group_and_a_vpc_elsewhere_are_not_associated() {
    let mut estate = Estate::new(Dialect::Ec2);
    let a = estate.a.clone();
    let own = estate.vpc.clone();
    estate.refused(estate.associate(&a, &own, true), &expect!["`VPC` is the VPC of `A` itself; name another one"]);
    let (vpc, _) = another(&mut estate);
    let default = estate.state.world().groups().find(|group| group.is_default && group.vpc == own);
    let default = default.expect("it was made with the VPC").id.clone();
    let refused = estate.try_run(estate.associate(&default, &vpc, true)).expect_err("it stays");
    assert!(refused.contains("is the default security group of its VPC"), "{refused}");
    let Command::CreateVpc(new) = estate.new_vpc("10.2.0.0/16", VpcIpv6::Off) else { panic!() };
    let elsewhere = Command::CreateVpc(NewVpc { region: "far".into(), ..new });
    let Outcome::Vpc(far) = estate.run(elsewhere) else { panic!() };
    let refused = estate.try_run(estate.associate(&a, &far, true)).expect_err("it is far");
    assert!(refused.contains("does not exist in this account and region"), "{refused}");
}

#[test]
fn a_group_may_be_named_where_both_may_be_carried() {
    let mut estate = Estate::new(Dialect::Ec2);
    let a = estate.a.clone();
    let (vpc, _) = another(&mut estate);
    let own = std::mem::replace(&mut estate.vpc, vpc.clone());
    let there = estate.group(Flavor::Ec2);
    estate.vpc = own;
    estate.try_run(estate.authorize(&there, [port(80, group_peer(&a))])).expect_err("they never meet");
    estate.run(estate.associate(&a, &vpc, true));
    estate.run(estate.authorize(&there, [port(80, group_peer(&a))]));
    let delete = Command::DeleteVpc { account: estate.account.clone(), vpc: vpc.clone() };
    estate.run(estate.associate(&a, &vpc, false));
    let rules = Revocation::Specs(vec![port(80, group_peer(&a))]);
    let (account, direction) = (estate.account.clone(), Direction::Ingress);
    estate.run(Command::Revoke { account: account.clone(), group: there.clone(), direction, rules });
    estate.run(estate.associate(&a, &vpc, true));
    estate.run(Command::DeleteGroup { account, group: there });
    estate.try_run(delete).expect_err("a subnet and an association hold it");
}
