//! A template over one row.
#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use assay::task::{Columns, Place, Template};
use assay::vocabulary::{Cell, Row};
use libfuzzer_sys::fuzz_target;
use serde_json::json;

static ROW: LazyLock<Columns> = LazyLock::new(|| {
    let row = json!({
        "s": "The quick [title] brown fox. 7", "t": " été\t\u{1f600}\n", "e": "", "l": ["a", "b", "it's"],
        "n": 7, "z": -3, "f": 2.5, "y": true, "o": null, "d": {"k": [1.5, false], "s": "v"}, "m": [[1, 2], [3, 4]],
        "big": 1_000_000_000_000i64,
    });
    match Cell::from(row) {
        Cell::Struct(row) => Columns::new(row),
        _ => Columns::new(Row::new()),
    }
});

fuzz_target!(|bytes: &[u8]| {
    let Ok(source) = std::str::from_utf8(bytes) else { return };
    let place = Place { path: Path::new("fuzz.yaml").into(), line: 1, column: 1 };
    for block in [false, true] {
        let Ok(template) = Template::new(source, &place, block) else { continue };
        let _ = template.value(&ROW);
    }
});
