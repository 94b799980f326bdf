//! World slice to tables: what one host's data plane needs of a world, and the smallest change to it.
//!
//! [`tables::Tables`] follows a world commit by commit and says what to write ([`tables::Delta`]); the
//! layout of a policy is [`build`], its words are read by the BPF program and by [`interpret`], and [`abi`]
//! holds the structures that both sides share. Nothing here touches a kernel, a clock or a socket, and
//! nothing here uses `core::verdict`: this is the second, independent implementation of a decision.

#![warn(clippy::wildcard_enum_match_arm)]

pub mod abi;
pub mod build;
mod classes;
pub mod event;
mod index;
pub mod interpret;
pub mod layout;
mod policy;
pub mod slots;
pub mod tables;
