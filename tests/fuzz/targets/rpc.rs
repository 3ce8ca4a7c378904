#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tenant_egress::http::fuzz_rpc(bytes));
