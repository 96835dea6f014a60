//! What a computation leaves on the stack.

use std::hint::black_box;

use zeroize::Zeroize;

/// How far down a computation with a key is expected to reach, in bytes; the stacks it runs on have two megabytes at least.
const DEPTH: usize = 256 * 1024;

/// Runs a computation with private bytes, and overwrites the stack that it used.
///
/// What is moved leaves a copy of itself where it was, which nothing else would wipe before another call happens to come that
/// far down. The result must hold no private bytes itself, but those on the heap.
pub(super) fn wiped<T>(work: impl FnOnce() -> T) -> T {
    let done = apart(work);
    overwrite();
    done
}

/// A frame of its own, below that of the caller.
#[inline(never)]
fn apart<T>(work: impl FnOnce() -> T) -> T {
    black_box(work())
}

/// Fills the place where the frames of the last call were.
#[inline(never)]
fn overwrite() {
    let mut place = [0xff_u8; DEPTH];
    // Seen as used, so that it is not left out.
    black_box(&mut place);
    place.zeroize();
}
