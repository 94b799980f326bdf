//! The `sekimori` command: reads what is asked for, has it done, and tells the outcome by its exit code.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done; the answer is yes |
//! | 1 | it failed; standard error says what to do next |
//! | 2 | done; the answer is no |
//! | 64 | the command line cannot be understood |
//!
//! Each command has a file of its own in [`commands`]. Nothing here decides about packets or rules: the
//! commands ask a server, or run one.

#![warn(clippy::wildcard_enum_match_arm)]

mod account_files;
mod changing;
mod cli;
mod client;
mod commands;
mod connection;
mod credentials;
mod data_dir;
mod exit;
mod files;
mod flow_logs;
mod log;
mod moment;
mod output;
mod privilege;
mod supervise;

use std::process::ExitCode;

use clap::Parser;

use self::cli::Cli;

fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => exit::report(commands::run(cli)),
        Err(error) => exit::report_usage(&error),
    }
}
