//! The memory that rows take, claimed before it is taken.
//!
//! A small file may ask for all memory: a column a row, of which each row gets all, or pages that compress to nothing.

use std::fmt;

use crate::bounds::{Claim, NoRoom};

/// Why a file's rows are not read.
#[derive(Debug, PartialEq)]
pub enum Fault {
    /// The file is damaged, or of another kind.
    Damaged(String),
    /// It asks for more than there is, or than a file of its size may.
    TooLarge(String),
}

impl From<String> for Fault {
    fn from(what: String) -> Self {
        Self::Damaged(what)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged(what) | Self::TooLarge(what) => f.write_str(what),
        }
    }
}

/// Most values of a table: this many, and one more for each byte of its file. In a file that has each row's values they are fewer than
/// its bytes; the rest is for rows that leave columns out.
const VALUES: u64 = 1 << 20;
/// Bytes of a value in a row, beside its name and its text.
const VALUE: u64 = 128;

/// Claims the memory of a table whose rows all get all columns, whose names have `name_bytes` together; `filled` values are there
/// already.
///
/// # Errors
/// [`Fault::TooLarge`].
pub fn claim_table(
    columns: usize,
    rows: usize,
    filled: usize,
    name_bytes: usize,
    file: usize,
) -> Result<Claim, Fault> {
    let (columns, rows) = (columns as u64, rows as u64);
    let values = columns.saturating_mul(rows);
    let most = VALUES + file as u64;
    if values > most {
        return Err(Fault::TooLarge(format!(
            "{columns} columns x {rows} rows are {values} values, expected {most} at most in a file of {file} bytes"
        )));
    }
    let name = name_bytes as u64 / columns.max(1);
    let bytes = values.saturating_sub(filled as u64).saturating_mul(VALUE + name);
    Claim::of(bytes).map_err(|no_room| too_large(&format!("{columns} columns x {rows} rows take"), &no_room))
}

/// The fault of what takes more memory than there is.
pub fn too_large(what: &str, no_room: &NoRoom) -> Fault {
    Fault::TooLarge(format!("{what} {no_room}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_have_few_values_or_large_files() {
        assert!(claim_table(100, 10_000, 0, 900, 20_000).is_ok());
        assert!(claim_table(1000, 10_000, 10_000_000, 1 << 60, 10_000_000).is_ok());
        let expected =
            "2000 columns x 2000 rows are 4000000 values, expected 1068576 at most in a file of 20000 bytes";
        assert_eq!(claim_table(2000, 2000, 0, 0, 20_000).unwrap_err(), Fault::TooLarge(expected.into()));
        let fault = claim_table(10, 10, 90, 1 << 60, 100).unwrap_err().to_string();
        assert!(
            fault.starts_with("10 columns x 10 rows take 1152921504606848250 bytes of memory"),
            "{fault}"
        );
    }
}
