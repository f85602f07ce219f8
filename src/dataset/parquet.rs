//! Parquet, as the hub converts datasets to it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, FileReader, SerializedFileReader};
use serde_json::Value;

use crate::vocabulary::Row;

/// Reads all rows of a file or of bytes.
///
/// # Errors
/// The reader's own description of the fault.
pub fn read<R: ChunkReader + 'static>(source: R) -> Result<Vec<Row>, String> {
    // The reader trusts offsets and lengths in a file's pages, and may panic where they were tampered with.
    catch_unwind(AssertUnwindSafe(|| read_rows(source)))
        .unwrap_or_else(|_| {
            Err(ParquetError::General("the pages do not fit the file's own description".into()))
        })
        .map_err(|e| e.to_string().to_lowercase())
}

fn read_rows<R: ChunkReader + 'static>(source: R) -> Result<Vec<Row>, ParquetError> {
    let reader = SerializedFileReader::new(source)?;
    let mut rows = Vec::new();
    for row in reader.get_row_iter(None)? {
        match row?.to_json_value() {
            Value::Object(columns) => rows.push(columns),
            _ => return Err(ParquetError::General(format!("row {} has no columns", rows.len()))),
        }
    }
    Ok(rows)
}
