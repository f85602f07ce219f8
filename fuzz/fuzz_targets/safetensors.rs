//! The header of a safetensors file, parsed from the file's bytes.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = assay::model::safetensors_names(Path::new("fuzz.safetensors"), bytes);
});
