//! `sekimori vpc`: opening a VPC to another account, so that both have groups and instances in it.

use clap::{Args, Subcommand};
use sekimori_server::api::{Revised, SetSharing};

use crate::{
    cli::Common,
    client::{Client, path_part},
    exit::{Answer, Outcome},
    output::{self, Page},
};

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum VpcCommand {
    /// Let another account have groups and instances in a VPC
    #[command(after_help = "Example:\n  sekimori vpc share vpc-0a1b2c 1234567890123456")]
    Share(ShareArgs),
    /// Let it have no more; what it has there stays
    #[command(after_help = "Example:\n  sekimori vpc unshare vpc-0a1b2c 1234567890123456")]
    Unshare(ShareArgs),
}

/// The arguments.
#[derive(Args, Debug)]
pub(crate) struct ShareArgs {
    /// The VPC (vpc-…)
    #[arg(value_name = "VPC")]
    vpc: String,
    /// The other account
    #[arg(value_name = "ACCOUNT")]
    account: String,
}

/// Shares, or ends it.
pub(crate) fn run(common: &Common, command: VpcCommand) -> Outcome {
    let (args, is_shared) = match command {
        VpcCommand::Share(args) => (args, true),
        VpcCommand::Unshare(args) => (args, false),
    };
    let path = format!("/v1/vpcs/{}/sharing", path_part(&args.vpc));
    let body = SetSharing { account: (&args.account).into(), is_shared };
    let revised: Revised = Client::connect(common)?.put(&path, &body)?;
    let state = if is_shared { "open to" } else { "closed to" };
    let line = |revised: &Revised| {
        Page::default().line(format!("{} is {state} {}, revision {}", args.vpc, args.account, revised.revision))
    };
    output::show(common.output, &revised, line)?;
    Ok(Answer::Yes)
}
