//! Paths of test material that is not part of the project. Tests that need it report that they are skipped
//! without it.

use std::path::PathBuf;

/// A path in the folder of shared material, beside the repository.
pub fn shared(path: &str) -> Option<PathBuf> {
    let full = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared").join(path);
    if full.exists() {
        return Some(full);
    }
    eprintln!("skipped: ../shared/{path} is not there");
    None
}

/// A path in the folder of real models that `ASSAY_TEST_MODEL` names.
pub fn model(path: &str) -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("ASSAY_TEST_MODEL") else {
        eprintln!("skipped: ASSAY_TEST_MODEL is not set");
        return None;
    };
    let full = PathBuf::from(folder).join(path);
    if full.exists() {
        return Some(full);
    }
    eprintln!("skipped: {path} is not in the folder that ASSAY_TEST_MODEL names");
    None
}
