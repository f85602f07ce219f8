//! Tests the whole network with every instruction set that can run here; AMX is emulated where needed.

use std::path::Path;
use std::sync::Mutex;

use super::network::Network;
use crate::kernels::dtype::Dtype;
use crate::kernels::isa::Isa;
use crate::model::config::model_config::ModelConfig;
use crate::model::files::checkpoint::Checkpoint;
use crate::model::kv_cache::{KvCache, KvCacheShape, SegmentId};
use crate::model::pass::{Layout, Segment};
use crate::model::weights::Weights;

/// Logits of two passes: a segment and two that continue it, then one more token of each of those two.
fn logits(isa: Isa, dtype: Dtype) -> Vec<f32> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sample_model");
    let config = ModelConfig::from_hf_file(&folder.join("config.json")).unwrap();
    let checkpoint = Checkpoint::open_folder(&folder).unwrap();
    let mut weights = Weights::new(&checkpoint, &config, dtype);
    let network = Network::take(&mut weights, &config, dtype, isa).unwrap();
    let (layers, kv_heads, head_dim) = (config.layers, config.kv_heads, config.head_dim);
    let mut kv = KvCache::new(KvCacheShape { layers, kv_heads, head_dim, dtype });
    let segment = |id: usize, prefix: &[usize], tokens: std::ops::Range<u32>| Segment {
        id: SegmentId(id),
        prefix: prefix.iter().copied().map(SegmentId).collect(),
        tokens: tokens.map(|i| i * 37 % config.vocab_size as u32).collect(),
    };
    let passes = [
        vec![segment(0, &[], 0..70), segment(1, &[0], 3..21), segment(2, &[0], 5..6)],
        vec![segment(1, &[0], 1..2), segment(2, &[0], 2..3)],
    ];
    let mut all = Vec::new();
    for pass in passes {
        let layout = Layout::open(&pass, &mut kv).unwrap();
        let wanted: Vec<u32> = (0..layout.tokens.len() as u32).rev().step_by(3).collect();
        let rows: Vec<Mutex<Vec<f32>>> = wanted.iter().map(|_| Mutex::default()).collect();
        let read = |index: usize, row: &[f32]| {
            rows[index].lock().unwrap().extend_from_slice(row);
            Ok(())
        };
        network.forward(&layout, &wanted, &mut kv, read).unwrap();
        all.extend(rows.into_iter().flat_map(|row| row.into_inner().unwrap()));
        kv.commit(layout.ids());
    }
    all
}

#[test]
fn all_sets_of_instructions_give_the_same_bits_but_for_tiles() {
    for dtype in [Dtype::F32, Dtype::Bf16, Dtype::F16] {
        let mut expected: Option<Vec<f32>> = None;
        for isa in Isa::all() {
            let found = logits(isa, dtype);
            assert!(found.iter().all(|x| x.is_finite()));
            let Some(expected) = &expected else {
                // AMX, where it comes first, sums in another order: the reference is the next path.
                if dtype == Dtype::F16 || !isa.has_tiles() {
                    expected = Some(found);
                }
                continue;
            };
            assert_eq!(found.len(), expected.len());
            let same = found.iter().zip(expected).all(|(a, b)| a.to_bits() == b.to_bits());
            assert!(same, "{isa:?} in {dtype}");
        }
    }
}
