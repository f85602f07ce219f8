//! The attention of a pass in blocks of rows that see the same kept keys.

use std::ops::Range;

use candle_core::{Device, Result, Tensor};

use crate::model::kv_cache::SegmentId;
use crate::model::pass::{Layout, Placed};

/// Scores of a block, over all heads, are at most about as many: 32 MiB of them.
const MAX_SCORES: usize = 1 << 23;

/// Rows of a pass that attend to the same kept keys, and to keys of the pass.
pub struct Block {
    pub rows: Range<usize>,
    pub kept: Vec<KeptKeys>,
    /// Rows of the pass whose keys are seen.
    pub own: Range<usize>,
    /// `[rows, own]`: 0 where a key is seen, else minus infinity. `None`: all are seen.
    pub mask: Option<Tensor>,
    /// Whether it is a whole text, whose rows see those before them; `mask` says nothing then.
    pub whole: bool,
}

/// Kept keys that a block sees.
pub struct KeptKeys {
    pub id: SegmentId,
    pub first: usize,
    pub count: usize,
    /// As in [`Block`].
    pub mask: Option<Tensor>,
}

fn mask(
    rows: usize,
    keys: usize,
    device: &Device,
    seen: impl Fn(usize, usize) -> bool,
) -> Result<Option<Tensor>> {
    let mut mask = Vec::with_capacity(rows * keys);
    for row in 0..rows {
        mask.extend((0..keys).map(|key| if seen(row, key) { 0.0f32 } else { f32::NEG_INFINITY }));
    }
    if mask.iter().all(|&m| m == 0.0) {
        return Ok(None);
    }
    Tensor::from_vec(mask, (rows, keys), device).map(Some)
}

/// Divides the attention of the pass in blocks of rows that see the same kept keys.
///
/// Neighbouring segments with one prefix share blocks, so that the prefix's keys are multiplied once with all their
/// rows; among themselves a mask keeps them apart. Where `whole`, a segment without a prefix is one block, without a mask.
pub fn blocks(
    layout: &Layout,
    window: Option<usize>,
    heads: usize,
    whole: bool,
    device: &Device,
) -> Result<Vec<Block>> {
    let mut blocks = Vec::new();
    let mut rest = layout.segments.as_slice();
    while let Some(first) = rest.first() {
        // Without a prefix there is nothing to share.
        let shared = match first.links.is_empty() {
            true => 1,
            false => rest.iter().take_while(|placed| placed.links == first.links).count(),
        };
        let (run, others) = rest.split_at(shared);
        rest = others;
        let rows = first.rows.start..run.last().map_or(first.rows.end, |last| last.rows.end);
        if whole && first.links.is_empty() {
            let own = rows.clone();
            blocks.push(Block { rows, kept: Vec::new(), own, mask: None, whole });
            continue;
        }
        let kept: usize = first.links.iter().map(|link| link.length).sum();
        let step = (MAX_SCORES / (heads * (kept + rows.len()))).clamp(16, 256);
        for begin in rows.clone().step_by(step) {
            let end = (begin + step).min(rows.end);
            blocks.push(block(layout, run, begin..end, window, device)?);
        }
    }
    Ok(blocks)
}

fn block(
    layout: &Layout,
    run: &[Placed],
    rows: Range<usize>,
    window: Option<usize>,
    device: &Device,
) -> Result<Block> {
    let first_row_of = |row: usize| {
        run.iter().find(|placed| placed.rows.contains(&row)).map_or(row, |placed| placed.rows.start)
    };
    let segment_starts: Vec<usize> = rows.clone().map(first_row_of).collect();
    let positions = &layout.positions[rows.clone()];
    // The first position that any row of the block still sees.
    let seen = |query: usize| window.map_or(0, |window| (query + 1).saturating_sub(window));
    let first_seen = positions.iter().map(|&query| seen(query)).min().unwrap_or(0);

    let mut kept = Vec::new();
    for link in run.first().map_or(&[][..], |placed| &placed.links) {
        let first = first_seen.saturating_sub(link.start);
        if first < link.length {
            let keys = link.start + first..link.start + link.length;
            let mask = mask(positions.len(), keys.len(), device, |row, key| {
                seen(positions[row]) <= keys.start + key
            })?;
            kept.push(KeptKeys { id: link.id, first, count: keys.len(), mask });
        }
    }
    // The segment of the first row began furthest back; with a window not all of it is seen.
    let begin = segment_starts.first().copied().unwrap_or(rows.start);
    let own = begin.max(window.map_or(0, |window| (rows.start + 1).saturating_sub(window)))..rows.end;
    let mask = mask(rows.len(), own.len(), device, |row, key| {
        let (query, key) = (rows.start + row, own.start + key);
        key <= query && key >= segment_starts[row] && seen(layout.positions[query]) <= layout.positions[key]
    })?;
    Ok(Block { rows, kept, own, mask, whole: false })
}
