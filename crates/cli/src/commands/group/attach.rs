//! `sekimori group attach-by-tag`: instances join the groups that have the same tag.

use clap::Args;
use comfy_table::{Cell, Color, Row};
use sekimori_analysis::{
    attach::{Pair, Plan, Request, Verdict},
    text,
};
use sekimori_server::api::{AttachAnswer, Changed};

use crate::{
    changing::{self, Trying},
    cli::Common,
    client::Client,
    exit::{Answer, Failure, Outcome},
    output::{NONE, Page},
};

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sekimori group attach-by-tag --tag app=shop\n  \
                        sekimori group attach-by-tag --tag app --apply\n\n\
                        Shows what would happen unless --apply is given. The exit code is 2 when some instance cannot join: \
                        another VPC, another type of group, a quota.")]
pub(crate) struct AttachArgs {
    /// The tag: a key with every value, or KEY=VALUE
    #[arg(long, value_name = "KEY[=VALUE]")]
    tag: String,
    /// One account only
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<String>,
    /// Attach
    #[arg(long)]
    apply: bool,
    #[command(flatten)]
    trying: Trying,
}

/// Shows or attaches.
pub(crate) fn run(common: &Common, client: &Client, args: AttachArgs) -> Outcome {
    let trying = args.trying.check(args.apply, "--apply")?;
    let (key, value) = match args.tag.split_once('=') {
        Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
        None => (args.tag, None),
    };
    if key.is_empty() {
        return Err(Failure::usage("a tag needs a key; give KEY or KEY=VALUE"));
    }
    let request = Request { key, value, account: args.account.map(Into::into), apply: args.apply };
    let changed: Changed<AttachAnswer> = trying.ask(client, ("POST", "/v1/groups/attach-by-tag"), Some(&request))?;
    changing::show(common, &changed, |answer| page(answer, request.apply))?;
    Ok(if changed.answer.plan.count(Verdict::Refuse) == 0 { Answer::Yes } else { Answer::No })
}

fn page(answer: &AttachAnswer, apply: bool) -> Page {
    let AttachAnswer { plan: Plan { pairs, without_group }, attached, revision } = answer;
    let header = ["INSTANCE", "NAME", "GROUP", "VALUE", "RESULT", "WHY"];
    let mut page = Page::default().table(&header, pairs.iter().map(row), "no instance and group have the tag");
    if !without_group.is_empty() {
        let names: Vec<&str> = without_group.iter().map(|id| id.as_str()).collect();
        page = page.line(format!("no group has the tag of {}", names.join(", ")));
    }
    page.line(if apply {
        format!("{attached} attached, revision {revision}")
    } else {
        "nothing was attached: say --apply".to_owned()
    })
}

fn row(pair: &Pair) -> Row {
    let Pair { instance, instance_name, group, value, verdict, reason } = pair;
    let (word, colour) = match verdict {
        Verdict::Join => ("join", Color::Green),
        Verdict::Member => ("member", Color::Grey),
        Verdict::Refuse => ("refuse", Color::Red),
    };
    let or_dash = |text: &str| if text.is_empty() { NONE.to_owned() } else { text.to_owned() };
    Row::from(vec![
        Cell::new(instance),
        Cell::new(or_dash(instance_name)),
        Cell::new(text::named(group.id.as_str(), &group.name)),
        Cell::new(or_dash(value)),
        Cell::new(word).fg(colour),
        Cell::new(or_dash(reason)),
    ])
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use sekimori_analysis::effective::GroupName;
    use sekimori_core::world::Revision;

    use super::*;

    #[test]
    fn who_cannot_join_is_told_why() {
        let pair = |instance: &str, verdict, reason: &str| Pair {
            instance: instance.into(),
            instance_name: String::new(),
            group: GroupName { id: "sg-1".into(), name: "web".to_owned() },
            value: "shop".to_owned(),
            verdict,
            reason: reason.to_owned(),
        };
        let refusal = "`i-2` and `sg-1` are not in the same VPC; use two of one VPC";
        let pairs = vec![pair("i-1", Verdict::Join, ""), pair("i-2", Verdict::Refuse, refusal)];
        let plan = Plan { pairs, without_group: vec!["i-3".into()] };
        let answer = AttachAnswer { plan, attached: 0, revision: Revision(7) };
        expect![[r#"
            INSTANCE  NAME  GROUP       VALUE  RESULT  WHY
            i-1       -     sg-1 (web)  shop   join    -
            i-2       -     sg-1 (web)  shop   refuse  `i-2` and `sg-1` are not in the same VPC; use two of one VPC
            no group has the tag of i-3
            nothing was attached: say --apply
        "#]]
        .assert_eq(&page(&answer, false).plain());
    }
}
