//! Files that are embedded in the binary: a new one among them must rebuild it.
fn main() {
    for folder in ["tasks", "datasets", "sample_model", "results/published.csv"] {
        println!("cargo:rerun-if-changed={folder}");
    }
}
