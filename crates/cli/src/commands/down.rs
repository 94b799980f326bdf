//! `sekimori down`: takes away what a data directory has made in the kernel. The store stays: `up` brings
//! everything back.

use std::path::Path;

use anyhow::{Context as _, anyhow};
use clap::Args;
use serde::Serialize;

use crate::{
    cli::Common,
    connection,
    data_dir::{self, DataDir},
    exit::{Answer, Outcome},
    output::{self, Page},
};

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sudo sekimori down --data-dir /var/lib/sekimori\n\n\
                        The store and its credentials stay; delete the directory to forget them.")]
pub(crate) struct DownArgs {}

/// What was done.
#[derive(Debug, Serialize)]
struct Down<'a> {
    data_dir: &'a Path,
    was_data_dir: bool,
}

/// Removes.
pub(crate) fn run(common: &Common, _: DownArgs) -> Outcome {
    let path = connection::data_dir(&common.connection, connection::environment)?;
    data_dir::require_root("down")?;
    let opened = DataDir::open_existing(&path)?;
    if let Some(dir) = &opened {
        remove(dir)?;
    }
    let down = Down { data_dir: &path, was_data_dir: opened.is_some() };
    output::show(common.output, &down, page)?;
    Ok(Answer::Yes)
}

fn remove(dir: &DataDir) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.context("cannot start the runtime")?;
    let report = runtime.block_on(sekimori_agent::run::down(dir.path()))?;
    if report.left.is_empty() {
        return Ok(());
    }
    let left = report.left.join("; ");
    Err(anyhow!("something of `{}` is left: {left}; mend that and run it again", dir.path().display()))
}

fn page(down: &Down<'_>) -> Page {
    let dir = down.data_dir.display();
    Page::default().line(if down.was_data_dir {
        format!("nothing of `{dir}` is left in the kernel; its store is kept")
    } else {
        format!("`{dir}` is not a data directory, so there is nothing to remove")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_is_kept() {
        let page = |was_data_dir| page(&Down { data_dir: Path::new("/d"), was_data_dir }).plain();
        assert!(page(true).contains("its store is kept"));
        assert!(page(false).contains("nothing to remove"));
    }
}
