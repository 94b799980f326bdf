//! `sekimori who`: everything that can reach a target, everything that it can reach, and what is open to the internet.

use clap::Args;
use comfy_table::Row;
use sekimori_analysis::{
    text,
    who::{Exposure, Matrix, Reach, Report, Side},
};
use sekimori_core::{end::INTERNET, rule::Direction};

use crate::{
    cli::Common,
    client::Client,
    exit::{Answer, Failure, Outcome},
    moment::When,
    output::{self, Page},
};

/// The arguments.
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  sekimori who --to i-db\n  sekimori who --from sg-web\n  sekimori who --from internet\n  \
                        sekimori who --from internet --to tag:role=db\n  sekimori who --all\n\n\
                        An end is an instance, an interface or a group by its id or name, tag:KEY=VALUE for all that have the tag, an \
                        address or block, a VPC or subnet by its id, or `internet` for every address outside."
)]
pub(crate) struct WhoArgs {
    /// Who reaches; everybody if absent
    #[arg(long, value_name = "END")]
    from: Option<String>,
    /// Who is reached; everybody if absent
    #[arg(long, value_name = "END")]
    to: Option<String>,
    /// The VPC that is meant; every one if absent
    #[arg(long, value_name = "VPC")]
    vpc: Option<String>,
    /// Count the pairs of policies that reach each other, over everything
    #[arg(long, conflicts_with_all = ["from", "to", "vpc", "at"])]
    all: bool,
    #[command(flatten)]
    when: When,
}

/// Asks who.
pub(crate) fn run(common: &Common, args: WhoArgs) -> Outcome {
    let client = Client::connect(common)?;
    if args.all {
        let matrix: Matrix = client.get("/v1/who/all", &[])?;
        output::show(common.output, &matrix, counted)?;
        return Ok(Answer::Yes);
    }
    if args.from.is_none() && args.to.is_none() {
        return Err(Failure::usage("about whom is not said; give --from or --to, or --all"));
    }
    let named = [("from", &args.from), ("to", &args.to), ("vpc", &args.vpc)];
    let when = args.when.query();
    let mut query: Vec<(&str, &str)> =
        named.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))).collect();
    query.extend(when.iter().map(|(name, value)| (*name, value.as_str())));
    let report: Report = client.get("/v1/who", &query)?;
    output::show(common.output, &report, page)?;
    Ok(Answer::Yes)
}

fn counted(matrix: &Matrix) -> Page {
    let Matrix { interfaces, policies, pairs, services, .. } = matrix;
    Page::default().line(format!(
        "{interfaces} interfaces, {policies} policies: {pairs} pairs of policies reach each other, by {services} sets of services"
    ))
}

fn page(report: &Report) -> Page {
    let Report { inside, outside, revision, question, .. } = report;
    let [from, to] = [&question.from, &question.to].map(Option::as_deref);
    let is_internet = |end: Option<&str>| end == Some(INTERNET);
    let mut page = Page::default().line(format!("revision {revision}"));
    if !inside.is_empty() || !(is_internet(from) || is_internet(to)) {
        let rows = inside.iter().map(reach);
        page =
            page.table(&["FROM", "ADDRESSES", "TO", "ADDRESSES", "SERVICES"], rows, "no interface reaches another");
    }
    for (direction, title, none, outer, inner) in [
        (Direction::Ingress, "reached from outside:", "nothing is reached from outside", from, to),
        (Direction::Egress, "reaching what is outside:", "nothing outside is reached", to, from),
    ] {
        let rows: Vec<Row> = outside.iter().filter(|line| line.direction == direction).map(exposure).collect();
        let is_asked = (outer.is_none() || is_internet(outer)) && !is_internet(inner);
        if !rows.is_empty() || is_asked {
            page = page.line("").line(title).table(&["INTERFACES", "ADDRESSES", "OUTSIDE", "SERVICES"], rows, none);
        }
    }
    report.notes.iter().fold(page, |page, note| page.line("").line(note))
}

fn reach(of: &Reach) -> Row {
    Row::from(cells(of).to_vec())
}

/// Who reaches whom, at which addresses, and by what.
pub(crate) fn cells(reach: &Reach) -> [String; 5] {
    let Reach { from, to, .. } = reach;
    let services = told(&reach.services, reach.answered.as_deref());
    [who(from), from.addresses.join("\n"), who(to), to.addresses.join("\n"), services]
}

fn exposure(exposure: &Exposure) -> Row {
    let Exposure { interfaces, addresses, .. } = exposure;
    let services = told(&exposure.services, exposure.answered.as_deref());
    Row::from(vec![who(interfaces), interfaces.addresses.join("\n"), addresses.join("\n"), services])
}

/// Services, and below them those that are answered where not all are.
fn told(services: &[String], answered: Option<&[String]>) -> String {
    let below = match answered {
        None => String::new(),
        Some([]) => "\nwithout an answer (network ACL)".to_owned(),
        Some(answered) => format!("\nanswered (network ACL): {}", answered.join("\n")),
    };
    services.join("\n") + &below
}

/// The instances, and below them the groups that they have.
fn who(side: &Side) -> String {
    let groups: Vec<String> = side.groups.iter().map(|group| text::named(group.id.as_str(), &group.name)).collect();
    format!("{}\nin {}", side.instances.join("\n"), groups.join(", "))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use sekimori_analysis::{effective::GroupName, who::Question};
    use sekimori_core::world::Revision;

    use super::*;

    fn side(group: &str, instances: &[&str], addresses: &[&str]) -> Side {
        let texts = |all: &[&str]| all.iter().map(|text| (*text).to_owned()).collect();
        Side {
            groups: vec![GroupName { id: format!("sg-{group}").as_str().into(), name: group.to_owned() }],
            vpc: "vpc-1".into(),
            interfaces: instances.len(),
            instances: texts(instances),
            addresses: texts(addresses),
        }
    }

    #[test]
    fn of_the_internet_only_what_is_asked_is_told_to_be_nothing() {
        let told = |from: Option<&str>, to: Option<&str>| {
            let [from, to] = [from, to].map(|name| name.map(str::to_owned));
            let question = Question { from, to, ..Question::default() };
            let report = Report {
                question,
                inside: Vec::new(),
                outside: Vec::new(),
                notes: Vec::new(),
                revision: Revision(7),
            };
            let page = page(&report).plain();
            let lines =
                ["no interface reaches another", "nothing is reached from outside", "nothing outside is reached"];
            lines.map(|line| page.contains(line))
        };
        assert_eq!(told(Some("internet"), None), [false, true, false]);
        assert_eq!(told(None, Some("internet")), [false, false, true]);
        assert_eq!(told(Some("internet"), Some("i-1")), [false, true, false]);
        assert_eq!(told(Some("i-1"), Some("internet")), [false, false, true]);
        assert_eq!(told(Some("i-1"), None), [true, false, true]);
        assert_eq!(told(None, Some("i-1")), [true, true, false]);
    }

    #[test]
    fn both_sides_their_services_and_what_is_outside_are_shown() {
        let web = || side("web", &["i-1", "i-2"], &["10.0.0.1", "10.0.0.2"]);
        let services = vec!["tcp/5432".to_owned(), "udp/53".to_owned()];
        let report = Report {
            question: Question { to: Some("i-3".to_owned()), ..Question::default() },
            inside: vec![Reach {
                from: web(),
                to: side("db", &["i-3"], &["10.0.1.1"]),
                pairs: 2,
                services,
                answered: Some(vec!["tcp/5432 from ports 1024-65535".to_owned()]),
            }],
            outside: vec![Exposure {
                direction: Direction::Ingress,
                interfaces: side("db", &["i-3"], &["10.0.1.1"]),
                addresses: vec!["203.0.113.0/24".to_owned()],
                services: vec!["tcp/22".to_owned()],
                answered: Some(Vec::new()),
            }],
            notes: Vec::new(),
            revision: Revision(7),
        };
        expect![[r#"
            revision 7
            FROM             ADDRESSES  TO             ADDRESSES  SERVICES
            i-1              10.0.0.1   i-3            10.0.1.1   tcp/5432
            i-2              10.0.0.2   in sg-db (db)             udp/53
            in sg-web (web)                                       answered (network ACL): tcp/5432 from ports 1024-65535

            reached from outside:
            INTERFACES     ADDRESSES  OUTSIDE         SERVICES
            i-3            10.0.1.1   203.0.113.0/24  tcp/22
            in sg-db (db)                             without an answer (network ACL)
        "#]]
        .assert_eq(&page(&report).plain());
    }
}
