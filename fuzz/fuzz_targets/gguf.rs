//! The header of a GGUF file, parsed from the file's bytes, and the typed reads of its metadata.
#![no_main]

use std::path::Path;

use assay::model::GgufMetadata;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(metadata) = GgufMetadata::from_bytes(Path::new("fuzz.gguf"), bytes) else { return };
    for key in metadata.keys() {
        let _ = metadata.shown(key);
        let _ = (metadata.whole(key), metadata.number(key), metadata.flag(key), metadata.string(key));
        let _ = (metadata.strings(key), metadata.wholes(key), metadata.numbers(key));
    }
});
