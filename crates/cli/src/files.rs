//! Files that a question is about, named one by one or by the directory that they are in.

use std::path::{Path, PathBuf};

use anyhow::anyhow;

use crate::exit::Failure;

/// The files that are meant, at most so many: of a directory what is `within` it, in the order of their names.
///
/// # Errors
/// When a directory cannot be listed or holds none, or they are too many.
pub(crate) fn listed(
    paths: &[PathBuf],
    extensions: &[&str],
    most: usize,
    within: impl Fn(&Path) -> Result<Vec<PathBuf>, Failure>,
) -> Result<Vec<PathBuf>, Failure> {
    let mut all = Vec::new();
    for path in paths {
        if !path.is_dir() {
            all.push(path.clone());
            continue;
        }
        let found = within(path)?;
        if found.is_empty() {
            let ends: Vec<String> = extensions.iter().map(|end| format!(".{end}")).collect();
            return Err(anyhow!("`{}` holds no file that ends in {}", path.display(), ends.join(" or ")).into());
        }
        all.extend(found);
    }
    if all.len() > most {
        return Err(anyhow!("{} files are more than the {most} that are read", all.len()).into());
    }
    Ok(all)
}

/// Whether a name ends in one of these.
pub(crate) fn has_end(path: &Path, extensions: &[&str]) -> bool {
    path.extension().is_some_and(|end| extensions.iter().any(|known| end == *known))
}
