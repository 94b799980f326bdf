//! The EC2 API, from the bytes of a request to the bytes of the reply. The body is in `sekimori_tests::fuzz`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sekimori_tests::fuzz::ec2_call(bytes));
