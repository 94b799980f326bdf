//! Remedies: what takes a finding away, as commands, with exactly the packets that pass no longer.
//!
//! A remedy is tried on a copy of the world, and the control is asked again there: what is proposed takes the finding away, or it is not
//! proposed. A rule is replaced by one for fewer peers of the same family, so a restriction opens nothing; where it would, as a group whose
//! members have addresses that the rule did not name, that is told, and done only if it is meant.

mod difference;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use serde::{Deserialize, Serialize};

use sekimori_core::{
    address::{Cidr, Family},
    command::{AclCommand, Command, NewRule, Revocation},
    ids::{GroupId, NetworkAclId, RuleId},
    limits::LimitMode,
    network_acl::AclEntry,
    rule::{Direction, Peer, Rule},
    space::TooComplex,
    world::{Group, Revision, World},
};

pub use self::difference::Change;
use super::{Cause, ComplyError, Finding, Mode, Question, check, network, table, words};
use crate::{text, trial::Trial};

/// How often a remedy is looked at again for rules that say what the replaced ones said.
const ROUNDS_MAX: usize = 32;

/// What is to be remedied, and how: one of `delete`, `restrict_to` and `to_caller`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The finding: `EC2.18/sg-1`.
    pub finding: String,
    /// How the rules were read.
    #[serde(default)]
    pub mode: Mode,
    /// The parameters of the control.
    #[serde(default)]
    pub parameters: Vec<String>,
    /// Only these rules; none is all that cause the finding.
    #[serde(default)]
    pub rules: Vec<RuleId>,
    /// Deletes what causes it.
    #[serde(default)]
    pub delete: bool,
    /// An address, a block or a group: who is let in instead of everyone.
    #[serde(default)]
    pub restrict_to: Option<String>,
    /// Lets in the address that the request comes from instead of everyone.
    #[serde(default)]
    pub to_caller: bool,
    /// Also if it opens something.
    #[serde(default)]
    pub accept_gain: bool,
    /// Shows it and changes nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// Only while the world is at this revision: the one at which it was shown.
    #[serde(default)]
    pub at: Option<Revision>,
}

/// A remedy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The finding.
    pub finding: Finding,
    /// Rules and entries that go, in words.
    pub removed: Vec<String>,
    /// Rules and entries that come in their place.
    pub added: Vec<String>,
    /// The packets that are lost and gained, policy by policy.
    pub changes: Vec<Change>,
    /// The same in the words of the cloud's command line.
    pub words: Vec<String>,
    /// What is still wrong then: something only where single rules were named.
    pub remaining: Vec<Cause>,
    /// What is to be carried out, all or nothing.
    #[serde(skip)]
    pub commands: Vec<Command>,
}

impl Plan {
    /// Whether packets would pass that do not pass now.
    #[must_use]
    pub fn opens(&self) -> bool {
        self.changes.iter().any(|change| !change.gained.is_empty())
    }
}

/// Why there is no remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FixError {
    /// The question makes no sense.
    #[error(transparent)]
    Question(#[from] ComplyError),
    /// The name of a finding has two parts.
    #[error("`{0}` is not a finding; write CONTROL/RESOURCE, for example EC2.18/sg-1")]
    NoFinding(String),
    /// There is nothing to remedy.
    #[error("`{0}` complies, so there is nothing to fix; ask `sekimori comply` again")]
    Complies(String),
    /// What was asked for is not one remedy.
    #[error("say one of --to-address, --restrict-to and --delete")]
    Which,
    /// The caller has no address of his own.
    #[error(
        "the request comes from `{0}`, the server's own host, so your address is not known; name it: --to-address ADDRESS"
    )]
    Caller(String),
    /// What it should be restricted to is nobody, or everybody.
    #[error("{0}")]
    Target(String),
    /// No command takes it away.
    #[error("{finding} is not taken away by changing rules: {remedy}")]
    ByHand {
        /// The finding.
        finding: String,
        /// What to do.
        remedy: String,
    },
    /// The remedy does not help.
    #[error("that would not take {finding} away: {rest} would still be wrong; {remedy}")]
    NotEnough {
        /// The finding.
        finding: String,
        /// What would still be wrong.
        rest: String,
        /// What to do.
        remedy: String,
    },
    /// A named rule does not cause it.
    #[error("rule `{rule}` does not cause {finding}; its causes are {known}")]
    Rule {
        /// The rule.
        rule: RuleId,
        /// The finding.
        finding: String,
        /// Rules that do.
        known: String,
    },
    /// The server's own refusal.
    #[error("{0}")]
    Refused(String),
    /// The packets are too many pieces.
    #[error(transparent)]
    TooComplex(#[from] TooComplex),
}

/// What becomes of a rule.
enum Remedy {
    Delete,
    Restrict(Peer),
}

/// Plans a remedy. `caller` is where the request comes from.
///
/// # Errors
/// Says why there is none, and what to do.
pub fn plan(world: &World, limits: LimitMode, request: &Request, caller: Option<IpAddr>) -> Result<Plan, FixError> {
    let (control, resource) =
        request.finding.split_once('/').ok_or_else(|| FixError::NoFinding(request.finding.clone()))?;
    let question = Question {
        rules: vec![control.to_owned()],
        mode: request.mode,
        parameters: request.parameters.clone(),
        resource: Some(resource.to_owned()),
        ..Question::default()
    };
    let finding = asked(world, &question)?.ok_or_else(|| FixError::Complies(request.finding.clone()))?;
    let remedy = remedy(world, request, caller)?;
    let mut work =
        Work { world, request, question: &question, remedy, trial: Trial::of(world, limits), made: Made::default() };
    work.run(&finding)?;
    work.into_plan(finding)
}

fn asked(world: &World, question: &Question) -> Result<Option<Finding>, FixError> {
    let report = check(world, question)?;
    if !report.unjudged.is_empty() {
        return Err(TooComplex.into());
    }
    Ok(report.findings.into_iter().next())
}

/// The one remedy that a request asks for.
fn remedy(world: &World, request: &Request, caller: Option<IpAddr>) -> Result<Remedy, FixError> {
    match (request.delete, &request.restrict_to, request.to_caller) {
        (true, None, false) => Ok(Remedy::Delete),
        (false, Some(target), false) => Ok(Remedy::Restrict(target_of(world, target)?)),
        (false, None, true) => {
            let own = caller.filter(|address| !address.is_loopback() && !address.is_unspecified());
            let told = || caller.map_or_else(|| "nowhere".to_owned(), |address| address.to_string());
            let own = own.ok_or_else(|| FixError::Caller(told()))?;
            Ok(Remedy::Restrict(Peer::Cidr(Cidr::from(ipnet::IpNet::from(own.to_canonical())))))
        }
        _ => Err(FixError::Which),
    }
}

fn target_of(world: &World, text: &str) -> Result<Peer, FixError> {
    if let Some(group) = world.group(&GroupId::from(text)) {
        return Ok(Peer::Group { group: group.id.clone(), account: group.account.clone() });
    }
    let cidr: Cidr = text.parse().map_err(|_| {
        FixError::Target(format!("`{text}` is no address, block or security group; write 192.0.2.0/24 or sg-1"))
    })?;
    if cidr.is_world() {
        return Err(FixError::Target(format!(
            "`{text}` is the whole world, which restricts nothing; name a smaller block"
        )));
    }
    Ok(Peer::Cidr(cidr.canonical()))
}

/// What has been done on the copy.
#[derive(Default)]
struct Made {
    commands: Vec<Command>,
    removed_rules: BTreeMap<RuleId, Rule>,
    added_rules: Vec<NewRule>,
    /// Entries as they were, with what takes their place.
    entries: BTreeMap<u16, (AclEntry, Option<AclEntry>)>,
    is_group_gone: bool,
}

struct Work<'a> {
    world: &'a World,
    request: &'a Request,
    question: &'a Question,
    remedy: Remedy,
    trial: Trial,
    made: Made,
}

impl Work<'_> {
    /// Changes the copy until the control is content, or nothing more can be changed.
    fn run(&mut self, finding: &Finding) -> Result<(), FixError> {
        self.check_named(finding)?;
        let mut rest = Some(finding.clone());
        for _ in 0..ROUNDS_MAX {
            let Some(finding) = rest else { return Ok(()) };
            let commands = self.commands(&finding)?;
            if commands.is_empty() {
                return self.not_enough(&finding);
            }
            for command in commands {
                self.trial.run(&command).map_err(FixError::Refused)?;
                self.made.commands.push(command);
            }
            if !self.request.rules.is_empty() || self.made.is_group_gone {
                return Ok(());
            }
            rest = asked(self.trial.world(), self.question)?;
        }
        rest.map_or(Ok(()), |finding| self.not_enough(&finding))
    }

    fn check_named(&self, finding: &Finding) -> Result<(), FixError> {
        let causing: BTreeSet<&RuleId> = finding.causes.iter().filter_map(|cause| cause.rule.as_ref()).collect();
        let stranger = self.request.rules.iter().find(|rule| !causing.contains(rule));
        let known = || causing.iter().map(|rule| rule.as_str()).collect::<Vec<_>>().join(", ");
        stranger.map_or(Ok(()), |rule| {
            Err(FixError::Rule { rule: rule.clone(), finding: finding.id.clone(), known: known() })
        })
    }

    fn not_enough(&self, finding: &Finding) -> Result<(), FixError> {
        let remedy = table::find(&finding.control).map(|control| control.remediation).unwrap_or_default().to_owned();
        let finding_id = finding.id.clone();
        if self.made.commands.is_empty() {
            return Err(FixError::ByHand { finding: finding_id, remedy });
        }
        let rest = finding.causes.iter().map(|cause| cause.text.as_str()).collect::<Vec<_>>().join("; ");
        Err(FixError::NotEnough { finding: finding_id, rest, remedy })
    }

    /// What to do about the causes of a finding.
    fn commands(&mut self, finding: &Finding) -> Result<Vec<Command>, FixError> {
        let id = finding.resource.id.as_str();
        if let Some(group) = self.trial.world().group(&GroupId::from(id)).cloned() {
            let is_chosen = |rule: &&RuleId| self.request.rules.is_empty() || self.request.rules.contains(rule);
            let causing: Vec<RuleId> =
                finding.causes.iter().filter_map(|cause| cause.rule.as_ref()).filter(is_chosen).cloned().collect();
            if causing.is_empty() && finding.control == "EC2.22" && matches!(self.remedy, Remedy::Delete) {
                self.made.is_group_gone = true;
                return Ok(vec![Command::DeleteGroup { account: group.account.clone(), group: group.id.clone() }]);
            }
            return self.of_rules(&group, &causing);
        }
        let numbers: Vec<u16> = finding.causes.iter().filter_map(|cause| cause.entry).collect();
        self.of_entries(&NetworkAclId::from(id), &numbers)
    }

    fn of_rules(&mut self, group: &Group, causing: &[RuleId]) -> Result<Vec<Command>, FixError> {
        let rules: Vec<&Rule> = causing.iter().filter_map(|id| group.rules.get(id)).map(|rule| &**rule).collect();
        let mut added: Vec<NewRule> = Vec::new();
        for rule in &rules {
            let Some(new) = self.replaced(rule)? else { continue };
            let is_there = group.rules.values().any(|own| own.spec == new.spec);
            if !is_there && !added.iter().any(|other| other.spec == new.spec) {
                added.push(new);
            }
        }
        let (account, group) = (group.account.clone(), group.id.clone());
        let mut commands = Vec::new();
        for direction in [Direction::Ingress, Direction::Egress] {
            let ids = rules.iter().filter(|rule| rule.spec.direction == direction).map(|rule| rule.id.clone());
            let rules = Revocation::Ids(ids.collect());
            if rules != Revocation::Ids(Vec::new()) {
                commands.push(Command::Revoke { account: account.clone(), group: group.clone(), direction, rules });
            }
        }
        // Ingress and egress are two requests in EC2.
        for direction in [Direction::Ingress, Direction::Egress] {
            let rules = added.iter().filter(|rule| rule.spec.direction == direction).cloned();
            let rules: Vec<NewRule> = rules.collect();
            if !rules.is_empty() {
                commands.push(Command::Authorize { account: account.clone(), group: group.clone(), rules });
            }
        }
        self.made.removed_rules.extend(rules.iter().map(|rule| (rule.id.clone(), Rule::clone(rule))));
        self.made.added_rules.extend(added);
        Ok(commands)
    }

    /// What takes the place of a rule; nothing where it is deleted.
    fn replaced(&self, rule: &Rule) -> Result<Option<NewRule>, FixError> {
        let Remedy::Restrict(peer) = &self.remedy else { return Ok(None) };
        if !is_of_family(peer, self.family_of(&rule.spec.peer)) {
            return self.check_family(peer).map(|()| None);
        }
        if rule.spec.peer == *peer {
            let peer = text::peer(self.world, peer);
            let text = format!("`{peer}` does not take {} away; name fewer addresses", self.request.finding);
            return Err(FixError::Target(text));
        }
        let mut spec = rule.spec.clone();
        spec.peer = peer.clone();
        Ok(Some(NewRule { spec, description: rule.description.clone(), tags: rule.tags.clone() }))
    }

    /// An IPv6 rule is deleted when it is restricted to an IPv4 address beside a rule that is not: that is a mistake only
    /// where no rule is restricted to it.
    fn check_family(&self, peer: &Peer) -> Result<(), FixError> {
        let Peer::Cidr(cidr) = peer else { return Ok(()) };
        let is_some_replaced = |finding: &Finding| {
            let families = finding.causes.iter().filter_map(|cause| self.cause_family(cause, finding));
            families.flatten().any(|family| family == cidr.family())
        };
        let finding = asked(self.world, self.question)?;
        if finding.as_ref().is_some_and(is_some_replaced) {
            return Ok(());
        }
        let text = format!(
            "`{cidr}` is of the other family than the rule, so nobody would be let in; name an address of its family, or delete it"
        );
        Err(FixError::Target(text))
    }

    /// The family of the peers of a cause; nothing for both.
    fn cause_family(&self, cause: &Cause, finding: &Finding) -> Option<Option<Family>> {
        let id = finding.resource.id.as_str();
        if let Some(rule) = &cause.rule {
            let rule = self.world.group(&GroupId::from(id))?.rules.get(rule)?;
            return Some(self.family_of(&rule.spec.peer));
        }
        let entry = self.world.network_acl(&NetworkAclId::from(id))?.entry(Direction::Ingress, cause.entry?)?;
        Some(network::entry_family(entry))
    }

    fn family_of(&self, peer: &Peer) -> Option<Family> {
        match peer {
            Peer::Cidr(cidr) => Some(cidr.family()),
            Peer::PrefixList(id) => self.world.prefix_list(id).map(|list| list.family),
            Peer::Group { .. } => None,
        }
    }

    fn of_entries(&mut self, id: &NetworkAclId, numbers: &[u16]) -> Result<Vec<Command>, FixError> {
        let Some(acl) = self.trial.world().network_acl(id).cloned() else { return Ok(Vec::new()) };
        let mut commands = Vec::new();
        for entry in numbers.iter().filter_map(|number| acl.entry(Direction::Ingress, *number)) {
            let restricted = match &self.remedy {
                Remedy::Delete => None,
                Remedy::Restrict(Peer::Group { .. } | Peer::PrefixList(_)) => {
                    let text = "an entry of a network ACL names a block; restrict it to an address or a range";
                    return Err(FixError::Target(text.to_owned()));
                }
                Remedy::Restrict(peer) if is_of_family(peer, network::entry_family(entry)) => {
                    let mut spec = entry.spec.clone();
                    spec.peer = peer.clone();
                    Some(AclEntry { number: entry.number, spec })
                }
                Remedy::Restrict(peer) => {
                    self.check_family(peer)?;
                    None
                }
            };
            let command = match &restricted {
                Some(entry) => AclCommand::PutEntry { acl: acl.id.clone(), entry: entry.clone(), is_new: false },
                None => AclCommand::DeleteEntry {
                    acl: acl.id.clone(),
                    direction: Direction::Ingress,
                    number: entry.number,
                },
            };
            commands.push(Command::NetworkAcl { account: acl.account.clone(), command });
            self.made.entries.insert(entry.number, (entry.clone(), restricted));
        }
        Ok(commands)
    }

    fn into_plan(self, finding: Finding) -> Result<Plan, FixError> {
        let after = self.trial.world();
        let is_partial = !self.request.rules.is_empty();
        let remaining = if is_partial { asked(after, self.question)? } else { None };
        let (removed, added, words) = self.told(&finding);
        let changes = difference::of(self.world, after, &finding.resource.id)?;
        Ok(Plan {
            finding,
            removed,
            added,
            changes,
            words,
            remaining: remaining.map(|finding| finding.causes).unwrap_or_default(),
            commands: self.made.commands,
        })
    }

    /// What goes, what comes, and the words of the command line.
    fn told(&self, finding: &Finding) -> (Vec<String>, Vec<String>, Vec<String>) {
        let id = finding.resource.id.as_str();
        if let Some(group) = self.world.group(&GroupId::from(id)) {
            if self.made.is_group_gone {
                let name = text::named(id, &group.name);
                return (vec![format!("group {name}")], Vec::new(), vec![words::deleted_group(group)]);
            }
            let removed: Vec<&Rule> =
                self.made.removed_rules.values().filter(|rule| group.rules.contains_key(&rule.id)).collect();
            let said = |rule: &NewRule| text::spec(self.world, group.flavor, &rule.spec);
            let words = words::of_rules(self.world, group, &self.made.added_rules, &removed);
            let gone = removed.iter().map(|rule| text::rule_of(self.world, &group.id, &rule.id)).collect();
            return (gone, self.made.added_rules.iter().map(said).collect(), words);
        }
        let (mut removed, mut added, mut words) = (Vec::new(), Vec::new(), Vec::new());
        let said = |entry: &AclEntry| {
            let said = text::spec(self.world, sekimori_core::world::Flavor::Ec2, &entry.spec);
            format!("entry {} of {id}: {said}", entry.number)
        };
        let Some(acl) = self.world.network_acl(&NetworkAclId::from(id)) else { return (removed, added, words) };
        for (before, after) in self.made.entries.values() {
            removed.push(said(before));
            added.extend(after.as_ref().map(said));
            words.push(match after {
                Some(after) => words::replaced_entry(acl, after),
                None => words::deleted_entry(acl, before),
            });
        }
        (removed, added, words)
    }
}

/// Whether a peer stands for addresses of a family; a group stands for both.
fn is_of_family(peer: &Peer, family: Option<Family>) -> bool {
    match (peer, family) {
        (Peer::Cidr(cidr), Some(family)) => cidr.family() == family,
        (Peer::Cidr(_), None) | (Peer::Group { .. } | Peer::PrefixList(_), _) => true,
    }
}
