//! `make soak`: minutes of traffic, floods, changes, deaths and restarts, judged all the time.

use std::{
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use clap::Parser;
use sekimori_bench::{
    soak::{Plan, soak},
    stop::Stop,
};

/// Whether enforcement holds while everything happens at once.
#[derive(Clone, Debug, Parser)]
struct Options {
    /// How long.
    #[arg(long, env = "SEKIMORI_SOAK_SECONDS", default_value_t = 600)]
    seconds: u64,
    /// Where every choice comes from: what a failure has told, to see it again [default: from the clock].
    #[arg(long, env = "SEKIMORI_SOAK_SEED")]
    seed: Option<u64>,
    /// Tells every event when it happens.
    #[arg(long)]
    tell: bool,
    /// Where everything is; its parent must be readable for everybody. It is removed at the end.
    #[arg(long, default_value = "/run/sekimori-soak")]
    dir: PathBuf,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(summary) => {
            println!("{summary}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> anyhow::Result<String> {
    if !nix::unistd::geteuid().is_root() {
        let must = std::env::var_os("SEKIMORI_REQUIRE_ALL").is_some_and(|value| value == "1");
        anyhow::ensure!(!must, "SEKIMORI_REQUIRE_ALL=1, but a soak needs root");
        return Ok("SKIPPED: a soak needs root".to_owned());
    }
    anyhow::ensure!(options.seconds >= 20, "`--seconds {}` is no soak; use at least 20", options.seconds);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let stop: Arc<Stop> = Stop::on_signals(&runtime)?;
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64);
    let plan = Plan { duration: Duration::from_secs(options.seconds), seed: options.seed.unwrap_or(clock) };
    eprintln!("soaking for {} s with seed {}: {} changes", options.seconds, plan.seed, plan.changes());
    // Beside another that may be running.
    let dir = options.dir.join(std::process::id().to_string()).join("data");
    let done = soak(&dir, plan, options.tell, &stop);
    if let Some(own) = dir.parent() {
        // What is left in it was told already.
        let _ = std::fs::remove_dir(own);
        let _ = std::fs::remove_dir(&options.dir);
    }
    done
}
