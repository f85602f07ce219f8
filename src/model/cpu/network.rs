//! The decoder of the Llama family on the CPU, by our own kernels.
//!
//! The same network as the plain path's; see there for sources. Each number of a row is computed by the same operations in
//! the same order whatever else is in the pass, so responses have the same bits under any schedule.

use std::ops::ControlFlow;
use std::path::PathBuf;

use rayon::prelude::*;

use super::attention::{Attention, Family, Own, Queries, Seen};
use super::clock::{Clock, Operation};
use super::embedding::Embedding;
use super::isa::Isa;
use super::kept::KeptShape;
use super::layer::Layer;
use super::matrix::{Inputs, Matrix, Rows, Table};
use super::memory::{Aligned, NoMemory, Shared, Weightroom};
use super::packer::{Packer, Taken};
use super::rows;
use super::vector::Format;
use crate::model::all_finite;
use crate::model::config::{Dtype, ModelConfig};
use crate::model::kv::{KvCache, Link, SegmentError, SegmentId};
use crate::model::pass::{ForwardError, Layout};
use crate::model::rope::Rotary;
use crate::model::weights::Weights;

/// The whole network.
pub struct Network {
    /// Of the model, for messages.
    path: PathBuf,
    isa: Isa,
    dtype: Dtype,
    config: ModelConfig,
    /// `[vocab, hidden]`; `None` where it is the head.
    embedding: Option<Embedding>,
    layers: Vec<Layer>,
    norm: Vec<f32>,
    head: Matrix,
    rotary: Rotary,
    clock: Clock,
}

/// Logits of a piece of the wanted rows are at most as many: 64 MiB.
const MAX_LOGITS: usize = 1 << 24;
const EMBEDDING: &str = "model.embed_tokens";
/// Outputs of a panel, twice: gate and up.
const GATE_UP: usize = 2 * super::matrix::PANEL;

impl From<NoMemory> for ForwardError {
    fn from(error: NoMemory) -> Self {
        ForwardError::OutOfMemory { reason: format!("no room for {} bytes", error.bytes) }
    }
}

/// Rows of single-precision numbers.
struct Activations {
    numbers: Aligned<f32>,
    stride: usize,
}

impl Activations {
    fn zeros(rows: usize, stride: usize) -> Result<Self, NoMemory> {
        Ok(Self { numbers: Aligned::zeros(rows * stride)?, stride })
    }

    fn row(&self, row: usize) -> &[f32] {
        &self.numbers[row * self.stride..][..self.stride]
    }
}

impl Network {
    /// Takes all tensors out of `weights`.
    pub fn take(weights: &mut Weights<'_>, config: &ModelConfig, dtype: Dtype, isa: Isa) -> Taken<Self> {
        let (vocabulary, hidden) = (config.vocab_size, config.hidden_size);
        let mut packer = Packer { weights, isa, dtype, room: Weightroom::default() };
        let name = if config.tied_embeddings { EMBEDDING } else { "lm_head" };
        let head = packer.matrix(&[(name.to_owned(), vocabulary)], hidden)?;
        let embedding = match config.tied_embeddings {
            true => None,
            false => Some(packer.embedding(&format!("{EMBEDDING}.weight"), vocabulary, hidden)?),
        };
        let layers = (0..config.layers)
            .map(|number| Layer::take(&mut packer, config, number))
            .collect::<Taken<Vec<_>>>()?;
        let norm = packer.vector("model.norm.weight", config.hidden_size)?;
        let divisors = weights.take_rope_divisors()?;
        let rotary = Rotary::new(&config.rope, config.head_dim, divisors.as_deref());
        let path = weights.path().to_owned();
        Ok(Self {
            path,
            isa,
            dtype,
            config: config.clone(),
            embedding,
            layers,
            norm,
            head,
            rotary,
            clock: Clock::default(),
        })
    }

    /// Name of the kernels in use.
    pub fn kernels(&self) -> &'static str {
        self.isa.name(self.dtype)
    }

    /// Seconds that passes took since it was loaded, by operation.
    pub fn seconds_by_operation(&self) -> Vec<(&'static str, f64)> {
        self.clock.seconds()
    }

    /// How keys and values are kept.
    pub fn kept_shape(&self) -> KeptShape {
        KeptShape { kv_heads: self.config.kv_heads, head_dim: self.config.head_dim, dtype: self.dtype }
    }

    /// Times the MLP of the first layer over `rows` rows, warmed up: seconds, and the weights that were used.
    pub fn time_layer(&self, rows: usize) -> Result<(f64, usize), ForwardError> {
        let Some(layer) = self.layers.first() else { return Ok((0.0, 1)) };
        let mut x = Activations::zeros(rows, self.config.hidden_size)?;
        let mut seconds = f64::INFINITY;
        for _ in 0..3 {
            let clock = std::time::Instant::now();
            self.mlp(layer, &mut x, rows)?;
            seconds = seconds.min(clock.elapsed().as_secs_f64());
        }
        Ok((seconds, layer.gate_up.len() + layer.down.len()))
    }

    /// Computes a pass: keys and values of all its rows go to `kv`, logits of the rows in `wanted` to `read`, in their
    /// order, until it breaks off.
    pub fn forward(
        &self,
        layout: &Layout,
        wanted: &[u32],
        kv: &mut KvCache,
        mut read: impl FnMut(usize, &[f32]) -> Result<ControlFlow<()>, ForwardError>,
    ) -> Result<(), ForwardError> {
        let count = layout.tokens.len();
        let (cos, sin) = self.rotary.cosines_and_sines(&layout.positions, self.dtype);
        let mut x = self.clock.time(Operation::Embedding, || self.embed(&layout.tokens))?;
        let mut qkv = Activations::zeros(count, self.layers.first().map_or(0, |layer| layer.qkv.width()))?;
        for (number, layer) in self.layers.iter().enumerate() {
            let last = number + 1 == self.layers.len();
            let normed = self.normed(&x, count, &layer.input_norm, layer.qkv.format())?;
            let clock = &self.clock;
            clock.time(Operation::Qkv, || {
                self.product(&layer.qkv, layer.qkv_bias.as_deref(), &normed, &mut qkv);
            });
            clock.time(Operation::Rope, || self.rotate(&mut qkv, &cos, &sin));
            clock.time(Operation::Keep, || {
                self.check(layout, &qkv)?;
                self.keep(layout, number, &qkv, kv);
                Ok::<_, ForwardError>(())
            })?;
            if last && wanted.is_empty() {
                break;
            }
            let families = self.families(layout, number, kv, last.then_some(wanted))?;
            let attention = Attention {
                vector: self.isa.vector,
                shape: self.kept_shape(),
                window: self.config.windows.get(number).copied().flatten(),
            };
            let queries = Queries {
                numbers: &qkv.numbers,
                stride: qkv.stride,
                places: &layout.positions,
                heads: self.config.heads,
            };
            let mut attended = Activations::zeros(count, self.config.query_width())?;
            let stride = attended.stride;
            clock.time(Operation::Attention, || {
                attention.attend(&families, &queries, &mut attended.numbers, stride);
            });
            if !last {
                self.after_attention(layer, &mut x, &attended, count)?;
                continue;
            }
            let piece = (MAX_LOGITS / self.head.width()).max(1);
            for (at, rows) in wanted.chunks(piece).enumerate() {
                // Of the last layer only wanted rows go on, and keys and values are kept already.
                let mut x = gathered(&x, rows)?;
                let attended = gathered(&attended, rows)?;
                self.after_attention(layer, &mut x, &attended, rows.len())?;
                let normed = self.normed(&x, rows.len(), &self.norm, self.head.format())?;
                let mut logits = Activations::zeros(rows.len(), self.head.width())?;
                clock.time(Operation::Head, || self.product(&self.head, None, &normed, &mut logits));
                for i in 0..rows.len() {
                    if read(at * piece + i, &logits.row(i)[..self.config.vocab_size])?.is_break() {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    fn embed(&self, tokens: &[u32]) -> Result<Activations, ForwardError> {
        let hidden = self.config.hidden_size;
        let mut x = Activations::zeros(tokens.len(), hidden)?;
        x.numbers.par_chunks_mut(hidden.max(1)).zip(tokens).for_each(|(x, &token)| match &self.embedding {
            None => self.head.row(token as usize, x),
            Some(table) => table.read(token as usize, x),
        });
        Ok(x)
    }

    /// Output projection, and the MLP.
    fn after_attention(
        &self,
        layer: &Layer,
        x: &mut Activations,
        attended: &Activations,
        count: usize,
    ) -> Result<(), ForwardError> {
        self.clock.time(Operation::Output, || {
            let mut inputs = Rows::zeros(self.isa, layer.output.format(), count, attended.stride)?;
            self.fill(&mut inputs, attended.stride, |row, to| to.copy_from_slice(attended.row(row)));
            self.add_product(&layer.output, layer.output_bias.as_deref(), &inputs, x);
            Ok::<_, NoMemory>(())
        })?;
        self.mlp(layer, x, count)
    }

    fn mlp(&self, layer: &Layer, x: &mut Activations, count: usize) -> Result<(), ForwardError> {
        let normed = self.normed(x, count, &layer.post_norm, layer.gate_up.format())?;
        let mut inner = Rows::zeros(self.isa, layer.down.format(), count, self.config.intermediate_size)?;
        self.clock.time(Operation::GateUp, || self.gated(layer, &normed, &mut inner));
        self.clock.time(Operation::Down, || {
            self.add_product(&layer.down, layer.down_bias.as_deref(), &inner, x);
        });
        Ok(())
    }

    /// Fills rows of `width` numbers, which are of the model's format already.
    fn fill(&self, to: &mut Rows, width: usize, fill: impl Fn(usize, &mut [f32]) + Sync) {
        let (count, stride) = (to.count, to.stride);
        match &mut to.inputs {
            Inputs::Single(numbers) => {
                let rows = numbers.par_chunks_mut(stride).take(count).enumerate();
                rows.for_each(|(row, to)| fill(row, &mut to[..width]));
            }
            Inputs::Bf16(numbers) => {
                let rows = numbers.par_chunks_mut(stride).take(count).enumerate();
                rows.for_each_with(vec![0.0; width], |scratch, (row, to)| {
                    fill(row, scratch);
                    rows::to_bf16(self.isa.vector, self.dtype, scratch, to);
                });
            }
        }
    }

    fn normed(
        &self,
        x: &Activations,
        count: usize,
        weight: &[f32],
        format: Format,
    ) -> Result<Rows, NoMemory> {
        self.clock.time(Operation::Norms, || {
            let mut normed = Rows::zeros(self.isa, format, count, x.stride)?;
            let epsilon = self.config.rms_norm_eps as f32;
            self.fill(&mut normed, x.stride, |row, to| {
                rows::norm(self.isa.vector, self.dtype, x.row(row), weight, epsilon, to);
            });
            Ok(normed)
        })
    }

    /// `to = inputs * matrix + bias`, rounded.
    fn product(&self, matrix: &Matrix, bias: Option<&[f32]>, inputs: &Rows, to: &mut Activations) {
        let table = Table::new(&mut to.numbers, to.stride);
        matrix.multiply(inputs, |row, from, sums| {
            rows::round(self.isa.vector, self.dtype, sums, bias.map(|bias| &bias[from..][..sums.len()]));
            // SAFETY: each piece of the result is written once.
            unsafe { table.part(row, from, sums.len()) }.copy_from_slice(sums);
        });
    }

    /// `x += inputs * matrix + bias`, rounded.
    fn add_product(&self, matrix: &Matrix, bias: Option<&[f32]>, inputs: &Rows, x: &mut Activations) {
        let width = x.stride;
        let table = Table::new(&mut x.numbers, width);
        matrix.multiply(inputs, |row, from, sums| {
            if let Some(bias) = bias {
                rows::round(self.isa.vector, self.dtype, sums, Some(&bias[from..][..sums.len()]));
            }
            // The last panel may be filled up.
            let count = sums.len().min(width - from);
            // SAFETY: each piece of the result is written once.
            let x = unsafe { table.part(row, from, count) };
            rows::add(self.isa.vector, self.dtype, x, &sums[..count]);
        });
    }

    /// The MLP's inner activations.
    fn gated(&self, layer: &Layer, normed: &Rows, inner: &mut Rows) {
        let width = self.config.intermediate_size;
        let stride = inner.stride;
        let bias = layer.gate_up_bias.as_deref();
        enum To<'a> {
            Single(Shared<'a, f32>),
            Bf16(Shared<'a, u16>),
        }
        let to = match &mut inner.inputs {
            Inputs::Single(numbers) => To::Single(Shared::new(numbers)),
            Inputs::Bf16(numbers) => To::Bf16(Shared::new(numbers)),
        };
        layer.gate_up.multiply_panels(normed, 2, |row, from, sums| {
            if let Some(bias) = bias {
                rows::round(self.isa.vector, self.dtype, sums, Some(&bias[from..][..sums.len()]));
            }
            for (place, both) in sums.chunks_mut(GATE_UP).enumerate() {
                let (gate, up) = both.split_at_mut(GATE_UP / 2);
                rows::gated(self.isa.vector, self.dtype, gate, up);
                let column = from / 2 + place * GATE_UP / 2;
                // The last panel may be filled up.
                let count = gate.len().min(width - column);
                // SAFETY: each piece of the result is written once.
                match &to {
                    To::Single(to) => {
                        unsafe { to.part(row * stride + column, count) }.copy_from_slice(&gate[..count]);
                    }
                    // SAFETY: as above.
                    To::Bf16(to) => rows::to_bf16(self.isa.vector, self.dtype, gate, unsafe {
                        to.part(row * stride + column, count)
                    }),
                }
            }
        });
    }

    /// Where keys begin among a row's queries, keys and values, and where values do.
    fn columns(&self) -> (usize, usize) {
        use super::matrix::PANEL;
        let keys = self.config.query_width().next_multiple_of(PANEL);
        (keys, keys + self.config.kv_width().next_multiple_of(PANEL))
    }

    /// Turns queries and keys by their places.
    fn rotate(&self, qkv: &mut Activations, cos: &[f32], sin: &[f32]) {
        let width = self.config.head_dim;
        let (keys, _) = self.columns();
        let half = width / 2;
        qkv.numbers.par_chunks_mut(qkv.stride.max(1)).enumerate().for_each(|(row, numbers)| {
            let angles = row * half..(row + 1) * half;
            let queries = 0..self.config.query_width();
            for heads in [queries, keys..keys + self.config.kv_width()] {
                for head in numbers[heads].chunks_mut(width) {
                    rows::rotate(
                        self.isa.vector,
                        self.dtype,
                        head,
                        &cos[angles.clone()],
                        &sin[angles.clone()],
                    );
                }
            }
        });
    }

    /// Refuses keys and values that are no numbers, whether or not somebody reads the row: unseen places have weight zero,
    /// which makes a zero of a number only.
    fn check(&self, layout: &Layout, qkv: &Activations) -> Result<(), ForwardError> {
        let (keys, values) = self.columns();
        let width = self.config.kv_width();
        let is_bad = |row: &usize| {
            let row = qkv.row(*row);
            !all_finite(&row[keys..keys + width]) || !all_finite(&row[values..values + width])
        };
        let Some(row) = (0..layout.tokens.len()).into_par_iter().find_first(is_bad) else { return Ok(()) };
        let placed = layout.segments.iter().find(|placed| placed.rows.contains(&row));
        let (id, token) = placed.map_or((SegmentId(0), row), |placed| (placed.id, row - placed.rows.start));
        Err(ForwardError::NotFinite { path: self.path.clone(), what: "keys or values", id, token })
    }

    fn keep(&self, layout: &Layout, layer: usize, qkv: &Activations, kv: &mut KvCache) {
        let shape = self.kept_shape();
        let (keys, values) = self.columns();
        let mut kept: Vec<_> = layout.ids().map(|id| kv.take_rows(id, layer)).collect();
        kept.par_iter_mut().zip(&layout.segments).for_each(|((kept, length), placed)| {
            let numbers = |from: usize, row: usize, head: usize| {
                &qkv.row(placed.rows.start + row)[from + head * shape.head_dim..][..shape.head_dim]
            };
            let key = |row, head| numbers(keys, row, head);
            let value = |row, head| numbers(values, row, head);
            kept.append(shape, *length, placed.rows.len(), key, value);
        });
        for ((kept, _), id) in kept.into_iter().zip(layout.ids()) {
            kv.put_rows(id, layer, kept);
        }
    }

    /// The pass's segments by the chains that they continue, with all rows or the wanted ones.
    fn families<'k>(
        &self,
        layout: &Layout,
        layer: usize,
        kv: &'k KvCache,
        wanted: Option<&[u32]>,
    ) -> Result<Vec<Family<'k>>, ForwardError> {
        let is_wanted = wanted.map(|wanted| {
            let mut is_wanted = vec![false; layout.tokens.len()];
            wanted.iter().for_each(|&row| is_wanted[row as usize] = true);
            is_wanted
        });
        let rows_of = |id: SegmentId| {
            let gone = || SegmentError::Unknown { id, link: id };
            kv.rows(id, layer).ok_or_else(gone)
        };
        let seen = |link: &Link| {
            Ok::<_, SegmentError>(Seen { start: link.start, length: link.length, rows: rows_of(link.id)? })
        };
        let mut families: Vec<Family<'k>> = Vec::new();
        let mut links: Option<&[Link]> = None;
        for placed in &layout.segments {
            let rows: Vec<usize> = placed
                .rows
                .clone()
                .filter(|&row| is_wanted.as_ref().is_none_or(|wanted| wanted[row]))
                .collect();
            if rows.is_empty() {
                continue;
            }
            // A segment that grows continues what it kept itself: its own rows are then behind those.
            let grown = placed.links.last().filter(|link| link.id == placed.id);
            let chain = &placed.links[..placed.links.len() - usize::from(grown.is_some())];
            let start = grown.map_or(layout.positions[placed.rows.start], |link| link.start);
            let length = layout.positions[placed.rows.end - 1] + 1 - start;
            let own = Own { rows, seen: Seen { start, length, rows: rows_of(placed.id)? } };
            match (links == Some(chain), families.last_mut()) {
                (true, Some(family)) => family.segments.push(own),
                _ => {
                    let chain = chain.iter().map(&seen).collect::<Result<Vec<_>, _>>()?;
                    families.push(Family { chain, segments: vec![own] });
                }
            }
            links = Some(chain);
        }
        Ok(families)
    }
}

/// Some rows, in the order of `rows`.
fn gathered(x: &Activations, rows: &[u32]) -> Result<Activations, NoMemory> {
    let mut gathered = Activations::zeros(rows.len(), x.stride)?;
    gathered
        .numbers
        .par_chunks_mut(x.stride.max(1))
        .zip(rows)
        .for_each(|(to, &row)| to.copy_from_slice(x.row(row as usize)));
    Ok(gathered)
}
