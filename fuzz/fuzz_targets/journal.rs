//! A run's journal: as a file, and as records with valid checksums, which a fuzzer would not find by itself.
#![no_main]

use assay::store::History;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(history) = History::from_bytes(bytes) {
        // Whatever a kill leaves after the last line feed is dropped.
        let torn = [bytes, b"0123456789abcdef {"].concat();
        let again = History::from_bytes(&torn).expect("a record cut short is no damage");
        assert_eq!(again.answers, history.answers);
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        if let Ok(history) = History::from_records(text.lines()) {
            assert!(history.identity.is_some() || text.is_empty());
        }
    }
});
