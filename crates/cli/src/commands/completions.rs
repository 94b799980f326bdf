//! `sekimori completions`: a script that teaches a shell the command line.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::{
    cli::Cli,
    exit::{Answer, Failure, Outcome},
    output,
};

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sekimori completions bash > /etc/bash_completion.d/sekimori")]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Prints the script.
pub(crate) fn run(args: CompletionsArgs) -> Outcome {
    output::print(&script(args.shell)?)?;
    Ok(Answer::Yes)
}

fn script(shell: Shell) -> Result<String, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "sekimori", &mut script);
    String::from_utf8(script).map_err(|error| Failure::Failed(error.into()))
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn every_shell_learns_the_commands() {
        for shell in Shell::value_variants() {
            let script = script(*shell).unwrap();
            assert!(script.contains("counters") && script.contains("sekimori"), "{shell}");
        }
    }
}
