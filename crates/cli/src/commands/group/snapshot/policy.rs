//! `sekimori group snapshot policy`: of which groups snapshots are taken, and for how long they are kept.

use clap::{Args, Subcommand};
use comfy_table::Row;
use sekimori_analysis::{snapshot::Policy, text};
use sekimori_core::snapshot::Retention;
use sekimori_server::api::{AttachSnapshotPolicy, EditSnapshotPolicy, NewSnapshotPolicy, Revised};

use crate::{
    cli::Common,
    client::{Client, path_part},
    exit::{Answer, Outcome},
    output::{self, NONE, Page},
};

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Make a policy; it is attached to no group yet
    Create(CreateArgs),
    /// List the policies with their groups
    #[command(after_help = "Example:\n  sekimori group snapshot policy list")]
    List,
    /// Change the name, the retention, or whether a policy is on
    Set(SetArgs),
    /// Attach a policy to groups, at most 10, and take a snapshot of each at once
    #[command(after_help = "Example:\n  sekimori group snapshot policy attach sgsp-0a1b2c sg-web sg-db")]
    Attach(AttachArgs),
    /// Detach a policy from groups; their snapshots stay
    #[command(after_help = "Example:\n  sekimori group snapshot policy detach sgsp-0a1b2c sg-web")]
    Detach(AttachArgs),
    /// Delete a policy; the snapshots stay for as long as they were to be kept
    #[command(after_help = "Example:\n  sekimori group snapshot policy delete sgsp-0a1b2c")]
    Delete(PolicyArgs),
}

/// The arguments of `create`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sekimori group snapshot policy create weekly --retention-days 7")]
pub(crate) struct CreateArgs {
    /// A name for people
    name: String,
    /// For how many days each snapshot is kept, 1 to 30
    #[arg(long, value_name = "DAYS", default_value = "1", value_parser = retention)]
    retention_days: Retention,
    /// Make it turned off
    #[arg(long)]
    off: bool,
    /// Whose it is, if there are several accounts
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<String>,
}

/// The arguments of `set`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sekimori group snapshot policy set sgsp-0a1b2c --retention-days 30\n  \
                        sekimori group snapshot policy set sgsp-0a1b2c --enabled false")]
pub(crate) struct SetArgs {
    /// The policy (sgsp-…)
    policy: String,
    /// A new name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// For how many days snapshots are kept that are taken from now on, 1 to 30
    #[arg(long, value_name = "DAYS", value_parser = retention)]
    retention_days: Option<Retention>,
    /// Whether snapshots are taken by it from now on
    #[arg(long, value_name = "BOOL")]
    enabled: Option<bool>,
}

/// A policy and groups.
#[derive(Args, Debug)]
pub(crate) struct AttachArgs {
    /// The policy (sgsp-…)
    policy: String,
    /// The groups (sg-…)
    #[arg(required = true, value_name = "GROUP")]
    groups: Vec<String>,
}

/// A policy.
#[derive(Args, Debug)]
pub(crate) struct PolicyArgs {
    /// The policy (sgsp-…)
    policy: String,
}

fn retention(text: &str) -> Result<Retention, String> {
    let days: Result<u8, _> = text.parse();
    Retention::try_from(days.map_err(|_| format!("`{text}` is not a number of days; use 1 to 30"))?)
}

/// Does what is ordered.
pub(crate) fn run(common: &Common, client: &Client, command: PolicyCommand) -> Outcome {
    let policies: Vec<Policy> = match command {
        PolicyCommand::Create(args) => vec![create(client, args)?],
        PolicyCommand::List => client.get("/v1/snapshot-policies", &[])?,
        PolicyCommand::Set(args) => vec![set(client, args)?],
        PolicyCommand::Attach(args) => vec![attach(client, args, true)?],
        PolicyCommand::Detach(args) => vec![attach(client, args, false)?],
        PolicyCommand::Delete(args) => return delete(common, client, &args),
    };
    output::show(common.output, &policies, |policies| page(policies))?;
    Ok(Answer::Yes)
}

fn path(policy: &str) -> String {
    format!("/v1/snapshot-policies/{}", path_part(policy))
}

fn create(client: &Client, args: CreateArgs) -> anyhow::Result<Policy> {
    let CreateArgs { name, retention_days, off, account } = args;
    let new = NewSnapshotPolicy { account: account.map(Into::into), name, retention_days, enabled: !off };
    client.post("/v1/snapshot-policies", &new)
}

fn set(client: &Client, args: SetArgs) -> anyhow::Result<Policy> {
    let SetArgs { policy, name, retention_days, enabled } = args;
    client.put(&path(&policy), &EditSnapshotPolicy { name, retention_days, enabled })
}

fn attach(client: &Client, args: AttachArgs, attached: bool) -> anyhow::Result<Policy> {
    let groups = args.groups.into_iter().map(Into::into).collect();
    client.put(&format!("{}/groups", path(&args.policy)), &AttachSnapshotPolicy { groups, attached })
}

fn delete(common: &Common, client: &Client, args: &PolicyArgs) -> Outcome {
    let revised: Revised = client.delete(&path(&args.policy), &[])?;
    let page = |revised: &Revised| {
        Page::default().line(format!("{} is deleted, revision {}", args.policy, revised.revision))
    };
    output::show(common.output, &revised, page)?;
    Ok(Answer::Yes)
}

fn page(policies: &[Policy]) -> Page {
    let row = |policy: &Policy| {
        let groups: Vec<String> =
            policy.groups.iter().map(|group| text::named(group.id.as_str(), &group.name)).collect();
        Row::from(vec![
            policy.id.to_string(),
            policy.name.clone(),
            if policy.enabled { "on" } else { "off" }.to_owned(),
            format!("{} d", policy.retention_days.days()),
            if groups.is_empty() { NONE.to_owned() } else { groups.join(", ") },
        ])
    };
    let if_empty = "no snapshot policies; make one with `sekimori group snapshot policy create`";
    Page::default().table(&["POLICY", "NAME", "STATE", "KEPT", "GROUPS"], policies.iter().map(row), if_empty)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use sekimori_analysis::effective::GroupName;
    use sekimori_core::time::Timestamp;

    use super::*;

    #[test]
    fn policies_are_shown_with_their_groups() {
        let mut policy = Policy {
            id: "sgsp-1".into(),
            account: "1".into(),
            name: "weekly".to_owned(),
            enabled: true,
            retention_days: retention("7").unwrap(),
            groups: vec![GroupName { id: "sg-1".into(), name: "web".to_owned() }],
            created_at: Timestamp(0),
        };
        let on = policy.clone();
        policy.enabled = false;
        policy.groups.clear();
        expect![[r#"
            POLICY  NAME    STATE  KEPT  GROUPS
            sgsp-1  weekly  on     7 d   sg-1 (web)
            sgsp-1  weekly  off    7 d   -
        "#]]
        .assert_eq(&page(&[on, policy]).plain());
        assert!(retention("31").unwrap_err().contains("use 1 to 30 days") && retention("x").is_err());
    }
}
