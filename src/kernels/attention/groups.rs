//! Which keys and values the rows of a pass attend to, and how they are taken together.
//!
//! Neighbouring segments of a pass that begin with the same kept segment are a group: what their chains have in common is packed once
//! ([`kv_layout`](super::kv_layout)) and multiplied with the queries of all of them; each segment's own range, the rest of its chain and
//! itself, with its own queries. Ranges begin at positions that are multiples of 32, a position's share is added in the order of
//! positions, and beyond a row's own position stand zeros: so neither the cut into segments and groups nor other rows change a row's
//! bits.

use std::ops::Range;

use super::kv_rows::{KvRows, KvShape};
use crate::kernels::isa::Isa;
use crate::kernels::layout::NR;
use crate::kernels::team;

/// Positions that a range is padded to a multiple of.
pub const KV_BLOCK: usize = NR;

/// Orders in which keys and values are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KvLayout {
    /// For AMX. bfloat16: keys `[position][head_dim]`, values by blocks of 32 positions, `[block][head_dim][32]`. Single precision in
    /// three parts: keys by blocks of 32 numbers, `[position][block][part][32]`, values `[block][head_dim][part][32]`.
    Tiles,
    /// Single precision: keys by blocks of 16 positions, `[block][head_dim][16]`, values `[position][value_width]`.
    F32,
    /// bfloat16, two terms of a sum together: keys by blocks of 32 positions, `[block][head_dim / 2][32][2]`, values
    /// `[position / 2][value_width][2]`.
    Bf16Pairs,
}

/// Kept keys and values at consecutive positions.
#[derive(Clone, Copy)]
pub struct KvSpan<'a> {
    /// Position of the first.
    pub start: usize,
    pub length: usize,
    pub rows: &'a KvRows,
}

/// A segment's rows of a pass, and what they attend to.
pub struct SegmentQueries<'a> {
    /// Rows of the pass that are computed, rising.
    pub rows: Vec<usize>,
    /// What the segment continues, in order, without gaps.
    pub chain: Vec<KvSpan<'a>>,
    /// The segment itself: rows attend to it up to their own positions.
    pub own: KvSpan<'a>,
}

/// The queries of a pass.
pub struct Queries<'a> {
    /// Rotated queries, `[rows][heads * head_dim]`.
    pub numbers: &'a [f32],
    /// Numbers from row to row.
    pub stride: usize,
    /// Position of each row.
    pub positions: &'a [usize],
    pub heads: usize,
}

/// What attention is computed with.
#[derive(Clone, Copy)]
pub struct Attention {
    pub isa: Isa,
    pub shape: KvShape,
    /// Each row attends to the last so many positions, its own among them; without it, to all.
    pub window: Option<usize>,
}

impl Attention {
    /// The first position that a query at `position` attends to.
    pub fn first_position(&self, position: usize) -> usize {
        self.window.map_or(0, |window| (position + 1).saturating_sub(window))
    }
}

/// Consecutive positions that some queries attend to.
pub struct KvRange<'a> {
    /// A multiple of [`KV_BLOCK`].
    pub first: usize,
    /// Padded to a multiple of [`KV_BLOCK`].
    pub length: usize,
    /// Positions packed before this range's; `None` where each job packs it for itself.
    pub offset: Option<usize>,
    pub spans: Vec<KvSpan<'a>>,
}

/// A segment of a group.
pub struct GroupMember {
    pub rows: Vec<usize>,
    /// Index of its own range.
    pub own: usize,
}

/// Segments that share a range.
pub struct Group {
    /// The first position that any of its queries attends to, rounded down to a multiple of [`KV_BLOCK`].
    pub base: usize,
    /// Where the own ranges begin.
    pub own_first: usize,
    /// Index of the range before, if there is one.
    pub shared: Option<usize>,
    pub members: Vec<GroupMember>,
}

/// Queries of a segment that are few enough for their jobs to pack its range for themselves: it then stays in their caches.
pub const FEW_QUERIES: usize = 32;

/// The queries of one member in a tile.
pub struct TileSegment {
    /// Index of the member's range.
    pub own: usize,
    /// Among those of the tile.
    pub queries: Range<usize>,
    /// Position behind the last that any of them attends to.
    pub end: usize,
}

/// Queries of a group that are computed together for one head of keys.
pub struct QueryTile {
    /// Row of the pass, and head among those that share keys, of each query.
    pub queries: Vec<(usize, usize)>,
    pub segments: Vec<TileSegment>,
}

impl Group {
    /// Its queries, at most `most` at a time, with `heads` heads of queries a head of keys.
    fn tiles(&self, most: usize, heads: usize, positions: &[usize]) -> Vec<QueryTile> {
        let empty = || QueryTile { queries: Vec::with_capacity(most), segments: Vec::new() };
        let mut all = Vec::new();
        let mut tile = empty();
        for member in &self.members {
            for &row in &member.rows {
                for head in 0..heads {
                    if tile.queries.len() == most {
                        all.push(std::mem::replace(&mut tile, empty()));
                    }
                    let query = tile.queries.len();
                    tile.queries.push((row, head));
                    let end = positions[row] + 1;
                    match tile.segments.last_mut().filter(|segment| segment.own == member.own) {
                        Some(segment) => {
                            (segment.queries.end, segment.end) = (query + 1, segment.end.max(end));
                        }
                        None => {
                            let queries = query..query + 1;
                            tile.segments.push(TileSegment { own: member.own, queries, end });
                        }
                    }
                }
            }
        }
        if !tile.queries.is_empty() {
            all.push(tile);
        }
        all
    }
}

impl QueryTile {
    /// Position behind the last that any query attends to.
    pub fn end(&self) -> usize {
        self.segments.iter().map(|segment| segment.end).max().unwrap_or(0)
    }
}

/// Calls `job` for all tiles of queries of all groups and each head of keys, on all threads: those of a head one after another, so that
/// its keys and values stay in the caches, the longest first.
pub fn for_each_tile(
    groups: &[Group],
    most: impl Fn(&Group) -> usize,
    (query_heads, kv_heads): (usize, usize),
    positions: &[usize],
    job: impl Fn(&Group, &QueryTile, usize) + Sync,
) {
    let tiles: Vec<Vec<QueryTile>> =
        groups.iter().map(|group| group.tiles(most(group), query_heads / kv_heads, positions)).collect();
    // Heads of a position lie side by side: where there is enough else to do at once, a job reads them all.
    let is_enough = groups.len() >= 4 * rayon::current_num_threads();
    let at_once = |tiles: &[QueryTile]| match tiles {
        [tile] if is_enough && tile.queries.len() <= FEW_QUERIES => kv_heads,
        _ => 1,
    };
    let jobs: Vec<(&Group, &QueryTile, Range<usize>)> = groups
        .iter()
        .zip(&tiles)
        .flat_map(|(group, tiles)| {
            let at_once = at_once(tiles);
            let heads = (0..kv_heads).step_by(at_once).map(move |head| head..head + at_once);
            heads.flat_map(move |heads| tiles.iter().rev().map(move |tile| (group, tile, heads.clone())))
        })
        .collect();
    team::for_each(jobs.len(), |number| {
        let (group, tile, heads) = &jobs[number];
        heads.clone().for_each(|head| job(group, tile, head));
    });
}
