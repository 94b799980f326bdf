//! Files of records of flow logs, read for a question: those of a server, and those that Amazon and Alibaba Cloud leave in a store, packed or not.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow};
use flate2::bufread::MultiGzDecoder;
use sekimori_cloud::records::read::{Reader, Records};

use crate::{
    exit::Failure,
    files::{has_end, listed},
};

/// What is read of a directory.
const EXTENSIONS: [&str; 2] = ["log", "gz"];
/// Files.
pub(crate) const FLOW_LOG_FILES_MAX: usize = 100_000;
/// Bytes of all files together, unpacked.
pub(crate) const FLOW_LOG_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;
/// Bytes of one record.
const LINE_BYTES_MAX: u64 = 64 * 1024;
/// Directories within each other: a store's own path has nine.
const DEPTH_MAX: usize = 16;
/// How a packed file begins (RFC 1952).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Reads files, and those of directories.
///
/// # Errors
/// When one cannot be read, is none of records, or they are too many.
pub(crate) fn read(paths: &[PathBuf]) -> Result<Records, Failure> {
    let (mut reader, mut bytes) = (Reader::default(), FLOW_LOG_BYTES_MAX);
    let within = |path: &Path| {
        let mut all = Vec::new();
        within(path, DEPTH_MAX, &mut all).map(|()| all)
    };
    for path in listed(paths, &EXTENSIONS, FLOW_LOG_FILES_MAX, within)? {
        bytes = file(&mut reader, &path, bytes)?;
    }
    Ok(reader.finish().map_err(|error| anyhow!(error))?)
}

/// Reads a file of at most so many bytes. What is left of them.
fn file(reader: &mut Reader, path: &Path, mut bytes_left: u64) -> Result<u64, Failure> {
    let name = path.display().to_string();
    let cannot = || format!("cannot read `{name}`");
    let mut plain = BufReader::new(File::open(path).with_context(cannot)?);
    let is_packed = plain.fill_buf().with_context(cannot)?.starts_with(&GZIP);
    let mut lines: Box<dyn BufRead> =
        if is_packed { Box::new(BufReader::new(MultiGzDecoder::new(plain))) } else { Box::new(plain) };
    reader.begin(&name);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = lines.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
        let read = read.with_context(|| format!("cannot read `{name}`; download it again if it is cut off"))? as u64;
        if read == 0 {
            return Ok(bytes_left);
        }
        if read == LINE_BYTES_MAX && !line.ends_with(b"\n") {
            return Err(
                anyhow!("`{name}` has a line of more than {LINE_BYTES_MAX} bytes, so it holds no records").into()
            );
        }
        bytes_left = bytes_left.checked_sub(read).ok_or_else(|| {
            anyhow!("the files have more than {FLOW_LOG_BYTES_MAX} bytes; give those of a shorter time")
        })?;
        let text = std::str::from_utf8(&line)
            .map_err(|_| anyhow!("`{name}` is no text; give files of flow logs as text, packed with gzip or not"))?;
        reader.line(text).map_err(|error| anyhow!(error))?;
    }
}

fn within(dir: &Path, depth: usize, all: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let cannot = || format!("cannot list `{}`", dir.display());
    let mut entries: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(dir).with_context(cannot)? {
        entries.push(entry.with_context(cannot)?.path());
    }
    entries.sort();
    for path in entries {
        if path.is_dir() {
            if depth == 0 {
                return Err(anyhow!("`{}` is more than {DEPTH_MAX} directories deep", path.display()).into());
            }
            within(&path, depth - 1, all)?;
        } else if has_end(&path, &EXTENSIONS) {
            all.push(path);
        }
    }
    Ok(())
}
