//! Tests that attention over whole segments agrees with attention block by block.

use std::path::Path;

use candle_core::{D, DType, Device, Result, Tensor};
use candle_nn::ops::softmax_last_dim;

use super::causal::CausalAttention;
use super::decoder::Decoder;
use crate::kernels::dtype::Dtype;
use crate::model::config::model_config::ModelConfig;
use crate::model::files::checkpoint::Checkpoint;
use crate::model::kv_cache::{KvCache, KvCacheShape, SegmentId};
use crate::model::pass::{ForwardError, Layout, Segment};
use crate::model::weights::Weights;

/// Attends over a whole segment at once, with candle's operations.
struct Direct;

impl CausalAttention for Direct {
    fn name(&self) -> &'static str {
        "direct"
    }

    fn attend(&self, q: &Tensor, k: &Tensor, v: &Tensor, window: Option<usize>) -> Result<Tensor> {
        let (rows, heads, head_dim) = q.dims3()?;
        let group = heads / k.dim(1)?;
        let by_head = |x: &Tensor| x.transpose(0, 1)?.to_dtype(DType::F32)?.contiguous();
        let repeated = |x: &Tensor| {
            let (rows, kv_heads, head_dim) = x.dims3()?;
            by_head(
                &x.unsqueeze(2)?
                    .broadcast_as((rows, kv_heads, group, head_dim))?
                    .reshape((rows, heads, head_dim))?,
            )
        };
        let is_visible =
            |row: usize, key: usize| key <= row && window.is_none_or(|window| row - key < window);
        let mask: Vec<f32> = (0..rows)
            .flat_map(|row| {
                (0..rows).map(move |key| if is_visible(row, key) { 0.0 } else { f32::NEG_INFINITY })
            })
            .collect();
        let mask = Tensor::from_vec(mask, (1, rows, rows), q.device())?;
        let scores = (by_head(q)?.matmul(&repeated(k)?.transpose(D::Minus1, D::Minus2)?)?
            * (1.0 / (head_dim as f64).sqrt()))?;
        let weights = softmax_last_dim(&scores.broadcast_add(&mask)?)?;
        weights.matmul(&repeated(v)?)?.transpose(0, 1)?.to_dtype(q.dtype())
    }
}

/// Logits of three passes: segments with and without a prefix, growing segments, segments of several blocks.
fn logits(dtype: Dtype, window: Option<usize>, causal: Option<Box<dyn CausalAttention>>) -> Vec<f32> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sample_model");
    let mut config = ModelConfig::from_hf_file(&folder.join("config.json")).unwrap();
    config.windows[0] = window;
    let checkpoint = Checkpoint::open_folder(&folder).unwrap();
    let mut weights = Weights::new(&checkpoint, &config, dtype);
    let mut decoder = Decoder::take(&mut weights, &config, dtype, &Device::Cpu).unwrap();
    assert_eq!(decoder.kernels(), "plain");
    decoder.use_for_whole_segments(causal);
    let (layers, kv_heads, head_dim) = (config.layers, config.kv_heads, config.head_dim);
    let mut kv = KvCache::new(KvCacheShape { layers, kv_heads, head_dim, dtype });
    let segment = |id: usize, prefix: &[usize], tokens: std::ops::Range<u32>| Segment {
        id: SegmentId(id),
        prefix: prefix.iter().copied().map(SegmentId).collect(),
        tokens: tokens.map(|i| i * 37 % config.vocab_size as u32).collect(),
    };
    let passes = [
        vec![segment(0, &[], 0..300), segment(1, &[0], 3..21), segment(2, &[0], 5..6)],
        vec![segment(1, &[0], 1..2), segment(3, &[], 2..3), segment(4, &[], 9..50)],
        vec![segment(4, &[], 1..8), segment(5, &[4], 7..9), segment(6, &[], 2..10)],
    ];
    let mut all = Vec::new();
    for pass in &passes[..] {
        let layout = Layout::open(pass, &mut kv).unwrap();
        let wanted: Vec<u32> = (0..layout.tokens.len() as u32).rev().step_by(3).collect();
        let read = |_: usize, row: &[f32]| {
            all.extend_from_slice(row);
            Ok::<_, ForwardError>(())
        };
        decoder.forward(&layout, &wanted, &mut kv, read).unwrap();
        kv.commit(layout.ids());
    }
    all
}

#[test]
fn whole_texts_attend_as_they_do_block_by_block() {
    for window in [None, Some(5), Some(64)] {
        for (dtype, tolerance) in [(Dtype::F32, 1e-4), (Dtype::Bf16, 0.2)] {
            let expected = logits(dtype, window, None);
            let found = logits(dtype, window, Some(Box::new(Direct)));
            assert_eq!(found.len(), expected.len());
            let differences = found.iter().zip(&expected).map(|(a, b)| (a - b).abs());
            let most = differences.fold(0.0, f32::max);
            assert!(most < tolerance, "{dtype}, window {window:?}: {most}");
        }
    }
    let narrow = logits(Dtype::F32, Some(5), Some(Box::new(Direct)));
    assert_ne!(narrow, logits(Dtype::F32, None, Some(Box::new(Direct))), "the window counts");
}
