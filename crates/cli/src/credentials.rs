//! `credentials.env`: what clients of both APIs need to know, one unquoted `NAME=value` a line.
//!
//! The file is replaced as a whole, belongs to whoever asked for it, and is read by nobody else. Values come
//! from a process with fewer rights than ours and may be read by a shell, so nothing but plain text is let in.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::unix::fs::{OpenOptionsExt, fchown},
    path::Path,
};

use anyhow::{Context as _, bail};
use sekimori_core::world::Dialect;
use sekimori_server::api::{Bootstrap, KeyTold};

/// The file's name in the data directory.
pub(crate) const FILE: &str = "credentials.env";
/// What the clients of a cloud look for in the environment: the public half of an access key, its secret half, the
/// region, and where the API is.
pub(crate) fn names_of(dialect: Dialect) -> [&'static str; 4] {
    match dialect {
        Dialect::Ecs => [
            "ALIBABA_CLOUD_ACCESS_KEY_ID",
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
            "ALIBABA_CLOUD_REGION_ID",
            "ALIBABA_CLOUD_ENDPOINT_ECS",
        ],
        Dialect::Ec2 => ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL"],
    }
}

/// Where the native API is: a URL.
pub(crate) const ENDPOINT: &str = "SEKIMORI_ENDPOINT";
/// The operator's token.
pub(crate) const TOKEN: &str = "SEKIMORI_TOKEN";
/// The certificate to trust.
pub(crate) const CA: &str = "SEKIMORI_CA";

/// The most lines that are read.
const LINES_MAX: usize = 256;

/// Who a file is given to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// Names and values, in the order of the file.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Credentials {
    values: Vec<(String, String)>,
}

impl Credentials {
    /// What a server has told, with the file of its certificate if it made one.
    ///
    /// # Errors
    /// When a value is not plain text.
    pub(crate) fn of(told: &Bootstrap, ca: Option<&Path>) -> anyhow::Result<Self> {
        let address = reachable(told.listen);
        let scheme = if told.tls { "https" } else { "http" };
        let endpoint = format!("{scheme}://{address}");
        let mut values = key_lines(Dialect::Ecs, &told.ecs, &endpoint);
        values.extend(key_lines(Dialect::Ec2, &told.ec2, &endpoint));
        values.push((ENDPOINT, endpoint));
        values.push((TOKEN, told.token.clone()));
        if let Some(ca) = ca {
            let ca = ca.to_str().with_context(|| format!("`{}` is not text; use another path", ca.display()))?;
            values.push((CA, ca.to_owned()));
        }
        Self::new(values)
    }

    /// Only what a client of a dialect's API needs; `endpoint` is a URL.
    ///
    /// # Errors
    /// When a value is not plain text.
    pub(crate) fn of_key(dialect: Dialect, key: &KeyTold, endpoint: &str) -> anyhow::Result<Self> {
        Self::new(key_lines(dialect, key, endpoint))
    }

    fn new(values: Vec<(&str, String)>) -> anyhow::Result<Self> {
        for (name, value) in &values {
            if !is_plain(value) {
                bail!(
                    "the value of {name} has characters that cannot stand unquoted in {FILE}; use letters and digits"
                );
            }
        }
        Ok(Self { values: values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect() })
    }

    /// Reads a file. Empty lines and comments are left out, `export ` is put up with.
    ///
    /// # Errors
    /// Names the line that is none.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut values = BTreeMap::new();
        for (number, line) in (1..).zip(text.lines()) {
            if number > LINES_MAX {
                return Err(format!("more than {LINES_MAX} lines; start `sekimori up` to write it anew"));
            }
            let line = line.trim();
            let line = line.strip_prefix("export ").unwrap_or(line);
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, value) = line
                .split_once('=')
                .ok_or_else(|| format!("line {number} is not NAME=value; start `sekimori up` to write it anew"))?;
            values.insert(name.trim().to_owned(), value.trim().to_owned());
        }
        Ok(Self { values: values.into_iter().collect() })
    }

    /// The value of a name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.values.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The file's text.
    pub(crate) fn render(&self) -> String {
        self.values.iter().fold(String::new(), |mut text, (name, value)| {
            // Writing into a string cannot fail.
            let _ = writeln!(text, "{name}={value}");
            text
        })
    }

    /// Writes the file into a data directory, unless it says the same already.
    ///
    /// # Errors
    /// When it cannot be written; the old file is there still.
    pub(crate) fn write(&self, dir: &Path, owner: Owner) -> anyhow::Result<()> {
        let (path, text) = (dir.join(FILE), self.render());
        write_file(&path, text.as_bytes(), 0o600, owner).with_context(|| format!("cannot write `{}`", path.display()))
    }
}

/// Writes a file of this mode and owner, whole or not at all. Symbolic links are replaced, never followed.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn write_file(path: &Path, contents: &[u8], mode: u32, owner: Owner) -> io::Result<()> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".new");
    if let Err(error) = fs::remove_file(&unfinished)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&unfinished)?;
    fchown(&file, Some(owner.uid), Some(owner.gid))?;
    file.write_all(contents)?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
}

/// Whether a value can stand unquoted in a file that shells read.
pub(crate) fn is_plain(value: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/+=[]@%".contains(&byte);
    !value.is_empty() && value.bytes().all(plain)
}

/// Alibaba's clients are pointed at `host:port` and told the scheme otherwise, Amazon's at a URL.
fn key_lines(dialect: Dialect, key: &KeyTold, endpoint: &str) -> Vec<(&'static str, String)> {
    let at = match dialect {
        Dialect::Ecs => endpoint.split_once("://").map_or(endpoint, |(_, address)| address),
        Dialect::Ec2 => endpoint,
    };
    let KeyTold { access_key_id, access_key_secret, region } = key;
    let values = [access_key_id.as_str(), access_key_secret, region, at];
    names_of(dialect).into_iter().zip(values.map(str::to_owned)).collect()
}

/// Where a client on this machine reaches a server that listens here.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use expect_test::expect;

    use super::*;

    fn key(id: &str, region: &str) -> KeyTold {
        let access_key_secret = "hush".to_owned();
        KeyTold { access_key_id: id.to_owned(), access_key_secret, region: region.to_owned() }
    }

    fn told() -> Bootstrap {
        Bootstrap {
            ecs: key("LTAI5t", "cn-hangzhou"),
            ec2: key("AKIA", "us-east-1"),
            token: "skm-1".to_owned(),
            listen: "0.0.0.0:8470".parse().unwrap(),
            tls_ca_pem: None,
            tls: true,
        }
    }

    fn me() -> Owner {
        Owner { uid: nix::unistd::getuid().as_raw(), gid: nix::unistd::getgid().as_raw() }
    }

    #[test]
    fn the_file_is_what_clients_expect_and_is_read_back() {
        let credentials = Credentials::of(&told(), Some(Path::new("/d/ca.pem"))).unwrap();
        expect![[r#"
            ALIBABA_CLOUD_ACCESS_KEY_ID=LTAI5t
            ALIBABA_CLOUD_ACCESS_KEY_SECRET=hush
            ALIBABA_CLOUD_REGION_ID=cn-hangzhou
            ALIBABA_CLOUD_ENDPOINT_ECS=127.0.0.1:8470
            AWS_ACCESS_KEY_ID=AKIA
            AWS_SECRET_ACCESS_KEY=hush
            AWS_DEFAULT_REGION=us-east-1
            AWS_ENDPOINT_URL=https://127.0.0.1:8470
            SEKIMORI_ENDPOINT=https://127.0.0.1:8470
            SEKIMORI_TOKEN=skm-1
            SEKIMORI_CA=/d/ca.pem
        "#]]
        .assert_eq(&credentials.render());
        let read = Credentials::parse(&credentials.render()).unwrap();
        assert_eq!(read.get(ENDPOINT), Some("https://127.0.0.1:8470"));
        assert_eq!(read.get("OTHER"), None);
    }

    #[test]
    fn an_ipv6_address_keeps_its_brackets() {
        let told = Bootstrap { listen: "[::]:1".parse().unwrap(), tls: false, ..told() };
        let credentials = Credentials::of(&told, None).unwrap();
        assert_eq!(credentials.get("ALIBABA_CLOUD_ENDPOINT_ECS"), Some("[::1]:1"));
        assert_eq!(credentials.get(ENDPOINT), Some("http://[::1]:1"));
    }

    #[test]
    fn a_server_cannot_smuggle_lines_or_commands_in() {
        for token in ["a\nLD_PRELOAD=/x", "$(reboot)", "a b", "a;b", "`a`", "", "a'b"] {
            let told = Bootstrap { token: token.to_owned(), ..told() };
            let refused = Credentials::of(&told, None).map(drop).unwrap_err().to_string();
            assert!(refused.contains(TOKEN), "{token:?}: {refused}");
        }
    }

    #[test]
    fn comments_are_put_up_with_and_other_lines_are_named() {
        let read = Credentials::parse("# ours\n\nexport A=b=c\n").unwrap();
        assert_eq!(read.get("A"), Some("b=c"));
        let refused = Credentials::parse("A=b\nnonsense\n").map(drop).unwrap_err();
        assert!(refused.starts_with("line 2 "), "{refused}");
        assert!(Credentials::parse(&"A=b\n".repeat(LINES_MAX + 1)).is_err());
    }

    #[test]
    fn the_file_is_private_whole_and_never_written_through_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let (precious, path) = (dir.path().join("precious"), dir.path().join(FILE));
        fs::write(&precious, "precious").unwrap();
        symlink(&precious, &path).unwrap();
        symlink(&precious, dir.path().join("credentials.env.new")).unwrap();
        let credentials = Credentials::of(&told(), None).unwrap();
        credentials.write(dir.path(), me()).unwrap();
        assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");
        let written = fs::symlink_metadata(&path).unwrap();
        assert_eq!((written.permissions().mode() & 0o7777, written.uid()), (0o600, me().uid));
        assert_eq!(fs::read_to_string(&path).unwrap(), credentials.render());
    }
}
