//! `sekimori bypass`: the listed traffic that passes before any rule.

use clap::{Args, Subcommand};
use comfy_table::{Cell, Row};
use sekimori_analysis::text;
use sekimori_core::bypass::{BypassEntry, BypassSet};
use sekimori_server::api::{Bypass, SetBypass};

use crate::{
    changing::Changing,
    cli::Common,
    client::Client,
    exit::{Answer, Outcome},
    output::{self, Page},
};

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum BypassCommand {
    /// Show what passes before any rule
    #[command(after_help = "Example:\n  sekimori bypass show")]
    Show,
    /// Replace what passes before any rule
    Set(SetArgs),
}

/// The arguments of `set`.
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  sekimori bypass set dhcp udp/123@169.254.169.123\n  sekimori bypass set none --dry-run\n  \
                        sekimori bypass set none --confirm-within 60s"
)]
pub(crate) struct SetArgs {
    /// dhcp, none, or entries such as udp/123@169.254.169.123
    #[arg(required = true, value_name = "ITEM", value_parser = item)]
    items: Vec<String>,
    #[command(flatten)]
    changing: Changing,
}

/// Shows or sets.
pub(crate) fn run(common: &Common, command: BypassCommand) -> Outcome {
    let client = Client::connect(common)?;
    match command {
        BypassCommand::Show => {
            let bypass: Bypass = client.get("/v1/bypass", &[])?;
            output::show(common.output, &bypass, page)?;
        }
        BypassCommand::Set(SetArgs { items, changing }) => {
            let wish = SetBypass { items };
            changing.make((common, &client), ("PUT", "/v1/bypass"), Some(&wish), page)?;
        }
    }
    Ok(Answer::Yes)
}

/// An item of the command line, read to tell early that it is one.
pub(crate) fn item(text: &str) -> Result<String, String> {
    BypassSet::from_items([text]).map(|_| text.to_owned())
}

fn page(bypass: &Bypass) -> Page {
    let row = |entry: &BypassEntry| {
        let (ports, source_ports) = (text::ports(entry.ports), text::ports(entry.source_ports));
        let cells = [entry.direction.to_string(), entry.protocol.to_string(), ports, source_ports];
        Row::from(cells.into_iter().chain([entry.peer.to_string()]).map(Cell::new))
    };
    let header = ["DIRECTION", "PROTOCOL", "PORTS", "SOURCE PORTS", "PEER"];
    Page::default()
        .table(&header, bypass.entries.iter().map(row), "no listed entries")
        .line("ARP and IPv6 neighbour and router discovery always pass")
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn entries_are_shown_with_both_directions() {
        let set = BypassSet::from_items(["udp/123@169.254.169.123"]).unwrap();
        expect![[r#"
            DIRECTION  PROTOCOL  PORTS  SOURCE PORTS  PEER
            egress     udp       123    all           169.254.169.123
            ingress    udp       all    123           169.254.169.123
            ARP and IPv6 neighbour and router discovery always pass
        "#]]
        .assert_eq(&page(&Bypass { entries: set.entries().to_vec() }).plain());
    }

    #[test]
    fn an_item_that_is_none_is_named() {
        assert!(item("sctp/1@::/0").unwrap_err().contains("`sctp/1@::/0`"));
        assert_eq!(item("dhcp"), Ok("dhcp".to_owned()));
    }
}
