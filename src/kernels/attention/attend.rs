//! Attention of the rows of a pass: which path computes it, and over which ranges.

use std::ops::Range;

#[cfg(target_arch = "x86_64")]
use super::amx;
use super::groups::{
    Attention, FEW_QUERIES, Group, GroupMember, KV_BLOCK, KvLayout, KvRange, KvSpan, Queries, SegmentQueries,
};
use super::kv_layout::PackedKv;
use super::simd;
use crate::kernels::dtype::Dtype;
use crate::kernels::gemm::activations::GemmInput;
use crate::kernels::memory::NoMemory;

/// Once this many positions are to be packed, no further group is added.
const MAX_POSITIONS: usize = 1 << 15;

impl Attention {
    /// The layout in which keys and values are packed.
    fn layout(&self) -> KvLayout {
        let is_tiled = self.isa.has_tiles() && self.shape.dtype != Dtype::F16;
        match self.shape.dtype {
            _ if is_tiled && self.shape.head_dim.is_multiple_of(KV_BLOCK) => KvLayout::Tiles,
            Dtype::Bf16 => KvLayout::Bf16Pairs,
            Dtype::F32 | Dtype::F16 => KvLayout::F32,
        }
    }

    /// `softmax(q k^T / sqrt(head_dim)) v` for each head (<https://arxiv.org/abs/1706.03762>), with grouped
    /// queries. Scores are in single precision. The result is rounded, and in bfloat16 models the
    /// exponentials too. `to` gets `[rows][heads * head_dim]`.
    ///
    /// # Errors
    /// If memory for the packed keys and values cannot be allocated.
    pub fn attend(
        &self,
        segments: Vec<SegmentQueries<'_>>,
        queries: &Queries<'_>,
        packed: &mut PackedKv,
        to: &mut GemmInput,
    ) -> Result<(), NoMemory> {
        let layout = self.layout();
        let mut segments = segments.into_iter().peekable();
        while segments.peek().is_some() {
            let (mut groups, mut ranges) = (Vec::new(), Vec::new());
            let mut positions = 0;
            while let Some(first) = segments.next_if(|_| positions < MAX_POSITIONS) {
                let mut members = vec![first];
                while let Some(next) = segments.next_if(|next| share_first_segment(&members[0], next)) {
                    members.push(next);
                }
                groups.push(self.group(members, queries, &mut ranges, &mut positions));
            }
            packed.fill(layout, self.isa.vector, self.shape, &ranges, positions)?;
            match layout {
                #[cfg(target_arch = "x86_64")]
                KvLayout::Tiles => amx::attend(self, &groups, &ranges, packed, queries, to),
                _ => simd::attend(self, layout, &groups, &ranges, packed, queries, to),
            }
        }
        Ok(())
    }

    /// Makes a group of segments. Its ranges go to `ranges`; `positions` counts the positions packed for all
    /// jobs.
    fn group<'a>(
        &self,
        members: Vec<SegmentQueries<'a>>,
        queries: &Queries<'_>,
        ranges: &mut Vec<KvRange<'a>>,
        positions: &mut usize,
    ) -> Group {
        let rows = members.iter().flat_map(|member| &member.rows);
        let first = rows.map(|&row| self.first_position(queries.positions[row])).min().unwrap_or(0);
        let base = first / KV_BLOCK * KV_BLOCK;
        let common = match members.as_slice() {
            // Nothing to share: one range is simpler than two.
            [_] => 0,
            _ => common_positions(&members),
        };
        let own_first = (common / KV_BLOCK * KV_BLOCK).max(base);
        let mut add =
            |range: Range<usize>, chain: &[KvSpan<'a>], own: Option<KvSpan<'a>>, is_shared: bool| {
                let overlaps =
                    |span: &&KvSpan<'_>| span.start < range.end && span.start + span.length > range.start;
                let spans = chain.iter().chain(&own).filter(overlaps).copied().collect();
                let length = range.len().next_multiple_of(KV_BLOCK);
                let offset = is_shared.then_some(*positions);
                ranges.push(KvRange { first: range.start, length, offset, spans });
                *positions += if is_shared { length } else { 0 };
                ranges.len() - 1
            };
        let shared = (own_first > base).then(|| add(base..own_first, &members[0].chain, None, true));
        let heads = queries.heads / self.shape.kv_heads;
        let members = members
            .into_iter()
            .map(|member| {
                let end = member.own.start + member.own.length;
                // Few queries make one job or two, which pack the range themselves.
                let is_shared = member.rows.len() * heads > FEW_QUERIES;
                let own = add(own_first..end, &member.chain, Some(member.own), is_shared);
                GroupMember { own, rows: member.rows }
            })
            .collect();
        Group { base, own_first, shared, members }
    }
}

fn is_same(a: &KvSpan<'_>, b: &KvSpan<'_>) -> bool {
    std::ptr::eq(a.rows, b.rows)
}

/// Whether the chains of two segments begin with the same cached segment.
fn share_first_segment(a: &SegmentQueries<'_>, b: &SegmentQueries<'_>) -> bool {
    matches!((a.chain.first(), b.chain.first()), (Some(a), Some(b)) if is_same(a, b))
}

/// Positions that the chains of all members have in common.
fn common_positions(members: &[SegmentQueries<'_>]) -> usize {
    let chain = &members[0].chain;
    let alike = |other: &SegmentQueries<'_>| {
        chain.iter().zip(&other.chain).take_while(|(a, b)| is_same(a, b)).count()
    };
    let spans = members.iter().map(alike).min().unwrap_or(0);
    chain[..spans].last().map_or(0, |last| last.start + last.length)
}
