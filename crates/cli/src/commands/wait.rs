//! `sekimori wait`: returns when what was committed is what the kernels enforce.

use std::time::Duration;

use clap::Args;
use sekimori_server::{WAIT_S_MAX, api::Revised};

use crate::{
    cli::Common,
    client::Client,
    exit::{Answer, Outcome},
    output::{self, Page},
};

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sekimori wait --timeout-s 10")]
pub(crate) struct WaitArgs {
    /// How long to wait, in seconds
    #[arg(long, default_value_t = 30, value_name = "N", value_parser = clap::value_parser!(u64).range(0..=WAIT_S_MAX))]
    timeout_s: u64,
}

/// Waits.
pub(crate) fn run(common: &Common, args: WaitArgs) -> Outcome {
    let client = Client::connect(common)?;
    let timeout_s = args.timeout_s.to_string();
    let query = [("timeout_s", timeout_s.as_str())];
    let revised: Revised = client.get_patiently("/v1/wait", &query, Duration::from_secs(args.timeout_s))?;
    output::show(common.output, &revised, page)?;
    Ok(Answer::Yes)
}

fn page(revised: &Revised) -> Page {
    Page::default().line(format!("every host has applied revision {}", revised.revision))
}
