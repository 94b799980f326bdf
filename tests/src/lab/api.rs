//! Calls of the EC2 API in the laboratory: from the query to the commit, with the account of the lab.

use sekimori_cloud::{
    RawRequest,
    api::Operation,
    ec2::{self, Call},
};
use sekimori_core::{
    change::Change,
    command::Outcome,
    ids::{PeeringId, VpcId},
    world::{Revision, Vpc},
};
use std::sync::Arc;

use super::{Lab, fail, must};

const SIGNED: &str = "AWSAccessKeyId=key&Signature=s&SignatureMethod=HmacSHA256&SignatureVersion=2\
    &Timestamp=2026-11-22T05:12:14Z&Version=2016-11-15";

impl Lab {
    /// Carries a call out, which must succeed; the rules that it makes are known by this label. The reply's body.
    pub fn ec2(&mut self, call: &str, label: &str) -> String {
        let query = format!("{SIGNED}&{call}");
        let headers = [("host".to_owned(), "ec2.us-east-1.amazonaws.com".to_owned())];
        let raw = RawRequest { method: "GET", path: "/", query: &query, headers: &headers, body: &[] };
        let call = match Call::parse(&raw, "R-1") {
            Ok(call) => call,
            Err(reply) => fail(&String::from_utf8_lossy(&reply.body)),
        };
        let account = self.account.clone();
        let reply = match must("decode a call", ec2::decode(&call, self.world(), &account)) {
            Operation::Query(query) => ec2::answer(&call, &query, self.world(), &account, Revision::default()),
            Operation::DryRun(_) => fail("a call that is only to be judged does nothing"),
            Operation::Command(command) => {
                let outcome = self.run(&command);
                self.label(&outcome, label);
                ec2::outcome(&call, &outcome, self.world(), &account, Revision::default())
            }
        };
        String::from_utf8_lossy(&reply.body).into_owned()
    }

    /// Peers two VPCs; the connection's id.
    pub fn peer(&mut self, one: &VpcId, other: &VpcId) -> PeeringId {
        let call = format!("Action=CreateVpcPeeringConnection&VpcId={one}&PeerVpcId={other}");
        let told = self.ec2(&call, "");
        let after = told.split_once("<vpcPeeringConnectionId>").and_then(|(_, rest)| rest.split_once('<'));
        let Some((id, _)) = after else { fail(&format!("no connection in {told}")) };
        self.ec2(&format!("Action=AcceptVpcPeeringConnection&VpcPeeringConnectionId={id}"), "");
        PeeringId::from(id)
    }

    /// Moves the VPCs of the lab, which are nowhere, to where calls look for them.
    pub fn settle_in_a_region(&mut self) {
        let vpcs: Vec<Arc<Vpc>> = self.world().vpcs().cloned().collect();
        let moved = vpcs.iter().map(|vpc| Vpc { region: "us-east-1".to_owned(), ..Vpc::clone(vpc) });
        let changes = moved.map(|vpc| Change::PutVpc(Arc::new(vpc))).collect();
        self.change(changes);
    }

    fn label(&mut self, outcome: &Outcome, label: &str) {
        let Outcome::Rules(ids) = outcome else { return };
        for id in ids {
            let group = self.world().rule(id).map(|(group, _)| group.id.clone());
            self.names.labels.extend(group.map(|group| ((group, id.clone()), label.to_owned())));
        }
    }
}
