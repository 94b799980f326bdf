//! `sekimori status`: revision, hosts, counts and how full the data plane is.

use comfy_table::{Cell, Row};
use sekimori_core::limits::LimitMode;
use sekimori_server::api::{Capacity, Counts, Host, Status};

use crate::{
    cli::Common,
    client::Client,
    exit::{Answer, Outcome},
    output::{self, Page, alarm, or_none},
};

/// Shows the status.
pub(crate) fn run(common: &Common) -> Outcome {
    let status: Status = Client::connect(common)?.get("/v1/status", &[])?;
    output::show(common.output, &status, page)?;
    Ok(Answer::Yes)
}

fn page(status: &Status) -> Page {
    let Status { version, committed, limits, hosts, counts, capacity } = status;
    let limits = match limits {
        LimitMode::Cloud => "the cloud's",
        LimitMode::Host => "the host's",
    };
    let Counts { accounts, vpcs, instances, enis, groups, rules } = counts;
    let page = Page::default()
        .line(format!("release {version}, revision {committed}, limits: {limits}"))
        .line(format!(
            "accounts {accounts}, VPCs {vpcs}, instances {instances}, interfaces {enis}, groups {groups}, rules {rules}"
        ))
        .line("")
        .table(
            &["HOST", "AGENT", "APPLIED", "CLOSED INTERFACES"],
            hosts.iter().map(|one| host(one, status)),
            "no agent has connected since the server started",
        );
    let closed = hosts.iter().flat_map(|host| &host.closed);
    let page = closed.fold(page, |page, one| page.line(format!("{} is closed: {}", one.eni, one.reason)));
    page.line("").table(&["CAPACITY", "USED", "LIMIT", "%"], capacity.iter().map(share), "")
}

fn host(host: &Host, status: &Status) -> Row {
    let agent = match (host.connected, host.silent_s) {
        (false, _) => "away".to_owned(),
        (true, Some(silent_s)) => format!("silent for {silent_s} s"),
        (true, None) => "connected".to_owned(),
    };
    let is_well = host.connected && host.silent_s.is_none();
    Row::from(vec![
        Cell::new(&host.host),
        alarm(agent, !is_well),
        alarm(or_none(host.applied), host.applied != Some(status.committed)),
        alarm(host.closed.len(), !host.closed.is_empty()),
    ])
}

/// Red from nine tenths on: new things will be refused soon.
fn share(capacity: &Capacity) -> Row {
    let Capacity { resource, used, limit } = capacity;
    let percent = used.saturating_mul(100).checked_div(*limit).unwrap_or(100);
    Row::from(vec![Cell::new(resource), Cell::new(used), Cell::new(limit), alarm(percent, percent >= 90)])
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use sekimori_core::{feed::ClosedEni, world::Revision};

    use super::*;

    fn sound(host: &str) -> Host {
        Host { host: host.into(), connected: true, silent_s: None, applied: Some(Revision(7)), closed: Vec::new() }
    }

    #[test]
    fn everything_that_is_wrong_is_told() {
        let status = Status {
            version: "0.1.0".to_owned(),
            committed: Revision(7),
            limits: LimitMode::Cloud,
            hosts: vec![
                sound("alpha"),
                Host { silent_s: Some(31), ..sound("gamma") },
                Host {
                    host: "beta".into(),
                    connected: false,
                    applied: None,
                    silent_s: None,
                    closed: vec![ClosedEni { eni: "eni-1".into(), reason: "the policy does not fit".to_owned() }],
                },
            ],
            counts: Counts { accounts: 1, vpcs: 2, instances: 4, enis: 4, groups: 2, rules: 3 },
            capacity: vec![Capacity { resource: "interfaces".to_owned(), used: 4, limit: 8192 }],
        };
        expect![[r#"
            release 0.1.0, revision 7, limits: the cloud's
            accounts 1, VPCs 2, instances 4, interfaces 4, groups 2, rules 3

            HOST   AGENT            APPLIED  CLOSED INTERFACES
            alpha  connected        7        0
            gamma  silent for 31 s  7        0
            beta   away             -        1
            eni-1 is closed: the policy does not fit

            CAPACITY    USED  LIMIT  %
            interfaces  4     8192   0
        "#]]
        .assert_eq(&page(&status).plain());
    }
}
