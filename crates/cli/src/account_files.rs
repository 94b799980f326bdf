//! Files that describe a real account, asked in place of a server.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anstream::eprintln;
use anyhow::{Context as _, anyhow};
use sekimori_analysis::account::{self, ACCOUNT_BYTES_MAX, ACCOUNT_FILES_MAX, Account, File};
use sekimori_server::offline::Offline;

use crate::{
    exit::Failure,
    files::{has_end, listed},
};

/// What is read of a directory.
const EXTENSIONS: [&str; 2] = ["json", "csv"];
/// Notes that are told; the rest is counted.
const NOTES_TOLD_MAX: usize = 40;

/// Reads files, tells what they do not say, and answers from them.
///
/// # Errors
/// When one cannot be read, or together they describe no account.
pub(crate) fn open(paths: &[PathBuf]) -> Result<Offline, Failure> {
    let account = account(&texts(paths)?)?;
    Ok(Offline::of(account.changes).map_err(|error| anyhow!(error))?)
}

/// Reads files that are to be compared with something else, and tells what they do not say.
///
/// # Errors
/// When one cannot be read, or together they describe no account.
pub(crate) fn compared(paths: &[PathBuf]) -> Result<Vec<File>, Failure> {
    let files = texts(paths)?;
    account(&files)?;
    Ok(files)
}

fn texts(paths: &[PathBuf]) -> Result<Vec<File>, Failure> {
    let mut files = Vec::new();
    let mut bytes = 0;
    let within = |path: &Path| {
        of_directory(path).with_context(|| format!("cannot list `{}`", path.display())).map_err(Failure::from)
    };
    for path in listed(paths, &EXTENSIONS, ACCOUNT_FILES_MAX, within)? {
        let size = fs::metadata(&path).with_context(|| format!("cannot read `{}`", path.display()))?.len();
        bytes += usize::try_from(size).unwrap_or(usize::MAX).min(ACCOUNT_BYTES_MAX + 1);
        if bytes > ACCOUNT_BYTES_MAX {
            return Err(anyhow!("the files have more than {ACCOUNT_BYTES_MAX} bytes; describe fewer regions").into());
        }
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
        files.push(File { name: path.display().to_string(), text });
    }
    Ok(files)
}

fn account(files: &[File]) -> Result<Account, Failure> {
    let account = account::read(files).map_err(|error| anyhow!(error))?;
    for note in account.notes.iter().take(NOTES_TOLD_MAX) {
        eprintln!("note: {note}");
    }
    let more = account.notes.len().saturating_sub(NOTES_TOLD_MAX);
    if more > 0 {
        eprintln!("note: and {more} more that are not told");
    }
    Ok(account)
}

fn of_directory(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let is_wanted = |path: &PathBuf| path.is_file() && has_end(path, &EXTENSIONS);
    let mut all = Vec::new();
    for entry in fs::read_dir(dir)? {
        all.extend(Some(entry?.path()).filter(is_wanted));
    }
    all.sort();
    Ok(all)
}
