//! The forward pass, compared with transformers' logits.

use assay::model::{DtypeChoice, Kernels};

use super::fixtures::{
    all_logits, alone, assert_same, difference, load, load_with, real_model, references, segment, shared,
    sum_logprob,
};

#[test]
fn logits_are_those_of_transformers() {
    for (name, model, sequences) in references() {
        for sequence in sequences {
            let what = format!("{name}, {} tokens", sequence.ids.len());
            let rows = alone(&model, &sequence.ids);
            let difference = difference(rows.last().unwrap(), &sequence.last_logits);
            assert!(difference < 1e-4, "{what}: logits differ by {difference}");
            if let Some(expected) = sequence.sum_logprob {
                let found = sum_logprob(&rows, &sequence.ids);
                assert!(
                    (found - expected).abs() < 1e-4,
                    "{what}: log-probability {found}, expected {expected}"
                );
            }
        }
    }
}

#[test]
fn our_kernels_agree_with_the_plain_path() {
    for (name, fast, sequences) in references() {
        for (dtype, tolerance) in
            [(DtypeChoice::F32, 2e-5), (DtypeChoice::Bf16, 0.08), (DtypeChoice::F16, 0.01)]
        {
            let path = &fast.facts().path;
            let fast = load(path, dtype).unwrap();
            let plain = load_with(path, dtype, Kernels::Plain).unwrap();
            assert_ne!(fast.facts().kernels, plain.facts().kernels);
            for sequence in &sequences {
                let (fast, plain) = (alone(&fast, &sequence.ids), alone(&plain, &sequence.ids));
                assert_same(&format!("{name} in {dtype:?}"), &fast, &plain, tolerance);
            }
        }
    }
}

#[test]
fn facts_describe_the_model() {
    let Some(path) = shared("golden/arch/llama_gqa_head_dim") else { return };
    let model = load(&path, DtypeChoice::Auto).unwrap();
    let facts = model.facts();
    assert_eq!(facts.name, "llama_gqa_head_dim");
    assert_eq!(facts.architecture, "LlamaForCausalLM");
    assert_eq!((facts.vocab_size, facts.max_length), (96, 256));
    assert_eq!(facts.eos_token_ids, [2]);
    assert_eq!((facts.dtype.name(), facts.device.as_str()), ("float32", "cpu"));
    // Three layers, keys and values, two heads of 24 elements, 4 bytes each.
    assert_eq!(facts.kv_bytes_per_token, 3 * 2 * 2 * 24 * 4);
    assert_eq!(facts.weight_bytes, 4 * facts.parameters);
    assert_eq!(facts.weight_files, [path.join("model.safetensors")]);
    let mut kv = model.kv_cache();
    all_logits(&model, &[segment(0, &[], &[1, 2, 3])], &mut kv);
    assert_eq!(kv.bytes() as u64, 3 * facts.kv_bytes_per_token);

    let Some(narrow) = shared("golden/merges/base") else { return };
    assert_eq!(load(&narrow, DtypeChoice::Auto).unwrap().facts().dtype.name(), "bfloat16");
}

#[test]
fn a_model_can_be_shared_between_threads() {
    fn shareable<T: Send + Sync>() {}
    shareable::<assay::model::Model>();
    shareable::<assay::model::KvCache>();
}

#[test]
fn narrow_formats_come_close_and_are_rounded() {
    for (name, model, sequences) in references() {
        let path = model.facts().path.clone();
        let ids = &sequences.last().unwrap().ids;
        let exact = alone(&model, ids);
        for (dtype, tolerance) in [(DtypeChoice::Bf16, 0.1), (DtypeChoice::F16, 0.02)] {
            let model = load(&path, dtype).unwrap();
            let rows = alone(&model, ids);
            for (row, exact) in rows.iter().zip(&exact) {
                let difference = difference(row, exact);
                assert!(difference < tolerance, "{name} in {dtype:?}: {difference}");
                let rounded = row.iter().all(|&n| match dtype {
                    DtypeChoice::Bf16 => half::bf16::from_f32(n).to_f32() == n,
                    _ => half::f16::from_f32(n).to_f32() == n,
                });
                assert!(rounded, "{name}: logits are not rounded to {dtype:?}");
            }
        }
    }
}

#[test]
fn gguf_is_the_folder_it_was_made_of() {
    let (Some(gguf), Some(folder)) =
        (real_model("SmolLM2-135M-Instruct.Q4_1.gguf"), real_model("smollm2-135m-f32"))
    else {
        return;
    };
    let ids = [504, 3575, 282, 4649, 314, 7042, 30, 198, 57, 1];
    let gguf = alone(&load(&gguf, DtypeChoice::Auto).unwrap(), &ids);
    let folder = alone(&load(&folder, DtypeChoice::Auto).unwrap(), &ids);
    for (gguf, folder) in gguf.iter().zip(&folder) {
        let largest = folder.iter().fold(0.0f32, |most, n| most.max(n.abs()));
        let difference = difference(gguf, folder);
        assert!(difference < 1e-4 * largest, "logits differ by {difference}, the largest is {largest}");
    }
}
