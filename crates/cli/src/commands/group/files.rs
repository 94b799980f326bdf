//! `sekimori group export` and `import`: rules as JSON or CSV, under the names that the cloud's console gives them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use comfy_table::{Cell, Color, Row};
use sekimori_analysis::transfer::{Export, FILE_BYTES_MAX, Request, Row as FileRow, Verdict, file_name, region_in};
use sekimori_server::api::{Changed, ImportAnswer};

use crate::{
    changing::{self, Trying},
    cli::Common,
    client::{Client, path_part},
    exit::{Answer, Failure, Outcome},
    moment,
    output::{self, NONE, Page},
};

/// The arguments of `export`.
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  sekimori group export sg-web\n  sekimori group export sg-web --format csv --dir /tmp\n  \
                        sekimori group export sg-web --stdout\n\n\
                        The file is ecs_REGION_GROUP.json or ecs_sgRule_GROUP_REGION_DATE.csv."
)]
pub(crate) struct ExportArgs {
    /// The group
    group: String,
    /// JSON or CSV
    #[arg(long, value_enum, default_value_t = FileFormat::Json)]
    format: FileFormat,
    /// Where the file goes
    #[arg(long, default_value = ".", value_name = "DIR")]
    dir: PathBuf,
    /// Print the file instead of writing it
    #[arg(long, conflicts_with = "dir")]
    stdout: bool,
}

/// The arguments of `import`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sekimori group import sg-web ecs_cn-hangzhou_sg-db.json --dry-run\n  \
                        sekimori group import sg-web rules.csv --all-or-nothing --confirm-within 60s\n\n\
                        Rules are added, never replaced; at most 200, and none with a priority over 100. The exit code is 2 when \
                        some rule was refused.")]
pub(crate) struct ImportArgs {
    /// The group
    group: String,
    /// A JSON or CSV file of rules
    file: PathBuf,
    /// The region that the file comes from; else the one that its name or contents tell
    #[arg(long, value_name = "REGION")]
    from_region: Option<String>,
    /// Add nothing if one rule cannot be added
    #[arg(long)]
    all_or_nothing: bool,
    #[command(flatten)]
    trying: Trying,
    /// Show what would be added, and add nothing
    #[arg(long)]
    dry_run: bool,
}

/// The forms of a file, as an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FileFormat {
    /// An array of objects.
    Json,
    /// A header and rows.
    Csv,
}

/// Exports.
pub(crate) fn export(common: &Common, client: &Client, args: ExportArgs) -> Outcome {
    let format = match args.format {
        FileFormat::Json => "json",
        FileFormat::Csv => "csv",
    };
    let path = format!("/v1/groups/{}/export", path_part(&args.group));
    let export: Export = client.get(&path, &[("format", format)])?;
    if args.stdout {
        output::print(&export.text)?;
        return Ok(Answer::Yes);
    }
    if common.output.is_json() {
        output::show(common.output, &export, |_| Page::default())?;
        return Ok(Answer::Yes);
    }
    let file = args.dir.join(file_name(&export, &moment::today()));
    fs::write(&file, &export.text).with_context(|| format!("cannot write `{}`", file.display()))?;
    output::print(&format!("{} rules of {} in {}\n", export.rules, export.group, file.display()))?;
    Ok(Answer::Yes)
}

/// Imports.
pub(crate) fn import(common: &Common, client: &Client, args: ImportArgs) -> Outcome {
    let ImportArgs { group, file, from_region, all_or_nothing, trying, dry_run } = args;
    let text = read(&file)?;
    let from_region = from_region.or_else(|| region_in(&file.to_string_lossy()).map(str::to_owned));
    let request = Request { text, from_region, all_or_nothing, dry_run };
    let path = format!("/v1/groups/{}/import", path_part(&group));
    let changed: Changed<ImportAnswer> = trying.ask(client, ("POST", &path), Some(&request))?;
    changing::show(common, &changed, |answer| page(answer, dry_run))?;
    Ok(if changed.answer.preview.count(Verdict::Refuse) == 0 { Answer::Yes } else { Answer::No })
}

/// A file of rules.
pub(crate) fn read(file: &Path) -> Result<String, Failure> {
    let wrong = || format!("cannot read `{}`", file.display());
    let length = fs::metadata(file).with_context(wrong)?.len();
    if length > FILE_BYTES_MAX as u64 {
        let message =
            format!("`{}` has {length} bytes, more than the {FILE_BYTES_MAX} that are read", file.display());
        return Err(Failure::Failed(anyhow::anyhow!("{message}; split it")));
    }
    Ok(fs::read_to_string(file).with_context(wrong)?)
}

fn page(answer: &ImportAnswer, dry_run: bool) -> Page {
    let ImportAnswer { preview, added, revision } = answer;
    let count = |verdict| preview.count(verdict);
    let counts = format!(
        "{} to add, {} there already, {} skipped, {} refused",
        count(Verdict::Add),
        count(Verdict::Exists),
        count(Verdict::Skip),
        count(Verdict::Refuse)
    );
    let done = match (dry_run, added.len()) {
        (true, _) => "nothing was added: this was a preview".to_owned(),
        (false, 0) => "nothing was added".to_owned(),
        (false, added) => format!("{added} added, revision {revision}"),
    };
    let from = preview.from_region.as_deref().unwrap_or("an unknown region");
    Page::default()
        .line(format!("{} of region {}, from {from}: {counts}", preview.group, preview.region))
        .table(&["#", "RULE", "RESULT", "WHY"], preview.rows.iter().map(row), "the file holds no rules")
        .line(done)
}

fn row(row: &FileRow) -> Row {
    let FileRow { number, text, verdict, reason, .. } = row;
    let (word, colour) = match verdict {
        Verdict::Add => ("add", Color::Green),
        Verdict::Exists => ("exists", Color::Grey),
        Verdict::Skip => ("skip", Color::Yellow),
        Verdict::Refuse => ("refuse", Color::Red),
    };
    let or_dash = |text: &str| if text.is_empty() { NONE.to_owned() } else { text.to_owned() };
    Row::from(vec![
        Cell::new(number),
        Cell::new(or_dash(text)),
        Cell::new(word).fg(colour),
        Cell::new(or_dash(reason)),
    ])
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use sekimori_analysis::transfer::Preview;
    use sekimori_core::world::Revision;

    use super::*;

    #[test]
    fn every_rule_of_the_file_has_its_result_and_reason() {
        let row = |number, text: &str, verdict, reason: &str| FileRow {
            number,
            text: text.to_owned(),
            verdict,
            reason: reason.to_owned(),
            rule: None,
        };
        let preview = Preview {
            group: "sg-web".into(),
            from_region: Some("cn-beijing".to_owned()),
            region: "cn-hangzhou".to_owned(),
            rows: vec![
                row(1, "allow tcp 443 from 0.0.0.0/0, priority 1", Verdict::Add, ""),
                row(2, "", Verdict::Refuse, "`22/1` is not a port range; write 22/22 or 8000/8080"),
            ],
        };
        let answer = ImportAnswer { preview, added: vec!["sgr-1".into()], revision: Revision(9) };
        expect![[r#"
            sg-web of region cn-hangzhou, from cn-beijing: 1 to add, 0 there already, 0 skipped, 1 refused
            #  RULE                                      RESULT  WHY
            1  allow tcp 443 from 0.0.0.0/0, priority 1  add     -
            2  -                                         refuse  `22/1` is not a port range; write 22/22 or 8000/8080
            1 added, revision 9
        "#]]
        .assert_eq(&page(&answer, false).plain());
    }
}
