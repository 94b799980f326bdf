//! What enforcement costs: against no firewall, nftables and iptables, interleaved in one run; packet by packet
//! under `PROG_TEST_RUN`; and change by change.
//!
//! Benchmarks, not timed tests: nothing here fails because a machine is slow. It fails when packets or changes do
//! not do what they must. That is what the soak is for.

pub mod api;
pub mod beside;
pub mod compare;
pub mod control;
pub mod core;
pub mod ec2;
pub mod ecs;
pub mod figures;
pub mod lab;
pub mod machine;
pub mod moto;
pub mod plane;
pub mod program;
pub mod questions;
pub mod report;
pub mod rivals;
pub mod scale;
pub mod search;
pub mod server;
pub mod soak;
pub mod start;
pub mod stats;
pub mod stop;
pub mod traffic;
pub mod updates;
pub mod world;
