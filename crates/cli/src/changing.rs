//! How a change is made, whichever it is: only shown, on trial, or at once. The options, and what is said of it, for every command that
//! changes what is let through.

use clap::Args;
use comfy_table::Row;
use sekimori_analysis::{diff::Ending, lockout::CutFlow};
use sekimori_core::{packet::Transport, trial::TRIAL_WITHIN_S_MAX};
use sekimori_server::api::{Aftermath, Changed, DiffAnswer, TrialTold, Trials};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    cli::Common,
    client::Client,
    commands::diff,
    exit::Failure,
    moment,
    output::{self, Page},
};

/// The options of a change that shows by itself what it would do.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct Trying {
    /// Roll it back unless it is confirmed in time: 60s, 10m, 2h
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub(crate) confirm_within: Option<u32>,
    /// Make it even if it cuts the connection to the server
    #[arg(long)]
    pub(crate) force: bool,
}

/// The options of every other change.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct Changing {
    /// How it is tried.
    #[command(flatten)]
    pub(crate) trying: Trying,
    /// Show what passes and is dropped otherwise, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `60s`, `10m`, `2h`, `1d`.
pub(crate) fn seconds(text: &str) -> Result<u32, String> {
    let bad = || format!("`{text}` is no time to confirm something in; write 60s, 10m or 2h, at most 1d");
    let units = [('s', 1), ('m', 60), ('h', 3_600), ('d', 86_400)];
    let (count, unit_s) = units.iter().find_map(|(unit, s)| Some((text.strip_suffix(*unit)?, *s))).ok_or_else(bad)?;
    let digits = !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit());
    let count: u32 = digits.then(|| count.parse().ok()).flatten().ok_or_else(bad)?;
    let seconds = count.checked_mul(unit_s).filter(|seconds| (1..=TRIAL_WITHIN_S_MAX).contains(seconds));
    seconds.ok_or_else(bad)
}

impl Trying {
    /// That they are given with a change only.
    ///
    /// # Errors
    /// When nothing is to be changed; the words say what would.
    pub(crate) fn check(self, changes: bool, what: &str) -> Result<Self, Failure> {
        if changes || (self.confirm_within.is_none() && !self.force) {
            return Ok(self);
        }
        Err(Failure::usage(format!(
            "--confirm-within and --force are about a change, and nothing is changed without {what}"
        )))
    }

    /// Makes a change.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(crate) fn ask<T: DeserializeOwned>(
        self,
        client: &Client,
        (method, path): (&str, &str),
        body: Option<&impl Serialize>,
    ) -> anyhow::Result<Changed<T>> {
        client.send(
            method,
            path,
            &pairs(&Changing { trying: self, dry_run: false }.query()),
            body,
            Default::default(),
        )
    }
}

impl Changing {
    /// As [`Trying::check`].
    ///
    /// # Errors
    /// Likewise.
    pub(crate) fn check(self, changes: bool, what: &str) -> Result<Self, Failure> {
        if !changes && self.dry_run {
            return Err(Failure::usage(format!(
                "--dry-run is about a change, and nothing is changed without {what}"
            )));
        }
        self.trying.check(changes, what)?;
        Ok(self)
    }

    /// Makes a change and tells of it, or shows what it would change. Tells whether it was made.
    ///
    /// # Errors
    /// As [`Client::get`], and when nothing can be printed.
    pub(crate) fn make<T: DeserializeOwned + Serialize>(
        self,
        (common, client): (&Common, &Client),
        (method, path): (&str, &str),
        body: Option<&impl Serialize>,
        page: impl FnOnce(&T) -> Page,
    ) -> Result<bool, Failure> {
        if self.dry_run {
            let answer: DiffAnswer = client.send(method, path, &pairs(&self.query()), body, Default::default())?;
            output::show(common.output, &answer, diff::page)?;
            return Ok(false);
        }
        let changed: Changed<T> = self.trying.ask(client, (method, path), body)?;
        show(common, &changed, page)?;
        Ok(true)
    }

    fn query(self) -> Vec<(&'static str, String)> {
        let Self { trying: Trying { confirm_within, force }, dry_run } = self;
        let flags = [("force", force), ("dry_run", dry_run)];
        let given = flags.into_iter().filter(|(_, is_given)| *is_given).map(|(name, _)| (name, "true".to_owned()));
        confirm_within.map(|seconds| ("confirm_within_s", seconds.to_string())).into_iter().chain(given).collect()
    }
}

fn pairs<'a>(query: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    query.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

/// Prints a change that was made.
///
/// # Errors
/// When standard output cannot be written.
pub(crate) fn show<T: Serialize>(
    common: &Common,
    changed: &Changed<T>,
    page: impl FnOnce(&T) -> Page,
) -> Result<(), Failure> {
    output::show(common.output, changed, |Changed { answer, aftermath }| said(page(answer), aftermath))
}

/// What becomes of a change, behind what it says by itself.
fn said(page: Page, aftermath: &Aftermath) -> Page {
    let Aftermath { trial, warnings, unknown, cuts: _, flows, stuck } = aftermath;
    let mut page = page;
    for warning in warnings {
        page = page.line(format!("warning: {warning}"));
    }
    for what in unknown {
        page = page.line(format!("not checked: {what}"));
    }
    for what in stuck {
        page = page.line(format!("another change: {what}"));
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

/// What waits to be confirmed.
pub(crate) fn waiting(trials: &Trials) -> Page {
    let header = ["ID", "REVISION", "OPERATIONS", "ROLLED BACK AT", "IN", "CHANGES"];
    let row = |trial: &TrialTold| {
        let TrialTold { id, revision, operations, until, facts, .. } = trial;
        let left = format!("{} s", until.0.saturating_sub(trials.now.0).max(0));
        let (revision, facts) = (revision.to_string(), facts.join("\n"));
        Row::from(vec![id.clone(), revision, operations.join("\n"), moment::show(*until), left, facts])
    };
    let page = Page::default().table(&header, trials.trials.iter().map(row), "nothing waits to be confirmed");
    let stuck = trials.trials.iter().filter_map(|trial| Some((&trial.id, trial.stuck.as_ref()?)));
    let line = |(id, why): (&String, &String)| {
        format!(
            "{id} is due and cannot be rolled back, which is tried again each second: {why}; it may still be confirmed"
        )
    };
    page.lines(&stuck.map(line).collect::<Vec<_>>())
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
    fn options_are_sent_as_they_are_given_and_only_with_a_change() {
        let trying = Trying { confirm_within: Some(60), force: true };
        let query = |changing: Changing| changing.query().into_iter().map(|(name, value)| format!("{name}={value}"));
        let all: Vec<String> = query(Changing { trying, dry_run: true }).collect();
        assert_eq!(all, ["confirm_within_s=60", "force=true", "dry_run=true"]);
        assert_eq!(query(Changing::default()).count(), 0);
        assert!(trying.check(true, "--apply").is_ok() && Trying::default().check(false, "--apply").is_ok());
        assert!(trying.check(false, "--apply").is_err());
    }

    fn trial() -> TrialTold {
        TrialTold {
            id: "trial-4f0a12bc".to_owned(),
            revision: Revision(12),
            operations: vec!["RevokeSecurityGroup".to_owned()],
            made_at: Timestamp(1_700_000_000),
            until: Timestamp(1_700_000_060),
            facts: vec!["rule/sg-1/sgr-1".to_owned()],
            stuck: None,
        }
    }

    #[test]
    fn what_waits_is_shown_with_the_time_that_is_left() {
        let told = Trials { trials: vec![trial()], now: Timestamp(1_700_000_018) };
        expect![[r#"
            ID              REVISION  OPERATIONS           ROLLED BACK AT        IN    CHANGES
            trial-4f0a12bc  12        RevokeSecurityGroup  2023-11-14T22:14:20Z  42 s  rule/sg-1/sgr-1
        "#]]
        .assert_eq(&waiting(&told).plain());
        let stuck = TrialTold { stuck: Some("invariant `closed` forbids it".to_owned()), ..trial() };
        let told = waiting(&Trials { trials: vec![stuck], now: Timestamp(1_700_000_090) }).plain();
        assert!(told.contains("is due and cannot be rolled back") && told.contains("`closed`"), "{told}");
    }

    #[test]
    fn what_becomes_of_a_change_is_told_behind_it() {
        let aftermath = Aftermath {
            trial: Some(trial()),
            unknown: vec!["the live flows of host `rack-2` are not known: it is not connected".to_owned()],
            warnings: vec!["the connection from 10.0.0.1:50000 would be dropped".to_owned()],
            ..Aftermath::default()
        };
        let said = |aftermath: &Aftermath| said(Page::default().line("applied"), aftermath).plain();
        expect![[r#"
            applied
            warning: the connection from 10.0.0.1:50000 would be dropped
            not checked: the live flows of host `rack-2` are not known: it is not connected
            it is rolled back at 2023-11-14T22:14:20Z unless it is confirmed before:
              sekimori confirm trial-4f0a12bc
        "#]]
        .assert_eq(&said(&aftermath));
        let is_told = |ending, transport, trial: Option<&TrialTold>| {
            let (flows, trial) = (vec![cut(ending, transport)], trial.cloned());
            said(&Aftermath { flows, trial, ..aftermath.clone() }).contains("it has to be opened again")
        };
        let (tcp, udp) =
            (Transport::Tcp { source: 50_000, destination: 22 }, Transport::Udp { source: 50_000, destination: 53 });
        let trial = aftermath.trial.as_ref();
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
