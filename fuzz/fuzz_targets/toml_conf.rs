//! See `pgherd_fuzz::TARGETS`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pgherd_fuzz::toml_conf(data));
