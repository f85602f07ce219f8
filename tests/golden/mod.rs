//! Results of the reference harness, reproduced.

mod field;
mod loglikelihoods;
mod metrics;
mod recipes;
mod requests;

use std::io::Read;
use std::path::Path;

/// The decompressed text of a gzip file.
pub fn gunzip(path: &Path) -> String {
    let mut text = String::new();
    let file = std::fs::File::open(path).expect("golden file opens");
    flate2::read::MultiGzDecoder::new(file).read_to_string(&mut text).expect("golden file is gzip");
    text
}
