//! What the measurements were made on.

use std::{fs, path::Path, process::Command};

use serde::Serialize;

/// A machine, as far as it matters for its numbers.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// Its name.
    pub host: String,
    /// The processor.
    pub cpu: String,
    /// Processors online.
    pub cores: usize,
    /// Whether it is a virtual machine, as far as the processor says.
    pub is_virtual: bool,
    /// Release and build of the kernel.
    pub kernel: String,
    /// MiB.
    pub memory_mib: u64,
    /// Of the measured core, if there is any.
    pub governor: Option<String>,
    /// Mitigations that make calls dearer.
    pub mitigations: String,
    /// Load average of one minute when the run began.
    pub load: String,
    /// Versions of the other firewalls.
    pub rivals: Vec<String>,
}

impl Machine {
    /// This one.
    #[must_use]
    pub fn describe(core: usize) -> Self {
        let cpuinfo = read("/proc/cpuinfo");
        let field = |name: &str| {
            let line = cpuinfo.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned())
        };
        let cpu = field("model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned());
        let family = field("cpu family").zip(field("model\t")).map(|(family, model)| format!(" ({family}/{model})"));
        Self {
            host: read("/proc/sys/kernel/hostname").trim().to_owned(),
            cpu: format!("{cpu}{}", family.unwrap_or_default()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            is_virtual: field("flags").is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor")),
            kernel: format!(
                "{} {}",
                read("/proc/sys/kernel/osrelease").trim(),
                read("/proc/sys/kernel/version").trim()
            ),
            memory_mib: memory_mib(),
            governor: governor(core),
            mitigations: mitigations(),
            load: read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned(),
            rivals: [("nft", "--version"), ("iptables", "--version")].iter().filter_map(version).collect(),
        }
    }
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn memory_mib() -> u64 {
    let meminfo = read("/proc/meminfo");
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    total.and_then(|total| total.trim().split(' ').next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
}

fn governor(core: usize) -> Option<String> {
    let path = format!("/sys/devices/system/cpu/cpu{core}/cpufreq/scaling_governor");
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

fn mitigations() -> String {
    let one =
        |name: &str| format!("{name}: {}", read(format!("/sys/devices/system/cpu/vulnerabilities/{name}")).trim());
    ["spectre_v2", "retbleed", "indirect_target_selection"].map(one).join("; ")
}

fn version((program, argument): &(&str, &str)) -> Option<String> {
    let output = Command::new(program).arg(argument).output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
