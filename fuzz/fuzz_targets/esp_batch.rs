#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::data::esp_batch(data));
