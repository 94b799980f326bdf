//! `sekimori apply`, `confirm`, `rollback` and `pending`: changes of the clouds' APIs, undone by themselves unless they are confirmed in time.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, anyhow};
use clap::Args;
use comfy_table::Row;
use sekimori_analysis::{diff::Ending, lockout::CutFlow};
use sekimori_core::{packet::Transport, trial::TRIAL_WITHIN_S_MAX};
use sekimori_server::{
    APPLY_REQUESTS_MAX,
    api::{Applied, Apply, CloudParameters, CloudRequest, Revised, RolledBack, TrialTold, Trials},
};

use crate::{
    cli::Common,
    client::Client,
    exit::{Answer, Failure, Outcome},
    moment,
    output::{self, Page},
};

/// The longest file of requests.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The arguments of `apply`.
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  sekimori apply --confirm-within 60s --request 'Action=RevokeSecurityGroupIngress&Version=2016-11-15&GroupId=sg-1&SecurityGroupRuleId.1=sgr-1'\n  \
                        sekimori apply --file requests.txt --account default\n\n\
                        The file has one request a line; empty lines and lines that begin with # are left out. All are one change. With --confirm-within it is \
                        rolled back when the time is up, unless it is confirmed before; what others have changed since is left, and told."
)]
pub(crate) struct ApplyArgs {
    /// A request as it stands in a query; may be repeated
    #[arg(long = "request", value_name = "QUERY", required_unless_present = "file")]
    requests: Vec<String>,
    /// A file with one request a line
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Roll it back unless it is confirmed in time: 60s, 10m, 2h
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    confirm_within: Option<u32>,
    /// Apply it even if it cuts the connection to the server
    #[arg(long)]
    force: bool,
    /// Who asks, by number or name; the only account of the dialect, or the only one that owns what is named, if absent
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<String>,
    /// The region of requests of EC2; the server's if absent
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
}

/// The arguments of `confirm`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sekimori confirm trial-4f0a12bc")]
pub(crate) struct ConfirmArgs {
    /// Its name, as `sekimori pending` tells it
    #[arg(value_name = "ID")]
    id: String,
}

/// The arguments of `rollback`.
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  sekimori rollback trial-4f0a12bc\n\nThe exit code is 2 when something could not be as it was before."
)]
pub(crate) struct RollbackArgs {
    /// Its name, as `sekimori pending` tells it
    #[arg(value_name = "ID")]
    id: String,
}

/// `60s`, `10m`, `2h`, `1d`.
fn seconds(text: &str) -> Result<u32, String> {
    let bad = || format!("`{text}` is no time to confirm something in; write 60s, 10m or 2h, at most 1d");
    let units = [('s', 1), ('m', 60), ('h', 3_600), ('d', 86_400)];
    let (count, unit_s) = units.iter().find_map(|(unit, s)| Some((text.strip_suffix(*unit)?, *s))).ok_or_else(bad)?;
    let digits = !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit());
    let count: u32 = digits.then(|| count.parse().ok()).flatten().ok_or_else(bad)?;
    let seconds = count.checked_mul(unit_s).filter(|seconds| (1..=TRIAL_WITHIN_S_MAX).contains(seconds));
    seconds.ok_or_else(bad)
}

/// Applies requests.
pub(crate) fn apply(common: &Common, args: ApplyArgs) -> Outcome {
    let ApplyArgs { mut requests, file, confirm_within, force, account, region } = args;
    requests.extend(file.map(|file| read(&file)).transpose()?.unwrap_or_default());
    if requests.is_empty() || requests.len() > APPLY_REQUESTS_MAX {
        let count = requests.len();
        return Err(Failure::usage(format!(
            "{count} requests cannot be applied as one; give 1 to {APPLY_REQUESTS_MAX}"
        )));
    }
    let request = |query: String| CloudRequest {
        parameters: CloudParameters::Query(query),
        dialect: None,
        account: account.clone(),
        region: region.clone(),
    };
    let requests = requests.into_iter().map(request).collect();
    let wish = Apply { requests, confirm_within_s: confirm_within, force };
    let applied: Applied = Client::connect(common)?.post("/v1/apply", &wish)?;
    output::show(common.output, &applied, said)?;
    Ok(Answer::Yes)
}

fn read(file: &PathBuf) -> Result<Vec<String>, Failure> {
    let wrong = || format!("cannot read `{}`", file.display());
    let length = fs::metadata(file).with_context(wrong)?.len();
    if length > FILE_BYTES_MAX {
        let message =
            format!("`{}` has {length} bytes, more than the {FILE_BYTES_MAX} that are read", file.display());
        return Err(Failure::Failed(anyhow!("{message}; apply it in parts")));
    }
    let text = fs::read_to_string(file).with_context(wrong)?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(lines.map(str::to_owned).collect())
}

fn said(applied: &Applied) -> Page {
    let Applied { operations, trial, warnings, unknown, revision, cuts: _, flows } = applied;
    let mut page = Page::default().line(format!("applied {}, revision {revision}", operations.join(", ")));
    for warning in warnings {
        page = page.line(format!("warning: {warning}"));
    }
    for what in unknown {
        page = page.line(format!("not checked: {what}"));
    }
    // What a network ACL drops goes on once it lets it pass again.
    let is_ended = |cut: &CutFlow| {
        let is_tcp = matches!(cut.flow.first.transport, Transport::Tcp { .. });
        is_tcp && matches!(cut.ending, Some(Ending::Ends | Ending::Reset | Ending::Untracked))
    };
    if trial.is_some() && flows.iter().any(is_ended) {
        page = page.line("a TCP flow that it ends does not come back with a rollback: it has to be opened again");
    }
    match trial {
        Some(TrialTold { id, until, .. }) => page
            .line(format!("it is rolled back at {} unless it is confirmed before:", moment::show(*until)))
            .line(format!("  sekimori confirm {id}")),
        None => page,
    }
}

/// Confirms a change.
pub(crate) fn confirm(common: &Common, ConfirmArgs { id }: ConfirmArgs) -> Outcome {
    let done: Revised = Client::connect(common)?.post(&format!("/v1/trials/{}/confirm", part(&id)?), &())?;
    output::show(common.output, &done, |done| {
        Page::default().line(format!("`{id}` stays, revision {}", done.revision))
    })?;
    Ok(Answer::Yes)
}

/// Rolls a change back.
pub(crate) fn rollback(common: &Common, RollbackArgs { id }: RollbackArgs) -> Outcome {
    let done: RolledBack = Client::connect(common)?.post(&format!("/v1/trials/{}/rollback", part(&id)?), &())?;
    output::show(common.output, &done, |RolledBack { restored, left, revision }| {
        let page = Page::default().line(format!("`{id}` is rolled back, revision {revision}"));
        let said =
            |word: &str, all: &[String]| all.iter().map(|what| format!("{word}: {what}")).collect::<Vec<String>>();
        page.lines(&said("as it was", restored)).lines(&said("left", left))
    })?;
    Ok(if done.left.is_empty() { Answer::Yes } else { Answer::No })
}

fn part(id: &str) -> Result<&str, Failure> {
    let is_id = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if is_id {
        Ok(id)
    } else {
        Err(Failure::usage(format!("`{id}` is no name of a change; `sekimori pending` lists them")))
    }
}

/// Lists what waits to be confirmed.
pub(crate) fn pending(common: &Common) -> Outcome {
    let trials: Trials = Client::connect(common)?.get("/v1/trials", &[])?;
    output::show(common.output, &trials, page)?;
    Ok(Answer::Yes)
}

fn page(trials: &Trials) -> Page {
    let header = ["ID", "REVISION", "OPERATIONS", "ROLLED BACK AT", "IN", "CHANGES"];
    let row = |trial: &TrialTold| {
        let TrialTold { id, revision, operations, until, facts, .. } = trial;
        let left = format!("{} s", until.0.saturating_sub(trials.now.0).max(0));
        let (revision, facts) = (revision.to_string(), facts.join("\n"));
        Row::from(vec![id.clone(), revision, operations.join("\n"), moment::show(*until), left, facts])
    };
    Page::default().table(&header, trials.trials.iter().map(row), "nothing waits to be confirmed")
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use sekimori_core::{packet::Packet, rule::Direction, time::Timestamp, world::Revision};

    use super::*;
    use crate::commands::flows::live::tests::established;

    #[test]
    fn times_are_read_as_people_write_them() {
        assert_eq!(
            [seconds("60s"), seconds("10m"), seconds("2h"), seconds("1d")],
            [Ok(60), Ok(600), Ok(7_200), Ok(86_400)]
        );
        for bad in ["", "60", "s", "0s", "2d", "-1s", "+1s", "1.5m", "99999999999h"] {
            assert!(seconds(bad).unwrap_err().contains(&format!("`{bad}`")), "{bad}");
        }
    }

    #[test]
    fn what_waits_is_shown_with_the_time_that_is_left() {
        let trial = TrialTold {
            id: "trial-4f0a12bc".to_owned(),
            revision: Revision(12),
            operations: vec!["RevokeSecurityGroup".to_owned()],
            made_at: Timestamp(1_700_000_000),
            until: Timestamp(1_700_000_060),
            facts: vec!["rule/sg-1/sgr-1".to_owned()],
        };
        let told = Trials { trials: vec![trial.clone()], now: Timestamp(1_700_000_018) };
        expect![[r#"
            ID              REVISION  OPERATIONS           ROLLED BACK AT        IN    CHANGES
            trial-4f0a12bc  12        RevokeSecurityGroup  2023-11-14T22:14:20Z  42 s  rule/sg-1/sgr-1
        "#]]
        .assert_eq(&page(&told).plain());
        let applied = Applied {
            operations: vec!["RevokeSecurityGroup".to_owned()],
            trial: Some(trial),
            cuts: Vec::new(),
            flows: Vec::new(),
            unknown: vec!["the live flows of host `rack-2` are not known: it is not connected".to_owned()],
            warnings: vec!["the connection from 10.0.0.1:50000 would be dropped".to_owned()],
            revision: Revision(12),
        };
        expect![[r#"
            applied RevokeSecurityGroup, revision 12
            warning: the connection from 10.0.0.1:50000 would be dropped
            not checked: the live flows of host `rack-2` are not known: it is not connected
            it is rolled back at 2023-11-14T22:14:20Z unless it is confirmed before:
              sekimori confirm trial-4f0a12bc
        "#]]
        .assert_eq(&said(&applied).plain());
        let is_told = |ending, transport, trial: Option<&TrialTold>| {
            let (flows, trial) = (vec![cut(ending, transport)], trial.cloned());
            said(&Applied { flows, trial, ..applied.clone() }).plain().contains("it has to be opened again")
        };
        let (tcp, udp) =
            (Transport::Tcp { source: 50_000, destination: 22 }, Transport::Udp { source: 50_000, destination: 53 });
        let trial = applied.trial.as_ref();
        for ending in [Ending::Ends, Ending::Reset, Ending::Untracked] {
            assert!(is_told(Some(ending), tcp, trial) && !is_told(Some(ending), udp, trial));
            assert!(!is_told(Some(ending), tcp, None), "nothing is rolled back");
        }
        assert!(!is_told(Some(Ending::Acl), tcp, trial) && !is_told(None, tcp, trial), "it goes on afterwards");
    }

    fn cut(ending: Option<Ending>, transport: Transport) -> CutFlow {
        let first = Packet {
            direction: Direction::Ingress,
            local: [10, 0, 0, 2].into(),
            peer: [203, 0, 113, 9].into(),
            transport,
            is_forwarded: false,
        };
        let flow = established(first);
        CutFlow { flow, vpc: "vpc-1".into(), ending, reason: "default".to_owned() }
    }
}
