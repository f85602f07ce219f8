//! A pass through the network.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::clock::Operation;
use super::network::Network;
use super::workspace::Workspace;
use crate::kernels::attention::groups::{Attention, KvSpan, Queries, SegmentQueries};
use crate::kernels::dtype::Dtype;
use crate::kernels::elementwise::{self, all_finite};
use crate::kernels::gemm::activations::{Activations, JOB_ROWS};
use crate::kernels::gemm::bf16x3::TOO_LARGE;
use crate::kernels::layout::NR;
use crate::kernels::team;
use crate::model::kv_cache::{KvCache, Link, SegmentError, SegmentId};
use crate::model::pass::{ForwardError, Layout};

/// Maximum number of logits computed at a time for wanted rows: 64 MiB.
const MAX_LOGITS: usize = 1 << 24;

impl Network {
    /// Computes a pass: writes keys and values of all its rows to `kv`, and calls `read` with the logits of
    /// the rows in `wanted`, from all threads and in any order. If `read` fails for several rows, the error
    /// of the first is returned.
    pub fn forward(
        &self,
        layout: &Layout,
        wanted: &[u32],
        kv: &mut KvCache,
        read: impl Fn(usize, &[f32]) -> Result<(), ForwardError> + Sync,
    ) -> Result<(), ForwardError> {
        let cached = || self.workspaces.lock().unwrap_or_else(PoisonError::into_inner);
        let mut workspaces = match cached().take() {
            Some(workspaces) => workspaces,
            None => [self.workspace()?, self.workspace()?],
        };
        let result = self.forward_in(&mut workspaces, layout, wanted, kv, read);
        *cached() = Some(workspaces);
        result
    }

    fn forward_in(
        &self,
        [workspace, selected]: &mut [Workspace; 2],
        layout: &Layout,
        wanted: &[u32],
        kv: &mut KvCache,
        read: impl Fn(usize, &[f32]) -> Result<(), ForwardError> + Sync,
    ) -> Result<(), ForwardError> {
        // On a thread of the pool: submitting the many small jobs of a pass from outside would cost more than
        // the jobs.
        team::together(|| self.layers(workspace, layout, wanted, kv))?;
        let piece = (MAX_LOGITS / self.head.width()).max(1);
        for (at, rows) in wanted.chunks(piece).enumerate() {
            team::together(|| {
                self.logits(workspace, selected, rows)?;
                let failed = Mutex::new(None);
                team::for_each(rows.len(), |i| {
                    if let Err(error) =
                        read(at * piece + i, &selected.logits.row(i)[..self.config.vocab_size])
                    {
                        let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                        if failed.as_ref().is_none_or(|(first, _)| i < *first) {
                            *failed = Some((i, error));
                        }
                    }
                });
                let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
                failed.map_or(Ok(()), |(_, error)| Err(error))
            })?;
        }
        Ok(())
    }

    /// Computes all layers, the last one up to its attention, which is computed only for wanted rows.
    fn layers(
        &self,
        workspace: &mut Workspace,
        layout: &Layout,
        wanted: &[u32],
        kv: &mut KvCache,
    ) -> Result<(), ForwardError> {
        let clock = &self.clock;
        let (cos, sin) =
            clock.time(Operation::Rope, || self.rotary.cosines_and_sines(&layout.positions, self.dtype));
        workspace.set_count(layout.tokens.len())?;
        clock.time(Operation::Embedding, || self.embed(&layout.tokens, &mut workspace.x));
        for (number, layer) in self.layers.iter().enumerate() {
            let last = number + 1 == self.layers.len();
            self.norm(&workspace.x, &layer.input_norm, &mut workspace.normed);
            let Workspace { normed, qkv, .. } = workspace;
            clock.time(Operation::Qkv, || {
                self.product(&layer.qkv, layer.qkv_bias.as_deref(), normed, qkv);
            });
            clock.time(Operation::Rope, || self.rotate(qkv, &cos, &sin));
            clock.time(Operation::Keep, || {
                self.check(layout, qkv)?;
                self.append_kv(layout, number, qkv, kv);
                Ok::<_, ForwardError>(())
            })?;
            if last && wanted.is_empty() {
                break;
            }
            clock.time(Operation::Attention, || {
                let segments = self.segment_queries(layout, number, kv, last.then_some(wanted))?;
                let window = self.config.windows.get(number).copied().flatten();
                let attention = Attention { isa: self.isa, shape: self.kv_shape(), window };
                let queries = Queries {
                    numbers: &workspace.qkv.numbers,
                    stride: workspace.qkv.stride,
                    positions: &layout.positions,
                    heads: self.config.heads,
                };
                attention.attend(segments, &queries, &mut workspace.packed_kv, &mut workspace.attended)?;
                Ok::<_, ForwardError>(())
            })?;
            if !last {
                self.after_attention(layer, workspace);
            }
        }
        Ok(())
    }

    /// Computes what follows the last attention, for the given rows.
    fn logits(
        &self,
        workspace: &Workspace,
        selected: &mut Workspace,
        rows: &[u32],
    ) -> Result<(), ForwardError> {
        selected.set_count(rows.len())?;
        selected.x.gather(&workspace.x, rows)?;
        if let Some(layer) = self.layers.last() {
            selected.attended.gather(&workspace.attended, rows)?;
            self.after_attention(layer, selected);
        }
        self.norm(&selected.x, &self.norm, &mut selected.normed);
        selected.logits.set_count(rows.len())?;
        self.clock.time(Operation::Head, || {
            self.product(&self.head, None, &selected.normed, &mut selected.logits);
        });
        Ok(())
    }

    fn embed(&self, tokens: &[u32], x: &mut Activations) {
        x.for_each_row(|row, x| match &self.embedding {
            None => self.head.row(tokens[row] as usize, x),
            Some(table) => table.read(tokens[row] as usize, x),
        });
    }

    /// First columns of the keys and of the values in a row of `qkv`.
    fn columns(&self) -> (usize, usize) {
        let keys = self.config.query_width().next_multiple_of(NR);
        (keys, keys + self.config.kv_width().next_multiple_of(NR))
    }

    /// Rotates queries and keys by their positions.
    fn rotate(&self, qkv: &mut Activations, cos: &[f32], sin: &[f32]) {
        let (vector, dtype) = (self.isa.vector, self.dtype);
        let half = self.config.head_dim / 2;
        let (keys, _) = self.columns();
        qkv.for_each_row(|row, numbers| {
            let angles = row * half..(row + 1) * half;
            let (cos, sin) = (&cos[angles.clone()], &sin[angles]);
            for heads in [0..self.config.query_width(), keys..keys + self.config.kv_width()] {
                elementwise::rotate(vector, dtype, &mut numbers[heads], cos, sin);
            }
        });
    }

    /// Rejects non-finite keys and values, whether or not the row's logits are requested: masked positions
    /// have weight zero, and zero times a non-finite value is not zero.
    fn check(&self, layout: &Layout, qkv: &Activations) -> Result<(), ForwardError> {
        let (keys, values) = self.columns();
        let width = self.config.kv_width();
        let is_split = self.dtype == Dtype::F32 && self.isa.has_tiles();
        // AMX attention splits values into bfloat16 parts; the first part of values this large is infinite.
        let is_too_large = |part: &[f32]| {
            is_split && part.iter().map(|x| x.to_bits() & !(1 << 31)).fold(0, u32::max) >= TOO_LARGE
        };
        let is_bad = |row: &usize| {
            let row = qkv.row(*row);
            let parts = [&row[keys..keys + width], &row[values..values + width]];
            parts.into_iter().any(|part| !all_finite(part) || is_too_large(part))
        };
        let count = layout.tokens.len();
        let first = AtomicUsize::new(count);
        team::for_each(count.div_ceil(JOB_ROWS), |job| {
            let bad = (job * JOB_ROWS..count.min((job + 1) * JOB_ROWS)).find(is_bad);
            first.fetch_min(bad.unwrap_or(count), Ordering::Relaxed);
        });
        let row = first.into_inner();
        if row == count {
            return Ok(());
        }
        let placed = layout.segments.iter().find(|placed| placed.rows.contains(&row));
        let (id, token) = placed.map_or((SegmentId(0), row), |placed| (placed.id, row - placed.rows.start));
        Err(ForwardError::NotFinite { path: self.path.clone(), what: "keys or values", id, token })
    }

    fn append_kv(&self, layout: &Layout, layer: usize, qkv: &Activations, kv: &mut KvCache) {
        let shape = self.kv_shape();
        let (keys, values) = self.columns();
        let width = self.config.kv_width();
        let mut cached: Vec<_> = layout.ids().map(|id| kv.take_rows(id, layer)).collect();
        team::for_each_chunk(&mut cached, 1, |number, cached| {
            let placed = &layout.segments[number];
            for (cached, length) in cached {
                cached.append(self.isa.vector, shape, *length, placed.rows.len(), |row| {
                    let row = qkv.row(placed.rows.start + row);
                    (&row[keys..keys + width], &row[values..values + width])
                });
            }
        });
        for ((cached, _), id) in cached.into_iter().zip(layout.ids()) {
            kv.put_rows(id, layer, cached);
        }
    }

    /// The pass's segments with all rows or only the wanted ones, and the keys that they attend to.
    fn segment_queries<'k>(
        &self,
        layout: &Layout,
        layer: usize,
        kv: &'k KvCache,
        wanted: Option<&[u32]>,
    ) -> Result<Vec<SegmentQueries<'k>>, SegmentError> {
        let is_wanted = wanted.map(|wanted| {
            let mut is_wanted = vec![false; layout.tokens.len()];
            wanted.iter().for_each(|&row| is_wanted[row as usize] = true);
            is_wanted
        });
        let rows_of = |id: SegmentId| kv.rows(id, layer).ok_or(SegmentError::Unknown { id, link: id });
        let span = |link: &Link| {
            Ok::<_, SegmentError>(KvSpan { start: link.start, length: link.length, rows: rows_of(link.id)? })
        };
        let mut segments = Vec::with_capacity(layout.segments.len());
        for placed in &layout.segments {
            let is_wanted = |row: &usize| is_wanted.as_ref().is_none_or(|wanted| wanted[*row]);
            let rows: Vec<usize> = placed.rows.clone().filter(is_wanted).collect();
            if rows.is_empty() {
                continue;
            }
            // The last link of a growing segment is its own cached rows, which its new rows follow.
            let grown = placed.links.last().filter(|link| link.id == placed.id);
            let chain = &placed.links[..placed.links.len() - usize::from(grown.is_some())];
            let start = grown.map_or(layout.positions[placed.rows.start], |link| link.start);
            let length = layout.positions[placed.rows.end - 1] + 1 - start;
            let own = KvSpan { start, length, rows: rows_of(placed.id)? };
            segments.push(SegmentQueries {
                rows,
                chain: chain.iter().map(&span).collect::<Result<_, _>>()?,
                own,
            });
        }
        Ok(segments)
    }
}
