//! `sekimori account`: makes and lists accounts.

use anstream::eprintln;
use clap::{Args, Subcommand, ValueEnum};
use comfy_table::{Cell, Row};
use sekimori_analysis::text;
use sekimori_core::world::Dialect;
use sekimori_server::api::{Account, CreatedAccount, KeyTold, NewAccount};

use crate::{
    cli::Common,
    client::Client,
    credentials::Credentials,
    exit::{Answer, Failure, Outcome},
    output::{self, Page, or_none},
};

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum AccountCommand {
    /// Make an account with an access key; its secret is shown this once
    Create(CreateArgs),
    /// List the accounts and the ids of their access keys
    #[command(after_help = "Example:\n  sekimori account list")]
    List,
}

/// The arguments of `create`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sekimori account create --dialect ecs --name team-a > team-a.env\n  \
                  sekimori account create --dialect ec2 --id 123456789012 --format json")]
pub(crate) struct CreateArgs {
    /// Which cloud's API its keys may call
    #[arg(long, value_enum)]
    dialect: DialectName,
    /// Its number: 16 digits for ecs, 12 for ec2; without it one is made up
    #[arg(long, value_name = "DIGITS")]
    id: Option<String>,
    /// A name for people
    #[arg(long, default_value = "unnamed", value_name = "NAME")]
    name: String,
    /// How to print: lines for the environment of a client (default) or JSON
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<CreatedFormat>,
}

/// The dialects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DialectName {
    /// Alibaba Cloud ECS.
    Ecs,
    /// Amazon EC2.
    Ec2,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum CreatedFormat {
    /// NAME=value lines.
    Env,
    /// JSON.
    Json,
}

impl From<DialectName> for Dialect {
    fn from(name: DialectName) -> Self {
        match name {
            DialectName::Ecs => Self::Ecs,
            DialectName::Ec2 => Self::Ec2,
        }
    }
}

/// Makes or lists.
pub(crate) fn run(common: &Common, command: AccountCommand) -> Outcome {
    match command {
        AccountCommand::Create(args) => create(common, args),
        AccountCommand::List => {
            let accounts: Vec<Account> = Client::connect(common)?.get("/v1/accounts", &[])?;
            output::show(common.output, &accounts, |accounts| page(accounts))?;
            Ok(Answer::Yes)
        }
    }
}

fn create(common: &Common, args: CreateArgs) -> Outcome {
    let dialect = args.dialect.into();
    let client = Client::connect(common)?;
    let new = NewAccount { dialect, name: args.name, id: args.id.map(Into::into) };
    let created: CreatedAccount = client.post("/v1/accounts", &new)?;
    let usual = if common.output.is_json() { CreatedFormat::Json } else { CreatedFormat::Env };
    let format = args.format.unwrap_or(usual);
    let text = match format {
        CreatedFormat::Env => lines(&created, client.endpoint())?,
        CreatedFormat::Json => output::json(&created)? + "\n",
    };
    output::print(&text)?;
    eprintln!("sekimori: made account {}; its secret is not shown again", created.account);
    Ok(Answer::Yes)
}

fn lines(created: &CreatedAccount, endpoint: &str) -> Result<String, Failure> {
    let CreatedAccount { account: _, dialect, access_key_id, access_key_secret, region } = created.clone();
    let key = KeyTold { access_key_id: access_key_id.to_string(), access_key_secret, region };
    Ok(Credentials::of_key(dialect, &key, endpoint)?.render())
}

fn page(accounts: &[Account]) -> Page {
    let row = |account: &Account| {
        let keys: Vec<&str> = account.keys.iter().map(|key| key.as_str()).collect();
        Row::from(vec![
            Cell::new(&account.id),
            Cell::new(account.dialect),
            Cell::new(&account.name),
            Cell::new(or_none(account.treatment.map(text::treatment))),
            Cell::new(keys.join(" ")),
        ])
    };
    let header = ["ACCOUNT", "DIALECT", "NAME", "LIVE FLOWS", "ACCESS KEYS"];
    Page::default().table(&header, accounts.iter().map(row), "no accounts; make one with `sekimori account create`")
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use sekimori_core::world::Treatment;

    use super::*;

    #[test]
    fn accounts_are_a_table_without_secrets() {
        let account = |id: &str, name: &str, treatment| Account {
            id: id.into(),
            dialect: Dialect::Ecs,
            name: name.to_owned(),
            treatment,
            keys: vec!["LTAI1".into()],
        };
        let accounts =
            [account("1000000000000001", "default", None), account("1000000000000002", "b", Some(Treatment::Reset))];
        expect![[r#"
            ACCOUNT           DIALECT  NAME     LIVE FLOWS  ACCESS KEYS
            1000000000000001  ecs      default  -           LTAI1
            1000000000000002  ecs      b        reset       LTAI1
        "#]]
        .assert_eq(&page(&accounts).plain());
    }

    #[test]
    fn a_new_key_is_printed_for_the_environment() {
        let created = CreatedAccount {
            account: "1000000000000001".into(),
            dialect: Dialect::Ecs,
            access_key_id: "LTAI1".into(),
            access_key_secret: "hush".to_owned(),
            region: "cn-hangzhou".to_owned(),
        };
        expect![[r#"
            ALIBABA_CLOUD_ACCESS_KEY_ID=LTAI1
            ALIBABA_CLOUD_ACCESS_KEY_SECRET=hush
            ALIBABA_CLOUD_REGION_ID=cn-hangzhou
            ALIBABA_CLOUD_ENDPOINT_ECS=127.0.0.1:8470
        "#]]
        .assert_eq(&lines(&created, "http://127.0.0.1:8470").unwrap());
        let created = CreatedAccount { dialect: Dialect::Ec2, region: "us-east-1".to_owned(), ..created };
        expect![[r#"
            AWS_ACCESS_KEY_ID=LTAI1
            AWS_SECRET_ACCESS_KEY=hush
            AWS_DEFAULT_REGION=us-east-1
            AWS_ENDPOINT_URL=http://127.0.0.1:8470
        "#]]
        .assert_eq(&lines(&created, "http://127.0.0.1:8470").unwrap());
    }
}
