//! Which keys and values the rows of a pass attend to, and how segments are grouped.
//!
//! Neighbouring segments of a pass whose chains begin with the same cached segment form a group. The common
//! part of their chains is packed once ([`kv_layout`](super::kv_layout)) and multiplied with the queries of
//! all of them. Each segment's own range, the rest of its chain and the segment itself, is multiplied with
//! its own queries.
//!
//! Ranges begin at multiples of 32 positions, contributions are added in the order of positions, and weights
//! beyond a row's own position are zero. So neither the division into segments and groups nor other rows
//! change a row's bits.

use std::ops::Range;

use super::kv_rows::{KvRows, KvShape};
use crate::kernels::isa::Isa;
use crate::kernels::layout::NR;
use crate::kernels::team;

/// Ranges are padded to a multiple of this many positions.
pub const KV_BLOCK: usize = NR;

/// Layouts in which keys and values are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KvLayout {
    /// For AMX. bfloat16: keys `[position][head_dim]`, values by blocks of 32 positions,
    /// `[block][head_dim][32]`. Single precision in three parts: keys by blocks of 32 elements,
    /// `[position][block][part][32]`, values `[block][head_dim][part][32]`.
    Tiles,
    /// Single precision: keys by blocks of 16 positions, `[block][head_dim][16]`, values `[position][value_width]`.
    F32,
    /// bfloat16, in pairs of terms of a sum: keys by blocks of 32 positions, `[block][head_dim / 2][32][2]`,
    /// values `[position / 2][value_width][2]`.
    Bf16Pairs,
}

/// Cached keys and values at consecutive positions.
#[derive(Clone, Copy)]
pub struct KvSpan<'a> {
    /// Position of the first.
    pub start: usize,
    pub length: usize,
    pub rows: &'a KvRows,
}

/// A segment's rows in a pass, and what they attend to.
pub struct SegmentQueries<'a> {
    /// Rows of the pass that are computed, ascending.
    pub rows: Vec<usize>,
    /// The segments that this one continues, in order, without gaps.
    pub chain: Vec<KvSpan<'a>>,
    /// The segment itself: rows attend to it up to their own positions.
    pub own: KvSpan<'a>,
}

/// The queries of a pass.
pub struct Queries<'a> {
    /// Rotated queries, `[rows][heads * head_dim]`.
    pub numbers: &'a [f32],
    /// Elements from row to row.
    pub stride: usize,
    /// Position of each row.
    pub positions: &'a [usize],
    pub heads: usize,
}

/// Parameters of attention.
#[derive(Clone, Copy)]
pub struct Attention {
    pub isa: Isa,
    pub shape: KvShape,
    /// Each row attends to this many positions up to and including its own; if `None`, to all of them.
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
    /// Number of positions packed before this range; `None` if each job packs the range for itself.
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
    /// Position at which the members' own ranges begin.
    pub own_first: usize,
    /// Index of the shared range before it, if there is one.
    pub shared: Option<usize>,
    pub members: Vec<GroupMember>,
}

/// Up to this many queries of a segment, each job packs the segment's range for itself: it then stays in its
/// caches.
pub const FEW_QUERIES: usize = 32;

/// The queries of one member in a tile.
pub struct TileSegment {
    /// Index of the member's range.
    pub own: usize,
    /// Their indices in the tile.
    pub queries: Range<usize>,
    /// One past the last position that any of them attends to.
    pub end: usize,
}

/// Queries of a group that are computed together for one key head.
pub struct QueryTile {
    /// For each query, its row of the pass, and its head among those that share a key head.
    pub queries: Vec<(usize, usize)>,
    pub segments: Vec<TileSegment>,
}

impl Group {
    /// Its queries in tiles of at most `most`, with `heads` query heads per key head.
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
    /// One past the last position that any query attends to.
    pub fn end(&self) -> usize {
        self.segments.iter().map(|segment| segment.end).max().unwrap_or(0)
    }
}

/// Calls `job` for all query tiles of all groups and each key head, on all threads. The tiles of a head
/// follow one another, so that its keys and values stay in the caches, the longest first.
pub fn for_each_tile(
    groups: &[Group],
    most: impl Fn(&Group) -> usize,
    (query_heads, kv_heads): (usize, usize),
    positions: &[usize],
    job: impl Fn(&Group, &QueryTile, usize) + Sync,
) {
    let tiles: Vec<Vec<QueryTile>> =
        groups.iter().map(|group| group.tiles(most(group), query_heads / kv_heads, positions)).collect();
    // The heads of a position are adjacent in memory: with enough other jobs, one job reads them all.
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
