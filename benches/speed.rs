//! How close a model's passes come to the machine's limits: prefill compared with the best matrix product,
//! decoding with reading the weights from memory, loading with reading the files, all measured in the same
//! run.
//!
//!     cargo bench --bench speed -- FOLDER.. [--dtype float32|bfloat16|float16]
//!
//! Shares are of floating-point operations, including attention's, and of bytes. A folder with fewer layers
//! of a large model's shape (`--example synthetic_model` writes one) has that model's shares.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use assay::model::{
    Dtype, DtypeChoice, KvCache, LoadOptions, Model, ModelConfig, Row, Segment, SegmentId, machine,
};
use rayon::prelude::*;

type Failure = Box<dyn std::error::Error>;
type Outcome<T> = Result<T, Failure>;

/// Measurements of each kind, of which the best counts.
const TRIES: usize = 5;

fn main() -> ExitCode {
    let mut folders: Vec<PathBuf> = Vec::new();
    let mut dtype = DtypeChoice::Auto;
    let mut typed = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(argument) = typed.next() {
        dtype = match (argument.as_str(), typed.next_if_dtype(&argument)) {
            (_, Some(choice)) => choice,
            (folder, None) => {
                folders.push(folder.into());
                dtype
            }
        };
    }
    if folders.is_empty() {
        println!("NOT MEASURED: give models:\n  cargo bench --bench speed -- FOLDER..");
        return ExitCode::SUCCESS;
    }
    for folder in &folders {
        if let Err(error) = measure(folder, dtype) {
            println!("NOT MEASURED: {}: {error}", folder.display());
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// The value of `--dtype`, if `argument` is that option.
trait NextIfDtype: Iterator<Item = String> {
    fn next_if_dtype(&mut self, argument: &str) -> Option<DtypeChoice> {
        (argument == "--dtype").then(|| match self.next().as_deref() {
            Some("float32") => DtypeChoice::F32,
            Some("bfloat16") => DtypeChoice::Bf16,
            Some("float16") => DtypeChoice::F16,
            _ => DtypeChoice::Auto,
        })
    }
}

impl<I: Iterator<Item = String>> NextIfDtype for I {}

fn measure(folder: &Path, dtype: DtypeChoice) -> Outcome<()> {
    println!("# {}, {} threads", folder.display(), rayon::current_num_threads());
    let read = reading(folder)?;
    let mut loads = Vec::new();
    let model = loop {
        let clock = Instant::now();
        let model = Model::load(folder, LoadOptions { dtype, ..LoadOptions::default() })?;
        loads.push(clock.elapsed().as_secs_f64());
        if loads.len() == TRIES {
            break model;
        }
    };
    // The first is the slowest where the host has not yet backed a virtual machine's memory.
    let seconds = loads.iter().copied().fold(f64::INFINITY, f64::min);
    let bytes = model.facts().weight_bytes as f64;
    println!(
        "loading      {seconds:.2} s ({:.2} s the first time), {:.2} GB/s; reading the files {:.2} s, {:.2} GB/s: {:.0} %; \
         to memory of its own {:.2} s, {:.2} GB/s: {:.0} %",
        loads[0],
        read.bytes / seconds / 1e9,
        read.over,
        read.bytes / read.over / 1e9,
        100.0 * read.over / seconds,
        read.kept,
        read.bytes / read.kept / 1e9,
        100.0 * read.kept / seconds
    );
    let facts = model.facts();
    println!("computes     {} by {}, {:.2} GB of weights", facts.dtype, facts.kernels, bytes / 1e9);

    let best = best_product(facts.dtype, model.config())?;
    for (rows, name) in [(512, "prefill 512"), (1024, "prefill 1024")] {
        prefill(&model, rows, name, best)?;
    }
    let mut alone = f64::INFINITY;
    for sequences in [1, 2, 4, 8, 16, 32, 64] {
        decode(&model, sequences, &mut alone)?;
    }
    println!();
    Ok(())
}

struct Reading {
    bytes: f64,
    /// Seconds, every piece into the same buffer.
    over: f64,
    /// Seconds, into fresh memory that holds all files in the end, as the weights' memory does.
    kept: f64,
}

/// How long reading the weights' files takes on all threads, once they are in the page cache.
fn reading(folder: &Path) -> Outcome<Reading> {
    const PIECE: usize = 1 << 22;
    let files = assay::model::ModelFiles::open(folder)?.weight_files();
    let lengths = files.iter().map(|file| Ok(std::fs::metadata(file)?.len() as usize));
    let lengths = lengths.collect::<std::io::Result<Vec<usize>>>()?;
    let read = |file: &PathBuf, at: usize, to: &mut [u8]| {
        let mut file = File::open(file)?;
        std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(at as u64))?;
        file.read_exact(to)
    };
    let bytes = lengths.iter().sum::<usize>() as f64;
    let mut reading = Reading { bytes, over: f64::INFINITY, kept: f64::INFINITY };
    for _ in 0..TRIES {
        let clock = Instant::now();
        for (file, &length) in files.iter().zip(&lengths) {
            let pieces: Vec<usize> = (0..length).step_by(PIECE).collect();
            pieces.par_iter().try_for_each_init(
                || vec![0; PIECE],
                |buffer, &at| read(file, at, &mut buffer[..PIECE.min(length - at)]),
            )?;
        }
        reading.over = reading.over.min(clock.elapsed().as_secs_f64());
        let clock = Instant::now();
        let mut all = Vec::new();
        for (file, &length) in files.iter().zip(&lengths) {
            let mut bytes = vec![0; length];
            let pieces = bytes.par_chunks_mut(PIECE).enumerate();
            pieces.try_for_each(|(piece, to)| read(file, piece * PIECE, to))?;
            all.push(bytes);
        }
        reading.kept = reading.kept.min(clock.elapsed().as_secs_f64());
    }
    Ok(reading)
}

/// The best rate of matrix products in operations per second: ours and candle's, on the model's shapes and on
/// square ones.
fn best_product(dtype: Dtype, config: &ModelConfig) -> Outcome<f64> {
    let mut best = 0.0f64;
    let inner = config.intermediate_size;
    let shapes = [(config.hidden_size, inner * 2), (inner, config.hidden_size), (2048, 2048), (4096, 4096)];
    for (inputs, outputs) in shapes {
        for rows in [512, 1024] {
            let ours = machine::product_rate(dtype, rows, inputs, outputs)?;
            let plain = machine::plain_product_rate(dtype, rows, inputs, outputs)?;
            println!(
                "product      {rows:>5} x {inputs:>5} x {outputs:>5}  {:>7.1} GFLOP/s, candle {:>7.1}",
                ours / 1e9,
                plain / 1e9
            );
            best = best.max(ours).max(plain);
        }
    }
    Ok(best)
}

/// Floating-point operations of a pass over `rows` tokens from position 0, with the logits of the last one.
fn operations(config: &ModelConfig, rows: usize) -> f64 {
    let (hidden, inner) = (config.hidden_size, config.intermediate_size);
    let (query, kv) = (config.query_width(), config.kv_width());
    let layer = hidden * (query + 2 * kv) + query * hidden + 3 * hidden * inner;
    let seen = rows * (rows + 1) / 2;
    // In the last layer, everything after keys and values runs for the last row only.
    let linear = (config.layers - 1) * rows * layer
        + rows * hidden * (query + 2 * kv)
        + query * hidden
        + 3 * hidden * inner
        + hidden * config.vocab_size;
    let attention = 2 * query * ((config.layers - 1) * seen + rows);
    2.0 * (linear + attention) as f64
}

fn tokens(config: &ModelConfig, count: usize, seed: usize) -> Vec<u32> {
    (0..count).map(|i| ((i * 7919 + seed * 104_729) % config.vocab_size) as u32).collect()
}

fn prefill(model: &Model, rows: usize, name: &str, best: f64) -> Outcome<()> {
    let config = model.config();
    let id = SegmentId(0);
    let segment = Segment { id, prefix: Vec::new(), tokens: tokens(config, rows, 1) };
    let wanted = [Row { segment: 0, token: rows - 1 }];
    let mut seconds = f64::INFINITY;
    let mut shares = Vec::new();
    for _ in 0..TRIES {
        let mut kv = model.kv_cache();
        let before = model.seconds_by_operation();
        let clock = Instant::now();
        model.forward(std::slice::from_ref(&segment), &wanted, &mut kv, &|_, _| ())?;
        let spent = clock.elapsed().as_secs_f64();
        if spent < seconds {
            seconds = spent;
            let after = model.seconds_by_operation();
            shares = after
                .iter()
                .zip(before)
                .map(|((name, after), (_, before))| (*name, after - before))
                .collect();
        }
    }
    let rate = operations(config, rows) / seconds;
    println!(
        "\n{name:<12} {:.1} tokens/s, {:.1} GFLOP/s: {:.1} % of the best product ({:.1})",
        rows as f64 / seconds,
        rate / 1e9,
        100.0 * rate / best,
        best / 1e9
    );
    let known: f64 = shares.iter().map(|(_, seconds)| seconds).sum();
    for (name, part) in shares.into_iter().chain([("the rest", seconds - known)]) {
        println!("  {name:<16} {:>8.2} ms {:>5.1} %", 1e3 * part, 100.0 * part / seconds);
    }
    Ok(())
}

/// Decodes `sequences` sequences of 256 tokens in one batch.
fn decode(model: &Model, sequences: usize, alone: &mut f64) -> Outcome<()> {
    const CONTEXT: usize = 256;
    const STEPS: usize = 16;
    let config = model.config();
    let mut kv: KvCache = model.kv_cache();
    let ignore = &|_: usize, _: &[f32]| ();
    for sequence in 0..sequences {
        let id = SegmentId(sequence);
        let segment = Segment { id, prefix: Vec::new(), tokens: tokens(config, CONTEXT, sequence) };
        model.forward(&[segment], &[], &mut kv, ignore)?;
    }
    // A virtual machine's threads move between parts of a processor that reach memory at different rates, so
    // the rate is measured before the steps and after them.
    let rate_before = model.read_rate();
    let before = model.seconds_by_operation();
    let mut seconds = f64::INFINITY;
    for step in 0..STEPS {
        let segments: Vec<Segment> = (0..sequences)
            .map(|sequence| Segment {
                id: SegmentId(sequence),
                prefix: Vec::new(),
                tokens: tokens(config, 1, step * 64 + sequence),
            })
            .collect();
        let wanted: Vec<Row> = (0..sequences).map(|segment| Row { segment, token: 0 }).collect();
        let clock = Instant::now();
        model.forward(&segments, &wanted, &mut kv, ignore)?;
        seconds = seconds.min(clock.elapsed().as_secs_f64());
    }
    let after = model.seconds_by_operation();
    let bandwidth = rate_before.into_iter().chain(model.read_rate()).fold(0.0, f64::max);
    let facts = model.facts();
    let embedding = if config.tied_embeddings { 0 } else { config.vocab_size * config.hidden_size };
    let weights = facts.weight_bytes - (embedding * facts.dtype.size()) as u64;
    let kept = facts.kv_bytes_per_token * (sequences * (CONTEXT + STEPS / 2)) as u64;
    let rate = (weights + kept) as f64 / seconds;
    if sequences == 1 {
        *alone = seconds;
    }
    let share = if bandwidth > 0.0 {
        format!(": {:.0} % of reading weights at {:.1} GB/s", 100.0 * rate / bandwidth, bandwidth / 1e9)
    } else {
        String::new()
    };
    println!(
        "decode {sequences:>2}    {:>7.2} ms a step, {:>7.1} tokens/s, {:>5.2} of the cost a token alone; {:.1} GB/s{share}",
        1e3 * seconds,
        sequences as f64 / seconds,
        seconds / sequences as f64 / *alone,
        rate / 1e9,
    );
    if sequences == 1 || sequences == 64 {
        let all: f64 = after.iter().zip(&before).map(|((_, after), (_, before))| after - before).sum();
        for ((name, after), (_, before)) in after.iter().zip(&before) {
            println!("  {name:<16} {:>5.1} %", 100.0 * (after - before) / all);
        }
    }
    Ok(())
}
