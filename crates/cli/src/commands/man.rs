//! `sekimori man`: the manual, made from the same definition as the parser.

use std::{fs, path::PathBuf};

use anyhow::Context as _;
use clap::{Args, CommandFactory};
use clap_mangen::Man;

use crate::{
    cli::Cli,
    exit::{Answer, Failure, Outcome},
    output,
};

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sekimori man --dir /usr/local/share/man/man1")]
pub(crate) struct ManArgs {
    /// Write a page for every command into this directory
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Prints the first page, or writes all.
pub(crate) fn run(args: ManArgs) -> Outcome {
    match args.dir {
        None => output::print(&page()?)?,
        Some(dir) => {
            let cannot =
                || format!("cannot write manual pages to `{}`; give a directory you may write", dir.display());
            fs::create_dir_all(&dir).with_context(cannot)?;
            clap_mangen::generate_to(Cli::command(), &dir).with_context(cannot)?;
        }
    }
    Ok(Answer::Yes)
}

fn page() -> Result<String, Failure> {
    let mut page = Vec::new();
    Man::new(Cli::command()).render(&mut page)?;
    String::from_utf8(page).map_err(|error| Failure::Failed(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_page_for_every_command() {
        assert!(page().unwrap().contains(".TH sekimori 1"));
        let dir = tempfile::tempdir().unwrap();
        run(ManArgs { dir: Some(dir.path().join("man1")) }).unwrap();
        for name in ["sekimori.1", "sekimori-up.1", "sekimori-policy-show.1"] {
            assert!(dir.path().join("man1").join(name).exists(), "{name}");
        }
    }
}
