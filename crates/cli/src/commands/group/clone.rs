//! `sekimori group clone`: a group like another one.

use clap::Args;
use comfy_table::Row;
use sekimori_analysis::transfer::clone::{Left, Plan, Request};
use sekimori_server::api::{Changed, CloneAnswer};

use crate::{
    changing::{self, Trying},
    cli::Common,
    client::{Client, path_part},
    exit::{Answer, Outcome},
    output::Page,
};

/// The arguments.
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  sekimori group clone sg-web --name test-shop-web-sg --keep-rules --copy-tags\n  \
                        sekimori group clone sg-web --name prod-shop-web-sg --region cn-beijing --keep-rules --dry-run\n\n\
                        The exit code is 2 when some rule does not carry over: rules that name a group, a prefix list or a port \
                        list stay in their VPC."
)]
pub(crate) struct CloneArgs {
    /// The group to copy
    group: String,
    /// The name of the new group
    #[arg(long, value_name = "NAME")]
    name: String,
    /// The VPC of the new group; its own if absent
    #[arg(long, value_name = "VPC")]
    vpc: Option<String>,
    /// The region of the new group; needs a VPC there
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// Copy the rules
    #[arg(long)]
    keep_rules: bool,
    /// Copy the tags
    #[arg(long)]
    copy_tags: bool,
    #[command(flatten)]
    trying: Trying,
    /// Show what would be made, and make nothing
    #[arg(long)]
    dry_run: bool,
}

/// Clones.
pub(crate) fn run(common: &Common, client: &Client, args: CloneArgs) -> Outcome {
    let CloneArgs { group, name, vpc, region, keep_rules, copy_tags, trying, dry_run } = args;
    let request = Request { name, vpc: vpc.map(Into::into), region, keep_rules, copy_tags, dry_run };
    let path = format!("/v1/groups/{}/clone", path_part(&group));
    let changed: Changed<CloneAnswer> = trying.ask(client, ("POST", &path), Some(&request))?;
    changing::show(common, &changed, page)?;
    Ok(if changed.answer.plan.left.is_empty() { Answer::Yes } else { Answer::No })
}

fn page(answer: &CloneAnswer) -> Page {
    let CloneAnswer { plan: Plan { group, region, texts, left, .. }, group: made, revision } = answer;
    let place = format!("{} in {}, region {region}", group.name, group.vpc);
    let head = match made {
        Some(id) => format!("{id}: {place}, revision {revision}"),
        None => format!("would be made: {place}"),
    };
    let page = Page::default().line(head).line(format!("{} rules, {} tags", texts.len(), group.tags.len()));
    if left.is_empty() {
        return page;
    }
    let rows = left.iter().map(|Left { rule, text, reason }| Row::from(vec![rule.as_str(), text, reason]));
    page.line("\nwhat does not carry over").table(&["RULE", "SAYS", "WHY"], rows, "")
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use sekimori_core::{
        command::NewGroup,
        world::{Flavor, InnerAccess, Revision},
    };

    use super::*;

    #[test]
    fn what_does_not_carry_over_is_told_with_its_reason() {
        let group = NewGroup {
            managed_by: None,
            account: "1".into(),
            vpc: "vpc-2".into(),
            flavor: Flavor::EcsBasic,
            name: "copy".to_owned(),
            description: String::new(),
            resource_group: String::new(),
            tags: Default::default(),
        };
        let left = Left {
            rule: "sgr-1".into(),
            text: "allow tcp 5432 from group sg-web (web), priority 1".to_owned(),
            reason: "it names a security group, which does not carry over to another region".to_owned(),
        };
        let plan = Plan {
            group,
            inner_access: InnerAccess::Accept,
            region: "cn-beijing".to_owned(),
            rules: vec![],
            texts: vec![],
            left: vec![left],
        };
        let answer = CloneAnswer { plan, group: Some("sg-2".into()), revision: Revision(9) };
        expect![[r#"
            sg-2: copy in vpc-2, region cn-beijing, revision 9
            0 rules, 0 tags

            what does not carry over
            RULE   SAYS                                                WHY
            sgr-1  allow tcp 5432 from group sg-web (web), priority 1  it names a security group, which does not carry over to another region
        "#]].assert_eq(&page(&answer).plain());
    }
}
