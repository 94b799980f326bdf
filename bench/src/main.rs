//! `make bench`: measures, prints the tables, and writes them to `bench/results/`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use clap::{Parser, Subcommand, ValueEnum};
use sekimori_bench::{
    api, beside,
    compare::{self, Effort},
    control::{self, Size},
    core::Core,
    figures,
    lab::Firewall,
    machine::Machine,
    program, questions,
    report::Report,
    rivals, scale, search, start,
    stop::Stop,
    traffic::{self, Metric},
    updates,
};
use tokio::runtime::Runtime;

/// Whether the kernel takes the time of every run of a program.
const BPF_STATS: &str = "/proc/sys/kernel/bpf_stats_enabled";

/// What enforcement costs on this machine.
#[derive(Clone, Debug, Parser)]
struct Options {
    /// Rounds over every variant.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Short slices and few repetitions: a look, not a result.
    #[arg(long)]
    quick: bool,
    /// Measure only these; the results are not saved unless `--out` is given.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Part>,
    /// Numbers of rules to compare firewalls at.
    #[arg(long, value_delimiter = ',', default_values_t = [10, 1_000, 10_000])]
    rules: Vec<usize>,
    /// Firewalls to compare with none.
    #[arg(long, value_delimiter = ',', value_enum, default_values_t = Firewall::ALL)]
    firewalls: Vec<Firewall>,
    /// What to compare firewalls by.
    #[arg(long, value_delimiter = ',', value_enum, default_values_t = Metric::ALL)]
    metrics: Vec<Metric>,
    /// Where the results go.
    #[arg(long)]
    out: Option<PathBuf>,
    /// The program of the server that the control plane is compared with.
    #[arg(long, default_value_os_t = moto())]
    moto: PathBuf,
    /// Where what is measured is set up; it is removed at the end.
    #[arg(long, default_value = "/run/sekimori-bench")]
    dir: PathBuf,
    #[command(subcommand)]
    role: Option<Role>,
}

/// What a process is besides the one that measures.
#[derive(Clone, Copy, Debug, Subcommand)]
enum Role {
    /// The server of a measurement.
    #[command(hide = true)]
    Serve {
        /// The core it stays on.
        #[arg(long)]
        core: usize,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Firewalls against each other.
    Traffic,
    /// The program on one packet.
    Program,
    /// Ways to search a list of prefixes.
    Search,
    /// Changes, up to the kernel.
    Updates,
    /// API calls, up to the kernel.
    Api,
    /// Changes against the size of the estate, and where many interfaces are concerned.
    Scale,
    /// Starts on a large store.
    Start,
    /// The control plane on a large estate, and beside moto's.
    Control,
    /// Questions about large estates.
    Questions,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let done = match options.role {
        Some(Role::Serve { core }) => traffic::serve(&Core::new(core)),
        None => run(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> anyhow::Result<()> {
    anyhow::ensure!(nix::unistd::geteuid().is_root(), "measuring needs root; use `make bench`");
    let stats = fs::read_to_string(BPF_STATS).unwrap_or_default();
    anyhow::ensure!(stats.trim() != "1", "`{BPF_STATS}` is 1, which adds to every packet; set it to 0");
    anyhow::ensure!(options.rounds > 0, "`--rounds 0` measures nothing; use at least 1");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let runtime = Arc::new(runtime);
    let stop = Stop::on_signals(&runtime)?;
    clear(&runtime, &options.dir)?;
    let report = measure(options, &runtime, &stop);
    clear(&runtime, &options.dir)?;
    let report = report?;
    println!("{}", report.to_markdown());
    if let Some(out) = options.out.clone().or_else(|| options.only.is_empty().then(results)) {
        println!("written to `{}`", report.save(&out)?.display());
    }
    Ok(())
}

fn measure(options: &Options, runtime: &Arc<Runtime>, stop: &Stop) -> anyhow::Result<Report> {
    let core = Core::choose()?;
    let slice_ms = if options.quick { 60 } else { 250 };
    let mut report = Report {
        at: jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M").to_string(),
        machine: Machine::describe(core.number),
        core: core.number,
        effort: Effort {
            rounds: options.rounds,
            slice_ms,
            firewalls: options.firewalls.clone(),
            sizes: options.rules.clone(),
            metrics: options.metrics.clone(),
        },
        traffic: Vec::new(),
        search: Vec::new(),
        program: None,
        rule_updates: Vec::new(),
        member_updates: Vec::new(),
        api: None,
        control: None,
        beside: None,
        curve: Vec::new(),
        many: None,
        rivals: None,
        start: None,
        answers: None,
        figures: Vec::new(),
    };
    let has = |part| options.only.is_empty() || options.only.contains(&part);
    let changes = if options.quick { 20 } else { 200 };
    let dir = |name: &str| options.dir.join(name);
    if has(Part::Program) {
        eprintln!("one packet through the program …");
        report.program = Some(program::measure(&dir("program"), options.rounds, stop)?);
    }
    if has(Part::Search) {
        eprintln!("ways to search a list …");
        report.search = search::measure(options.rounds, stop)?;
    }
    if has(Part::Updates) {
        eprintln!("changes …");
        report.rule_updates = updates::measure_rule(&dir("rule"), changes / 2, stop)?;
        report.member_updates = updates::measure_member(&dir("member"), changes / 2, stop)?;
    }
    if has(Part::Api) {
        eprintln!("API calls …");
        let enis = if options.quick { 50 } else { scale::SHARERS as usize };
        report.api = Some(api::measure(&dir("api"), enis, changes, stop)?);
    }
    if has(Part::Scale) {
        eprintln!("changes against the size of the estate …");
        let sizes = if options.quick { &scale::ESTATES[..2] } else { &scale::ESTATES };
        report.curve = scale::measure_curve(&dir("curve"), sizes, changes / 2, stop)?;
        report.many = Some(scale::measure_many(&dir("many"), changes / 2, stop)?);
        report.rivals = Some(rivals::measure_updates(compare::FEW, changes / 4)?);
    }
    if has(Part::Start) {
        eprintln!("starts on a large store …");
        let size = match options.quick {
            true => start::Size { enis: 10_000, here: 1_000 },
            false => start::Size { enis: 100_000, here: 10_000 },
        };
        report.start = Some(start::measure(&dir("start"), size, stop)?);
    }
    if has(Part::Control) {
        eprintln!("the control plane …");
        let size = control_size(options.quick);
        report.control = Some(control::measure(&dir("control"), size, stop)?);
        eprintln!("the control plane beside moto …");
        report.beside = Some(beside::measure(&dir("beside"), &options.moto, size.groups, stop)?);
    }
    if has(Part::Questions) {
        eprintln!("questions …");
        let size = if options.quick { questions::Size::QUICK } else { questions::Size::FULL };
        report.answers = Some(questions::measure(size, stop)?);
    }
    if has(Part::Traffic) {
        eprintln!("firewalls against each other …");
        report.traffic = compare::measure(runtime, &dir("traffic"), &core, &report.effort, stop)?;
    }
    report.figures = figures::of(&report);
    Ok(report)
}

fn control_size(is_quick: bool) -> Size {
    match is_quick {
        true => Size { groups: 1_000, duration: Duration::from_secs(1), answers: 200 },
        false => Size { groups: 10_000, duration: Duration::from_secs(5), answers: 2_000 },
    }
}

/// Removes what an interrupted run has left, and in the end the directory.
fn clear(runtime: &Runtime, dir: &Path) -> anyhow::Result<()> {
    let Ok(entries) = fs::read_dir(dir) else { return Ok(()) };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_file() {
            fs::remove_file(&path).with_context(|| format!("cannot remove `{}`", path.display()))?;
            continue;
        }
        let down = runtime.block_on(sekimori_agent::run::down(&path));
        let down = down.with_context(|| format!("cannot clear `{}`", path.display()))?;
        anyhow::ensure!(down.left.is_empty(), "cannot clear `{}`: {}", path.display(), down.left.join("; "));
        fs::remove_dir_all(&path).with_context(|| format!("cannot remove `{}`", path.display()))?;
    }
    fs::remove_dir(dir).with_context(|| format!("cannot remove `{}`", dir.display()))
}

/// Beside the sources that this was built from.
fn results() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("results")
}

/// Where `bench/run.sh` puts it.
fn moto() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench-venv/bin/moto_server")
}
