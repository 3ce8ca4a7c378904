#![no_main]

use tenantd_fuzz::sealed;

const DEK: &[u8] = include_bytes!("../corpus/dek/seed");

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sealed::record(DEK, bytes));
