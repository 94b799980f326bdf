//! The command line as types. Every command has a line of help and an example; nothing is done here.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::commands::{
    account, apply, bypass, completions, comply, counters, diagnose, diff, down, eni, export, flows, group, health,
    history, interface, invariant, man, plan_check, platform, policy, resource_group, server, shadow, treatment, up,
    verify, vpc, wait, who, why,
};

/// Security groups for your own hosts: through the cloud's API, enforced in the kernel, explained.
#[derive(Debug, Parser)]
#[command(name = "sekimori", version, propagate_version = true, subcommand_required = true)]
#[command(after_help = "Example:\n  sudo sekimori up --data-dir /var/lib/sekimori --listen 127.0.0.1:8470\n  \
                        sekimori --data-dir /var/lib/sekimori status")]
#[command(after_long_help = "Example:\n  sudo sekimori up --data-dir /var/lib/sekimori --listen 127.0.0.1:8470\n  \
                             sekimori --data-dir /var/lib/sekimori status\n\n\
                             Exit codes: 0 done or yes, 1 failed, 2 the answer is no, 64 usage.\n\
                             `sekimori server` runs the server alone; `up` starts it. See `sekimori server --help`.")]
pub(crate) struct Cli {
    /// What holds for every command.
    #[command(flatten)]
    pub(crate) common: Common,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Args, Clone, Debug)]
pub(crate) struct Common {
    /// How to print: a table for people or JSON for programs; reports of `comply` also as SARIF or JUnit
    #[arg(long, global = true, value_enum, default_value_t = Format::Table, value_name = "FORMAT")]
    pub(crate) output: Format,
    /// Where and as whom to ask.
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
}

/// How a server is found. Environment variables are read by [`crate::connection`], not by the parser: which
/// one counts depends on what else is given.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ConnectionArgs {
    /// The server, for example http://127.0.0.1:8470 [env: SEKIMORI_ENDPOINT]
    #[arg(long, global = true, value_name = "URL", help_heading = "Server")]
    pub(crate) endpoint: Option<String>,
    /// A file with the operator's token [env: SEKIMORI_TOKEN, the token itself]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Server")]
    pub(crate) token_file: Option<PathBuf>,
    /// The certificate to trust, PEM [env: SEKIMORI_CA]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Server")]
    pub(crate) ca_file: Option<PathBuf>,
    /// The data directory; endpoint and token come from its credentials.env [env: SEKIMORI_DATA_DIR]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Server")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Ask files in place of a server: what `aws ec2 describe-…` or `aliyun ecs Describe…` printed, or a directory of such
    /// files; may be repeated
    #[arg(long, global = true, value_name = "PATH", help_heading = "Server", conflicts_with_all = ["endpoint", "token_file", "ca_file", "data_dir"])]
    pub(crate) account_files: Vec<PathBuf>,
}

/// How to print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
    /// SARIF 2.1.0, for code scanning; only `comply`.
    Sarif,
    /// JUnit XML, for build servers; only `comply`.
    Junit,
}

impl Format {
    /// Whether it is JSON of our own.
    pub(crate) fn is_json(self) -> bool {
        match self {
            Self::Json => true,
            Self::Table | Self::Sarif | Self::Junit => false,
        }
    }

    /// Whether only findings can be written in it.
    pub(crate) fn is_for_findings(self) -> bool {
        match self {
            Self::Sarif | Self::Junit => true,
            Self::Table | Self::Json => false,
        }
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run server and agent (as root); stopping it leaves enforcement in place
    Up(up::UpArgs),
    /// Remove every namespace, link, map and pin of a data directory (as root)
    Down(down::DownArgs),
    /// Wait until every host has applied the newest change
    Wait(wait::WaitArgs),
    /// Make and list accounts
    #[command(subcommand)]
    Account(account::AccountCommand),
    /// Make, list and delete resource groups
    #[command(subcommand)]
    ResourceGroup(resource_group::ResourceGroupCommand),
    /// Show revision, hosts, counts and capacity
    #[command(after_help = "Example:\n  sekimori status")]
    Status,
    /// Compare what the kernels hold with what was written there, and repair what differs
    Verify(verify::VerifyArgs),
    /// Tell whether a packet gets from one end to the other, and which rule decides
    Why(why::WhyArgs),
    /// Tell who can reach a target, whom it can reach, and what is open to the internet
    Who(who::WhoArgs),
    /// Tell what two states let pass and drop otherwise: two moments, a request not yet made, other rules of a group, two policies
    Diff(diff::DiffArgs),
    /// Show what decides at an interface
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Find rules that decide nothing, change nothing, or are not used
    Health(health::HealthArgs),
    /// Judge groups by the controls of Security Hub and Cloud Config, as they are written or by what passes; mend findings
    Comply(comply::ComplyArgs),
    /// Assert who must not, and who may, reach whom; changes that violate it are refused or told
    #[command(subcommand)]
    Invariant(invariant::InvariantCommand),
    /// Apply requests of the clouds' APIs as one change, which rolls back by itself unless it is confirmed in time
    Apply(apply::ApplyArgs),
    /// Keep a change that waits to be confirmed
    Confirm(apply::ConfirmArgs),
    /// Undo a change that waits to be confirmed, now
    Rollback(apply::RollbackArgs),
    /// List the changes that wait to be confirmed
    #[command(after_help = "Example:\n  sekimori pending")]
    Pending,
    /// Check what is open at an interface and which rule decides; open a port narrowly
    Diagnose(diagnose::DiagnoseArgs),
    /// Show what was passed and dropped, by rule and by interface
    Counters(counters::CountersArgs),
    /// Show flows that began and packets that were dropped, with what decided
    Flows(flows::FlowsArgs),
    /// Show what was changed, by whom, from where and when
    History(history::HistoryArgs),
    /// Choose what a change does to live flows
    #[command(subcommand)]
    Treatment(treatment::TreatmentCommand),
    /// Show and set the traffic that passes before any rule
    #[command(subcommand)]
    Bypass(bypass::BypassCommand),
    /// Protect, hand over, delete and clone groups; move rules as files; add presets
    #[command(subcommand)]
    Group(group::GroupCommand),
    /// Compare other rules with those of a group on real new flows, before they decide anything
    #[command(subcommand)]
    Shadow(shadow::ShadowCommand),
    /// Write policies in the words of other firewalls
    #[command(subcommand)]
    Export(export::ExportCommand),
    /// Share VPCs between accounts
    #[command(subcommand)]
    Vpc(vpc::VpcCommand),
    /// Give network interfaces to cloud products to manage
    #[command(subcommand)]
    Interface(interface::InterfaceCommand),
    /// Enforce an ENI at a tap, veth or card that others make, let it go, and show which are
    #[command(subcommand)]
    Eni(eni::EniCommand),
    /// Be a chained CNI plugin: the configuration on standard input, the command in the environment
    #[command(after_help = "Example:\n  sekimori cni < conf.json")]
    Cni,
    /// Compare groups with the cloud's advice about names, sharing, purposes and open management ports
    PlanCheck(plan_check::PlanCheckArgs),
    /// Show and set what comes before every group, as on the cloud's platform
    #[command(subcommand)]
    Platform(platform::PlatformCommand),
    /// Print a completion script for a shell
    Completions(completions::CompletionsArgs),
    /// Print the manual page, or write all of them into a directory
    Man(man::ManArgs),
    /// Run the server alone, without privileges (`up` does this)
    #[command(hide = true)]
    Server(server::ServerArgs),
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, error::ErrorKind};

    use super::*;

    fn walk(command: &clap::Command, check: &mut dyn FnMut(&clap::Command)) {
        check(command);
        command.get_subcommands().for_each(|sub| walk(sub, check));
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_help_and_a_leaf_has_an_example() {
        walk(&Cli::command(), &mut |command| {
            let name = command.get_name();
            assert!(command.get_about().is_some(), "`{name}` has no help");
            let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let is_leaf = command.get_subcommands().next().is_none();
            assert!(!is_leaf || after.starts_with("Example:\n  s"), "`{name}` has no example: {after}");
        });
    }

    #[test]
    fn every_example_parses() {
        walk(&Cli::command(), &mut |command| {
            let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            for line in after.lines().map(str::trim).filter(|line| line.contains("sekimori ")) {
                let quoted = line.split('\'').enumerate();
                let words = quoted.flat_map(|(part, text)| match part % 2 {
                    0 => text.split_whitespace().collect(),
                    _ => vec![text],
                });
                let words = words.skip_while(|word| *word != "sekimori");
                let words: Vec<&str> = words.take_while(|word| !matches!(*word, "<" | ">" | ">>" | "|")).collect();
                Cli::try_parse_from(&words).unwrap_or_else(|error| panic!("{line}: {error}"));
            }
        });
    }

    #[test]
    fn global_options_may_stand_behind_the_command() {
        let cli = Cli::try_parse_from(["sekimori", "status", "--output", "json", "--data-dir", "/d"]).unwrap();
        assert_eq!(cli.common.output, Format::Json);
        assert_eq!(cli.common.connection.data_dir, Some("/d".into()));
    }

    #[test]
    fn what_cannot_be_understood_is_refused() {
        let kind = |words: &[&str]| Cli::try_parse_from(words).map(drop).unwrap_err().kind();
        assert_eq!(kind(&["sekimori", "frobnicate"]), ErrorKind::InvalidSubcommand);
        assert_eq!(kind(&["sekimori", "status", "--output", "yaml"]), ErrorKind::InvalidValue);
        assert_eq!(kind(&["sekimori", "wait", "--timeout-s", "601"]), ErrorKind::ValueValidation);
        assert_eq!(kind(&["sekimori", "why", "a", "b"]), ErrorKind::MissingRequiredArgument);
        assert_eq!(kind(&["sekimori", "up", "--tls-cert", "c"]), ErrorKind::MissingRequiredArgument);
        assert_eq!(kind(&["sekimori", "up", "--tls-generate", "--insecure"]), ErrorKind::ArgumentConflict);
        assert_eq!(kind(&["sekimori", "up", "--bypass", "sctp/1@::/0"]), ErrorKind::ValueValidation);
    }
}
