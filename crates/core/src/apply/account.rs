//! Accounts, their keys, and the settings that belong to the operator.

use std::sync::Arc;

use imbl::OrdMap;

use super::{Draft, missing, within};
use crate::{
    bypass::BypassSet,
    change::Change,
    command::{NewAccount, Outcome, TreatmentOf},
    ids::{AccountId, IdSource},
    limits::ACCOUNTS_MAX,
    platform::PlatformPolicy,
    refusal::{Counted, Kind, Refusal},
    world::{AccessKey, Account, Dialect, Eni, Treatment},
};

impl Draft<'_> {
    pub(super) fn set_bypass(&mut self, bypass: &BypassSet) -> Outcome {
        if self.world.bypass() != bypass {
            self.put(Change::PutBypass(Arc::new(bypass.clone())));
        }
        Outcome::Done
    }

    pub(super) fn set_platform(&mut self, policy: PlatformPolicy, is_on: bool) -> Outcome {
        let platform = self.world.platform().with(policy, is_on);
        if self.world.platform() != platform {
            self.put(Change::PutPlatform(platform));
        }
        Outcome::Done
    }

    pub(super) fn create_account(&mut self, new: &NewAccount) -> Result<Outcome, Refusal> {
        let NewAccount { id, dialect, name, key, sealed_secret } = new;
        within(Counted::Accounts, ACCOUNTS_MAX as u32, self.world.accounts().count() + 1)?;
        let id = match id {
            Some(id) => id.clone(),
            None => self.fresh_account(*dialect),
        };
        if self.world.account(&id).is_some() {
            return Err(Refusal::Exists { kind: Kind::Account, id: id.to_string() });
        }
        let created_at = self.context.now;
        let account = Account {
            id: id.clone(),
            dialect: *dialect,
            name: name.clone(),
            treatment: None,
            resource_groups: OrdMap::new(),
            created_at,
        };
        self.put(Change::PutAccount(Arc::new(account)));
        let sealed_secret = sealed_secret.clone();
        let key = AccessKey { id: key.clone(), account: id.clone(), sealed_secret, created_at };
        self.put(Change::PutKey(Arc::new(key)));
        Ok(Outcome::Account(id))
    }

    fn fresh_account(&mut self, dialect: Dialect) -> AccountId {
        let digits = match dialect {
            Dialect::Ecs => 16,
            Dialect::Ec2 => 12,
        };
        loop {
            let id = AccountId::from(number(&mut self.context.ids, digits));
            if self.world.account(&id).is_none() {
                return id;
            }
        }
    }

    pub(super) fn set_treatment(
        &mut self,
        of: &TreatmentOf,
        treatment: Option<Treatment>,
    ) -> Result<Outcome, Refusal> {
        match of {
            TreatmentOf::Account(id) => {
                let account = self.world.account(id).ok_or_else(|| missing(Kind::Account, id))?;
                let account = Account { treatment, ..Account::clone(account) };
                self.put(Change::PutAccount(Arc::new(account)));
            }
            TreatmentOf::Eni(id) => {
                let eni = self.world.eni(id).ok_or_else(|| missing(Kind::Eni, id))?;
                let eni = Eni { treatment, ..Eni::clone(eni) };
                self.put(Change::PutEni(Arc::new(eni)));
            }
        }
        Ok(Outcome::Done)
    }
}

/// A decimal number of exactly this many digits, not starting with zero.
fn number(ids: &mut IdSource, digits: u32) -> String {
    let floor = 10_u64.pow(digits - 1);
    (floor + ids.next_u64() % (9 * floor)).to_string()
}
