//! The only root code: enforcement in the kernel, and local compute.

pub mod bound;
pub mod bpf;
pub mod enforcer;
pub mod local;
pub mod netlink;
pub mod run;
pub mod traffic;
