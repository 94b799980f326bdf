//! One file per command: its arguments, what it does, and how its answer looks.

pub(crate) mod account;
pub(crate) mod apply;
pub(crate) mod bypass;
pub(crate) mod cni;
pub(crate) mod completions;
pub(crate) mod comply;
pub(crate) mod counters;
pub(crate) mod diagnose;
pub(crate) mod diff;
pub(crate) mod down;
pub(crate) mod eni;
pub(crate) mod export;
pub(crate) mod flows;
pub(crate) mod group;
pub(crate) mod health;
pub(crate) mod history;
pub(crate) mod interface;
pub(crate) mod invariant;
pub(crate) mod man;
pub(crate) mod plan_check;
pub(crate) mod platform;
pub(crate) mod policy;
pub(crate) mod resource_group;
pub(crate) mod server;
pub(crate) mod shadow;
pub(crate) mod status;
pub(crate) mod treatment;
pub(crate) mod up;
pub(crate) mod verify;
pub(crate) mod vpc;
pub(crate) mod wait;
pub(crate) mod who;
pub(crate) mod why;

use crate::{
    cli::{Cli, Command},
    exit::{Failure, Outcome},
};

/// Does what the command line asks for.
pub(crate) fn run(cli: Cli) -> Outcome {
    let Cli { common, command } = cli;
    if common.output.is_for_findings() && !matches!(command, Command::Comply(_)) {
        return Err(Failure::usage("only `sekimori comply` writes SARIF and JUnit; use --output table or json"));
    }
    match command {
        Command::Up(args) => up::run(&common, args),
        Command::Down(args) => down::run(&common, args),
        Command::Wait(args) => wait::run(&common, args),
        Command::Account(command) => account::run(&common, command),
        Command::ResourceGroup(command) => resource_group::run(&common, command),
        Command::Status => status::run(&common),
        Command::Verify(args) => verify::run(&common, args),
        Command::Why(args) => why::run(&common, args),
        Command::Who(args) => who::run(&common, args),
        Command::Diff(args) => diff::run(&common, args),
        Command::Policy(command) => policy::run(&common, command),
        Command::Health(args) => health::run(&common, args),
        Command::Comply(args) => comply::run(&common, args),
        Command::Invariant(command) => invariant::run(&common, command),
        Command::Apply(args) => apply::apply(&common, args),
        Command::Confirm(args) => apply::confirm(&common, args),
        Command::Rollback(args) => apply::rollback(&common, args),
        Command::Pending => apply::pending(&common),
        Command::Diagnose(args) => diagnose::run(&common, args),
        Command::Counters(args) => counters::run(&common, args),
        Command::Flows(args) => flows::run(&common, args),
        Command::History(args) => history::run(&common, args),
        Command::Shadow(command) => shadow::run(&common, command),
        Command::Treatment(command) => treatment::run(&common, command),
        Command::Bypass(command) => bypass::run(&common, command),
        Command::Export(command) => export::run(&common, command),
        Command::Group(command) => group::run(&common, command),
        Command::Vpc(command) => vpc::run(&common, command),
        Command::Interface(command) => interface::run(&common, command),
        Command::Eni(command) => eni::run(&common, command),
        Command::Cni => cni::run(&common),
        Command::PlanCheck(args) => plan_check::run(&common, args),
        Command::Platform(command) => platform::run(&common, command),
        Command::Completions(args) => completions::run(args),
        Command::Man(args) => man::run(args),
        Command::Server(args) => server::run(args),
    }
}
