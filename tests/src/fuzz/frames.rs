//! Frames, given to the programs in the kernel. Needs root; without it nothing happens.
//!
//! An input is a sequence of frames, so that one may belong to a flow that another has begun: a control byte
//! (bit 0: from the interface; the rest: which interface), the length in two bytes, the frame.

use std::{cell::RefCell, io::ErrorKind};

use nix::unistd::geteuid;
use sekimori_agent::bpf::sys;
use sekimori_core::rule::Direction;

use super::WORLD;
use crate::plane::{LOOPBACK, TestPlane};

/// Frames of one input.
const FRAMES_MAX: usize = 16;
/// The kernel takes no shorter frame in a test run, and none that is only an Ethernet header.
const FRAME_BYTES_MIN: usize = 15;
/// Nor, of late, one that is shorter than its IP header.
const IP_FRAME_BYTES_MIN: usize = 14 + 40;
/// Longer frames do not fit into the page that a test run has.
const FRAME_BYTES_MAX: usize = 2_048;
/// What a program returns for a packet that passes: whoever comes after may still drop it.
const NEXT: i32 = -1;
/// And for one that does not.
const DROP: i32 = 2;

thread_local! {
    static PLANE: RefCell<Option<TestPlane>> = const { RefCell::new(None) };
}

/// A sequence of frames: each passes or is dropped, and is counted once.
pub fn frames(bytes: &[u8]) {
    if !geteuid().is_root() {
        return;
    }
    PLANE.with_borrow_mut(|slot| {
        let mut plane = slot.take().map_or_else(enforced, Ok);
        let done = plane.as_mut().map(|plane| run_all(plane, bytes));
        assert!(matches!(done, Ok(Ok(()))), "{:?}", done.map_err(|error| format!("{error:#}")));
        *slot = plane.ok();
    });
}

fn enforced() -> anyhow::Result<TestPlane> {
    let mut plane = TestPlane::new()?;
    plane.enforce(&WORLD)?;
    Ok(plane)
}

fn run_all(plane: &mut TestPlane, bytes: &[u8]) -> anyhow::Result<()> {
    let mut rest = bytes;
    for _ in 0..FRAMES_MAX {
        let Some(([control, high, low], after)) = rest.split_first_chunk::<3>() else { break };
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(after.len());
        let (frame, left) = after.split_at(length);
        rest = left;
        if (FRAME_BYTES_MIN..=FRAME_BYTES_MAX).contains(&frame.len()) {
            run(plane, *control, frame)?;
        }
    }
    Ok(plane.forget_flows()?)
}

fn run(plane: &mut TestPlane, control: u8, frame: &[u8]) -> anyhow::Result<()> {
    let enis: Vec<_> = WORLD.enis().collect();
    let Some(eni) = enis.get(usize::from(control >> 1) % enis.len().max(1)) else { return Ok(()) };
    let direction = if control & 1 == 0 { Direction::Ingress } else { Direction::Egress };
    plane.bind(eni)?;
    let slot = plane.tables.eni_slot(&eni.id).unwrap_or(0);
    let before = plane.plane.reason_counts(slot)?;
    let (to_eni, from_eni) = plane.plane.programs();
    let program = if direction == Direction::Ingress { to_eni } else { from_eni };
    let action = match sys::test_run(program, (frame, 0), LOOPBACK, 1) {
        Ok(run) => run.action,
        Err(error) if error.kind() == ErrorKind::InvalidInput && frame.len() < IP_FRAME_BYTES_MIN => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let after = plane.plane.reason_counts(slot)?;
    let old = |key| before.iter().find(|(side, reason, _)| (*side, *reason) == key).map_or(0, |(_, _, count)| *count);
    let new: Vec<_> = after.iter().filter(|(side, reason, count)| *count != old((*side, *reason))).collect();
    let [(side, reason, count)] = new.as_slice() else { anyhow::bail!("counted {new:?} for {frame:02x?}") };
    anyhow::ensure!(*side == direction && *count == old((*side, *reason)) + 1, "{reason:?} counted for {frame:02x?}");
    let expected = if reason.passes() { NEXT } else { DROP };
    anyhow::ensure!(action == expected, "{reason:?} with action {action} for {frame:02x?}");
    Ok(())
}
