//! A cloud in memory: calls go in as text, replies come out as text, and `core` decides in between.
//!
//! Ids are shown as `$1`, `$2`, … in the order in which they first appear in a reply, and may be used in calls.

use sekimori_cloud::{
    RawRequest, Reply,
    ecs::{self, Call, Fault, Operation},
};
use sekimori_core::{
    apply::{State, apply},
    change::Change,
    command::{Command, Context, Outcome},
    diagnosis::MetricResult,
    ids::{AccountId, HostId, IdSource},
    limits::LimitMode,
    time::Timestamp,
    world::{Account, Dialect, Revision, World},
};
use std::sync::Arc;

const SIGNED: &str = "AccessKeyId=k&Signature=s&SignatureMethod=HMAC-SHA1&SignatureVersion=1.0\
    &SignatureNonce=n&Timestamp=2026-11-22T05:12:14Z";
const PREFIXES: [&str; 12] =
    ["vpc-", "vsw-", "sgr-", "sg-", "eni-", "i-", "vrt-", "pl-", "prl-", "sgsp-", "dr-", "fl-"];

pub(crate) struct Estate {
    state: State,
    context: Context,
    account: AccountId,
    revision: Revision,
    applied: Revision,
    ids: Vec<String>,
    /// What the next diagnosis finds.
    findings: Vec<MetricResult>,
}

impl Estate {
    pub(crate) fn new() -> Self {
        let account = AccountId::from("1234567890123456");
        let mut world = World::default();
        for (id, dialect, name) in [(&account, Dialect::Ecs, "own"), (&AccountId::from("2"), Dialect::Ec2, "other")] {
            let created_at = Timestamp(0);
            let new = Account {
                id: id.clone(),
                dialect,
                name: name.to_owned(),
                treatment: None,
                resource_groups: [("rg-1".to_owned(), "one".to_owned())].into_iter().collect(),
                created_at,
            };
            world.apply(&Change::PutAccount(Arc::new(new)));
        }
        let context = Context {
            now: Timestamp(1_544_599_718),
            ids: IdSource::new(7),
            limits: LimitMode::Cloud,
            host: HostId::from("h-1"),
        };
        let revision = Revision::default();
        Self {
            state: State::new(world),
            context,
            account,
            revision,
            applied: revision,
            ids: Vec::new(),
            findings: Vec::new(),
        }
    }

    /// An estate with a VPC `$1`, a vSwitch `$4`, and groups `$5` (basic) and `$6` (enterprise).
    pub(crate) fn furnished() -> Self {
        let mut estate = Self::new();
        estate.call("CreateVpc&Version=2016-04-28&CidrBlock=10.0.0.0/8&EnableIpv6=true");
        let vswitch = "CreateVSwitch&Version=2016-04-28&VpcId=$1&ZoneId=cn-hangzhou-b&CidrBlock=10.1.0.0/24";
        estate.call(&format!("{vswitch}&Ipv6CidrBlock=1&VSwitchName=db"));
        estate.call("CreateSecurityGroup&VpcId=$1&SecurityGroupName=web");
        estate.call("CreateSecurityGroup&VpcId=$1&SecurityGroupName=fort&SecurityGroupType=enterprise");
        estate
    }

    /// Calls as another account.
    pub(crate) fn as_account(&mut self, account: &str) -> &mut Self {
        self.account = AccountId::from(account);
        self
    }

    /// Carries out what no call asks for.
    pub(crate) fn run(&mut self, command: &Command) -> Outcome {
        let applied = apply(&self.state, command, &mut self.context).unwrap();
        self.revision = self.revision.next();
        self.state = applied.state.at(self.revision);
        applied.outcome
    }

    /// The id that is shown as `$n`.
    pub(crate) fn id(&self, place: usize) -> &str {
        &self.ids[place - 1]
    }

    /// The world as it is now.
    pub(crate) fn world(&self) -> &World {
        self.state.world()
    }

    /// Lets diagnoses find this from now on.
    pub(crate) fn find(&mut self, findings: Vec<MetricResult>) {
        self.findings = findings;
    }

    /// As if this many seconds had passed.
    pub(crate) fn wait(&mut self, seconds: i64) {
        self.context.now = Timestamp(self.context.now.0 + seconds);
    }

    /// From now on the kernels enforce what is there.
    pub(crate) fn catch_up(&mut self) {
        self.applied = self.revision;
    }

    /// Calls an operation; JSON is wanted and ECS 2014-05-26 and cn-hangzhou are meant unless it says otherwise.
    pub(crate) fn call(&mut self, query: &str) -> String {
        let mut query = format!("Action={query}");
        for (place, id) in self.ids.iter().enumerate().rev() {
            query = query.replace(&format!("${}", place + 1), id);
        }
        let defaults = [("Version", "2014-05-26"), ("Format", "JSON"), ("RegionId", "cn-hangzhou")];
        for (name, value) in defaults {
            if !query.contains(&format!("&{name}=")) {
                query.push_str(&format!("&{name}={value}"));
            }
        }
        let query = format!("{query}&{SIGNED}");
        let raw = RawRequest { method: "GET", path: "/", query: &query, headers: &[], body: &[] };
        let reply = match Call::parse(&raw, "R") {
            Ok(call) => self.serve(&call),
            Err(reply) => *reply,
        };
        self.shown(&reply)
    }

    fn serve(&mut self, call: &Call) -> Reply {
        match ecs::decode(call, self.state.world(), &self.account) {
            Err(fault) => call.fault(&fault),
            Ok(Operation::Query(query)) => ecs::answer(call, &query, self.state.world(), &self.account, self.applied),
            Ok(Operation::DryRun(command)) => match apply(&self.state, &command, &mut self.context) {
                Err(refusal) => ecs::refused(call, &refusal),
                Ok(_) => call.fault(&Fault::DryRun),
            },
            Ok(Operation::Command(command)) => self.carry_out(call, command),
        }
    }

    fn carry_out(&mut self, call: &Call, mut command: Command) -> Reply {
        if let Some(report) = command.report_mut() {
            report.results.clone_from(&self.findings);
        }
        match apply(&self.state, &command, &mut self.context) {
            Err(refusal) => ecs::refused(call, &refusal),
            Ok(applied) => {
                self.revision = self.revision.next();
                self.state = applied.state.at(self.revision);
                ecs::outcome(call, &applied.outcome, self.state.world(), self.applied)
            }
        }
    }

    /// Success as its body; failure as status, code and message.
    fn shown(&mut self, reply: &Reply) -> String {
        let body = String::from_utf8(reply.body.clone()).unwrap();
        let text = match serde_json::from_str::<serde_json::Value>(&body) {
            Ok(error) if reply.status != 200 => {
                let part = |name: &str| error[name].as_str().unwrap().to_owned();
                format!("{} {} {}", reply.status, part("Code"), part("Message"))
            }
            Ok(_) | Err(_) => body.replace("\"RequestId\":\"R\",", "").replace("\"RequestId\":\"R\"", ""),
        };
        self.learn(&text);
        let shorten = |text: String, (place, id): (usize, &String)| text.replace(id, &format!("${}", place + 1));
        self.ids.iter().enumerate().fold(text, shorten)
    }

    fn learn(&mut self, text: &str) {
        for word in text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-') {
            let is_id = PREFIXES.iter().any(|prefix| word.strip_prefix(prefix).is_some_and(|tail| tail.len() == 20));
            let is_table = word.starts_with("vtb-");
            if (is_id || is_table) && !self.ids.iter().any(|id| id == word) {
                self.ids.push(word.to_owned());
            }
        }
    }
}
