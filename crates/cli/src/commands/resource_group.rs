//! `sekimori resource-group`: makes, lists and deletes the resource groups that `ResourceGroupId` may name.

use clap::{Args, Subcommand};
use comfy_table::Row;
use sekimori_server::api::{NewResourceGroup, ResourceGroup, Revised};

use crate::{
    cli::Common,
    client::{Client, path_part},
    exit::{Answer, Outcome},
    output::{self, Page},
};

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum ResourceGroupCommand {
    /// Make a resource group
    Create(CreateArgs),
    /// List the resource groups; rg-default is always there
    #[command(after_help = "Example:\n  sekimori resource-group list")]
    List,
    /// Delete a resource group that nothing is in
    Delete(DeleteArgs),
}

/// The arguments of `create`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sekimori resource-group create billing")]
pub(crate) struct CreateArgs {
    /// A name for people
    name: String,
    /// Whose it is, if there are several accounts
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<String>,
}

/// The arguments of `delete`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sekimori resource-group delete rg-0a1b2c")]
pub(crate) struct DeleteArgs {
    /// The resource group (rg-…)
    #[arg(value_name = "RESOURCE-GROUP")]
    resource_group: String,
}

/// Makes, lists or deletes.
pub(crate) fn run(common: &Common, command: ResourceGroupCommand) -> Outcome {
    let client = Client::connect(common)?;
    match command {
        ResourceGroupCommand::Create(CreateArgs { name, account }) => {
            let new = NewResourceGroup { account: account.map(Into::into), name };
            let made: ResourceGroup = client.post("/v1/resource-groups", &new)?;
            output::show(common.output, &made, |made| page(std::slice::from_ref(made)))?;
        }
        ResourceGroupCommand::List => {
            let groups: Vec<ResourceGroup> = client.get("/v1/resource-groups", &[])?;
            output::show(common.output, &groups, |groups| page(groups))?;
        }
        ResourceGroupCommand::Delete(DeleteArgs { resource_group }) => {
            let path = format!("/v1/resource-groups/{}", path_part(&resource_group));
            let revised: Revised = client.delete(&path, &[])?;
            output::state(common.output, &resource_group, "deleted", &revised)?;
        }
    }
    Ok(Answer::Yes)
}

fn page(groups: &[ResourceGroup]) -> Page {
    let row =
        |group: &ResourceGroup| Row::from(vec![group.account.to_string(), group.id.clone(), group.name.clone()]);
    let if_empty = "no resource groups besides rg-default; make one with `sekimori resource-group create`";
    Page::default().table(&["ACCOUNT", "RESOURCE GROUP", "NAME"], groups.iter().map(row), if_empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_a_table() {
        let group = ResourceGroup { account: "1".into(), id: "rg-1".to_owned(), name: "billing".to_owned() };
        assert_eq!(page(&[group]).plain(), "ACCOUNT  RESOURCE GROUP  NAME\n1        rg-1            billing\n");
        assert!(page(&[]).plain().contains("rg-default"));
    }
}
