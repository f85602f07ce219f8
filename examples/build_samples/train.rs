//! Trains the sample model, and measures what it has learned.

use std::collections::BTreeMap;
use std::time::Instant;

use candle_core::backprop::GradStore;
use candle_core::{Device, Tensor, Var};
use candle_nn::{AdamW, Optimizer, ParamsAdamW};
use tokenizers::{Result, Tokenizer};

use crate::dice::Dice;
use crate::network::{Network, cross_entropy};
use crate::tokenizer::{END, ids};

/// Training steps with one window length.
struct Stage {
    steps: usize,
    batch: usize,
    length: usize,
}

/// Short windows first, since they are cheap; long ones last, so that a prompt of 25 shots is no longer than
/// what was trained on.
const STAGES: [Stage; 3] = [
    Stage { steps: 900, batch: 12, length: 128 },
    Stage { steps: 160, batch: 3, length: 512 },
    Stage { steps: 40, batch: 1, length: 1536 },
];

const PEAK_RATE: f64 = 3e-3;
const LAST_RATE: f64 = 1e-4;
const WARM_UP: usize = 60;
const LARGEST_NORM: f32 = 1.0;

/// Tokens per window of the held-out measurement.
pub const HELD_OUT_WINDOW: usize = 256;

/// Trains a network on the pages, each ended by the end token, one after another.
pub fn train(tokenizer: &Tokenizer, pages: &[String]) -> Result<Network> {
    let mut stream = vec![END];
    for page in pages {
        stream.extend(ids(tokenizer, page)?);
        stream.push(END);
    }
    let network = Network::untrained(9)?;
    eprintln!("{} parameters, {} training tokens", network.parameters(), stream.len());
    let vars: Vec<Var> = network.weights().values().cloned().collect();
    let settings = ParamsAdamW { lr: PEAK_RATE, beta2: 0.98, weight_decay: 0.02, ..ParamsAdamW::default() };
    let mut optimizer = AdamW::new(vars, settings)?;
    let mut dice = Dice::new(10);
    let steps: usize = STAGES.iter().map(|stage| stage.steps).sum();
    let start = Instant::now();
    let mut step = 0;
    for Stage { steps: stage_steps, batch, length } in STAGES {
        for _ in 0..stage_steps {
            let windows: Vec<&[u32]> = (0..batch)
                .map(|_| {
                    let at = dice.below(stream.len() - length);
                    &stream[at..=at + length]
                })
                .collect();
            let loss = loss(&network, &windows)?;
            let mut gradients = loss.backward()?;
            clip(network.weights(), &mut gradients)?;
            optimizer.set_learning_rate(rate(step, steps));
            optimizer.step(&gradients)?;
            step += 1;
            if step % 50 == 0 {
                let seconds = start.elapsed().as_secs();
                eprintln!("step {step} of {steps}: loss {:.3} after {seconds} s", loss.to_scalar::<f32>()?);
            }
        }
    }
    Ok(network)
}

/// The network's loss on a text, and the loss that token counts alone would give.
pub struct Measurement {
    /// Tokens predicted.
    pub tokens: usize,
    /// Mean loss in nats per token.
    pub loss: f64,
    /// Entropy in nats of the distribution of the predicted tokens: the loss of the best guess without context.
    pub unigram_entropy: f64,
}

/// Measures the network on a text in windows of [`HELD_OUT_WINDOW`] tokens. A window's first token is the last one of the
/// window before, and is not predicted again.
pub fn measure(network: &Network, tokenizer: &Tokenizer, text: &str) -> Result<Measurement> {
    let ids = ids(tokenizer, text)?;
    let mut total = 0.0;
    let mut start = 0;
    while start + 1 < ids.len() {
        let end = (start + HELD_OUT_WINDOW).min(ids.len() - 1);
        let window = &ids[start..=end];
        total += f64::from(loss(network, &[window])?.to_scalar::<f32>()?) * (window.len() - 1) as f64;
        start = end;
    }
    let tokens = ids.len() - 1;
    let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
    for id in &ids[1..] {
        *counts.entry(*id).or_default() += 1;
    }
    let shares = counts.values().map(|&count| count as f64 / tokens as f64);
    let unigram_entropy = shares.map(|share| -share * share.ln()).sum();
    Ok(Measurement { tokens, loss: total / tokens as f64, unigram_entropy })
}

/// Mean loss over windows of one length; each is one token longer than the network's input.
fn loss(network: &Network, windows: &[&[u32]]) -> candle_core::Result<Tensor> {
    let length = windows[0].len() - 1;
    let read: Vec<u32> = windows.iter().flat_map(|window| &window[..length]).copied().collect();
    let next: Vec<u32> = windows.iter().flat_map(|window| &window[1..]).copied().collect();
    let read = Tensor::from_vec(read, (windows.len(), length), &Device::Cpu)?;
    let next = Tensor::from_vec(next, windows.len() * length, &Device::Cpu)?;
    cross_entropy(&network.logits(&read)?.flatten(0, 1)?, &next)
}

/// Learning rate: linear warm-up, then half a cosine down.
fn rate(step: usize, steps: usize) -> f64 {
    if step < WARM_UP {
        return PEAK_RATE * (step + 1) as f64 / WARM_UP as f64;
    }
    let progress = (step - WARM_UP) as f64 / (steps - WARM_UP) as f64;
    LAST_RATE + (PEAK_RATE - LAST_RATE) * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos())
}

/// Clips the gradient's norm, in case an unusual batch made it large.
fn clip(weights: &BTreeMap<String, Var>, gradients: &mut GradStore) -> candle_core::Result<()> {
    let mut squares = 0.0;
    for weight in weights.values() {
        if let Some(gradient) = gradients.get(weight) {
            squares += gradient.sqr()?.sum_all()?.to_scalar::<f32>()?;
        }
    }
    let norm = squares.sqrt();
    if norm > LARGEST_NORM {
        for weight in weights.values() {
            if let Some(gradient) = gradients.remove(weight) {
                gradients.insert(weight, (gradient * f64::from(LARGEST_NORM / norm))?);
            }
        }
    }
    Ok(())
}
