//! The rows of a parquet file.
//!
//! The reader's panics are caught and silenced before libfuzzer's hook sees them; any other panic is a crash.
#![no_main]

use assay::dataset::read_parquet;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = read_parquet(bytes.to_vec().into());
});
