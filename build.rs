//! Tells cargo which files are embedded in the binary, and embeds a hash of the code that computes answers.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

/// The code that computes answers, from tokens to responses.
const COMPUTING: [&str; 4] = ["src/kernels", "src/model", "src/engine", "src/tokenizer"];

fn main() {
    // A new file in one of these folders must trigger a rebuild.
    for folder in ["tasks", "datasets", "sample_model", "results/published.csv"] {
        println!("cargo:rerun-if-changed={folder}");
    }
    // Answers are cached, and must not outlive the code that computed them: from tokens to responses, and its
    // dependencies.
    let mut files =
        BTreeSet::from([PathBuf::from("Cargo.lock"), PathBuf::from("src/vocabulary/response.rs")]);
    for folder in COMPUTING {
        files_below(Path::new(folder), &mut files);
    }
    let mut hasher = DefaultHasher::new();
    for path in files {
        println!("cargo:rerun-if-changed={}", path.display());
        path.hash(&mut hasher);
        // The lock file may be missing from a package, which then builds with varying versions; the sources
        // are always there.
        fs::read(&path).unwrap_or_default().hash(&mut hasher);
    }
    for folder in COMPUTING {
        println!("cargo:rerun-if-changed={folder}");
    }
    for setting in ["TARGET", "CARGO_CFG_TARGET_FEATURE", "CARGO_FEATURE_CUDA"] {
        std::env::var(setting).unwrap_or_default().hash(&mut hasher);
    }
    println!("cargo:rustc-env=ASSAY_NUMERICS={:016x}", hasher.finish());
}

fn files_below(folder: &Path, files: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files_below(&path, files);
        } else {
            files.insert(path);
        }
    }
}
