//! Rows of a store. The body is in `sekimori_tests::fuzz`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sekimori_tests::fuzz::rows(bytes));
