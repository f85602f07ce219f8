//! Divides the attention of a pass into blocks of rows that attend to the same cached keys.

use std::ops::Range;

use candle_core::{Device, Result, Tensor};

use crate::model::kv_cache::SegmentId;
use crate::model::pass::{Layout, Placed};

/// Approximate maximum number of scores of a block, over all heads: 32 MiB.
const MAX_SCORES: usize = 1 << 23;

/// Rows of a pass that attend to the same cached keys, and to keys of the pass.
pub struct Block {
    pub rows: Range<usize>,
    pub kept: Vec<CachedKeys>,
    /// Rows of the pass whose keys the block attends to.
    pub own: Range<usize>,
    /// `[rows, own]`: 0 where a row attends to a key, else minus infinity. `None`: no key is masked.
    pub mask: Option<Tensor>,
    /// Whether it is a whole segment without a prefix; attention is then causal, and `mask` is unused.
    pub whole: bool,
}

/// Cached keys that a block attends to.
pub struct CachedKeys {
    pub id: SegmentId,
    pub first: usize,
    pub count: usize,
    /// `[rows, count]`, as in [`Block`].
    pub mask: Option<Tensor>,
}

fn mask(
    rows: usize,
    keys: usize,
    device: &Device,
    is_visible: impl Fn(usize, usize) -> bool,
) -> Result<Option<Tensor>> {
    let mut mask = Vec::with_capacity(rows * keys);
    for row in 0..rows {
        mask.extend((0..keys).map(|key| if is_visible(row, key) { 0.0f32 } else { f32::NEG_INFINITY }));
    }
    if mask.iter().all(|&m| m == 0.0) {
        return Ok(None);
    }
    Tensor::from_vec(mask, (rows, keys), device).map(Some)
}

/// Divides the attention of a pass into blocks of rows that attend to the same cached keys.
///
/// Adjacent segments with the same prefix share blocks, so that the prefix's keys are multiplied once with
/// all their rows; a mask separates the segments. If `whole`, a segment without a prefix is one block,
/// without a mask.
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
        let shared = if first.links.is_empty() {
            1
        } else {
            rest.iter().take_while(|placed| placed.links == first.links).count()
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
    // The first position to which any row of the block attends.
    let first_visible_to = |query: usize| window.map_or(0, |window| (query + 1).saturating_sub(window));
    let first_visible = positions.iter().map(|&query| first_visible_to(query)).min().unwrap_or(0);

    let mut kept = Vec::new();
    for link in run.first().map_or(&[][..], |placed| &placed.links) {
        let first = first_visible.saturating_sub(link.start);
        if first < link.length {
            let keys = link.start + first..link.start + link.length;
            let mask = mask(positions.len(), keys.len(), device, |row, key| {
                first_visible_to(positions[row]) <= keys.start + key
            })?;
            kept.push(CachedKeys { id: link.id, first, count: keys.len(), mask });
        }
    }
    // The segment of the first row begins earliest; a window may exclude its beginning.
    let begin = segment_starts.first().copied().unwrap_or(rows.start);
    let own = begin.max(window.map_or(0, |window| (rows.start + 1).saturating_sub(window)))..rows.end;
    let mask = mask(rows.len(), own.len(), device, |row, key| {
        let (query, key) = (rows.start + row, own.start + key);
        key <= query
            && key >= segment_starts[row]
            && first_visible_to(layout.positions[query]) <= layout.positions[key]
    })?;
    Ok(Block { rows, kept, own, mask, whole: false })
}
