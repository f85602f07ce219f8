//! Packs a checkpoint's tensors into matrices. All threads read and pack pieces that fit in a core's cache,
//! of several tensors at a time, so no tensor is held in memory twice.

use std::ops::Range;

use rayon::prelude::*;

use super::embedding::Embedding;
use crate::kernels::dtype::Dtype;
use crate::kernels::gemm::packed_matrix::PackedMatrix;
use crate::kernels::gemm::packing::panels_of;
use crate::kernels::isa::Isa;
use crate::kernels::layout::NR;
use crate::kernels::memory::{NoMemory, WeightArena};
use crate::kernels::weight_format::WeightFormat;
use crate::model::config::tensor_role::TensorId;
use crate::model::files::encoding::WHOLE_BLOCKS;
use crate::model::files::error::WeightsError;
use crate::model::files::stored_tensor::{Scratch, StoredTensor};
use crate::model::weights::Weights;

/// Takes tensors out of a checkpoint and packs them.
pub struct Packer<'a, 'w> {
    pub weights: &'a mut Weights<'w>,
    pub isa: Isa,
    pub dtype: Dtype,
    pub arena: WeightArena,
}

/// An allocated matrix, and the tensors that its weights come from.
pub struct Unpacked<'w> {
    matrix: PackedMatrix,
    parts: Vec<StoredTensor<'w>>,
    interleaved: bool,
}

/// Bytes of a piece: half of a small core's L2 cache.
const PIECE: usize = 1 << 19;

/// Contiguous bytes that one thread fills.
const UNIT: usize = 2 << 20;

/// Rows of a tensor and their destination: packed to a panel, or unpacked if `panel` is `None`.
struct Job<'a> {
    from: &'a StoredTensor<'a>,
    rows: Range<usize>,
    to: &'a mut [u8],
    panel: Option<&'static dyn WeightFormat>,
}

impl<'w> Packer<'_, 'w> {
    /// Allocates one matrix and finds its tensors, each given with its number of outputs.
    pub fn unfilled(
        &mut self,
        parts: &[(TensorId, usize)],
        inputs: usize,
        interleaved: bool,
    ) -> Result<Unpacked<'w>, WeightsError> {
        let mut found = Vec::with_capacity(parts.len());
        for &(tensor, outputs) in parts {
            found.push(self.weights.find(tensor, &[outputs, inputs])?);
        }
        let panels = parts.iter().map(|(_, outputs)| outputs.div_ceil(NR)).sum();
        let matrix = PackedMatrix::zeros(self.isa, self.dtype, panels, inputs, &mut self.arena);
        let matrix = matrix.map_err(|error| self.no_memory(parts[0].0, &error))?;
        Ok(Unpacked { matrix, parts: found, interleaved })
    }

    /// Reads and packs the weights of matrices.
    pub fn fill<const N: usize>(
        &self,
        mut matrices: [Unpacked<'w>; N],
    ) -> Result<[PackedMatrix; N], WeightsError> {
        let mut jobs = Vec::new();
        for Unpacked { matrix, parts, interleaved } in &mut matrices {
            let outputs: Vec<usize> = parts.iter().map(|part| part.rows).collect();
            let panel = Some(matrix.format());
            let panels = panels_of(&outputs, *interleaved).into_iter().zip(matrix.panels_mut());
            jobs.extend(panels.map(|((part, rows), to)| Job { from: &parts[part], rows, to, panel }));
        }
        self.run(jobs)?;
        Ok(matrices.map(|unfilled| unfilled.matrix))
    }

    /// One matrix of several tensors, each given with its number of outputs.
    pub fn matrix(
        &mut self,
        parts: &[(TensorId, usize)],
        inputs: usize,
    ) -> Result<PackedMatrix, WeightsError> {
        let unfilled = self.unfilled(parts, inputs, false)?;
        let [matrix] = self.fill([unfilled])?;
        Ok(matrix)
    }

    /// An unpacked table, in the model's dtype.
    pub fn embedding(
        &mut self,
        tensor: TensorId,
        rows: usize,
        width: usize,
    ) -> Result<Embedding, WeightsError> {
        let from = self.weights.find(tensor, &[rows, width])?;
        let table = Embedding::zeros(self.dtype, rows, width, &mut self.arena);
        let mut table = table.map_err(|error| self.no_memory(tensor, &error))?;
        let pieces = table.rows_mut(NR).enumerate();
        let jobs = pieces.map(|(piece, to)| {
            let rows = piece * NR..((piece + 1) * NR).min(rows);
            Job { from: &from, rows, to, panel: None }
        });
        self.run(jobs.collect())?;
        Ok(table)
    }

    /// Runs jobs, each thread several adjacent ones, so that a huge page is filled by the thread that touched
    /// it first.
    fn run(&self, jobs: Vec<Job<'_>>) -> Result<(), WeightsError> {
        let bytes: usize = jobs.iter().map(|job| job.to.len()).sum();
        let share = UNIT.min(bytes / (4 * rayon::current_num_threads()));
        let mut units: Vec<Vec<Job<'_>>> = Vec::new();
        let mut left = 0;
        for job in jobs {
            if left == 0 {
                units.push(Vec::new());
                left = share;
            }
            left = left.saturating_sub(job.to.len());
            if let Some(unit) = units.last_mut() {
                unit.push(job);
            }
        }
        units.into_iter().par_bridge().try_for_each_init(
            || (Scratch::default(), Vec::new()),
            |(scratch, piece), unit| unit.into_iter().try_for_each(|job| self.job(job, scratch, piece)),
        )
    }

    fn job(&self, job: Job<'_>, scratch: &mut Scratch, piece: &mut Vec<u8>) -> Result<(), WeightsError> {
        let Job { from, rows, to, panel } = job;
        let size = self.dtype.size();
        let Some(format) = panel else {
            return from.read(rows, 0..from.width, self.dtype, scratch, to);
        };
        let step = PIECE / (NR * size) / WHOLE_BLOCKS * WHOLE_BLOCKS;
        for first in (0..from.width).step_by(step) {
            let columns = first..(first + step).min(from.width);
            piece.resize(rows.len() * columns.len() * size, 0);
            from.read(rows.clone(), columns, self.dtype, scratch, piece)?;
            format.pack(self.isa.vector, piece, rows.len(), &mut to[format.bytes(first * NR)..]);
        }
        Ok(())
    }

    fn no_memory(&self, tensor: TensorId, error: &NoMemory) -> WeightsError {
        self.weights.no_memory(&self.weights.name(tensor), format!("no memory for {} bytes", error.bytes))
    }

    /// A tensor of one dimension, in single precision.
    pub fn vector(&mut self, tensor: TensorId, length: usize) -> Result<Vec<f32>, WeightsError> {
        Ok(self.weights.take_values(tensor, &[length])?.into_f32())
    }

    /// Biases one after another, each padded to whole panels; where `interleaved`, panel by panel in turn.
    pub fn biases(
        &mut self,
        parts: &[(TensorId, usize)],
        interleaved: bool,
    ) -> Result<Vec<f32>, WeightsError> {
        let mut all = Vec::with_capacity(parts.len());
        for &(tensor, outputs) in parts {
            let mut bias = self.vector(tensor.bias(), outputs)?;
            bias.resize(outputs.next_multiple_of(NR), 0.0);
            all.push(bias);
        }
        if !interleaved {
            return Ok(all.concat());
        }
        let panels = all.first().map_or(0, |bias| bias.len() / NR);
        let panel = |n: usize| all.iter().flat_map(move |bias| &bias[n * NR..(n + 1) * NR]);
        Ok((0..panels).flat_map(panel).copied().collect())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;
    use crate::model::config::model_config::ModelConfig;
    use crate::model::config::tensor_role::TensorRole;
    use crate::model::files::checkpoint::Checkpoint;

    /// Wider than a piece in every format.
    const SHAPE: [usize; 2] = [70, PIECE / (NR * 2) + 300];

    /// A value of few bits, so that every format represents it exactly.
    fn number(row: usize, column: usize) -> f32 {
        ((row * 7919 + column * 31) % 251) as f32 / 64.0 - 2.0
    }

    /// A folder with the embedding and the head in this format.
    fn folder(dtype: Dtype) -> tempfile::TempDir {
        let numbers: Vec<f32> =
            (0..SHAPE[0]).flat_map(|row| (0..SHAPE[1]).map(move |column| number(row, column))).collect();
        let mut bytes = vec![0; numbers.len() * dtype.size()];
        dtype.write(&numbers, &mut bytes);
        let kind = match dtype {
            Dtype::F32 => "F32",
            Dtype::F16 => "F16",
            Dtype::Bf16 => "BF16",
        };
        let tensor =
            |at: usize| json!({"dtype": kind, "shape": SHAPE, "data_offsets": [at, at + bytes.len()]});
        let header = json!({"model.embed_tokens.weight": tensor(0), "lm_head.weight": tensor(bytes.len())})
            .to_string();
        let file = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &bytes, &bytes].concat();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("model.safetensors"), file).unwrap();
        folder
    }

    fn with_packer<R>(folder: &Path, dtype: Dtype, test: impl FnOnce(&mut Packer<'_, '_>) -> R) -> R {
        let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("sample_model/config.json");
        let config = ModelConfig::from_hf_file(&sample).unwrap();
        let checkpoint = Checkpoint::open_folder(folder).unwrap();
        let mut weights = Weights::new(&checkpoint, &config, dtype);
        test(&mut Packer { weights: &mut weights, isa: Isa::best(), dtype, arena: WeightArena::default() })
    }

    #[test]
    fn tensors_of_every_format_are_packed_in_every_format() {
        let parts = [TensorRole::Embedding, TensorRole::Head].map(|role| (role.into(), SHAPE[0]));
        for stored in [Dtype::F32, Dtype::F16, Dtype::Bf16] {
            let folder = folder(stored);
            for dtype in [Dtype::F32, Dtype::F16, Dtype::Bf16] {
                let (matrix, table) = with_packer(folder.path(), dtype, |packer| {
                    let table = packer.embedding(TensorRole::Embedding.into(), SHAPE[0], SHAPE[1]).unwrap();
                    (packer.matrix(&parts, SHAPE[1]).unwrap(), table)
                });
                for output in 0..SHAPE[0] {
                    let expected: Vec<f32> = (0..SHAPE[1]).map(|column| number(output, column)).collect();
                    let mut found = vec![0.0; SHAPE[1]];
                    for row in [output, SHAPE[0].next_multiple_of(NR) + output] {
                        matrix.row(row, &mut found);
                        assert!(found == expected, "{stored} as {dtype}: output {row}");
                    }
                    table.read(output, &mut found);
                    assert!(found == expected, "{stored} as {dtype}: row {output}");
                }
            }
        }
    }

    #[test]
    fn a_file_cut_off_while_it_is_packed_is_an_error() {
        let folder = folder(Dtype::Bf16);
        let error = with_packer(folder.path(), Dtype::Bf16, |packer| {
            let file = folder.path().join("model.safetensors");
            std::fs::OpenOptions::new().write(true).open(file).unwrap().set_len(10_000).unwrap();
            packer.matrix(&[(TensorRole::Head.into(), SHAPE[0])], SHAPE[1]).err().unwrap()
        });
        assert!(error.to_string().contains("changed while it was read: it ends at byte 10000"), "{error}");
    }
}
