//! Logs of the processes that run for long: to standard error, filtered by `SEKIMORI_LOG`.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use crate::exit::Failure;

/// The variable that filters, for example `debug` or `info,sekimori_agent=debug`.
pub(crate) const VARIABLE: &str = "SEKIMORI_LOG";

/// Starts to log.
pub(crate) fn start() -> Result<(), Failure> {
    let wanted = std::env::var(VARIABLE).unwrap_or_else(|_| "info".to_owned());
    let filter = EnvFilter::try_new(&wanted).map_err(|error| {
        Failure::usage(format!("`{wanted}` in {VARIABLE} is not a log filter ({error}); try `info`"))
    })?;
    let has_colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(has_colours);
    subscriber.with_target(false).try_init().map_err(|error| Failure::Failed(anyhow::anyhow!(error)))
}
