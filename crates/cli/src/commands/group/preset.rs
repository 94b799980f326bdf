//! `sekimori group preset`: the rules of a common purpose.

use clap::{Args, builder::PossibleValuesParser};
use comfy_table::Row;
use sekimori_analysis::preset::{PRESETS, Request};
use sekimori_core::ids::RuleId;
use sekimori_server::api::{Changed, PresetAnswer};

use crate::{
    changing::{self, Trying},
    cli::Common,
    client::{Client, path_part},
    exit::{Answer, Outcome},
    output::{Page, or_none},
};

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sekimori group preset sg-web web\n  \
                        sekimori group preset sg-db postgresql --from sg-web\n  \
                        sekimori group preset sg-ops ssh --from 203.0.113.7 --dry-run\n  \
                        sekimori group preset sg-lb load-balancer --listener-port 443 --target-port 8080 --targets sg-web\n\n\
                        Only `web` and `load-balancer` are open to everyone when nobody is named.")]
pub(crate) struct PresetArgs {
    /// The group
    group: String,
    /// The purpose
    #[arg(value_parser = PossibleValuesParser::new(PRESETS.iter().map(|preset| preset.name)))]
    preset: String,
    /// Who may come in: an address, a block, a group or a prefix list; may be repeated
    #[arg(long, value_name = "PEER")]
    from: Vec<String>,
    /// Everyone may come in
    #[arg(long, conflicts_with = "from")]
    from_world: bool,
    /// The port that a load balancer listens on
    #[arg(long, value_name = "PORT")]
    listener_port: Option<u16>,
    /// The port of the instances behind a load balancer
    #[arg(long, value_name = "PORT")]
    target_port: Option<u16>,
    /// The port of their health check, if it is another one
    #[arg(long, value_name = "PORT")]
    health_port: Option<u16>,
    /// The group of the instances behind a load balancer
    #[arg(long, value_name = "GROUP")]
    targets: Option<String>,
    /// A load balancer for the VPC, not for the internet
    #[arg(long, conflicts_with_all = ["from", "from_world"])]
    internal: bool,
    #[command(flatten)]
    trying: Trying,
    /// Show the rules and add nothing
    #[arg(long)]
    dry_run: bool,
}

/// Adds the rules.
pub(crate) fn run(common: &Common, client: &Client, args: PresetArgs) -> Outcome {
    let path = format!("/v1/groups/{}/preset", path_part(&args.group));
    let request = Request {
        preset: args.preset,
        from: args.from,
        from_world: args.from_world,
        listener_port: args.listener_port,
        target_port: args.target_port,
        health_port: args.health_port,
        targets: args.targets.map(Into::into),
        internal: args.internal,
        dry_run: args.dry_run,
    };
    let changed: Changed<PresetAnswer> = args.trying.ask(client, ("POST", &path), Some(&request))?;
    changing::show(common, &changed, page)?;
    Ok(Answer::Yes)
}

fn page(answer: &PresetAnswer) -> Page {
    let PresetAnswer { plan, added, revision } = answer;
    let head = if added.is_empty() {
        format!("{} would get", plan.group)
    } else {
        format!("{} has, revision {revision}", plan.group)
    };
    let names = added.iter().map(|rule| Some(RuleId::to_string(rule))).chain(std::iter::repeat(None));
    let rules = plan.texts.iter().zip(names).map(|(text, name)| Row::from(vec![or_none(name), text.clone()]));
    Page::default().line(head).table(&["RULE", "SAYS"], rules, "no rules")
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use sekimori_analysis::preset::Plan;
    use sekimori_core::world::Revision;

    use super::*;

    #[test]
    fn the_rules_are_shown_with_their_names_once_they_have_some() {
        let plan = Plan {
            account: "1".into(),
            group: "sg-1".into(),
            rules: vec![],
            texts: vec!["allow tcp 80 from 0.0.0.0/0, priority 1".to_owned()],
        };
        let proposed = PresetAnswer { plan: plan.clone(), added: vec![], revision: Revision(7) };
        expect![[r#"
            sg-1 would get
            RULE  SAYS
            -     allow tcp 80 from 0.0.0.0/0, priority 1
        "#]]
        .assert_eq(&page(&proposed).plain());
        let added = PresetAnswer { plan, added: vec!["sgr-1".into()], revision: Revision(8) };
        expect![[r#"
            sg-1 has, revision 8
            RULE   SAYS
            sgr-1  allow tcp 80 from 0.0.0.0/0, priority 1
        "#]]
        .assert_eq(&page(&added).plain());
    }
}
