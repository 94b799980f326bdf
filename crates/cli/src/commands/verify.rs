//! `sekimori verify`: compares what the kernels hold with what was written there, and repairs what differs.

use std::time::Duration;

use anyhow::anyhow;
use clap::Args;
use comfy_table::{Cell, Row};
use sekimori_core::{feed::Difference, ids::HostId};
use sekimori_server::{
    VERIFY_S_MAX,
    api::{HostVerification, Verification, Verify},
};

use crate::{
    cli::Common,
    client::Client,
    exit::{Answer, Outcome},
    output::{self, Page, alarm, or_none},
};

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sekimori verify --host rack-1")]
pub(crate) struct VerifyArgs {
    /// One host; without it, all
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// How long the hosts may take, in seconds
    #[arg(long, default_value_t = 30, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=VERIFY_S_MAX))]
    timeout_s: u64,
}

/// Has everything compared. The answer is no if anything differed, now or since this was asked last.
pub(crate) fn run(common: &Common, args: VerifyArgs) -> Outcome {
    let client = Client::connect(common)?;
    let body = Verify { host: args.host.map(HostId::from), timeout_s: args.timeout_s };
    let verification: Verification =
        client.post_patiently("/v1/verify", &body, Duration::from_secs(args.timeout_s))?;
    output::show(common.output, &verification, page)?;
    if verification.has_differences() {
        return Ok(Answer::No);
    }
    match verification.hosts.iter().find_map(|host| Some((&host.host, host.failure.as_ref()?))) {
        Some((host, failure)) => Err(anyhow!("host `{host}` {failure}; see its agent's log").into()),
        None => Ok(Answer::Yes),
    }
}

fn page(verification: &Verification) -> Page {
    let hosts = &verification.hosts;
    let page = Page::default().table(
        &["HOST", "REVISION", "COMPARED", "DIFFERENCES", "IN THE BACKGROUND", "EVER"],
        hosts.iter().map(row),
        "no host",
    );
    hosts.iter().fold(page, differences)
}

fn row(host: &HostVerification) -> Row {
    Row::from(vec![
        Cell::new(&host.host),
        alarm(or_none(host.revision), host.revision.is_none()),
        Cell::new(host.checked),
        alarm(host.found, host.found > 0),
        alarm(host.background.len(), !host.background.is_empty()),
        Cell::new(host.totals.found),
    ])
}

fn differences(page: Page, host: &HostVerification) -> Page {
    let all: Vec<(String, &Difference)> = host
        .background
        .iter()
        .map(|noted| (crate::moment::show(noted.at), &noted.difference))
        .chain(host.differences.iter().map(|difference| ("now".to_owned(), difference)))
        .collect();
    let page = match &host.failure {
        Some(failure) => page.line("").line(format!("{} {failure}", host.host)),
        None => page,
    };
    if all.is_empty() {
        return page;
    }
    let rows = all.into_iter().map(|(at, difference)| {
        let repaired =
            difference.failure.as_ref().map_or_else(|| "yes".to_owned(), |failure| format!("no: {failure}"));
        Row::from(vec![
            Cell::new(&host.host),
            Cell::new(at),
            Cell::new(difference.part),
            Cell::new(&difference.subject),
            Cell::new(&difference.found),
            alarm(repaired, difference.failure.is_some()),
        ])
    });
    page.line("").table(&["HOST", "AT", "PART", "WHICH", "FOUND", "REPAIRED"], rows, "")
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use sekimori_core::{feed::Part, time::Timestamp, world::Revision};
    use sekimori_server::verify::{Noted, Totals};

    use super::*;

    #[test]
    fn what_differed_is_told_with_what_became_of_it() {
        let difference = |part, subject: &str, found: &str, failure: Option<&str>| Difference {
            part,
            subject: subject.to_owned(),
            found: found.to_owned(),
            failure: failure.map(str::to_owned),
        };
        let at = Timestamp(1_700_000_000);
        let one = HostVerification {
            host: "alpha".into(),
            failure: None,
            revision: Some(Revision(7)),
            checked: 8200,
            found: 1,
            differences: vec![difference(Part::Address, "10.0.0.1", "is not in the table", None)],
            background: vec![Noted {
                at,
                difference: difference(Part::Program, "to eni-1", "was detached", Some("x")),
            }],
            totals: Totals { checked: 90_000, found: 2, last: Some(at) },
        };
        let away = HostVerification {
            host: "beta".into(),
            failure: Some("is not connected".to_owned()),
            revision: None,
            checked: 0,
            found: 0,
            differences: Vec::new(),
            background: Vec::new(),
            totals: Totals::default(),
        };
        let verification = Verification { hosts: vec![one, away] };
        assert!(verification.has_differences());
        expect![[r#"
            HOST   REVISION  COMPARED  DIFFERENCES  IN THE BACKGROUND  EVER
            alpha  7         8200      1            1                  2
            beta   -         0         0            0                  0

            HOST   AT                    PART     WHICH     FOUND                REPAIRED
            alpha  2023-11-14T22:13:20Z  program  to eni-1  was detached         no: x
            alpha  now                   address  10.0.0.1  is not in the table  yes

            beta is not connected
        "#]]
        .assert_eq(&page(&verification).plain());
    }
}
