//! What needs two crates at once: generated worlds, packets and changes, and the harness that holds the
//! implementations of a decision together. The tests themselves are in `tests/tests/`.

pub mod frame;
pub mod fuzz;
pub mod generate;
pub mod lab;
pub mod open;
pub mod plane;
pub mod shrink;
pub mod told;
mod ways;
