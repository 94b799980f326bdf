//! What was bound last, on the disk: an agent that starts closes these interfaces before it has heard of any world.
//!
//! The world is the authority. This is what it said last, replaced as a whole, and believed until it says something else.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use sekimori_core::{address::Mac, binding::Binding, ids::EniId};
use serde::{Deserialize, Serialize};

/// The record's name in the data directory of the agent.
pub const RECORD_FILE: &str = "bound.json";
/// The version of its form.
const FORMAT: u32 = 1;
/// The largest record that is read: well above 16,384 bindings.
const BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Where an ENI is to be enforced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Wanted {
    pub(super) binding: Binding,
    /// What the workload sends from.
    pub(super) mac: Mac,
}

#[derive(Serialize, Deserialize)]
struct Content {
    format: u32,
    bindings: BTreeMap<EniId, Wanted>,
}

/// Reads what was written last; nothing was, where there is no file.
pub(super) fn read(directory: &Path) -> anyhow::Result<BTreeMap<EniId, Wanted>> {
    let path = path(directory);
    let mut text = Vec::new();
    match File::open(&path) {
        Ok(file) => file.take(BYTES_MAX).read_to_end(&mut text).map(drop),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => Err(error),
    }
    .with_context(|| format!("cannot read `{}`", path.display()))?;
    let content: Content = serde_json::from_slice(&text)
        .with_context(|| format!("`{}` is damaged; remove it, the server knows what is bound", path.display()))?;
    let Content { format, bindings } = content;
    anyhow::ensure!(
        format == FORMAT,
        "`{}` has format {format}, and this program reads {FORMAT}; use the program that wrote it",
        path.display()
    );
    Ok(bindings)
}

/// Replaces what was written, durably.
pub(super) fn write(directory: &Path, bindings: &BTreeMap<EniId, Wanted>) -> anyhow::Result<()> {
    let path = path(directory);
    let draft = directory.join(format!("{RECORD_FILE}.new"));
    let replace = || -> io::Result<()> {
        let content = Content { format: FORMAT, bindings: bindings.clone() };
        let mut file = File::create(&draft)?;
        file.write_all(&serde_json::to_vec(&content)?)?;
        file.sync_all()?;
        fs::rename(&draft, &path)?;
        File::open(directory)?.sync_all()
    };
    replace().with_context(|| format!("cannot write `{}`", path.display()))
}

/// Removes it.
pub(super) fn remove(directory: &Path) -> io::Result<()> {
    match fs::remove_file(path(directory)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn path(directory: &Path) -> PathBuf {
    directory.join(RECORD_FILE)
}

#[cfg(test)]
mod tests {
    use sekimori_core::binding::Side;

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(read(directory.path()).unwrap(), BTreeMap::new());
        let interface = "tap0".to_owned();
        let netns = Some("/run/netns/vms".parse().unwrap());
        let binding = Binding { host: "h".into(), netns, interface, side: Side::Own, holder: "web".to_owned() };
        let bindings = BTreeMap::from([(EniId::from("eni-1"), Wanted { binding, mac: Mac([2, 0, 0, 0, 0, 1]) })]);
        write(directory.path(), &bindings).unwrap();
        assert_eq!(read(directory.path()).unwrap(), bindings);
        fs::write(path(directory.path()), b"{").unwrap();
        assert!(read(directory.path()).unwrap_err().to_string().contains("is damaged; remove it"));
        fs::write(path(directory.path()), br#"{"format":2,"bindings":{}}"#).unwrap();
        assert!(read(directory.path()).unwrap_err().to_string().contains("has format 2"));
        remove(directory.path()).unwrap();
        remove(directory.path()).unwrap();
    }
}
