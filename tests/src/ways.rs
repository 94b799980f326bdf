//! Random routes and public addresses for the VPCs of a generated world, as an account that was read from files would have them.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use sekimori_core::{
    change::Change,
    ids::{EniId, SubnetId},
    ways::{Route, RouteTable, Target, TargetKind, Ways},
    world::{Account, Dialect, Vpc},
};

use crate::generate::Universe;

/// Routes of a table at most.
const ROUTES: usize = 5;

impl Universe {
    /// Gives every VPC ways, under accounts of a dialect by chance.
    pub fn add_ways(&mut self) {
        let dialect = self.chooser.pick(&[Dialect::Ecs, Dialect::Ec2, Dialect::Ec2]);
        let accounts: Vec<Account> = self.world.accounts().map(|account| Account::clone(account)).collect();
        for account in accounts {
            self.put(Change::PutAccount(Arc::new(Account { dialect, ..account })));
        }
        let vpcs: Vec<Vpc> = self.world.vpcs().map(|vpc| Vpc::clone(vpc)).collect();
        for vpc in vpcs {
            let subnets: Vec<SubnetId> = self.world.subnets().map(|subnet| subnet.id.clone()).collect();
            let mut tables = BTreeMap::new();
            for subnet in &subnets {
                let table = Arc::new(self.table(&subnets));
                tables.extend((!self.chooser.one_in(5)).then(|| (subnet.clone(), table)));
            }
            let publics = self.publics();
            self.put(Change::PutVpc(Arc::new(Vpc { ways: Some(Arc::new(Ways { tables, publics })), ..vpc })));
        }
    }

    fn table(&mut self, subnets: &[SubnetId]) -> RouteTable {
        let mut table = RouteTable { id: "rtb-1".to_owned(), ..RouteTable::default() };
        for number in 0..self.chooser.below(ROUTES) {
            let from = self.chooser.one_in(2).then(|| self.chooser.pick(subnets));
            let kinds = [
                TargetKind::Internet,
                TargetKind::Internet,
                TargetKind::Outgoing { from },
                TargetKind::Blackhole,
                TargetKind::Elsewhere,
            ];
            let target = Target { name: format!("target-{number}"), kind: self.chooser.pick(&kinds) };
            if self.chooser.one_in(12) {
                table.unplaced.push(target);
            } else {
                // A table has one route for a block.
                let to = self.chooser.cidr().canonical();
                table.routes.retain(|route| route.to != to);
                table.routes.push(Route { to, target });
            }
        }
        table
    }

    fn publics(&mut self) -> BTreeMap<EniId, BTreeMap<IpAddr, IpAddr>> {
        let mut publics = BTreeMap::new();
        for eni in self.enis() {
            let mut own = BTreeMap::new();
            for address in eni.addresses.iter().filter(|own| own.is_ipv4()) {
                let public = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7));
                own.extend(self.chooser.one_in(2).then_some((*address, public)));
            }
            publics.extend((!self.chooser.one_in(5)).then(|| (eni.id.clone(), own)));
        }
        publics
    }
}
