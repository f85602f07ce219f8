//! Attention over kept keys and values.
//!
//! Neighbouring segments of a pass that begin with the same kept segment are a group: what their chains have in common is
//! brought into the kernels' order once (`gather.rs`) and multiplied with the rows of all of them; each segment's own part,
//! the rest of its chain and itself, with its own rows. Parts begin at places that are multiples of 32, a place's share is
//! added in the order of places, and beyond a row's own place stand zeros: so neither the cut into segments and groups nor
//! other rows change a row's bits.

use std::ops::Range;

use super::gather::{Gathered, Kind};
use super::inputs::Rows;
use super::isa::{Bf16, Isa};
use super::kept::{KeptRows, KeptShape};
use super::memory::NoMemory;
use super::team;
#[cfg(target_arch = "x86_64")]
use super::tiled;
use super::wide;
use crate::model::Dtype;

/// Places that a part is filled up to a multiple of.
pub const BLOCK: usize = 32;

/// Kept keys and values that rows see.
#[derive(Clone, Copy)]
pub struct Seen<'a> {
    /// Place of the first.
    pub start: usize,
    pub length: usize,
    pub rows: &'a KeptRows,
}

/// A segment's rows of a pass, and what they see.
pub struct Asking<'a> {
    /// Rows of the pass that are computed, rising.
    pub rows: Vec<usize>,
    /// What the segment continues, in order, without gaps.
    pub chain: Vec<Seen<'a>>,
    /// The segment itself: rows see it up to their own places.
    pub own: Seen<'a>,
}

/// The rows of a pass.
pub struct Queries<'a> {
    /// Rotated queries, `[rows, heads * head_dim]`.
    pub numbers: &'a [f32],
    /// Numbers from row to row.
    pub stride: usize,
    /// Place of each row.
    pub places: &'a [usize],
    pub heads: usize,
}

/// What attention is computed with.
#[derive(Clone, Copy)]
pub struct Attention {
    pub isa: Isa,
    pub shape: KeptShape,
    /// Of each row the last so many places are seen; all without it.
    pub window: Option<usize>,
}

/// Places that some rows see, in one run.
pub struct Part<'a> {
    /// A multiple of [`BLOCK`].
    pub first: usize,
    /// Filled up to a multiple of [`BLOCK`].
    pub places: usize,
    /// Places gathered before this part's; `None` where each job gathers it for itself.
    pub at: Option<usize>,
    pub sources: Vec<Seen<'a>>,
}

/// A segment of a group.
pub struct Member {
    pub rows: Vec<usize>,
    /// Index of its own part.
    pub own: usize,
}

/// Segments that share a part.
pub struct Group {
    /// The first place that any of its rows sees, a multiple of [`BLOCK`].
    pub base: usize,
    /// Where the own parts begin.
    pub own_first: usize,
    /// Index of the part before, if there is one.
    pub shared: Option<usize>,
    pub members: Vec<Member>,
}

/// Lines of a segment that are few enough for their jobs to gather its part for themselves: it then stays in their caches.
const FEW_LINES: usize = 32;
/// Places gathered at a time, at most, if more than one group is there.
const MAX_PLACES: usize = 1 << 15;

impl Attention {
    /// What keys and values are brought into.
    pub fn kind(&self) -> Kind {
        let is_tiled = self.isa.bf16 == Bf16::Amx && self.shape.dtype != Dtype::F16;
        match is_tiled && self.shape.head_dim.is_multiple_of(BLOCK) {
            true => Kind::Tiles,
            false if self.shape.dtype == Dtype::Bf16 => Kind::Pairs,
            false => Kind::Single,
        }
    }

    /// `softmax(q k^T / sqrt(head_dim)) v` for each head (<https://arxiv.org/abs/1706.03762>), with grouped queries, scores in
    /// single precision, rounded at the end, and of bfloat16 models exponentials too; `to` gets `[rows, heads * head_dim]`.
    pub fn attend(
        &self,
        asking: Vec<Asking<'_>>,
        queries: &Queries<'_>,
        gathered: &mut Gathered,
        to: &mut Rows,
    ) -> Result<(), NoMemory> {
        let mut asking = asking.into_iter().peekable();
        while asking.peek().is_some() {
            let (mut groups, mut parts) = (Vec::new(), Vec::new());
            let mut places = 0;
            while let Some(first) = asking.next_if(|_| places < MAX_PLACES) {
                let mut members = vec![first];
                while let Some(next) = asking.next_if(|next| continues_alike(&members[0], next)) {
                    members.push(next);
                }
                groups.push(self.group(members, queries, &mut parts, &mut places));
            }
            gathered.fill(self.kind(), self.isa.vector, self.shape, &parts, places)?;
            match self.kind() {
                #[cfg(target_arch = "x86_64")]
                Kind::Tiles => tiled::attend(self, &groups, &parts, gathered, queries, to),
                #[cfg(not(target_arch = "x86_64"))]
                Kind::Tiles => unreachable!("tiles are found on x86-64 only"),
                Kind::Single | Kind::Pairs => wide::attend(self, &groups, &parts, gathered, queries, to),
            }
        }
        Ok(())
    }

    fn group<'a>(
        &self,
        members: Vec<Asking<'a>>,
        queries: &Queries<'_>,
        parts: &mut Vec<Part<'a>>,
        places: &mut usize,
    ) -> Group {
        let rows = members.iter().flat_map(|member| &member.rows);
        let seen = rows.map(|&row| self.first_seen(queries.places[row])).min().unwrap_or(0);
        let base = seen / BLOCK * BLOCK;
        let common = match members.as_slice() {
            // Nobody to share with: one part is simpler than two.
            [_] => 0,
            _ => common_places(&members),
        };
        let own_first = (common / BLOCK * BLOCK).max(base);
        let mut part = |range: Range<usize>, chain: &[Seen<'a>], own: Option<Seen<'a>>, is_shared: bool| {
            let overlaps =
                |seen: &&Seen<'_>| seen.start < range.end && seen.start + seen.length > range.start;
            let sources = chain.iter().chain(&own).filter(overlaps).copied().collect();
            let length = range.len().next_multiple_of(BLOCK);
            parts.push(Part {
                first: range.start,
                places: length,
                at: is_shared.then_some(*places),
                sources,
            });
            *places += if is_shared { length } else { 0 };
            parts.len() - 1
        };
        let shared = (own_first > base).then(|| part(base..own_first, &members[0].chain, None, true));
        let heads = queries.heads / self.shape.kv_heads;
        let members = members
            .into_iter()
            .map(|member| {
                let end = member.own.start + member.own.length;
                // Few lines fall into one job or two.
                let is_shared = member.rows.len() * heads > FEW_LINES;
                let own = part(own_first..end, &member.chain, Some(member.own), is_shared);
                Member { own, rows: member.rows }
            })
            .collect();
        Group { base, own_first, shared, members }
    }

    /// The first place that a row sees.
    pub fn first_seen(&self, place: usize) -> usize {
        self.window.map_or(0, |window| (place + 1).saturating_sub(window))
    }
}

fn is_same(a: &Seen<'_>, b: &Seen<'_>) -> bool {
    std::ptr::eq(a.rows, b.rows)
}

/// Whether two segments begin with the same kept segment.
fn continues_alike(a: &Asking<'_>, b: &Asking<'_>) -> bool {
    matches!((a.chain.first(), b.chain.first()), (Some(a), Some(b)) if is_same(a, b))
}

/// Places that the chains of all members have in common.
fn common_places(members: &[Asking<'_>]) -> usize {
    let chain = &members[0].chain;
    let alike =
        |other: &Asking<'_>| chain.iter().zip(&other.chain).take_while(|(a, b)| is_same(a, b)).count();
    let links = members.iter().map(alike).min().unwrap_or(0);
    chain[..links].last().map_or(0, |last| last.start + last.length)
}

/// Lines of a job, a row and a head of its group of queries each, that belong to one member.
pub struct Piece {
    /// Index of the member's part.
    pub own: usize,
    pub lines: Range<usize>,
    /// Place behind the last that any of them sees.
    pub end: usize,
}

/// Lines of a group that are computed together for one head of keys.
pub struct Lines {
    /// Row of the pass, and head among those that share keys, of each line.
    pub of: Vec<(usize, usize)>,
    pub pieces: Vec<Piece>,
}

impl Group {
    /// Its lines, at most `most` at a time, with `heads` heads of queries a head of keys.
    pub fn lines(&self, most: usize, heads: usize, places: &[usize]) -> Vec<Lines> {
        let mut all = Vec::new();
        let mut lines = Lines { of: Vec::with_capacity(most), pieces: Vec::new() };
        for member in &self.members {
            for &row in &member.rows {
                for head in 0..heads {
                    if lines.of.len() == most {
                        all.push(std::mem::replace(
                            &mut lines,
                            Lines { of: Vec::with_capacity(most), pieces: Vec::new() },
                        ));
                    }
                    let line = lines.of.len();
                    lines.of.push((row, head));
                    let end = places[row] + 1;
                    match lines.pieces.last_mut().filter(|piece| piece.own == member.own) {
                        Some(piece) => (piece.lines.end, piece.end) = (line + 1, piece.end.max(end)),
                        None => lines.pieces.push(Piece { own: member.own, lines: line..line + 1, end }),
                    }
                }
            }
        }
        if !lines.of.is_empty() {
            all.push(lines);
        }
        all
    }
}

impl Lines {
    /// Place behind the last that any line sees.
    pub fn end(&self) -> usize {
        self.pieces.iter().map(|piece| piece.end).max().unwrap_or(0)
    }
}

/// Calls `job` for all lines of all groups and each head of keys, on all threads: those of a head one after another, so that its
/// keys and values stay in the caches, the longest first.
pub fn for_each_job(
    groups: &[Group],
    most: impl Fn(&Group) -> usize,
    heads: (usize, usize),
    places: &[usize],
    job: impl Fn(&Group, &Lines, usize) + Sync,
) {
    let (query_heads, kv_heads) = heads;
    let lines: Vec<Vec<Lines>> =
        groups.iter().map(|group| group.lines(most(group), query_heads / kv_heads, places)).collect();
    // Heads of a place lie side by side: where there is enough else to do at once, a job reads them all.
    let is_enough = groups.len() >= 4 * rayon::current_num_threads();
    let at_once = |lines: &[Lines]| match lines {
        [lines] if is_enough && lines.of.len() <= FEW_LINES => kv_heads,
        _ => 1,
    };
    let jobs: Vec<(&Group, &Lines, Range<usize>)> = groups
        .iter()
        .zip(&lines)
        .flat_map(|(group, lines)| {
            let at_once = at_once(lines);
            let heads = (0..kv_heads).step_by(at_once).map(move |head| head..head + at_once);
            heads.flat_map(move |heads| lines.iter().rev().map(move |lines| (group, lines, heads.clone())))
        })
        .collect();
    team::for_each(jobs.len(), |number| {
        let (group, lines, heads) = &jobs[number];
        heads.clone().for_each(|head| job(group, lines, head));
    });
}
