//! `sekimori apply`, `confirm`, `rollback` and `pending`: changes of the clouds' APIs, undone by themselves unless they are confirmed in time.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, anyhow};
use clap::Args;
use sekimori_server::{
    APPLY_REQUESTS_MAX,
    api::{Applied, Apply, Changed, CloudParameters, CloudRequest, DiffAnswer, Revised, RolledBack, Trials},
};

use super::diff;
use crate::{
    changing::{self, Changing, Trying, waiting},
    cli::Common,
    client::Client,
    exit::{Answer, Failure, Outcome},
    output::{self, Page},
};

/// The longest file of requests.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The arguments of `apply`.
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  sekimori apply --confirm-within 60s --request 'Action=RevokeSecurityGroupIngress&Version=2016-11-15&GroupId=sg-1&SecurityGroupRuleId.1=sgr-1'\n  \
                        sekimori apply --file requests.txt --account default\n  sekimori apply --file requests.txt --dry-run\n\n\
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
    #[command(flatten)]
    changing: Changing,
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

/// Applies requests.
pub(crate) fn apply(common: &Common, args: ApplyArgs) -> Outcome {
    let ApplyArgs { mut requests, file, changing, account, region } = args;
    let Changing { trying: Trying { confirm_within, force }, dry_run } = changing;
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
    let wish = Apply { requests, confirm_within_s: confirm_within, force, dry_run };
    let client = Client::connect(common)?;
    if dry_run {
        let answer: DiffAnswer = client.post("/v1/apply", &wish)?;
        output::show(common.output, &answer, diff::page)?;
        return Ok(Answer::Yes);
    }
    let applied: Changed<Applied> = client.post("/v1/apply", &wish)?;
    changing::show(common, &applied, said)?;
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
    let Applied { operations, revision } = applied;
    Page::default().line(format!("applied {}, revision {revision}", operations.join(", ")))
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
    output::show(common.output, &done, |done| undone(&id, done))?;
    Ok(if done.left.is_empty() { Answer::Yes } else { Answer::No })
}

/// What has come of a rollback: all of it, a part, or nothing.
fn undone(id: &str, RolledBack { restored, left, revision }: &RolledBack) -> Page {
    let head = match (restored.is_empty(), left.is_empty()) {
        (false, true) => format!("`{id}` is rolled back, revision {revision}"),
        (false, false) => format!("`{id}` is rolled back in part, revision {revision}"),
        (true, false) => format!("nothing of `{id}` is rolled back, and it waits no more, revision {revision}"),
        (true, true) => format!("`{id}` has nothing to roll back, and waits no more, revision {revision}"),
    };
    let said = |word: &str, all: &[String]| all.iter().map(|what| format!("{word}: {what}")).collect::<Vec<String>>();
    Page::default().line(head).lines(&said("as it was", restored)).lines(&said("left", left))
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
    output::show(common.output, &trials, waiting)?;
    Ok(Answer::Yes)
}

#[cfg(test)]
mod tests {
    use sekimori_core::world::Revision;

    use super::*;

    #[test]
    fn a_rollback_says_whether_all_a_part_or_nothing_came_back() {
        let said = |restored: &[&str], left: &[&str]| {
            let [restored, left] = [restored, left].map(|all| all.iter().map(|&one| one.to_owned()).collect());
            undone("trial-1", &RolledBack { restored, left, revision: Revision(9) }).plain()
        };
        let changed = "eni/eni-1: it was changed since";
        assert_eq!(said(&["platform"], &[]), "`trial-1` is rolled back, revision 9\nas it was: platform\n");
        let part = said(&["platform"], &[changed]);
        assert!(part.starts_with("`trial-1` is rolled back in part, revision 9\n"), "{part}");
        let nothing = said(&[], &[changed]);
        assert!(nothing.starts_with("nothing of `trial-1` is rolled back, and it waits no more"), "{nothing}");
        assert!(nothing.ends_with("left: eni/eni-1: it was changed since\n"), "{nothing}");
        assert!(said(&[], &[]).starts_with("`trial-1` has nothing to roll back"));
    }
}
