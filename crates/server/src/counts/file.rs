//! The file behind the counts: one redb table, a row for each counter of each host, written in one transaction a time.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use sekimori_core::{feed::Counter, ids::HostId};

use super::Cell;
use crate::files;

/// Rows by their key, both JSON.
const COUNTS: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("counts");
/// What the rows of this version mean. Another table is not read.
const VERSION: TableDefinition<'static, &str, u64> = TableDefinition::new("version");
const VERSION_NUMBER: u64 = 1;
/// Memory for cached pages: everything is in memory already.
const CACHE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Which counter of which host.
pub(super) type Key = (HostId, Counter);
/// A counter; `None` is gone.
pub(super) type Row = (Key, Option<Cell>);

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use `{}`: {source}; check its owner, its permissions and the disk", file.display())]
pub struct CountsError {
    file: PathBuf,
    source: redb::Error,
}

/// See the module.
#[derive(Debug)]
pub(super) struct CountsFile {
    database: Database,
    path: PathBuf,
}

impl CountsFile {
    /// Opens the file of a directory, or makes one; returns what is in it. A damaged one is put aside.
    pub(super) fn open(dir: &Path) -> Result<(Self, Vec<(Key, Cell)>), CountsError> {
        let path = dir.join("counts.redb");
        let wrong = |source: redb::Error| CountsError { file: path.clone(), source };
        match Self::read(&path) {
            Ok(found) => Ok(found),
            Err(error) if is_damage(&error) => {
                let aside = dir.join("counts.redb.damaged");
                tracing::warn!(%error, aside = %aside.display(), "the counts are damaged; counting begins anew");
                fs::rename(&path, &aside).map_err(|error| wrong(error.into()))?;
                Self::read(&path).map_err(wrong)
            }
            Err(error) => Err(wrong(error)),
        }
    }

    fn read(path: &Path) -> Result<(Self, Vec<(Key, Cell)>), redb::Error> {
        match files::create_private(path) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error.into()),
        }
        let database = Database::builder().set_cache_size(CACHE_BYTES_MAX).create(path)?;
        let write = database.begin_write()?;
        {
            let mut version = write.open_table(VERSION)?;
            let known = version.get("counts")?.map(|found| found.value());
            if known.is_some_and(|known| known != VERSION_NUMBER) {
                return Err(redb::Error::Corrupted("it is of another version".to_owned()));
            }
            version.insert("counts", VERSION_NUMBER)?;
            write.open_table(COUNTS)?;
        }
        write.commit()?;
        let mut rows = Vec::new();
        for row in database.begin_read()?.open_table(COUNTS)?.iter()? {
            let (key, cell) = row?;
            let read =
                serde_json::from_slice(key.value()).and_then(|key| Ok((key, serde_json::from_slice(cell.value())?)));
            rows.push(read.map_err(|error| redb::Error::Corrupted(error.to_string()))?);
        }
        Ok((Self { database, path: path.to_owned() }, rows))
    }

    /// Writes rows; when this returns they are on disk, all or none.
    pub(super) fn write(&mut self, rows: &[Row]) -> Result<(), CountsError> {
        self.try_write(rows).map_err(|source| CountsError { file: self.path.clone(), source })
    }

    fn try_write(&self, rows: &[Row]) -> Result<(), redb::Error> {
        let unreadable = |error: serde_json::Error| redb::Error::Io(error.into());
        let write = self.database.begin_write()?;
        {
            let mut table = write.open_table(COUNTS)?;
            for (key, cell) in rows {
                let key = serde_json::to_vec(key).map_err(unreadable)?;
                match cell {
                    Some(cell) => {
                        let cell = serde_json::to_vec(cell).map_err(unreadable)?;
                        table.insert(key.as_slice(), cell.as_slice())?;
                    }
                    None => drop(table.remove(key.as_slice())?),
                }
            }
        }
        Ok(write.commit()?)
    }
}

/// Whether an error tells about what is in the file, not about the disk.
fn is_damage(error: &redb::Error) -> bool {
    let is_content =
        |error: &io::Error| matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof);
    matches!(
        error,
        redb::Error::Corrupted(_) | redb::Error::UpgradeRequired(_) | redb::Error::TableTypeMismatch { .. }
    ) || matches!(error, redb::Error::Io(error) if is_content(error))
}
