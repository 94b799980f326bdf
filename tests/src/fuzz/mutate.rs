//! Changes inputs as a fuzzer does, but always in the same way for the same seed: what CI can run without one.

use crate::generate::Chooser;

/// The longest input that comes out.
pub const BYTES_MAX: usize = 16 * 1024;
/// Changes to one input.
const STEPS_MAX: usize = 6;
/// Texts that parsers look for.
const WORDS: [&str; 24] = [
    "&",
    "=",
    "%",
    "%00",
    "%ff",
    ".",
    "/",
    "\n",
    "\n\n",
    "-1",
    "0",
    "65536",
    "4294967295",
    "18446744073709551616",
    "::",
    "\"",
    "{",
    "}",
    "[",
    "null",
    "true",
    "1e999",
    "\u{feff}",
    "東",
];

/// An input made from a corpus.
pub fn mutated(corpus: &[Vec<u8>], chooser: &mut Chooser) -> Vec<u8> {
    let mut bytes = chooser.pick(corpus);
    // One change is what gets furthest; many find what one would not.
    let steps = if chooser.one_in(2) { 1 } else { 1 + chooser.below(STEPS_MAX) };
    for _ in 0..steps {
        step(&mut bytes, corpus, chooser);
        bytes.truncate(BYTES_MAX);
    }
    bytes
}

fn step(bytes: &mut Vec<u8>, corpus: &[Vec<u8>], chooser: &mut Chooser) {
    let at = chooser.below(bytes.len() + 1);
    match chooser.below(14) {
        0 => flip(bytes, at, chooser),
        1 => set(bytes, at, chooser),
        2 => bytes.insert(at, byte(chooser)),
        3 => drop(bytes.drain(at..bytes.len().min(at + 1 + chooser.below(8)))),
        4 => insert(bytes, at, chooser.pick(&WORDS).as_bytes()),
        5 => repeat(bytes, at, chooser),
        6 => bytes.truncate(at),
        7 => {
            let other = chooser.pick(corpus);
            let from = chooser.below(other.len() + 1);
            bytes.truncate(at);
            bytes.extend(&other[from..]);
        }
        8 | 9 => number(bytes, at, chooser),
        _ => swap(bytes, at, corpus, chooser),
    }
}

/// A word of the input becomes one of another input, so that what is around it stays in order.
fn swap(bytes: &mut Vec<u8>, at: usize, corpus: &[Vec<u8>], chooser: &mut Chooser) {
    let other = chooser.pick(corpus);
    let (Some(place), Some(word)) = (word_after(bytes, at), word_after(&other, chooser.below(other.len() + 1)))
    else {
        return;
    };
    bytes.splice(place, other[word].iter().copied());
}

/// The run of letters, digits and what stands in addresses that begins at or after a position.
fn word_after(bytes: &[u8], at: usize) -> Option<std::ops::Range<usize>> {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/".contains(byte);
    let first = at + bytes.iter().skip(at).position(is_word)?;
    let length = bytes[first..].iter().take_while(|byte| is_word(byte)).count();
    Some(first..first + length)
}

fn byte(chooser: &mut Chooser) -> u8 {
    u8::try_from(chooser.below(256)).unwrap_or(0)
}

fn flip(bytes: &mut [u8], at: usize, chooser: &mut Chooser) {
    let bit = chooser.below(8);
    bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << bit);
}

fn set(bytes: &mut [u8], at: usize, chooser: &mut Chooser) {
    let value = byte(chooser);
    bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = value);
}

fn insert(bytes: &mut Vec<u8>, at: usize, text: &[u8]) {
    bytes.splice(at..at, text.iter().copied());
}

/// A part twice, or many times.
fn repeat(bytes: &mut Vec<u8>, at: usize, chooser: &mut Chooser) {
    let end = bytes.len().min(at + 1 + chooser.below(32));
    let part = bytes[at..end].to_vec().repeat(1 + chooser.below(3));
    insert(bytes, at, &part);
}

/// The next digit becomes another number.
fn number(bytes: &mut Vec<u8>, at: usize, chooser: &mut Chooser) {
    let Some(found) = bytes.iter().skip(at).position(u8::is_ascii_digit) else { return };
    let text = chooser.pick(&["0", "1", "9", "99", "255", "256", "65535", "-1", ""]);
    bytes.splice(at + found..=at + found, text.bytes());
}
