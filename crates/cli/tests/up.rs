//! `up` and `down` as processes: who has which rights, who survives whom, and what is left. Needs root.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, Uid},
};

/// How long anything may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// A file that whoever starts `up` has left open.
const LEAKED: &str = "/etc/hostname";

/// Whether the test can run. It says so when it cannot, and fails where nothing may be skipped.
fn can_run() -> bool {
    let is_root = Uid::effective().is_root();
    let must = std::env::var_os("SEKIMORI_REQUIRE_ALL").is_some_and(|value| value == "1");
    assert!(is_root || !must, "SEKIMORI_REQUIRE_ALL=1, but the tests of `up` need root");
    if !is_root {
        eprintln!("SKIPPED: the tests of `up` need root");
    }
    is_root
}

fn sekimori(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sekimori"));
    command.env_clear().arg("--data-dir").arg(dir);
    command
}

/// A running `up`. Whatever becomes of the test, it is killed and its directory taken down.
struct Up {
    dir: PathBuf,
    process: Child,
}

impl Up {
    fn start(dir: &Path, words: &[&str]) -> Self {
        let mut command = Command::new("sh");
        let leaking = format!("exec 9<{LEAKED}; exec \"$0\" \"$@\"");
        command.env_clear().args(["-c", &leaking, env!("CARGO_BIN_EXE_sekimori"), "up", "--data-dir"]).arg(dir);
        command.args(["--listen", "127.0.0.1:0"]).args(words).stdout(Stdio::null());
        let up = Self { dir: dir.to_owned(), process: command.spawn().unwrap() };
        up.wait_until_applied();
        up
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.process.id()).unwrap())
    }

    /// The server's process, told by its parent and its words.
    fn server(&self) -> Option<Pid> {
        let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", self.pid())).ok()?;
        let pid = children.split_whitespace().next()?.parse().ok()?;
        Some(Pid::from_raw(pid))
    }

    /// Until the server answers and the agent has reported.
    fn wait_until_applied(&self) {
        eventually("the kernel enforces", || self.ask(&["wait", "--timeout-s", "5"]).status.success());
    }

    fn ask(&self, words: &[&str]) -> Output {
        sekimori(&self.dir).args(words).output().unwrap()
    }

    fn signal(mut self, signal: Signal) -> Option<i32> {
        kill(self.pid(), signal).unwrap();
        self.process.wait().unwrap().code()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // It may have ended in order.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A data directory that is taken down with the test.
struct Dir(tempfile::TempDir);

impl Dir {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn mounts(&self) -> usize {
        let mounts = fs::read_to_string("/proc/mounts").unwrap();
        mounts.lines().filter(|line| line.contains(self.path().to_str().unwrap())).count()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = sekimori(self.path()).arg("down").output();
    }
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        thread::park_timeout(Duration::from_millis(20));
    }
}

fn is_gone(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_none_or(|(_, rest)| rest.trim_start().starts_with('Z'))
}

fn status_line(pid: Pid, name: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_server_has_no_privilege_and_no_file_of_ours() {
    if !can_run() {
        return;
    }
    let dir = Dir::new();
    let up = Up::start(dir.path(), &["--server-user", "47618"]);
    let server = up.server().unwrap();
    assert_eq!(status_line(server, "Uid"), "47618 47618 47618 47618");
    assert_eq!(status_line(server, "Gid"), "47618 47618 47618 47618");
    assert_eq!(status_line(server, "Groups"), "");
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(status_line(server, set), "0000000000000000", "{set}");
    }
    assert_eq!(status_line(server, "NoNewPrivs"), "1");
    let ours = dir.path().join("server");
    for fd in fs::read_dir(format!("/proc/{server}/fd")).unwrap() {
        let target = fs::read_link(fd.unwrap().path()).unwrap_or_default();
        let is_foreign = target.starts_with(dir.path()) && !target.starts_with(&ours);
        let is_inherited = target == Path::new(LEAKED) || target.to_string_lossy().contains("bpf");
        assert!(!is_foreign && !is_inherited, "{}", target.display());
    }
    assert_eq!(up.signal(Signal::SIGTERM), Some(0));
}

#[test]
fn a_directory_has_one_up_and_no_down_while_it_runs() {
    if !can_run() {
        return;
    }
    let dir = Dir::new();
    let up = Up::start(dir.path(), &[]);
    for words in [&["up", "--listen", "127.0.0.1:0"][..], &["down"]] {
        let Output { status, stderr, .. } = up.ask(words);
        let (said, expected) = (String::from_utf8_lossy(&stderr), format!("in use by process {};", up.pid()));
        assert!(status.code() == Some(1) && said.contains(&expected), "{words:?}: {said}");
    }
    assert_eq!(up.signal(Signal::SIGINT), Some(0));
    assert_eq!(dir.mounts(), 1, "enforcement stays in place");
    assert!(sekimori(dir.path()).arg("down").output().unwrap().status.success());
    assert_eq!(dir.mounts(), 0);
}

#[test]
fn each_process_survives_the_death_of_the_other_or_ends_with_it() {
    if !can_run() {
        return;
    }
    let dir = Dir::new();
    let up = Up::start(dir.path(), &[]);
    let credentials = || fs::read_to_string(dir.path().join("credentials.env")).unwrap();
    let before = credentials();

    let server = up.server().unwrap();
    kill(server, Signal::SIGKILL).unwrap();
    eventually("another server runs", || up.server().is_some_and(|pid| pid != server));
    up.wait_until_applied();
    assert_eq!(credentials(), before, "the port and the keys are the same");

    let server = up.server().unwrap();
    assert_eq!(up.signal(Signal::SIGKILL), None);
    let up = Up::start(dir.path(), &[]);
    assert!(is_gone(server), "a server ends with the process that started it");
    assert_eq!(up.signal(Signal::SIGTERM), Some(0));
}

/// What Prometheus gets.
fn scrape(dir: &Path) -> String {
    let credentials = fs::read_to_string(dir.join("credentials.env")).unwrap();
    let value = |name: &str| credentials.lines().find_map(|line| line.split_once(name)?.1.strip_prefix('=')).unwrap();
    let (endpoint, token) = (value("SEKIMORI_ENDPOINT").trim_start_matches("http://"), value("SEKIMORI_TOKEN"));
    let mut stream = TcpStream::connect(endpoint).unwrap();
    write!(stream, "GET /metrics HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("openmetrics-text"), "{answer}");
    answer
}

#[test]
fn what_somebody_takes_away_is_put_back_and_told_once() {
    if !can_run() {
        return;
    }
    let dir = Dir::new();
    let up = Up::start(dir.path(), &[]);
    eventually("a host has compared everything", || up.ask(&["verify"]).status.code() == Some(0));
    let pins = dir.path().join("bpffs");
    let version = fs::read_dir(&pins).unwrap().next().unwrap().unwrap().path();
    let pin = version.join("maps").join("flows4");
    fs::remove_file(&pin).unwrap();
    eventually("the name is back", || pin.exists());
    let Output { status, stdout, .. } = up.ask(&["verify", "--output", "json"]);
    let said = String::from_utf8_lossy(&stdout);
    assert!(status.code() == Some(2) && said.contains("flows4") && said.contains("was removed"), "{said}");
    assert_eq!(up.ask(&["verify"]).status.code(), Some(0), "it is told once");
    let scraped = scrape(dir.path());
    assert!(scraped.contains("sekimori_read_back_differences_total{host="), "{scraped}");
    assert!(scraped.contains("sekimori_applied_revision{host="), "{scraped}");
    let unknown = up.ask(&["verify", "--host", "nowhere"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("`nowhere`"));
    assert_eq!(up.signal(Signal::SIGTERM), Some(0));
}

#[test]
fn a_generated_certificate_is_trusted_by_the_credentials() {
    if !can_run() {
        return;
    }
    let dir = Dir::new();
    let up = Up::start(dir.path(), &["--tls-generate"]);
    let credentials = fs::read_to_string(dir.path().join("credentials.env")).unwrap();
    assert!(credentials.contains("SEKIMORI_ENDPOINT=https://127.0.0.1:"), "{credentials}");
    assert!(up.ask(&["status"]).status.success());
    let untrusting = up.ask(&["status", "--ca-file", "/etc/hostname"]);
    assert_eq!(untrusting.status.code(), Some(1));
    assert_eq!(up.signal(Signal::SIGTERM), Some(0));
}

#[test]
fn a_port_that_is_taken_is_named() {
    if !can_run() {
        return;
    }
    let (dir, taken) = (Dir::new(), std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let address = taken.local_addr().unwrap().to_string();
    let Output { status, stderr, .. } = sekimori(dir.path()).args(["up", "--listen", &address]).output().unwrap();
    let said = String::from_utf8_lossy(&stderr);
    assert!(status.code() == Some(1) && said.contains(&format!("`{address}`")), "{said}");
}
