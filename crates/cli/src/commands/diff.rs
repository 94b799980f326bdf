//! `sekimori diff`: what two states of the world decide otherwise, exactly, with a packet for each and the flows that it ends.

use std::path::PathBuf;

use clap::{ArgGroup, Args};
use comfy_table::Row as TableRow;
use sekimori_analysis::{
    diff::{Change, Crossing, Effect, Ending, FlowChange, Interface, InterfaceChange, LiveEnding, Report},
    effective::GroupName,
    text,
    transfer::region_in,
};
use sekimori_core::packet::Decision;
use sekimori_server::api::{
    CloudParameters, CloudRequest, DiffAccount, DiffAnswer, DiffMoments, DiffPolicies, DiffQuestion, FlowsSeen,
    GroupRules, LiveEnded, Moment,
};

use crate::{
    account_files,
    cli::Common,
    client::Client,
    commands::{account::DialectName, flows, group::files, who},
    exit::{Answer, Failure, Outcome},
    moment::{self, At},
    output::{self, NONE, Page, or_none},
};

/// Interfaces that a table tells by themselves; all are in the JSON.
const TABLE_INTERFACES_MAX: usize = 20;

/// Groups that come or go that a page names; all are in the JSON.
const TABLE_GROUPS_MAX: usize = 50;

/// The arguments.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("states").required(true).args(["from", "request", "group", "policies", "from_account_files", "to_account_files"]))]
#[command(after_help = "Example:\n  sekimori diff --from 2h\n  sekimori diff --from 812 --to 815\n  \
                        sekimori diff --request 'Action=AuthorizeSecurityGroup&RegionId=cn-hangzhou&SecurityGroupId=sg-web&\
                        Permissions.1.IpProtocol=TCP&Permissions.1.PortRange=22/22&Permissions.1.SourceCidrIp=0.0.0.0/0'\n  \
                        sekimori diff --group sg-web --with-group sg-web-clone\n  sekimori diff --group sg-web --file rules.json\n  \
                        sekimori diff --policies i-web i-db\n  sekimori --account-files monday/ diff --to-account-files friday/\n  \
                        sekimori diff --from-account-files account/\n\n\
                        Every packet that passes after and not before is gained, the other way round it is lost; no other packet is \
                        decided otherwise. Nothing is changed.")]
pub(crate) struct DiffArgs {
    /// Compare what was at this revision or time with what is, or with --to
    #[arg(long, visible_alias = "at", value_name = "REVISION|TIME", value_parser = moment::parse_at)]
    from: Option<At>,
    /// The state to compare --from with; now if absent
    #[arg(long, value_name = "REVISION|TIME", value_parser = moment::parse_at, requires = "from")]
    to: Option<At>,
    /// A request of either cloud's API as a query, not to be made: compare what is with what it would lead to
    #[arg(long, value_name = "QUERY")]
    request: Option<String>,
    /// Who makes the request, by number or name; the only account of the dialect, or the only one that owns what is named, if absent
    #[arg(long, value_name = "ACCOUNT", requires = "request")]
    account: Option<String>,
    /// Whose API the request speaks; what its Version says if absent
    #[arg(long, value_enum, value_name = "DIALECT", requires = "request")]
    dialect: Option<DialectName>,
    /// The region that a request of EC2 is about; the server's if absent
    #[arg(long, value_name = "REGION", requires = "request")]
    region: Option<String>,
    /// A group that is to have other rules: --with-group, --file or --shadow
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// Those of this group, a clone for example
    #[arg(long, value_name = "GROUP", requires = "group", conflicts_with_all = ["file", "shadow"])]
    with_group: Option<String>,
    /// Those of this file, as `sekimori group export` writes it; of an EC2 group, as `aws ec2 describe-security-groups` prints it
    #[arg(long, value_name = "FILE", requires = "group", conflicts_with = "shadow")]
    file: Option<PathBuf>,
    /// The region that the file comes from, if its name does not tell
    #[arg(long, value_name = "REGION", requires = "file")]
    from_region: Option<String>,
    /// Those of the group's shadow
    #[arg(long, requires = "group")]
    shadow: bool,
    /// Compare the policies of two interfaces, instances or groups; by their ids, their names, or what one interface only has
    #[arg(long, num_args = 2, value_names = ["ONE", "OTHER"])]
    policies: Option<Vec<String>>,
    /// An account in files, as --account-files reads them: compare it with what is now, or what --account-files describe
    #[arg(long, value_name = "PATH")]
    from_account_files: Vec<PathBuf>,
    /// The same with the account in these files as what is after
    #[arg(long, value_name = "PATH")]
    to_account_files: Vec<PathBuf>,
}

/// Compares.
pub(crate) fn run(common: &Common, args: DiffArgs) -> Outcome {
    let question = question(args)?;
    let answer: DiffAnswer = Client::connect(common)?.post("/v1/diff", &question)?;
    output::show(common.output, &answer, page)?;
    Ok(Answer::Yes)
}

fn question(args: DiffArgs) -> Result<DiffQuestion, Failure> {
    let DiffArgs {
        from,
        to,
        request,
        account,
        dialect,
        region,
        group,
        with_group,
        file,
        from_region,
        shadow,
        policies,
        from_account_files,
        to_account_files,
    } = args;
    for (paths, is_before) in [(from_account_files, true), (to_account_files, false)] {
        if !paths.is_empty() {
            return Ok(DiffQuestion::Account(DiffAccount { files: account_files::compared(&paths)?, is_before }));
        }
    }
    if let Some(query) = request {
        let parameters = CloudParameters::Query(query);
        let dialect = dialect.map(Into::into);
        return Ok(DiffQuestion::Request(CloudRequest { parameters, dialect, account, region }));
    }
    if let Some(group) = group {
        let named = file.as_deref().and_then(|file| region_in(file.to_str()?)).map(str::to_owned);
        let file = file.as_deref().map(files::read).transpose()?;
        if with_group.is_none() && file.is_none() && !shadow {
            return Err(Failure::usage(
                "which rules the group is to have is not said; give --with-group, --file or --shadow",
            ));
        }
        return Ok(DiffQuestion::Group(GroupRules {
            group: group.into(),
            with_group: with_group.map(Into::into),
            file,
            from_region: from_region.or(named),
            shadow,
        }));
    }
    if let Some([one, other]) = policies.as_deref() {
        return Ok(DiffQuestion::Policies(DiffPolicies { one: one.clone(), other: other.clone() }));
    }
    let moment = |at: Option<At>| match at {
        None => Moment::default(),
        Some(At::Revision(revision)) => Moment { at: Some(revision), at_time: None },
        Some(At::Time(time)) => Moment { at: None, at_time: Some(time.0) },
    };
    Ok(DiffQuestion::Moments(DiffMoments { from: moment(from), to: moment(to) }))
}

/// What two states decide otherwise.
pub(crate) fn page(answer: &DiffAnswer) -> Page {
    let Report { before, after, changes, changes_untold, interfaces, interfaces_untold, bypass, around, .. } =
        &answer.report;
    let page = Page::default().line(format!("before: {before}")).line(format!("after:  {after}")).line("");
    let mut page = page.table(
        &["EFFECT", "", "INTERFACES", "ADDRESSES", "SERVICES", "PEERS"],
        changes.iter().flat_map(rows),
        "no packet is decided otherwise",
    );
    page = more(page, *changes_untold, "changes");
    page = page.lines(bypass).lines(around);
    page = across(page, &answer.report);
    page = witnesses(page, changes);
    if !interfaces.is_empty() {
        page = page.line("").table(
            &["INTERFACE", "INSTANCE", "PACKETS GAINED", "PACKETS LOST"],
            interfaces.iter().take(TABLE_INTERFACES_MAX).map(interface),
            "",
        );
        let untold = interfaces.len().saturating_sub(TABLE_INTERFACES_MAX) + interfaces_untold;
        page = more(page, untold, "interfaces");
        let shown = interfaces.iter().take(TABLE_INTERFACES_MAX);
        page = page.lines(&shown.filter_map(cut_off).collect::<Vec<_>>());
    }
    let Report { new, new_untold, gone, gone_untold, .. } = &answer.report;
    page = come_or_go(page, "new interfaces:", new, *new_untold);
    page = come_or_go(page, "interfaces that are gone:", gone, *gone_untold);
    let Report { new_groups, new_groups_untold, gone_groups, gone_groups_untold, .. } = &answer.report;
    page = groups(page, "new groups", new_groups, *new_groups_untold);
    page = groups(page, "groups that are gone", gone_groups, *gone_groups_untold);
    let page = answer.live.iter().fold(page, live);
    let has_told_all = answer.live.as_ref().is_some_and(LiveEnded::has_told_all);
    let page = answer.flows.iter().fold(page, |page, flows| seen(page, flows, has_told_all));
    answer.forbidden.iter().fold(page, |page, why| page.line("").line(format!("it would be refused: {why}")))
}

/// What gets from one VPC to another in one of the states only.
fn across(page: Page, Report { crossings, crossings_untold, .. }: &Report) -> Page {
    if crossings.is_empty() {
        return page;
    }
    let row = |crossing: &Crossing| {
        let first = effect(crossing.effect).to_owned();
        TableRow::from(std::iter::once(first).chain(who::cells(&crossing.reach)).collect::<Vec<_>>())
    };
    let header = ["EFFECT", "FROM", "ADDRESSES", "TO", "ADDRESSES", "SERVICES"];
    let page = page.line("").line("from one VPC to another:").table(&header, crossings.iter().map(row), "");
    more(page, *crossings_untold, "lines")
}

fn more(page: Page, untold: usize, what: &str) -> Page {
    if untold == 0 { page } else { page.line(format!("and {untold} more {what}")) }
}

fn effect(effect: Effect) -> &'static str {
    match effect {
        Effect::Gained => "gained",
        Effect::Lost => "lost",
    }
}

/// A line for each row of a change, the interfaces beside the first.
fn rows(change: &Change) -> Vec<TableRow> {
    let names = || {
        let interfaces = &change.interfaces;
        let groups = |policy: &Vec<_>| {
            let name = |group: &GroupName| text::named(group.id.as_str(), &group.name);
            format!("in {}", policy.iter().map(name).collect::<Vec<_>>().join(", "))
        };
        let policies = interfaces.policies.iter().map(groups);
        interfaces.names.iter().cloned().chain(policies).collect::<Vec<_>>().join("\n")
    };
    let first = [
        effect(change.effect).to_owned(),
        change.direction.to_string(),
        names(),
        change.interfaces.addresses.join("\n"),
    ];
    let line = |(place, row): (usize, &sekimori_analysis::diff::Row)| {
        let beside = if place == 0 { first.clone() } else { Default::default() };
        let but_itself = if change.but_itself { "\nbut none itself" } else { "" };
        let what = [row.services.join("\n"), row.peers.join("\n") + but_itself];
        TableRow::from(beside.into_iter().chain(what).collect::<Vec<String>>())
    };
    let untold = (change.rows_untold > 0).then(|| {
        let last = format!("and {} more", change.rows_untold);
        TableRow::from(vec![String::new(), String::new(), String::new(), String::new(), last, String::new()])
    });
    change.rows.iter().enumerate().map(line).chain(untold).collect()
}

fn witnesses(mut page: Page, changes: &[Change]) -> Page {
    let told: Vec<_> = changes.iter().filter_map(|change| Some((change, change.witness.as_ref()?))).collect();
    if !told.is_empty() {
        page = page.line("").line("for example:");
    }
    let decided = |decision: &Option<Decision>| {
        let word = |decision: &Decision| format!("{} ({})", decision.action, decision.why);
        decision.as_ref().map_or_else(|| NONE.to_owned(), word)
    };
    for (change, witness) in told {
        let at = witness.eni.as_ref().map(|eni| format!(" at {eni}")).unwrap_or_default();
        let (before, after) = (decided(&witness.before), decided(&witness.after));
        page = page.line(format!("  {} {}{at}: {before}, then {after}", effect(change.effect), witness.text));
    }
    page
}

fn interface(change: &InterfaceChange) -> TableRow {
    let InterfaceChange { eni, instance, gained, lost, .. } = change;
    let count = |packets: &u64| if *packets == u64::MAX { format!("over {packets}") } else { packets.to_string() };
    TableRow::from(vec![eni.to_string(), or_none(instance.as_ref()), count(gained), count(lost)])
}

/// That what an interface gains arrives from inside only.
fn cut_off(change: &InterfaceChange) -> Option<String> {
    let why = change.cut_off.as_ref()?;
    Some(format!("{}: {why}", change.instance.as_ref().map_or(change.eni.as_str(), |instance| instance.as_str())))
}

fn come_or_go(page: Page, title: &str, all: &[Interface], untold: usize) -> Page {
    if all.is_empty() {
        return page;
    }
    let row = |one: &Interface| {
        let groups: Vec<String> =
            one.groups.iter().map(|group| text::named(group.id.as_str(), &group.name)).collect();
        TableRow::from(vec![
            one.eni.to_string(),
            or_none(one.instance.as_ref()),
            one.addresses.join("\n"),
            groups.join("\n"),
        ])
    };
    let shown = all.iter().take(TABLE_INTERFACES_MAX).map(row);
    let page = page.line("").line(title).table(&["INTERFACE", "INSTANCE", "ADDRESSES", "GROUPS"], shown, "");
    more(page, all.len().saturating_sub(TABLE_INTERFACES_MAX) + untold, "interfaces")
}

/// Groups that come, or go, in one line.
fn groups(page: Page, title: &str, all: &[GroupName], untold: usize) -> Page {
    if all.is_empty() {
        return page;
    }
    let named = |group: &GroupName| text::named(group.id.as_str(), &group.name);
    let shown: Vec<String> = all.iter().take(TABLE_GROUPS_MAX).map(named).collect();
    let page = page.line("").line(format!("{title}: {}", shown.join(", ")));
    more(page, all.len().saturating_sub(TABLE_GROUPS_MAX) + untold, "groups")
}

/// The live flows that the change ends. Of a world from files there are none.
fn live(page: Page, live: &LiveEnded) -> Page {
    let LiveEnded { changed, untold, hosts } = live;
    if hosts.is_empty() {
        return page;
    }
    let header =
        ["STATE", "IDLE", "INTERFACE", "INSTANCE", "BEGUN BY PACKET", "PACKETS", "BEFORE", "AFTER", "THE FLOW"];
    let page = page
        .line("")
        .line(format!("live flows that end, of {} at interfaces that something changes about:", changed.looked_at));
    let page = page.table(&header, changed.ending.iter().map(live_row), "none");
    let page = more(page, changed.ending_untold, "flows");
    let page = match untold {
        0 => page,
        untold => page.line(format!("{untold} more live flows of these interfaces were not looked at")),
    };
    flows::live::silent(page, hosts)
}

fn live_row(one: &LiveEnding) -> TableRow {
    TableRow::from(vec![
        one.flow.state.to_string(),
        flows::live::idle(&one.flow),
        one.flow.eni.to_string(),
        or_none(one.instance.as_ref()),
        one.text.clone(),
        flows::live::both(one.flow.packets),
        decided(&one.before),
        decided(&one.after),
        how(one.ending).to_owned(),
    ])
}

fn how(ending: Ending) -> &'static str {
    match ending {
        Ending::Ends => "ends in silence",
        Ending::Reset => "ends with a reset",
        Ending::Untracked => "is untracked: cut",
        Ending::Acl => "stopped by the network ACL",
        Ending::Gone => "its interface is gone",
        Ending::Parted => "its VPCs are not peered any more",
    }
}

fn decided(decision: &Option<Decision>) -> String {
    or_none(decision.as_ref().map(|decision| decision.action))
}

/// What the change makes of flows that were seen; without those that may be live where all live ones are told.
fn seen(page: Page, seen: &FlowsSeen, has_told_all: bool) -> Page {
    let FlowsSeen { changed, recorded_since, lost } = seen;
    let page = page.line("");
    if changed.looked_at == 0 {
        let why = match recorded_since {
            Some(since) => format!("no flow was seen since {}", moment::show(*since)),
            None if has_told_all => {
                "no flow was recorded, so which would be decided otherwise if they began again is not known; \
                                     `sekimori flows` begins to record"
                    .to_owned()
            }
            None => "no flow was recorded, so what the change makes of real ones is not known; `sekimori flows` \
                     begins to record"
                .to_owned(),
        };
        return page.line(why);
    }
    let since = recorded_since.map(|since| format!(", recorded since {}", moment::show(since))).unwrap_or_default();
    let mut page =
        page.line(format!("{} packets were looked at that began a flow or were dropped{since}", changed.looked_at));
    if *lost > 0 {
        page = page.line(format!("{lost} more were not told by the hosts (`sekimori flows` says why)"));
    }
    if changed.unjudged > 0 {
        page = page.line(format!("{} of them cannot be judged again", changed.unjudged));
    }
    let header = ["SEEN", "LAST", "INTERFACE", "INSTANCE", "PACKET", "BEFORE", "AFTER"];
    if changed.is_ahead && !has_told_all {
        let with_ending: Vec<&str> = header.into_iter().chain(["THE LIVE FLOW"]).collect();
        page = page.line("").line("flows that may be live, and end:");
        page = page.table(&with_ending, changed.ending.iter().map(flow), "none that was seen");
        page = more(page, changed.ending_untold, "flows");
    }
    page = page.line("").line("flows that would be decided otherwise if they began again:");
    page = page.table(&header, changed.otherwise.iter().map(flow), "none that was seen");
    more(page, changed.otherwise_untold, "flows")
}

fn flow(flow: &FlowChange) -> TableRow {
    let ending = flow.ending.map(how);
    let cells = [
        flow.seen.to_string(),
        moment::show_ms(flow.at_ms),
        flow.eni.to_string(),
        or_none(flow.instance.as_ref()),
        flow.text.clone(),
        decided(&flow.before),
        decided(&flow.after),
    ];
    TableRow::from(cells.into_iter().chain(ending.map(str::to_owned)).collect::<Vec<String>>())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use expect_test::expect;
    use sekimori_analysis::diff::{AtInterface, FlowsChanged, Interfaces, LiveChanged, Row, Witness};
    use sekimori_core::{
        packet::{Packet, Transport, Why},
        rule::{Action, Direction},
        world::Revision,
    };

    use sekimori_server::api::LiveHost;

    use super::*;
    use crate::cli::{Cli, Command};
    use crate::commands::flows::live::tests::established;

    fn asked(arguments: &str) -> Result<DiffQuestion, String> {
        let arguments = ["sekimori", "diff"].into_iter().chain(arguments.split_whitespace());
        let cli = Cli::try_parse_from(arguments).map_err(|error| error.to_string())?;
        let Command::Diff(args) = cli.command else { panic!("another command") };
        question(args).map_err(|failure| format!("{failure:?}"))
    }

    #[test]
    fn each_kind_of_comparison_is_asked_for_by_itself() {
        let moments = |from, to| Ok(DiffQuestion::Moments(DiffMoments { from, to }));
        let revision = |at| Moment { at: Some(at), at_time: None };
        assert_eq!(asked("--from 812"), moments(revision(812), Moment::default()));
        assert_eq!(asked("--from r812 --to 815"), moments(revision(812), revision(815)));
        let Ok(DiffQuestion::Request(request)) = asked("--request Action=X&Y=1 --dialect ec2 --account a") else {
            panic!("no request")
        };
        assert_eq!(request.dialect, Some(sekimori_core::world::Dialect::Ec2));
        let Ok(DiffQuestion::Policies(two)) = asked("--policies i-a sg-b") else { panic!("no policies") };
        assert_eq!((two.one.as_str(), two.other.as_str()), ("i-a", "sg-b"));
        for wrong in [
            "",
            "--to 3",
            "--group sg-a",
            "--with-group sg-b",
            "--from 1 --request x",
            "--policies i-a",
            "--from-account-files a --from 1",
            "--from-account-files a --to-account-files b",
        ] {
            assert!(asked(wrong).is_err(), "{wrong}");
        }
    }

    fn packet() -> Packet {
        Packet {
            direction: Direction::Ingress,
            local: "10.0.0.1".parse().unwrap(),
            peer: "198.51.100.1".parse().unwrap(),
            transport: Transport::Tcp { source: 50_000, destination: 22 },
            is_forwarded: false,
        }
    }

    fn decided(action: Action, why: Why) -> Option<Decision> {
        Some(Decision { action, why, revision: Revision(7) })
    }

    fn texts(all: &[&str]) -> Vec<String> {
        all.iter().map(|text| (*text).to_owned()).collect()
    }

    fn witness() -> Witness {
        let rule = Why::Rule { group: "sg-web".into(), rule: "sgr-1".into() };
        Witness {
            eni: Some("eni-1".into()),
            packet: packet(),
            text: "tcp/22 from 198.51.100.1 port 50000 to 10.0.0.1".to_owned(),
            before: decided(Action::Deny, Why::Default),
            after: decided(Action::Allow, rule),
        }
    }

    fn change() -> Change {
        let row = |services: &[&str], peers: &[&str]| Row { services: texts(services), peers: texts(peers) };
        let group = GroupName { id: "sg-web".into(), name: "web".to_owned() };
        Change {
            effect: Effect::Gained,
            direction: Direction::Ingress,
            interfaces: Interfaces {
                count: 2,
                names: texts(&["i-1", "i-2"]),
                addresses: texts(&["10.0.0.1", "10.0.0.2"]),
                policies: vec![vec![group]],
            },
            rows: vec![row(&["tcp/22"], &["0.0.0.0/0"]), row(&["udp"], &["10.0.0.3 (i-3)"])],
            rows_untold: 3,
            but_itself: false,
            witness: Some(witness()),
        }
    }

    fn report() -> Report {
        let interface = InterfaceChange {
            eni: "eni-1".into(),
            instance: Some("i-1".into()),
            changes: vec![AtInterface { change: 0, addresses: texts(&["10.0.0.1"]) }],
            gained: u64::MAX,
            lost: 0,
            gained_witness: Some(witness()),
            lost_witness: None,
            cut_off: Some("nothing outside leads to it as things are: 10.0.0.1 has no public address".to_owned()),
        };
        let gone =
            Interface { eni: "eni-9".into(), instance: None, addresses: texts(&["10.0.0.9"]), groups: Vec::new() };
        Report {
            before: "revision 7".to_owned(),
            after: "revision 7 with AuthorizeSecurityGroup".to_owned(),
            changes: vec![change()],
            changes_untold: 0,
            interfaces: vec![interface],
            interfaces_untold: 1,
            new: Vec::new(),
            new_untold: 0,
            gone: vec![gone],
            gone_untold: 0,
            bypass: Vec::new(),
            around: vec!["vpc-1 and vpc-2 are peered".to_owned()],
            new_groups: vec![GroupName { id: "sg-new".into(), name: "new".to_owned() }],
            new_groups_untold: 0,
            gone_groups: Vec::new(),
            gone_groups_untold: 0,
            crossings: Vec::new(),
            crossings_untold: 0,
        }
    }

    fn answer() -> DiffAnswer {
        let flow = FlowChange {
            eni: "eni-1".into(),
            instance: Some("i-1".into()),
            packet: packet(),
            text: witness().text,
            at_ms: 1_790_000_000_120,
            seen: 4,
            before: decided(Action::Deny, Why::Default),
            after: decided(Action::Allow, Why::Default),
            ending: None,
        };
        let otherwise = vec![flow];
        let changed =
            FlowsChanged { is_ahead: true, looked_at: 9, unjudged: 1, otherwise, ..FlowsChanged::default() };
        let flows = Some(FlowsSeen { changed, recorded_since: None, lost: 2 });
        DiffAnswer { report: report(), live: None, flows, forbidden: None, revision: Revision(7) }
    }

    #[test]
    fn what_is_gained_where_by_whom_and_which_flows_is_shown() {
        expect![[r#"
            before: revision 7
            after:  revision 7 with AuthorizeSecurityGroup

            EFFECT           INTERFACES       ADDRESSES  SERVICES    PEERS
            gained  ingress  i-1              10.0.0.1   tcp/22      0.0.0.0/0
                             i-2              10.0.0.2
                             in sg-web (web)
                                                         udp         10.0.0.3 (i-3)
                                                         and 3 more
            vpc-1 and vpc-2 are peered

            for example:
              gained tcp/22 from 198.51.100.1 port 50000 to 10.0.0.1 at eni-1: deny (default), then allow (rule sgr-1 of sg-web)

            INTERFACE  INSTANCE  PACKETS GAINED             PACKETS LOST
            eni-1      i-1       over 18446744073709551615  0
            and 1 more interfaces
            i-1: nothing outside leads to it as things are: 10.0.0.1 has no public address

            interfaces that are gone:
            INTERFACE  INSTANCE  ADDRESSES  GROUPS
            eni-9      -         10.0.0.9

            new groups: sg-new (new)

            9 packets were looked at that began a flow or were dropped
            2 more were not told by the hosts (`sekimori flows` says why)
            1 of them cannot be judged again

            flows that may be live, and end:
            none that was seen

            flows that would be decided otherwise if they began again:
            SEEN  LAST                      INTERFACE  INSTANCE  PACKET                                           BEFORE  AFTER
            4     2026-09-21T14:13:20.120Z  eni-1      i-1       tcp/22 from 198.51.100.1 port 50000 to 10.0.0.1  deny    allow
        "#]].assert_eq(&page(&answer()).plain());
    }

    #[test]
    fn live_flows_that_end_are_shown_in_place_of_those_that_may_be_live() {
        let flow = established(packet());
        let ending = LiveEnding {
            flow,
            instance: Some("i-1".into()),
            text: witness().text,
            before: decided(Action::Allow, Why::Default),
            after: decided(Action::Deny, Why::Default),
            ending: Ending::Reset,
        };
        let host = |host: &str, failure: Option<&str>| {
            let failure = failure.map(str::to_owned);
            LiveHost { host: host.into(), failure, revision: Some(Revision(7)), told: 8, untold: 0 }
        };
        let changed = LiveChanged { looked_at: 8, ending: vec![ending], ending_untold: 2 };
        let mut live = LiveEnded { changed, untold: 5, hosts: vec![host("rack-1", None)] };
        let said = |live: &LiveEnded| {
            let answer = DiffAnswer { live: Some(live.clone()), ..answer() };
            let page = page(&answer).plain();
            page.split_once("live flows that end").map(|(_, rest)| rest.to_owned()).unwrap()
        };
        let told = said(&live);
        assert!(!told.contains("may be live"), "{told}");
        expect![[r#"
            , of 8 at interfaces that something changes about:
            STATE        IDLE  INTERFACE  INSTANCE  BEGUN BY PACKET                                  PACKETS  BEFORE  AFTER  THE FLOW
            established  4 s   eni-1      i-1       tcp/22 from 198.51.100.1 port 50000 to 10.0.0.1  12 / 9   allow   deny   ends with a reset
            and 2 more flows
            5 more live flows of these interfaces were not looked at

            9 packets were looked at that began a flow or were dropped
            2 more were not told by the hosts (`sekimori flows` says why)
            1 of them cannot be judged again

            flows that would be decided otherwise if they began again:
            SEEN  LAST                      INTERFACE  INSTANCE  PACKET                                           BEFORE  AFTER
            4     2026-09-21T14:13:20.120Z  eni-1      i-1       tcp/22 from 198.51.100.1 port 50000 to 10.0.0.1  deny    allow
        "#]].assert_eq(&told);
        live.hosts.push(host("rack-2", Some("is not connected")));
        let told = said(&live);
        assert!(
            told.contains("may be live") && told.contains("host rack-2 is missing here: it is not connected"),
            "{told}"
        );
    }

    #[test]
    fn that_nothing_differs_or_was_recorded_is_said() {
        let flows = Some(FlowsSeen { changed: FlowsChanged::default(), recorded_since: None, lost: 0 });
        let mut answer = DiffAnswer { flows, ..answer() };
        (answer.report.changes, answer.report.interfaces, answer.report.gone) = Default::default();
        expect![[r#"
            before: revision 7
            after:  revision 7 with AuthorizeSecurityGroup

            no packet is decided otherwise
            vpc-1 and vpc-2 are peered

            new groups: sg-new (new)

            no flow was recorded, so what the change makes of real ones is not known; `sekimori flows` begins to record
        "#]].assert_eq(&page(&answer).plain());
    }
}
