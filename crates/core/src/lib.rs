//! The meaning of Sekimori: what the world is, how a command changes it, and what becomes of a packet.
//!
//! Everything here is pure. There is no I/O, no clock, no randomness, no async and no `unsafe`: time and
//! entropy are arguments ([`command::Context`]), so that every result can be replayed. Iteration never
//! depends on hash order. The three ways of the architecture start here:
//!
//! * a request becomes a [`command::Command`], and [`apply::apply`] turns it into [`change::Change`]s or a
//!   typed [`refusal::Refusal`];
//! * a packet is judged by [`verdict::decide`] (stateless) and [`flow::Tracker`] (with live flows);
//! * a question reads a [`world::World`].

#![warn(clippy::wildcard_enum_match_arm)]

pub mod address;
pub mod apply;
pub mod binding;
pub mod bypass;
pub mod capacity;
pub mod change;
pub mod command;
pub mod diagnosis;
pub mod difference;
pub mod end;
pub mod entity;
pub mod feed;
pub mod flow;
pub mod flow_event;
pub mod flow_log;
pub mod flow_record;
pub mod flow_room;
pub mod ids;
pub mod insights;
pub mod invariant;
pub mod limits;
pub mod live_flow;
pub mod network_acl;
pub mod packet;
pub mod peering;
pub mod platform;
pub mod refusal;
pub mod resource;
pub mod rule;
pub mod shadow;
pub mod snapshot;
pub mod space;
pub mod tags;
pub mod terminated;
pub mod time;
pub mod token;
pub mod trial;
pub mod verdict;
pub mod ways;
pub mod world;
