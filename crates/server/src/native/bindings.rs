//! Network interfaces, and binding them to interfaces of hosts.

use std::{io, sync::Arc};

use axum::extract::{Query, Request, State, rejection::QueryRejection};
use serde::Deserialize;

use sekimori_core::{
    binding::{Binding, Side},
    command::{BindingCommand, Command},
    feed::{BoundInterface, reason_name},
    ids::{EniId, HostId},
    packet::Why,
    rule::Direction,
    world::{Eni, World},
};

use super::{Answer, ApiError, Origin, commit, groups::Name, groups::text_of, json, read};
use crate::{
    api::{ErrorCode, Interface, Interfaces, Revised, SetBinding},
    app::App,
    counts::Counts,
    hosts::HostStatus,
    sessions,
};

/// The parameters of `GET /v1/interfaces`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    #[serde(default)]
    bound: bool,
}

/// The parameters of `DELETE /v1/interfaces/{eni}/binding`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UnbindQuery {
    holder: Option<String>,
}

/// `GET /v1/interfaces?bound=`.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Answer<Interfaces> {
    let Query(ListQuery { bound }) = query.map_err(|error| unreadable(&error, "bound is true or false"))?;
    let (world, hosts) = (app.committer.world(), app.hosts.all());
    let shown = world.enis().filter(|eni| !bound || eni.binding.is_some());
    let interfaces = shown.map(|eni| interface(eni, &hosts, &app.hosts.counts)).collect();
    json(Interfaces { interfaces, revision: world.revision() })
}

/// `PUT /v1/interfaces/{eni}/binding`.
pub(super) async fn bind(State(app): State<Arc<App>>, name: Name, request: Request) -> Answer<Revised> {
    let (eni, origin) = (EniId::from(text_of(name)?), Origin::of(&request, "BindEni"));
    let SetBinding { host, netns, interface, side, mac, holder, is_moved, force } = read(request).await?;
    let host = host.unwrap_or_else(|| home(&app, &app.committer.world(), &eni));
    let binding = Binding { host, netns, interface, side, holder };
    if !force {
        keeps_sessions(&app.committer.world(), &eni, &binding).await?;
    }
    let command = Command::Binding(BindingCommand::Bind { eni, binding, mac, is_moved });
    let (_, world) = commit(&app, origin, command).await?;
    json(Revised { revision: world.revision() })
}

/// `DELETE /v1/interfaces/{eni}/binding?holder=`.
pub(super) async fn unbind(
    State(app): State<Arc<App>>,
    name: Name,
    query: Result<Query<UnbindQuery>, QueryRejection>,
    request: Request,
) -> Answer<Revised> {
    let (eni, origin) = (EniId::from(text_of(name)?), Origin::of(&request, "UnbindEni"));
    let Query(UnbindQuery { holder }) = query.map_err(|error| unreadable(&error, "holder is a text"))?;
    let (_, world) = commit(&app, origin, Command::Binding(BindingCommand::Unbind { eni, holder })).await?;
    json(Revised { revision: world.revision() })
}

/// Refuses to cut the host's own connections: SSH sessions, and whatever the operator comes by. An agent is on its server's host, so the
/// cards of its namespace are the server's.
async fn keeps_sessions(world: &World, eni: &EniId, binding: &Binding) -> Result<(), ApiError> {
    let old = world.eni(eni).and_then(|eni| eni.binding.as_ref());
    let is_there = old.is_some_and(|old| old.is_same_interface(binding));
    if binding.side != Side::Own || binding.netns.is_some() || is_there {
        return Ok(());
    }
    let interface = binding.interface.clone();
    let looked = tokio::task::spawn_blocking(move || sessions::over(&interface)).await;
    let found = looked.map_err(io::Error::from).flatten().map_err(|error| {
        let unknown = format!("the connections over `{}` are not known: {error}", binding.interface);
        ApiError::new(ErrorCode::Internal, format!("{unknown}; bind it in spite of that with `--force`"))
    })?;
    found.map_or(Ok(()), |found| {
        let remedy = "they are cut, since no flow of them is known; end them first, or force it (`--force`)";
        Err(ApiError::new(ErrorCode::Refused, format!("{found}; {remedy}")))
    })
}

/// Where an ENI is bound if nobody says: on its instance's host, or where instances are placed.
fn home(app: &App, world: &World, eni: &EniId) -> HostId {
    let instance = world.eni(eni).and_then(|eni| world.instance(eni.instance.as_ref()?));
    instance.map_or_else(|| app.hosts.placement(world), |instance| instance.host.clone())
}

fn interface(eni: &Eni, hosts: &[HostStatus], counts: &Counts) -> Interface {
    let host = eni.binding.as_ref().and_then(|binding| hosts.iter().find(|status| status.host == binding.host));
    let found = host.and_then(|status| status.bound.get(&eni.id));
    Interface {
        id: eni.id.clone(),
        account: eni.account.clone(),
        vpc: eni.vpc.clone(),
        instance: eni.instance.clone(),
        mac: eni.mac,
        addresses: eni.addresses.clone(),
        binding: eni.binding.clone(),
        state: found.map(|found| found.state),
        notes: eni.binding.as_ref().map(|binding| notes(eni, (binding, found), host, counts)).unwrap_or_default(),
    }
}

/// What is wrong with a binding, in plain words.
fn notes(
    eni: &Eni,
    (binding, found): (&Binding, Option<&BoundInterface>),
    host: Option<&HostStatus>,
    counts: &Counts,
) -> Vec<String> {
    let Some(host) = host else {
        return vec![format!("no agent of host `{}` has connected; see that it runs there", binding.host)];
    };
    let mut notes: Vec<String> =
        found.map(|found| found.note.clone()).filter(|note| !note.is_empty()).into_iter().collect();
    if !host.connected {
        notes.push(format!("the agent of host `{}` is away; this is what it said last", host.host));
    }
    let closed = host.closed.iter().filter(|closed| closed.eni == eni.id).map(|closed| closed.reason.clone());
    let news: Vec<String> = closed.filter(|reason| !notes.contains(reason)).collect();
    notes.extend(news);
    let spoofed = counts.packets_of(&host.host, &eni.id, Direction::Egress, reason_name(&Why::Spoofed));
    if spoofed > 0 {
        notes.push(format!(
            "{spoofed} packets from it were dropped as spoofed: it must send from {} and its own addresses; \
             bind it again with --mac if the workload has another Ethernet address",
            eni.mac
        ));
    }
    notes
}

fn unreadable(error: &QueryRejection, hint: &str) -> ApiError {
    ApiError::new(ErrorCode::Invalid, format!("the request cannot be read: {}; {hint}", error.body_text()))
}
