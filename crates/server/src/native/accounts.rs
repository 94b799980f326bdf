//! Accounts: who there is, and making one with its access key. A secret is shown once and never again.

use std::sync::Arc;

use axum::extract::{Request, State};

use sekimori_cloud::ec2;
use sekimori_core::{
    command::{self, Command, Outcome},
    ids::AccountId,
    world::Dialect,
};

use super::{Answer, ApiError, Origin, commit, json, read};
use crate::{
    api::{Account, CreatedAccount, ErrorCode, NewAccount},
    app::App,
    secrets,
};

/// The longest name of an account, in characters.
const ACCOUNT_NAME_CHARS_MAX: usize = 128;

/// `GET /v1/accounts`.
pub(super) async fn list(State(app): State<Arc<App>>) -> Answer<Vec<Account>> {
    let world = app.committer.world();
    let accounts = world.accounts().map(|account| Account {
        id: account.id.clone(),
        dialect: account.dialect,
        name: account.name.clone(),
        treatment: account.treatment,
        keys: world.keys().filter(|key| key.account == account.id).map(|key| key.id.clone()).collect(),
    });
    json(accounts.collect())
}

/// `POST /v1/accounts`.
pub(super) async fn create(State(app): State<Arc<App>>, request: Request) -> Answer<CreatedAccount> {
    let origin = Origin::of(&request, "CreateAccount");
    let new: NewAccount = read(request).await?;
    check(&new)?;
    let internal = |error: &dyn std::error::Error| ApiError::new(ErrorCode::Internal, error.to_string());
    let (key, secret) = secrets::new_access_key(new.dialect).map_err(|error| internal(&error))?;
    let sealed_secret = app.secrets.seal(&key, &secret).map_err(|error| internal(&error))?;
    let NewAccount { dialect, name, id } = new;
    let command = command::NewAccount { id, dialect, name, key: key.clone(), sealed_secret };
    let Outcome::Account(account) = commit(&app, origin, Command::CreateAccount(command)).await?.0 else {
        return Err(ApiError::new(ErrorCode::Internal, "no account came out of making one"));
    };
    json(CreatedAccount {
        account,
        dialect,
        access_key_id: key,
        access_key_secret: secret.to_string(),
        region: region_of(dialect, &app.region).to_owned(),
    })
}

fn check(new: &NewAccount) -> Result<(), ApiError> {
    check_name(&new.name)?;
    let digits = match new.dialect {
        Dialect::Ecs => 16,
        Dialect::Ec2 => 12,
    };
    match &new.id {
        Some(id) if !is_number(id, digits) => {
            let message = format!("`{id}` is not the id of an {} account; use {digits} digits", new.dialect);
            Err(ApiError::new(ErrorCode::Invalid, message))
        }
        Some(_) | None => Ok(()),
    }
}

/// The region that the credentials of a dialect name: the server's, if the dialect's cloud has it.
pub(crate) fn region_of(dialect: Dialect, region: &str) -> &str {
    match dialect {
        Dialect::Ecs => region,
        Dialect::Ec2 => ec2::region::Region::find(region).map_or(ec2::region::DEFAULT_REGION, |region| region.name),
    }
}

/// The name of an account or of what belongs to one.
pub(super) fn check_name(name: &str) -> Result<(), ApiError> {
    if name.is_empty() || name.chars().count() > ACCOUNT_NAME_CHARS_MAX || name.chars().any(char::is_control) {
        let message = format!("`{name}` is not a name; use 1 to {ACCOUNT_NAME_CHARS_MAX} printable characters");
        return Err(ApiError::new(ErrorCode::Invalid, message));
    }
    Ok(())
}

fn is_number(id: &AccountId, digits: usize) -> bool {
    id.as_str().len() == digits && id.as_str().bytes().all(|byte| byte.is_ascii_digit())
}
