//! The crate from outside: what real clients sent, what a tamperer would send, and every operation from query
//! to reply over the real meaning in `core`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod arbitrary;
mod disks;
mod ec2;
mod ecs;
mod edits;
mod estate;
mod filters;
mod flow_logs;
mod groups;
mod identity;
mod interfaces;
mod lists;
mod once;
mod recorded;
mod reports;
mod requests;
mod tags;
mod tamper;
