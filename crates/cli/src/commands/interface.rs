//! `sekimori interface`: gives a network interface to a cloud product to manage, or back to its owner.

use clap::{Args, Subcommand};
use sekimori_server::api::{Revised, SetManager};

use crate::{
    cli::Common,
    client::{Client, path_part},
    exit::{Answer, Outcome},
    output,
};

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum InterfaceCommand {
    /// Let a cloud product manage an interface: its owner looks at it and changes nothing
    Manage(ManageArgs),
    /// Give a managed interface back to its owner
    #[command(after_help = "Example:\n  sekimori interface unmanage eni-0a1b2c")]
    Unmanage(InterfaceArgs),
}

/// An interface.
#[derive(Args, Debug)]
pub(crate) struct InterfaceArgs {
    /// The interface (eni-…)
    #[arg(value_name = "INTERFACE")]
    interface: String,
}

/// The arguments of `manage`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sekimori interface manage eni-0a1b2c --service 1234567890")]
pub(crate) struct ManageArgs {
    /// The interface (eni-…)
    #[arg(value_name = "INTERFACE")]
    interface: String,
    /// The number of the product, shown as `ServiceID`
    #[arg(long, value_name = "NUMBER")]
    service: u64,
}

/// Does what is ordered.
pub(crate) fn run(common: &Common, command: InterfaceCommand) -> Outcome {
    let (interface, managed_by) = match command {
        InterfaceCommand::Manage(args) => (args.interface, Some(args.service)),
        InterfaceCommand::Unmanage(args) => (args.interface, None),
    };
    manage(common, &Client::connect(common)?, ("interfaces", &interface), managed_by)
}

/// Gives a thing of a kind to a product, or back to its owner.
pub(super) fn manage(common: &Common, client: &Client, (kind, id): (&str, &str), managed_by: Option<u64>) -> Outcome {
    let revised: Revised =
        client.put(&format!("/v1/{kind}/{}/manager", path_part(id)), &SetManager { managed_by })?;
    let state = managed_by.map_or("its owner's to change".to_owned(), |service| format!("managed by {service}"));
    output::state(common.output, id, &state, &revised)?;
    Ok(Answer::Yes)
}
