//! A call of a cloud's API, from the bytes of the request to the bytes of the reply.
//!
//! Who calls is proven before anything is decoded, a nonce passes once, and a change is answered when it is
//! durable. Everything about formats is in `sekimori-cloud`; nothing here writes a reply of its own.

use std::net::IpAddr;

use sekimori_analysis::{insights, report};
use sekimori_cloud::{
    RawRequest, Reply,
    api::{self, Api, Operation, Trouble},
    ec2, ecs,
};
use sekimori_core::{
    change::Actor,
    command::Command,
    ids::AccountId,
    world::{Dialect, World},
};

use crate::{
    app::App,
    busy::Entered,
    commit::{self, CommitError},
    outside,
    replay::{Replayed, Ticket},
};

/// A caller that has proven to have the secret of a key.
struct Caller {
    account: AccountId,
    /// What makes the request one that passes once, if its scheme has that.
    ticket: Option<Ticket>,
    world: World,
}

/// Answers a call of either dialect.
pub(crate) async fn serve(app: &App, raw: &RawRequest<'_>, request_id: &str, from: IpAddr) -> Reply {
    match api::dialect_of(raw) {
        Dialect::Ecs => serve_as::<ecs::Call>(app, raw, request_id, from).await,
        Dialect::Ec2 => serve_as::<ec2::Call>(app, raw, request_id, from).await,
    }
}

async fn serve_as<C: Api>(app: &App, raw: &RawRequest<'_>, request_id: &str, from: IpAddr) -> Reply {
    let call = match C::parse(raw, request_id) {
        Ok(call) => call,
        Err(reply) => {
            app.refusals.count(name(C::DIALECT), "unreadable");
            return *reply;
        }
    };
    match answer(app, &call, from).await {
        Ok(reply) => reply,
        Err(fault) => {
            let failure = call.failure(&fault);
            let (operation, key, code) = (call.operation(), call.key_id(), failure.code);
            app.refusals.count(name(C::DIALECT), code);
            tracing::info!(operation, %key, code, status = failure.status, "a call was refused");
            tracing::debug!(operation, %from, message = failure.message, "why it was refused");
            call.fault(&fault)
        }
    }
}

fn name(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Ecs => "ecs",
        Dialect::Ec2 => "ec2",
    }
}

async fn answer<C: Api>(app: &App, call: &C, from: IpAddr) -> Result<Reply, C::Fault> {
    let caller = authenticate(app, call)?;
    match call.decode(&caller.world, &caller.account)? {
        Operation::Query(query) => Ok(call.answer(&query, &caller.world, &caller.account, app.applied())),
        Operation::DryRun(command) => Err(rehearse(app, &command).into()),
        Operation::Command(command) => carry_out(app, call, &caller, command, from).await.map_err(Into::into),
    }
}

/// Finds the key, checks the signature and the time, and lets the nonce pass once.
fn authenticate<C: Api>(app: &App, call: &C) -> Result<Caller, C::Fault> {
    let world = app.committer.world();
    let key = world.key(call.key_id()).ok_or(Trouble::UnknownKey)?;
    let secret = app.secrets.unseal(&key.id, &key.sealed_secret).map_err(|error| {
        tracing::error!(%error, "an access key cannot be used");
        Trouble::Internal
    })?;
    let now = outside::now();
    call.verify(secret.as_bytes(), now)?;
    let account = key.account.clone();
    if world.dialect_of(&account) != C::DIALECT {
        return Err(Trouble::WrongDialect.into());
    }
    let admit = |nonce| app.replay.admit(key.id.as_str(), nonce, now);
    let ticket = call.nonce().map(admit).transpose().map_err(|replayed| match replayed {
        Replayed::Used => Trouble::NonceUsed,
        Replayed::Full => Trouble::Throttled,
    })?;
    Ok(Caller { account, ticket, world })
}

/// What a change would come to: the trouble that says so, or why it would be refused. Nothing changes.
fn rehearse(app: &App, command: &Command) -> Trouble {
    match commit::tried(&app.hosts, app.limits, &app.committer.state(), command) {
        Ok(_) => Trouble::DryRun,
        Err(CommitError::Refused(refusal)) => Trouble::Refused(refusal),
        Err(_) => Trouble::Internal,
    }
}

/// Takes the client's token of a command that has one, until the command has been carried out.
fn enter(app: &App, command: &Command) -> Result<Option<Entered>, Trouble> {
    let Command::Once { ticket, command: _ } = command else { return Ok(None) };
    app.busy.enter(&ticket.account, &ticket.text).map(Some).ok_or(Trouble::TokenBusy)
}

/// Fills in what a command keeps of the world as it is now: a report, or the analysis of a path.
async fn examined(app: &App, mut command: Command) -> Result<Command, Trouble> {
    let world = app.committer.world();
    if let Some(new) = command.report_mut() {
        new.revision = world.revision();
        if world.instance(&new.instance).is_none_or(|instance| instance.account != new.account) {
            return Ok(command);
        }
        let instance = new.instance.clone();
        new.results = looked(app, move || report::examine(&world, &instance)).await?;
    } else if let Some(new) = command.analysis_mut() {
        new.revision = world.revision();
        let path = world.insights_path(&new.path).filter(|path| path.account == new.account);
        let Some(path) = path.cloned() else { return Ok(command) };
        new.finding = looked(app, move || insights::analyse(&world, &path)).await?;
    }
    Ok(command)
}

/// Looks at a world. Many rules take a while, so other calls do not wait for it, and only a few look at a time.
async fn looked<T: Send + 'static>(app: &App, look: impl FnOnce() -> T + Send + 'static) -> Result<T, Trouble> {
    let _turn = app.diagnoses.try_acquire().map_err(|_| Trouble::Throttled)?;
    tokio::task::spawn_blocking(look).await.map_err(|error| {
        tracing::error!(%error, "a diagnosis broke off");
        Trouble::Internal
    })
}

/// Writes the nonce down, has the command carried out, and reports what it did.
async fn carry_out<C: Api>(
    app: &App,
    call: &C,
    caller: &Caller,
    command: Command,
    from: IpAddr,
) -> Result<Reply, Trouble> {
    let _busy = enter(app, &command)?;
    let command = examined(app, command).await?;
    if let Some(ticket) = &caller.ticket {
        app.replay.keep(ticket, outside::now()).map_err(|error| {
            tracing::error!(%error, "a nonce cannot be kept, so nothing is changed");
            Trouble::Unavailable
        })?;
    }
    let actor = Actor {
        who: call.key_id().to_string(),
        operation: call.operation().to_owned(),
        from: Some(from.to_string()),
        request_id: call.request_id().to_owned(),
    };
    match app.committer.commit(actor, command).await {
        Ok((outcome, world)) => Ok(call.outcome(&outcome, &world, &caller.account, app.applied())),
        Err(CommitError::Refused(refusal)) => Err(Trouble::Refused(refusal)),
        Err(CommitError::Overloaded) => Err(Trouble::Throttled),
        Err(CommitError::Store(_) | CommitError::Stopped) => Err(Trouble::Unavailable),
        Err(CommitError::Entropy(_)) => Err(Trouble::Internal),
    }
}

#[cfg(test)]
mod tests {
    use sekimori_core::{command::NewReport, diagnosis::Metric, refusal::Refusal};

    use super::*;
    use crate::{
        app::DIAGNOSES_MAX,
        testing::{ACCOUNT, Bench, authorize, set_invariant},
    };

    #[tokio::test]
    async fn a_rehearsal_is_held_to_the_invariants() {
        let bench = Bench::on_small_world();
        let group = bench.committer.world().groups().next().unwrap().id.clone();
        bench.commit(set_invariant("no-ssh", &format!("internet must-not reach {group} tcp/22"))).await;
        let app = bench.app();
        assert_eq!(rehearse(&app, &authorize(&group, 80)), Trouble::DryRun);
        let refused = rehearse(&app, &authorize(&group, 22));
        assert!(
            matches!(&refused, Trouble::Refused(Refusal::Invariant { name, .. }) if name == "no-ssh"),
            "{refused:?}"
        );
    }

    #[tokio::test]
    async fn a_report_is_filled_in_for_its_owner_and_few_are_made_at_a_time() {
        let bench = Bench::on_small_world();
        let (app, world) = (bench.app(), bench.committer.world());
        let instance = world.instances().next().unwrap().id.clone();
        let wanted = |account: &str| {
            let (account, instance, revision) = (account.into(), instance.clone(), Default::default());
            Command::CreateReport(NewReport { account, instance, from: None, until: None, revision, results: vec![] })
        };
        let mut own = examined(&app, wanted(ACCOUNT)).await.unwrap();
        let report = own.report_mut().unwrap();
        assert_eq!((report.results.len(), report.revision), (Metric::ALL.len(), world.revision()));
        let mut others = examined(&app, wanted("2")).await.unwrap();
        assert!(others.report_mut().unwrap().results.is_empty(), "who asks about others' instances is not answered");
        let _turns = app.diagnoses.acquire_many(DIAGNOSES_MAX as u32).await.unwrap();
        assert_eq!(examined(&app, wanted(ACCOUNT)).await, Err(Trouble::Throttled));
    }
}
