//! The built-in sample model has learned from its training text.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::Path;

use assay::engine::{Answer, Engine, EngineEvent, LoadedModel, LocalEngine, RequestTree, Sequence};
use assay::model::{DeviceChoice, DtypeChoice, LoadOptions, Model};
use assay::tokenizer::{TokenRequest, Tokenizer};
use assay::vocabulary::{RequestId, Response};

const WINDOW: usize = 256;

#[test]
fn its_held_out_loss_is_below_the_unigram_entropy() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sample_model");
    let size = |name: &str| folder.join(name).metadata().unwrap().len();
    assert!(size("model.safetensors") + size("tokenizer.json") <= 5_000_000);

    let options =
        LoadOptions { dtype: DtypeChoice::Auto, device: DeviceChoice::Cpu, ..LoadOptions::default() };
    let model = Model::load(&folder, options).unwrap();
    let tokenizer = Tokenizer::from_file(&folder.join("tokenizer.json")).unwrap();
    let tokens = tokenizer.encode(&std::fs::read_to_string(folder.join("held_out.txt")).unwrap()).unwrap();

    // All tokens but the first are predicted; each window's context is the last token of the window before.
    let window = |(index, from): (usize, usize)| {
        let request = TokenRequest::Loglikelihood {
            context: [tokens[from - 1]].into(),
            continuation: tokens[from..(from + WINDOW).min(tokens.len())].to_vec(),
        };
        Sequence::new(RequestId { task: 0, document: index, request: 0 }, request, model.facts().max_length)
            .unwrap()
    };
    let windows: Vec<Sequence> = (1..tokens.len()).step_by(WINDOW).enumerate().map(window).collect();
    let mut loss = 0.0;
    let mut forward = LoadedModel::new(&model, &tokenizer);
    let requests = RequestTree::new(windows.iter().collect());
    let answered = LocalEngine::new(&mut forward, &tokenizer).answer(&requests, &mut |event| {
        if let EngineEvent::Answered(Answer {
            response: Response::Loglikelihood { loglikelihood, .. }, ..
        }) = event
        {
            loss -= loglikelihood;
        }
        ControlFlow::Continue(())
    });
    answered.unwrap();
    let predicted = &tokens[1..];
    loss /= predicted.len() as f64;

    let mut counts: HashMap<u32, f64> = HashMap::new();
    for token in predicted {
        *counts.entry(*token).or_default() += 1.0;
    }
    let n = predicted.len() as f64;
    let entropy: f64 = counts.values().map(|count| -count / n * (count / n).ln()).sum();
    eprintln!("held-out loss {loss:.4}, unigram entropy {entropy:.4} nats a token");
    assert!(loss < entropy, "{loss} is not below {entropy}");
    // The figures in the README of `sample_model`.
    assert!((loss - 0.6148).abs() < 5e-4 && (entropy - 5.4956).abs() < 5e-4, "{loss} {entropy}");
}
