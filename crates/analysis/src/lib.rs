//! Pure questions about a world: why a packet passes or not, what decides at an interface, which rules are of no use.
//!
//! Every question is a function from a [`sekimori_core::world::World`] to a report that can be stored,
//! sent and read back. Nothing here does I/O, reads a clock, touches maps, or knows where the world came
//! from: a live server, a snapshot of the past, or another cloud.

#![warn(clippy::wildcard_enum_match_arm)]

pub mod account;
pub mod attach;
mod bearers;
pub mod comply;
pub mod diagnose;
pub mod diff;
pub mod effective;
pub mod ends;
#[cfg(test)]
pub(crate) mod fixture;
pub mod health;
pub mod history;
pub mod insights;
pub mod invariant;
mod led;
pub mod lockout;
mod merge;
pub mod nft;
mod outside;
mod permits;
pub mod planning;
mod portions;
pub mod preset;
pub mod report;
mod services;
pub mod shadow;
pub mod snapshot;
pub mod text;
pub mod transfer;
mod trial;
pub mod who;
pub mod why;
