//! `sekimori group`: what the cloud's API has no operation for. Protecting a group from deletion, giving it to a
//! cloud product to manage, and deleting one together with what uses it; and what a console does with groups, one file
//! per subcommand.

mod attach;
mod clone;
pub(super) mod files;
mod preset;
mod snapshot;

use clap::{Args, Subcommand};
use comfy_table::{Cell, Row};
use sekimori_server::api::{RemovedGroup, RemovedRule, Revised, SetProtection};

use super::interface::manage;
use crate::{
    changing::{Changing, Trying, seconds},
    cli::Common,
    client::{Client, path_part},
    exit::{Answer, Outcome},
    output::{self, Page},
};

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum GroupCommand {
    /// Protect a group from deletion, by the API and by force
    #[command(after_help = "Example:\n  sekimori group protect sg-0a1b2c")]
    Protect(GroupArgs),
    /// Take the protection from deletion off
    #[command(after_help = "Example:\n  sekimori group unprotect sg-0a1b2c")]
    Unprotect(GroupArgs),
    /// Let a cloud product manage a group: its owner looks at it and changes nothing
    Manage(ManageArgs),
    /// Give a managed group back to its owner
    #[command(after_help = "Example:\n  sekimori group unmanage sg-0a1b2c")]
    Unmanage(GroupArgs),
    /// Delete a group; with --force, first the rules that name it and its memberships
    Delete(DeleteArgs),
    /// Let instances join the groups that have the same tag
    AttachByTag(attach::AttachArgs),
    /// Make a group like another one, here or in another VPC or region
    Clone(clone::CloneArgs),
    /// Write the rules of a group to a file
    Export(files::ExportArgs),
    /// Add the rules of a file to a group, with a preview
    Import(files::ImportArgs),
    /// Add the rules of a common purpose: web, ssh, mysql, ping and others
    Preset(preset::PresetArgs),
    /// Snapshots of rules: policies, what each holds, and going back to one
    #[command(subcommand)]
    Snapshot(snapshot::SnapshotCommand),
}

/// A group.
#[derive(Args, Debug)]
pub(crate) struct GroupArgs {
    /// The group (sg-…)
    #[arg(value_name = "GROUP")]
    group: String,
}

/// The arguments of `manage`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sekimori group manage sg-0a1b2c --service 1234567890")]
pub(crate) struct ManageArgs {
    /// The group (sg-…)
    #[arg(value_name = "GROUP")]
    group: String,
    /// The number of the product, shown as `ServiceID`
    #[arg(long, value_name = "NUMBER")]
    service: u64,
}

/// The arguments of `delete`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sekimori group delete sg-0a1b2c\n  sekimori group delete --force sg-0a1b2c\n  \
                        sekimori group delete --force --dry-run sg-0a1b2c\n  sekimori group delete --force --confirm-within 60s sg-0a1b2c")]
pub(crate) struct DeleteArgs {
    /// The group (sg-…)
    #[arg(value_name = "GROUP")]
    group: String,
    /// Take away the rules that name it and its memberships first, all in one change, even if that cuts the connection to the server
    #[arg(long)]
    force: bool,
    /// Roll it back unless it is confirmed in time: 60s, 10m, 2h
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    confirm_within: Option<u32>,
    /// Show what passes and is dropped otherwise, and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// Does what is ordered.
pub(crate) fn run(common: &Common, command: GroupCommand) -> Outcome {
    let client = Client::connect(common)?;
    match command {
        GroupCommand::Protect(args) => protect(common, &client, &args.group, true),
        GroupCommand::Unprotect(args) => protect(common, &client, &args.group, false),
        GroupCommand::Manage(args) => manage(common, &client, ("groups", &args.group), Some(args.service)),
        GroupCommand::Unmanage(args) => manage(common, &client, ("groups", &args.group), None),
        GroupCommand::Delete(args) => delete(common, &client, &args),
        GroupCommand::AttachByTag(args) => attach::run(common, &client, args),
        GroupCommand::Clone(args) => clone::run(common, &client, args),
        GroupCommand::Export(args) => files::export(common, &client, args),
        GroupCommand::Import(args) => files::import(common, &client, args),
        GroupCommand::Preset(args) => preset::run(common, &client, args),
        GroupCommand::Snapshot(command) => snapshot::run(common, &client, command),
    }
}

fn protect(common: &Common, client: &Client, group: &str, is_protected: bool) -> Outcome {
    let path = format!("/v1/groups/{}/protection", path_part(group));
    let revised: Revised = client.put(&path, &SetProtection { is_protected })?;
    let state = if is_protected { "protected from deletion" } else { "not protected from deletion" };
    output::state(common.output, group, state, &revised)?;
    Ok(Answer::Yes)
}

fn delete(common: &Common, client: &Client, args: &DeleteArgs) -> Outcome {
    let DeleteArgs { group, force, confirm_within, dry_run } = args;
    let trying = Trying { confirm_within: *confirm_within, force: *force };
    let changing = Changing { trying, dry_run: *dry_run };
    let path = format!("/v1/groups/{}", path_part(group));
    changing.make((common, client), ("DELETE", &path), None::<&()>, page)?;
    Ok(Answer::Yes)
}

fn page(removed: &RemovedGroup) -> Page {
    let rule = |rule: &RemovedRule| ["rule".to_owned(), format!("{} of {}", rule.rule, rule.group)];
    let member = |eni: &sekimori_core::ids::EniId| ["membership".to_owned(), eni.to_string()];
    let rows = removed.rules.iter().map(rule).chain(removed.enis.iter().map(member));
    let rows: Vec<Row> = rows.map(|cells| Row::from(cells.map(Cell::new))).collect();
    Page::default()
        .table(&["REMOVED", "WHAT"], rows, "nothing used it")
        .line(format!("{} is deleted, revision {}", removed.group, removed.revision))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use sekimori_core::world::Revision;

    use super::*;

    #[test]
    fn what_was_taken_away_is_told() {
        let rule = RemovedRule { group: "sg-2".into(), rule: "sgr-1".into() };
        let mut removed = RemovedGroup {
            group: "sg-1".into(),
            rules: vec![rule],
            enis: vec!["eni-1".into()],
            revision: Revision(9),
        };
        expect![[r#"
            REMOVED     WHAT
            rule        sgr-1 of sg-2
            membership  eni-1
            sg-1 is deleted, revision 9
        "#]]
        .assert_eq(&page(&removed).plain());
        removed.rules.clear();
        removed.enis.clear();
        expect![[r#"
            nothing used it
            sg-1 is deleted, revision 9
        "#]]
        .assert_eq(&page(&removed).plain());
    }
}
