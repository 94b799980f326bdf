//! Source rules: what is sent from an address looks for its way in a table of its own.
//!
//! A rule outlives the link that its table leads to, so rules are compared with what is wanted as a whole. Only rules
//! that lead to one of the caller's tables are looked at; others in the namespace are somebody's own.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::Range,
};

use futures::StreamExt;
use nix::errno::Errno;
use rtnetlink::{
    IpVersion,
    packet_route::rule::{RuleAction, RuleAttribute, RuleMessage},
};

use super::{Netlink, NetlinkError, sysctl};

/// The order of rules among others: after the kernel's rule for own addresses (0), before its main table (32766).
const PRIORITY: u32 = 1_000;
/// The most rules that are read of a namespace; more are somebody's own.
const RULES_MAX: usize = 4_096;

/// What is sent from an address takes its way from a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourceRule {
    /// The address.
    pub from: IpAddr,
    /// The table.
    pub table: u32,
}

impl Netlink {
    /// Makes the rules that lead to `tables` exactly these.
    ///
    /// # Errors
    /// The first request that the kernel refused.
    pub async fn set_source_rules(&self, tables: Range<u32>, wanted: &[SourceRule]) -> Result<(), NetlinkError> {
        let mut known = Vec::new();
        for message in self.rules().await? {
            match source_rule(&message) {
                Some(rule) if !tables.contains(&rule.table) => {}
                Some(rule) if wanted.contains(&rule) && !known.contains(&rule) => known.push(rule),
                Some(rule) => self.remove_rule(message, rule).await?,
                None => {}
            }
        }
        for rule in wanted.iter().filter(|rule| !known.contains(rule)) {
            self.add_rule(*rule).await?;
        }
        Ok(())
    }

    async fn rules(&self) -> Result<Vec<RuleMessage>, NetlinkError> {
        let mut all = Vec::new();
        let versions = [IpVersion::V4, IpVersion::V6].into_iter().take(if sysctl::has_ipv6() { 2 } else { 1 });
        for version in versions {
            let mut found = Box::pin(self.handle.rule().get(version).execute());
            while let Some(message) = found.next().await {
                all.push(message.map_err(|error| self.error("list the rules".to_owned(), &error))?);
                if all.len() >= RULES_MAX {
                    return Ok(all);
                }
            }
        }
        Ok(all)
    }

    async fn add_rule(&self, rule: SourceRule) -> Result<(), NetlinkError> {
        let request = self.handle.rule().add().table_id(rule.table).priority(PRIORITY).action(RuleAction::ToTable);
        let made = match rule.from {
            IpAddr::V4(from) => request.v4().source_prefix(from, Ipv4Addr::BITS as u8).execute().await,
            IpAddr::V6(from) => request.v6().source_prefix(from, Ipv6Addr::BITS as u8).execute().await,
        };
        let Err(error) = made else { return Ok(()) };
        let error = self.error(format!("set the rule from {} to table {}", rule.from, rule.table), &error);
        if error.errno == Some(Errno::EEXIST) { Ok(()) } else { Err(error) }
    }

    async fn remove_rule(&self, message: RuleMessage, rule: SourceRule) -> Result<(), NetlinkError> {
        let Err(error) = self.handle.rule().del(message).execute().await else { return Ok(()) };
        let error = self.error(format!("remove the rule from {} to table {}", rule.from, rule.table), &error);
        if error.errno == Some(Errno::ENOENT) { Ok(()) } else { Err(error) }
    }
}

/// `None` for a rule of another kind.
fn source_rule(message: &RuleMessage) -> Option<SourceRule> {
    let (mut from, mut table) = (None, u32::from(message.header.table));
    for attribute in &message.attributes {
        if let RuleAttribute::Source(address) = attribute {
            from = Some(*address);
        }
        if let RuleAttribute::Table(number) = attribute {
            table = *number;
        }
    }
    Some(SourceRule { from: from?, table })
}
