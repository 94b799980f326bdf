//! `sekimori treatment set`: what a change does to live flows, for an account or for one interface.

use std::str::FromStr;

use clap::{Args, Subcommand};
use sekimori_analysis::text;
use sekimori_core::world::Treatment;
use sekimori_server::api::{Revised, SetTreatment};

use crate::{
    changing::Changing,
    cli::Common,
    client::Client,
    exit::{Answer, Outcome},
    output::Page,
};

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum TreatmentCommand {
    /// Set it for an account, or for one interface of it
    Set(SetArgs),
}

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sekimori treatment set eni-0a1b2c reset\n  \
                        sekimori treatment set eni-0a1b2c keep --dry-run\n  \
                        sekimori treatment set 1234567890123456 default --confirm-within 10m")]
pub(crate) struct SetArgs {
    /// An account, or an interface (eni-…)
    #[arg(value_name = "ACCOUNT|ENI")]
    of: String,
    /// reevaluate, keep or reset; default takes the choice back
    #[arg(value_parser = choice, value_name = "TREATMENT")]
    treatment: Choice,
    #[command(flatten)]
    changing: Changing,
}

/// A treatment, or none of one's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Choice(Option<Treatment>);

/// Sets it.
pub(crate) fn run(common: &Common, command: TreatmentCommand) -> Outcome {
    let TreatmentCommand::Set(args) = command;
    let (client, wish) = (Client::connect(common)?, request(&args));
    args.changing.make((common, &client), ("PUT", "/v1/treatment"), Some(&wish), |revised| page(&args, revised))?;
    Ok(Answer::Yes)
}

fn request(args: &SetArgs) -> SetTreatment {
    let treatment = args.treatment.0;
    if args.of.starts_with("eni-") {
        return SetTreatment { account: None, eni: Some((&args.of).into()), treatment };
    }
    SetTreatment { account: Some((&args.of).into()), eni: None, treatment }
}

fn page(args: &SetArgs, revised: &Revised) -> Page {
    let treatment = args.treatment.0.map_or("the default", text::treatment);
    Page::default().line(format!("live flows of {}: {treatment}, revision {}", args.of, revised.revision))
}

fn choice(text: &str) -> Result<Choice, String> {
    if text == "default" {
        return Ok(Choice(None));
    }
    Treatment::from_str(text).map(|treatment| Choice(Some(treatment))).map_err(|error| format!("{error}, or default"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_is_told_from_an_account() {
        let request = |of: &str| {
            request(&SetArgs {
                of: of.to_owned(),
                treatment: Choice(Some(Treatment::Keep)),
                changing: Changing::default(),
            })
        };
        assert_eq!(request("eni-1").eni, Some("eni-1".into()));
        assert_eq!(request("1234567890123456").account, Some("1234567890123456".into()));
    }

    #[test]
    fn a_treatment_is_read_or_named() {
        assert_eq!(choice("reset"), Ok(Choice(Some(Treatment::Reset))));
        assert_eq!(choice("default"), Ok(Choice(None)));
        let refused = choice("drop").unwrap_err();
        assert!(refused.contains("`drop`") && refused.ends_with("or default"), "{refused}");
    }
}
