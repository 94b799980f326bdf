//! `sekimori export`: policies in the words of other firewalls.

use clap::{Args, Subcommand, builder::NonEmptyStringValueParser};
use sekimori_analysis::nft::Report;

use crate::{
    cli::Common,
    client::{Client, path_part},
    exit::{Answer, Failure, Outcome},
    output,
};

/// What is exported.
#[derive(Debug, Subcommand)]
pub(crate) enum ExportCommand {
    /// Write the policy of an interface, or of all interfaces of a host, as an nftables ruleset for `nft -f`
    Nft(NftArgs),
}

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sekimori export nft i-web > web.nft\n  \
                        sekimori export nft rack-1 --device eni-1=tap0 --device eni-2=tap1 > rack.nft")]
pub(crate) struct NftArgs {
    /// An interface, an instance for its primary interface, or a host; by its id, or by what one interface only has: a name, an
    /// address or tag:KEY=VALUE
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    target: String,
    /// The ruleset is for a host that forwards to the interface, not for the interface's own
    #[arg(long)]
    forwarded: bool,
    /// The device of an interface; on its own host it is eth0 unless it is named
    #[arg(long, value_name = "ENI=DEVICE", value_parser = device)]
    device: Vec<String>,
}

fn device(text: &str) -> Result<String, String> {
    let is_pair = text.split_once('=').is_some_and(|(eni, device)| !eni.is_empty() && !device.is_empty());
    if is_pair && !text.contains(',') {
        return Ok(text.to_owned());
    }
    Err(format!("`{text}` is not a device of an interface; write ENI=DEVICE, for example eni-1=tap0"))
}

/// Exports.
pub(crate) fn run(common: &Common, command: ExportCommand) -> Outcome {
    match command {
        ExportCommand::Nft(args) => nft(common, &args),
    }
}

fn nft(common: &Common, args: &NftArgs) -> Outcome {
    let devices = args.device.join(",");
    let path = format!("/v1/nft/{}", path_part(&args.target));
    let forwarded = args.forwarded.to_string();
    let query = [("forwarded", forwarded.as_str()), ("devices", devices.as_str())];
    let report: Report = Client::connect(common)?.get(&path, &query)?;
    let text = if common.output.is_json() { output::json(&report)? + "\n" } else { report.ruleset };
    output::print(&text)?;
    Ok::<Answer, Failure>(Answer::Yes)
}
