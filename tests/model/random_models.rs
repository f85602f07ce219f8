//! Tiny models of random sizes, with sequences cut and scheduled at random: our kernels compared with the
//! plain path, and every bit with the sequence computed alone.

use assay::model::{DtypeChoice, ForwardError, Kernels, Model, Row, Segment};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::fixtures::{all_logits, alone, difference, load, load_with, segment};
use super::small_files::{bytes_of, safetensors, safetensors_file, safetensors_parts, write_folder};

/// Sizes of a model.
#[derive(Debug, Clone)]
struct Sizes {
    hidden: usize,
    inner: usize,
    layers: usize,
    kv_heads: usize,
    group: usize,
    head_dim: usize,
    vocabulary: usize,
    window: Option<usize>,
    tied: bool,
    bias: bool,
}

fn sizes() -> impl Strategy<Value = Sizes> {
    let head_dim = prop::sample::select(vec![2usize, 8, 16, 24, 34, 64, 80, 96]);
    let group = prop::sample::select(vec![1usize, 2, 3, 7]);
    let window = prop_oneof![Just(None), (1usize..4).prop_map(Some), (4usize..70).prop_map(Some)];
    let widths = (8usize..120, 1usize..200, 20usize..170);
    (widths, 1usize..4, 1usize..4, group, head_dim, window, any::<bool>(), any::<bool>()).prop_map(
        |((hidden, inner, vocabulary), layers, kv_heads, group, head_dim, window, tied, bias)| Sizes {
            hidden,
            inner,
            layers,
            kv_heads,
            group,
            head_dim,
            vocabulary,
            window,
            tied,
            bias,
        },
    )
}

/// Configuration and tensors of a model of these sizes.
fn model_of(sizes: &Sizes) -> (Value, Vec<(String, Vec<usize>)>) {
    let Sizes { hidden, inner, head_dim, kv_heads, .. } = *sizes;
    let family = if sizes.window.is_some() { "Mistral" } else { "Llama" };
    let heads = kv_heads * sizes.group;
    let has_bias = sizes.bias && sizes.window.is_none();
    let mut config = json!({
        "architectures": [format!("{family}ForCausalLM")], "model_type": family.to_lowercase(),
        "hidden_size": hidden, "intermediate_size": inner, "num_hidden_layers": sizes.layers,
        "num_attention_heads": heads, "num_key_value_heads": kv_heads, "head_dim": head_dim,
        "vocab_size": sizes.vocabulary, "max_position_embeddings": 4096, "rms_norm_eps": 1e-5,
        "hidden_act": "silu", "rope_theta": 10000.0, "tie_word_embeddings": sizes.tied,
        "dtype": "float32", "eos_token_id": 2,
    });
    match sizes.window {
        Some(window) => config["sliding_window"] = window.into(),
        None => config["attention_bias"] = has_bias.into(),
    }
    let (query, kv) = (heads * head_dim, kv_heads * head_dim);
    let mut tensors = vec![("model.embed_tokens.weight".to_owned(), vec![sizes.vocabulary, hidden])];
    for layer in 0..sizes.layers {
        let mut add = |part: &str, shape: &[usize]| {
            tensors.push((format!("model.layers.{layer}.{part}"), shape.to_vec()));
        };
        for (part, out, input) in [
            ("self_attn.q_proj", query, hidden),
            ("self_attn.k_proj", kv, hidden),
            ("self_attn.v_proj", kv, hidden),
            ("self_attn.o_proj", hidden, query),
            ("mlp.gate_proj", inner, hidden),
            ("mlp.up_proj", inner, hidden),
            ("mlp.down_proj", hidden, inner),
        ] {
            add(&format!("{part}.weight"), &[out, input]);
            if has_bias && part.starts_with("self_attn") {
                add(&format!("{part}.bias"), &[out]);
            }
        }
        add("input_layernorm.weight", &[hidden]);
        add("post_attention_layernorm.weight", &[hidden]);
    }
    tensors.push(("model.norm.weight".to_owned(), vec![hidden]));
    if !sizes.tied {
        tensors.push(("lm_head.weight".to_owned(), vec![sizes.vocabulary, hidden]));
    }
    (config, tensors)
}

/// A segment to compute: index of the segment that it continues or grows (modulo their number, plus one for
/// none), whether it grows it, and how many tokens it adds.
type Step = (usize, bool, usize);

fn passes() -> impl Strategy<Value = Vec<Vec<Step>>> {
    let count = prop_oneof![Just(1usize), 1usize..5, 1usize..90];
    let step = (0usize..40, any::<bool>(), count);
    prop::collection::vec(prop::collection::vec(step, 1..7), 1..6)
}

/// A cached segment: its prefix and its own tokens.
struct Text {
    prefix: Vec<usize>,
    tokens: Vec<u32>,
}

/// Runs passes; every row must be bitwise equal to that of its sequence computed alone.
fn play(model: &Model, passes: &[Vec<Step>]) -> Result<(), TestCaseError> {
    let vocabulary = model.facts().vocab_size as u32;
    let mut kv = model.kv_cache();
    let mut texts: Vec<Text> = Vec::new();
    for (number, pass) in passes.iter().enumerate() {
        let (mut segments, mut whole): (Vec<Segment>, Vec<(Vec<u32>, usize)>) = Default::default();
        for (place, &(which, grows, count)) in pass.iter().enumerate() {
            // An earlier segment, or none.
            let parent = which % (texts.len() + 1);
            let in_pass = |id: usize| segments.iter().any(|segment: &Segment| segment.id.0 == id);
            let continued = |id: usize| texts.iter().any(|text| text.prefix.contains(&id));
            let id = if grows && parent < texts.len() && !in_pass(parent) && !continued(parent) {
                parent
            } else {
                let prefix =
                    texts.get(parent).map_or_else(Vec::new, |text| [&text.prefix[..], &[parent]].concat());
                texts.push(Text { prefix, tokens: Vec::new() });
                texts.len() - 1
            };
            let seed = (number * 7 + place) as u32;
            let added: Vec<u32> = (0..count as u32).map(|i| (i * i + seed * 5 + i) % vocabulary).collect();
            segments.push(segment(id, &texts[id].prefix, &added));
            texts[id].tokens.extend(added);
            let chain = texts[id].prefix.iter().chain([&id]);
            let text: Vec<u32> = chain.flat_map(|&id| texts[id].tokens.iter().copied()).collect();
            whole.push((text, count));
        }
        let mut found = all_logits(model, &segments, &mut kv).into_iter();
        for (text, count) in whole {
            for expected in alone(model, &text).split_off(text.len() - count) {
                let same =
                    found.next().unwrap().iter().zip(&expected).all(|(a, b)| a.to_bits() == b.to_bits());
                prop_assert!(same, "pass {number}: {} tokens", text.len());
            }
        }
    }
    let kept: usize = texts.iter().map(|text| text.tokens.len()).sum();
    prop_assert_eq!(kv.tokens(), kept);
    // Each segment that grows row by row may allocate sixteen rows ahead.
    let most = (kept + 16 * texts.len()) as u64 * model.facts().kv_bytes_per_token;
    prop_assert!(kv.bytes() as u64 <= most, "{} bytes are held for {kept} tokens", kv.bytes());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn models_of_any_size_have_their_bits_under_any_schedule(sizes in sizes(), passes in passes(), threads in 1usize..4) {
        let folder = tempfile::tempdir().unwrap();
        let (config, tensors) = model_of(&sizes);
        write_folder(folder.path(), &config, &safetensors(&tensors));
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        for (dtype, tolerance) in [(DtypeChoice::F32, 5e-5), (DtypeChoice::Bf16, 0.2), (DtypeChoice::F16, 0.03)] {
            let model = load(folder.path(), dtype).unwrap();
            pool.install(|| play(&model, &passes))?;
            let ids: Vec<u32> = (0..80).map(|i| i * 13 % sizes.vocabulary as u32).collect();
            let plain = alone(&load_with(folder.path(), dtype, Kernels::Plain).unwrap(), &ids);
            let largest = plain.iter().flatten().fold(1.0f32, |most, x| most.max(x.abs()));
            for (found, expected) in alone(&model, &ids).iter().zip(&plain) {
                let difference = difference(found, expected);
                prop_assert!(difference <= tolerance * largest, "{dtype:?}: {difference} of {largest}");
            }
        }
    }
}

/// A model in which one token's embedding is NaN.
fn model_with_a_bad_token(window: Option<usize>, bad: usize) -> (tempfile::TempDir, Model) {
    let sizes = Sizes {
        hidden: 32,
        inner: 40,
        layers: 2,
        kv_heads: 1,
        group: 2,
        head_dim: 16,
        vocabulary: 40,
        window,
        tied: false,
        bias: false,
    };
    let (config, tensors) = model_of(&sizes);
    let (header, mut data) = safetensors_parts(&tensors);
    // The embedding is the first tensor.
    data[4 * 32 * bad..4 * 32 * (bad + 1)].copy_from_slice(&bytes_of(&[f32::NAN; 32]));
    let folder = tempfile::tempdir().unwrap();
    write_folder(folder.path(), &config, &safetensors_file(&header.to_string(), &data));
    let model = load(folder.path(), DtypeChoice::F32).unwrap();
    (folder, model)
}

#[test]
fn a_failed_pass_leaves_nothing_that_is_seen() {
    let (_folder, model) = model_with_a_bad_token(None, 7);
    let mut kv = model.kv_cache();
    let text = [1u32, 2, 3, 4, 5];
    all_logits(&model, &[segment(0, &[], &text)], &mut kv);
    let wanted = [Row { segment: 0, token: 19 }];
    let grown = segment(0, &[], &[7; 20]);
    let failed = model.forward(&[grown], &wanted, &mut kv, &|_, _| ());
    assert!(matches!(failed, Err(ForwardError::NotFinite { .. })), "{failed:?}");
    assert_eq!(kv.tokens(), 5);
    let found = all_logits(&model, &[segment(1, &[0], &[9, 10])], &mut kv);
    assert_eq!(found[..], alone(&model, &[1, 2, 3, 4, 5, 9, 10])[5..]);
}

#[test]
fn what_is_no_number_is_an_error_however_a_text_is_cut() {
    let (_folder, model) = model_with_a_bad_token(Some(2), 7);
    let ids = [1u32, 2, 7, 3, 4, 5, 6, 8];
    for cuts in [vec![8], vec![2, 6], vec![1; 8]] {
        let mut kv = model.kv_cache();
        let (mut at, mut prefix, mut failed) = (0, Vec::new(), None);
        for (id, count) in cuts.iter().enumerate() {
            let part = segment(id, &prefix, &ids[at..at + count]);
            // No logits are requested for the bad token's row.
            let outcome = model.forward(&[part], &[], &mut kv, &|_, _| ());
            if let Err(error) = outcome {
                failed = Some((at, error.to_string()));
                break;
            }
            prefix.push(id);
            at += count;
        }
        let (at, message) = failed.unwrap();
        assert!(at <= 2 && message.contains("keys or values after token"), "{cuts:?}: {at}, {message}");
    }
}
