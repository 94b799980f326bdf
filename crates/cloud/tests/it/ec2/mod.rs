//! A cloud of EC2 in memory: calls go in as text, replies come out as text, and `core` decides in between.
//!
//! Ids are shown as `$1`, `$2`, … in the order in which they first appear in a reply, and may be used in calls.

mod associations;
mod attributes;
mod auth;
mod edits;
mod flow_logs;
mod groups;
mod insights;
mod instances;
mod interfaces;
mod network;
mod network_acls;
mod paging;
mod peerings;
mod prefix_lists;
mod surroundings;
mod tags;

use std::sync::Arc;

use expect_test::Expect;
use sekimori_cloud::{
    RawRequest, Reply,
    api::Trouble,
    ec2::{self, Call, Fault, Operation},
};
use sekimori_core::{
    apply::{State, apply},
    change::Change,
    command::Context,
    ids::{AccountId, HostId, IdSource},
    limits::LimitMode,
    time::Timestamp,
    world::{Account, Dialect, Revision, World},
};

const SIGNED: &str = "AWSAccessKeyId=AKIA1&Signature=s&SignatureMethod=HmacSHA256&SignatureVersion=2\
    &Timestamp=2026-11-22T05:12:14Z";
const PREFIXES: [&str; 14] =
    ["vpc-", "subnet-", "sgr-", "sg-", "eni-", "i-", "r-", "pl-", "pcx-", "fl-", "nip-", "nia-", "aclassoc-", "acl-"];
const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>";
const OWN: &str = "123456789012";

struct Estate {
    state: State,
    context: Context,
    account: AccountId,
    applied: Revision,
    region: &'static str,
    ids: Vec<String>,
}

impl Estate {
    fn new() -> Self {
        let mut world = World::default();
        for (id, dialect) in [(OWN, Dialect::Ec2), ("210987654321", Dialect::Ec2), ("1234567890123456", Dialect::Ecs)]
        {
            let new = Account {
                id: id.into(),
                dialect,
                name: id.to_owned(),
                treatment: None,
                resource_groups: Default::default(),
                created_at: Timestamp(0),
            };
            world.apply(&Change::PutAccount(Arc::new(new)));
        }
        let context = Context {
            now: Timestamp(1_544_599_718),
            ids: IdSource::new(7),
            limits: LimitMode::Cloud,
            host: HostId::from("h-1"),
        };
        let (account, applied) = (AccountId::from(OWN), Revision::default());
        Self { state: State::new(world), context, account, applied, region: "us-east-1", ids: Vec::new() }
    }

    /// An estate with a VPC `$1`, a subnet `$2`, and a group `$3` called `web`; `$4` is the VPC's default group.
    fn furnished() -> Self {
        let mut estate = Self::new();
        estate.succeed("Action=CreateVpc&CidrBlock=10.0.0.0/16&AmazonProvidedIpv6CidrBlock=true");
        estate.succeed("Action=CreateSubnet&VpcId=$1&CidrBlock=10.0.1.0/24");
        estate.succeed("Action=CreateSecurityGroup&GroupName=web&GroupDescription=w&VpcId=$1");
        estate.succeed("Action=DescribeSecurityGroups&Filter.1.Name=group-name&Filter.1.Value.1=default");
        estate
    }

    /// Carries a call out, and shows the reply without what every reply has.
    fn told(&mut self, call: &str) -> String {
        let mut call = call.to_owned();
        for (number, id) in self.ids.iter().enumerate().rev() {
            call = call.replace(&format!("${}", number + 1), id);
        }
        let version = if call.contains("GetCallerIdentity") { "2011-06-15" } else { "2016-11-15" };
        let query = format!("{SIGNED}&Version={version}&{call}");
        let headers = [("host".to_owned(), format!("ec2.{}.amazonaws.com", self.region))];
        let raw = RawRequest { method: "GET", path: "/", query: &query, headers: &headers, body: &[] };
        let reply = self.reply(&raw);
        let text = String::from_utf8(reply.body).unwrap();
        self.learn(&text);
        let mut text = text.replace(HEAD, "").replace(" xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"", "");
        text = text.replace("<requestId>R-1</requestId>", "").replace("<RequestID>R-1</RequestID>", "");
        let mut known: Vec<(usize, &String)> = self.ids.iter().enumerate().collect();
        known.sort_by_key(|(_, id)| std::cmp::Reverse(id.len()));
        for (number, id) in known {
            text = text.replace(id.as_str(), &format!("${}", number + 1));
        }
        format!("{} {text}", reply.status)
    }

    fn reply(&mut self, raw: &RawRequest<'_>) -> Reply {
        let call = match Call::parse(raw, "R-1") {
            Ok(call) => call,
            Err(reply) => return *reply,
        };
        match ec2::decode(&call, self.state.world(), &self.account) {
            Err(fault) => call.fault(&fault),
            Ok(Operation::Query(query)) => {
                ec2::answer(&call, &query, self.state.world(), &self.account, self.applied)
            }
            Ok(Operation::DryRun(command)) => call.fault(&match apply(&self.state, &command, &mut self.context) {
                Ok(_) => Trouble::DryRun.into(),
                Err(refusal) => Fault::Trouble(Trouble::Refused(refusal)),
            }),
            Ok(Operation::Command(command)) => match apply(&self.state, &command, &mut self.context) {
                Err(refusal) => call.fault(&Trouble::Refused(refusal).into()),
                Ok(applied) => {
                    self.state = applied.state.at(self.state.world().revision().next());
                    // Things are made one after the other, so that their order is that of the calls.
                    self.context.now = Timestamp(self.context.now.0 + 1);
                    ec2::outcome(&call, &applied.outcome, self.state.world(), &self.account, self.applied)
                }
            },
        }
    }

    /// Gives every new id of a reply a number.
    fn learn(&mut self, text: &str) {
        for word in text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')) {
            let is_id = PREFIXES.iter().any(|prefix| {
                let tail = word.strip_prefix(prefix).unwrap_or_default();
                tail.len() == 17 && tail.bytes().all(|byte| byte.is_ascii_hexdigit())
            });
            if is_id && !self.ids.iter().any(|id| id == word) {
                self.ids.push(word.to_owned());
            }
        }
    }

    fn succeed(&mut self, call: &str) -> String {
        let told = self.told(call);
        assert!(told.starts_with("200 "), "{call}: {told}");
        told
    }

    fn check(&mut self, call: &str, expected: &Expect) {
        expected.assert_eq(&self.told(call));
    }

    /// Each call must be refused, with this code and message, and change nothing.
    fn refused(&mut self, calls: &str, expected: &Expect) {
        let before = self.state.world().revision();
        let mut lines = String::new();
        for call in calls.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let told = self.told(call);
            let part = |name: &str| {
                let rest = told.split(&format!("<{name}>")).nth(1).unwrap_or_default();
                rest.split(&format!("</{name}>")).next().unwrap_or_default().to_owned()
            };
            lines.push_str(&format!("{} {}: {}\n", &told[..3], part("Code"), part("Message")));
        }
        assert_eq!(self.state.world().revision(), before);
        expected.assert_eq(&lines);
    }
}
