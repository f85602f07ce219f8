//! Rebuilds the sample datasets and the sample model, with which the repository runs without a download.
//!
//! ```text
//! cargo run --release --example build_samples -- datasets   writes datasets/assay-samples
//! cargo run --release --example build_samples -- model      trains and writes sample_model, in a few minutes
//! cargo run --release --example build_samples -- check      prints the held-out loss; fails unless the model has learned
//!                                                            and text and tokenizer come out the same again
//! cargo run --release --example build_samples -- corpus     prints the training text
//! ```
//!
//! Everything is derived from seeds: texts, datasets and tokenizer are reproduced byte for byte, the weights
//! as far as the machine's floating point allows.

mod activities;
mod beliefs;
mod checkpoint;
mod corpus;
mod datasets;
mod dice;
mod glossary;
mod network;
mod pronouns;
mod sums;
mod tokenizer;
mod train;
mod world;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use tokenizers::Result;

fn main() -> ExitCode {
    let command = std::env::args().nth(1).unwrap_or_default();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let outcome = match command.as_str() {
        "datasets" => datasets::write_all(root),
        "model" => build_model(root),
        "check" => check(root),
        "corpus" => print_corpus(),
        other => Err(format!("`{other}` is not one of datasets, model, check, corpus").into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn build_model(root: &Path) -> Result<()> {
    let corpus = corpus::write()?;
    let tokenizer = tokenizer::train(&corpus.training)?;
    let network = train::train(&tokenizer, &corpus.training)?;
    checkpoint::save(&root.join("sample_model"), &network, &tokenizer, &corpus.held_out)?;
    check(root)
}

fn check(root: &Path) -> Result<()> {
    let folder = root.join("sample_model");
    let (network, tokenizer) =
        checkpoint::load(&folder).map_err(|error| format!("can't read {}: {error}", folder.display()))?;
    let text = fs::read_to_string(folder.join(checkpoint::HELD_OUT))?;
    let corpus = corpus::write()?;
    if text != corpus.held_out {
        return Err("the held-out text is not the one that this program writes".into());
    }
    if tokenizer.to_string(false)? != tokenizer::train(&corpus.training)?.to_string(false)? {
        return Err("the tokenizer is not the one that this program trains".into());
    }
    let measured = train::measure(&network, &tokenizer, &text)?;
    println!("held-out tokens   {}", measured.tokens);
    println!("held-out loss     {:.4} nats per token", measured.loss);
    println!("unigram entropy   {:.4} nats per token", measured.unigram_entropy);
    if measured.loss < measured.unigram_entropy {
        Ok(())
    } else {
        Err("the model has learned no more than how often each token occurs".into())
    }
}

fn print_corpus() -> Result<()> {
    let pages = corpus::write()?.training;
    let mut out = std::io::stdout().lock();
    for page in pages {
        writeln!(out, "{page}{}", tokenizer::SPECIAL[tokenizer::END as usize])?;
    }
    Ok(())
}
