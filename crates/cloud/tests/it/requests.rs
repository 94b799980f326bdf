//! Reads the recorded requests in `tests/recorded`.

use std::{fs, path::PathBuf};

use sekimori_cloud::RawRequest;

/// The secret that every recorded request is signed with.
pub(crate) const SECRET: &[u8] = b"invented-secret-for-sekimori-tests";

/// A request that owns its parts.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    /// The file's name.
    pub(crate) name: String,
    /// The method.
    pub(crate) method: String,
    /// The query.
    pub(crate) query: String,
    /// The headers, names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// The body.
    pub(crate) body: Vec<u8>,
}

impl Recorded {
    /// As the server would hand it over.
    pub(crate) fn raw(&self) -> RawRequest<'_> {
        let Self { method, query, headers, body, .. } = self;
        RawRequest { method, path: "/", query, headers, body }
    }
}

/// Every request that was recorded of a client of Alibaba Cloud, by name.
pub(crate) fn all() -> Vec<Recorded> {
    all_in("tests/recorded")
}

/// Every request that was recorded of a client of Amazon, by name.
pub(crate) fn all_of_ec2() -> Vec<Recorded> {
    all_in("tests/recorded-ec2")
}

fn all_in(folder: &str) -> Vec<Recorded> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files: Vec<PathBuf> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "http"));
    files.sort();
    assert!(!files.is_empty());
    files.into_iter().map(|file| read(&file)).collect()
}

fn read(file: &PathBuf) -> Recorded {
    let text = fs::read_to_string(file).unwrap();
    let (head, body) = text.split_once("\n\n").unwrap();
    let mut lines = head.lines();
    let (method, target) = lines.next().unwrap().split_once(' ').unwrap();
    let headers = lines.map(|line| line.split_once(": ").unwrap_or((line.trim_end_matches(':'), "")));
    Recorded {
        name: file.file_stem().unwrap().to_str().unwrap().to_owned(),
        method: method.to_owned(),
        query: target.strip_prefix("/?").unwrap_or_default().to_owned(),
        headers: headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect(),
        body: body.trim_end_matches('\n').as_bytes().to_vec(),
    }
}
