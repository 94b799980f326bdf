//! `sekimori platform`: what comes before every group, as in the cloud.

use clap::{Args, Subcommand, ValueEnum};
use comfy_table::{Cell, Row};
use sekimori_core::platform::PlatformPolicy;
use sekimori_server::api::{Platform, Policy, SetPlatform};

use crate::{
    changing::Changing,
    cli::Common,
    client::Client,
    exit::{Answer, Outcome},
    output::{self, Page},
};

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum PlatformCommand {
    /// Show the platform policies
    #[command(after_help = "Example:\n  sekimori platform show")]
    Show,
    /// Turn a platform policy on or off
    Set(SetArgs),
}

/// The arguments of `set`.
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  sekimori platform set mail on\n  sekimori platform set cloud-services off --dry-run\n  \
                        sekimori platform set mail on --confirm-within 10m"
)]
pub(crate) struct SetArgs {
    /// mail (TCP 25 leaves no VPC), cloud-services (100.64.0.0/10 is let in) or dhcp-servers (instances hand out no addresses)
    policy: PlatformPolicy,
    /// on or off
    #[arg(value_enum)]
    state: Switch,
    #[command(flatten)]
    changing: Changing,
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switch {
    /// On.
    On,
    /// Off.
    Off,
}

/// Shows or sets.
pub(crate) fn run(common: &Common, command: PlatformCommand) -> Outcome {
    let client = Client::connect(common)?;
    match command {
        PlatformCommand::Show => {
            let platform: Platform = client.get("/v1/platform", &[])?;
            output::show(common.output, &platform, page)?;
        }
        PlatformCommand::Set(SetArgs { policy, state, changing }) => {
            let wish = SetPlatform { policy, on: state == Switch::On };
            changing.make((common, &client), ("PUT", "/v1/platform"), Some(&wish), page)?;
        }
    }
    Ok(Answer::Yes)
}

fn page(platform: &Platform) -> Page {
    let row = |policy: &Policy| {
        let Policy { policy, on, purpose } = policy;
        Row::from(vec![Cell::new(policy), Cell::new(if *on { "on" } else { "off" }), Cell::new(purpose)])
    };
    Page::default().line(format!("platform policies come before every rule, revision {}", platform.revision)).table(
        &["POLICY", "STATE", "WHAT IT DOES"],
        platform.policies.iter().map(row),
        "",
    )
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use sekimori_core::world::Revision;

    use super::*;

    #[test]
    fn every_policy_is_shown_with_its_state() {
        let policy = |policy: PlatformPolicy, on| Policy { policy, on, purpose: policy.purpose().to_owned() };
        let policies = vec![
            policy(PlatformPolicy::Mail, true),
            policy(PlatformPolicy::CloudServices, false),
            policy(PlatformPolicy::DhcpServers, true),
        ];
        let platform = Platform { policies, revision: Revision(7) };
        expect![[r#"
            platform policies come before every rule, revision 7
            POLICY          STATE  WHAT IT DOES
            mail            on     drops TCP to port 25 of every address outside the VPC
            cloud-services  off    lets everything from 100.64.0.0/10 in, where a cloud's health checks come from
            dhcp-servers    on     drops what instances send as servers of DHCP, unless it answers a question to them
        "#]]
        .assert_eq(&page(&platform).plain());
    }
}
