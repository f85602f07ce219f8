//! Keys and values of computed tokens, kept by segment.
//!
//! A segment is a run of tokens that continues a chain of other segments, its prefix; segments form a tree, and each
//! keeps its own keys and values only. A segment that nothing continues can grow in place: computing more tokens under
//! its id appends them. Buffers grow by more than a row when they are full, so that a decode step
//! copies one row and a chain stays as short as it was.

use std::collections::HashMap;

use candle_core::{Result, Tensor};

use super::config::Dtype;
use super::cpu::{KeptRows, KeptShape};

/// Names a segment; the caller chooses the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SegmentId(pub usize);

/// A segment that doesn't fit the tree. These are faults of the plan, not of any input.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
pub enum SegmentError {
    /// A link of the prefix was never computed, or released.
    #[error("segment {} continues segment {}, whose keys and values are not kept", id.0, link.0)]
    #[diagnostic(code(assay::engine), help("this is a fault in assay's plan of passes; please report it"))]
    Unknown {
        /// The segment.
        id: SegmentId,
        /// The link.
        link: SegmentId,
    },
    /// The prefix isn't a chain from a root.
    #[error("segment {} names a prefix in which segment {} does not continue those before it", id.0, link.0)]
    #[diagnostic(code(assay::engine), help("this is a fault in assay's plan of passes; please report it"))]
    Broken {
        /// The segment.
        id: SegmentId,
        /// The link.
        link: SegmentId,
    },
    /// The id is kept with another prefix.
    #[error("segment {} is kept with another prefix", id.0)]
    #[diagnostic(code(assay::engine), help("this is a fault in assay's plan of passes; please report it"))]
    OtherPrefix {
        /// The segment.
        id: SegmentId,
    },
    /// Positions of those that continue it would be wrong.
    #[error("segment {} cannot grow or be cut, other segments continue it", id.0)]
    #[diagnostic(code(assay::engine), help("this is a fault in assay's plan of passes; please report it"))]
    Continued {
        /// The segment.
        id: SegmentId,
    },
    /// An id occurs twice in a pass.
    #[error("segment {} occurs twice in a pass", id.0)]
    #[diagnostic(code(assay::engine), help("this is a fault in assay's plan of passes; please report it"))]
    Repeated {
        /// The segment.
        id: SegmentId,
    },
}

/// What keys and values of a model look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KvShape {
    pub layers: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    pub dtype: Dtype,
}

impl KvShape {
    fn kept(self) -> KeptShape {
        KeptShape { kv_heads: self.kv_heads, head_dim: self.head_dim, dtype: self.dtype }
    }
}

/// Keys and values of a model's segments. Made by [`Model::kv_cache`](super::Model::kv_cache).
pub struct KvCache {
    shape: KvShape,
    segments: HashMap<SegmentId, Stored>,
    next_serial: u64,
}

struct Stored {
    /// Tells a segment from an earlier one of the same id.
    serial: u64,
    prefix: Vec<(SegmentId, u64)>,
    /// Tokens of passes that succeeded.
    length: usize,
    /// Tokens of the pass under way.
    pending: usize,
    /// Segments kept whose prefix names this one.
    followers: usize,
    /// Of the plain path: for each layer keys and values, each `[kv_heads, capacity, head_dim]`.
    layers: Vec<(Tensor, Tensor)>,
    /// Of the CPU path: for each layer.
    rows: Vec<KeptRows>,
}

/// Kept keys that a segment of the pass under way attends to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Link {
    pub id: SegmentId,
    /// Position of the first key.
    pub start: usize,
    pub length: usize,
}

/// Where a segment of the pass under way stands.
pub(super) struct Opened {
    /// Position of its first token of this pass.
    pub start: usize,
    /// Its prefix, and what it kept itself if it grows; root first.
    pub links: Vec<Link>,
}

impl KvCache {
    pub(super) fn new(shape: KvShape) -> Self {
        Self { shape, segments: HashMap::new(), next_serial: 0 }
    }

    /// Forgets a segment. Segments that continue it can't be computed further.
    pub fn release(&mut self, id: SegmentId) {
        let Some(stored) = self.segments.remove(&id) else { return };
        for (link, serial) in stored.prefix {
            if let Some(link) = self.segments.get_mut(&link).filter(|link| link.serial == serial) {
                link.followers -= 1;
            }
        }
    }

    /// Forgets a segment's tokens from `length` on, if it has as many. It grows on from there.
    ///
    /// # Errors
    /// [`SegmentError::Continued`].
    pub fn truncate(&mut self, id: SegmentId, length: usize) -> std::result::Result<(), SegmentError> {
        let kept = self.shape.kept();
        let Some(stored) = self.segments.get_mut(&id).filter(|stored| length < stored.length) else {
            return Ok(());
        };
        if stored.followers > 0 {
            return Err(SegmentError::Continued { id });
        }
        // What lies behind it in the plain path's buffers is overwritten.
        stored.length = length;
        stored.rows.iter_mut().for_each(|rows| rows.truncate(kept, length));
        Ok(())
    }

    /// Forgets all segments.
    pub fn clear(&mut self) {
        self.segments.clear();
    }

    /// Tokens kept for a segment, without its prefix; `None` if it isn't kept.
    pub fn length(&self, id: SegmentId) -> Option<usize> {
        self.segments.get(&id).map(|stored| stored.length)
    }

    /// Tokens kept in all.
    pub fn tokens(&self) -> usize {
        self.segments.values().map(|stored| stored.length).sum()
    }

    /// Bytes held, with the room that growing segments have ahead of them.
    pub fn bytes(&self) -> usize {
        let numbers: usize = self
            .segments
            .values()
            .flat_map(|stored| &stored.layers)
            .map(|(keys, values)| keys.elem_count() + values.elem_count())
            .sum();
        let rows: usize = self.segments.values().flat_map(|stored| &stored.rows).map(KeptRows::bytes).sum();
        numbers * self.shape.dtype.size() + rows
    }

    pub(super) fn shape(&self) -> KvShape {
        self.shape
    }

    /// Makes room for `count` more tokens of segment `id`, new or grown, until [`commit`](Self::commit) or
    /// [`roll_back`](Self::roll_back).
    pub(super) fn open(
        &mut self,
        id: SegmentId,
        prefix: &[SegmentId],
        count: usize,
    ) -> std::result::Result<Opened, SegmentError> {
        let mut links = Vec::with_capacity(prefix.len() + 1);
        let mut chain: Vec<(SegmentId, u64)> = Vec::with_capacity(prefix.len());
        let mut start = 0;
        for &link in prefix {
            let Some(stored) = self.segments.get(&link) else {
                return Err(SegmentError::Unknown { id, link });
            };
            if stored.prefix != chain {
                return Err(SegmentError::Broken { id, link });
            }
            let length = stored.length + stored.pending;
            links.push(Link { id: link, start, length });
            chain.push((link, stored.serial));
            start += length;
        }
        if let Some(stored) = self.segments.get_mut(&id) {
            if stored.pending > 0 {
                return Err(SegmentError::Repeated { id });
            }
            if stored.prefix != chain {
                return Err(SegmentError::OtherPrefix { id });
            }
            if stored.followers > 0 {
                return Err(SegmentError::Continued { id });
            }
            stored.pending = count;
            links.push(Link { id, start, length: stored.length });
            return Ok(Opened { start: start + stored.length, links });
        }
        for (link, _) in &chain {
            if let Some(link) = self.segments.get_mut(link) {
                link.followers += 1;
            }
        }
        let stored = Stored {
            serial: self.next_serial,
            prefix: chain,
            length: 0,
            pending: count,
            followers: 0,
            layers: Vec::new(),
            rows: Vec::new(),
        };
        self.next_serial += 1;
        self.segments.insert(id, stored);
        Ok(Opened { start, links })
    }

    /// The pass succeeded: its tokens are kept.
    pub(super) fn commit(&mut self, ids: impl Iterator<Item = SegmentId>) {
        for id in ids {
            if let Some(stored) = self.segments.get_mut(&id) {
                stored.length += std::mem::take(&mut stored.pending);
            }
        }
    }

    /// The pass failed: segments are as they were before it. Ids in the order in which they were opened.
    pub(super) fn roll_back(&mut self, ids: impl DoubleEndedIterator<Item = SegmentId>) {
        for id in ids.rev() {
            if let Some(stored) = self.segments.get_mut(&id) {
                stored.pending = 0;
                for rows in &mut stored.rows {
                    rows.truncate(self.shape.kept(), stored.length);
                }
                if stored.length == 0 {
                    self.release(id);
                }
            }
        }
    }

    /// Keeps keys and values, `[kv_heads, rows, head_dim]`, of the pending tokens of a segment in one layer. Layers are
    /// written in order.
    pub(super) fn write(
        &mut self,
        id: SegmentId,
        layer: usize,
        keys: &Tensor,
        values: &Tensor,
    ) -> Result<()> {
        let Some(stored) = self.segments.get_mut(&id) else {
            candle_core::bail!("keys and values of segment {} are written before it is opened", id.0)
        };
        match stored.layers.get_mut(layer) {
            None => stored.layers.push((keys.contiguous()?, values.contiguous()?)),
            Some((old_keys, old_values)) => {
                append(old_keys, stored.length, keys)?;
                append(old_values, stored.length, values)?;
            }
        }
        Ok(())
    }

    /// Keys and values of tokens `first..first + count` of a segment in one layer, each `[kv_heads, count, head_dim]`.
    pub(super) fn read(
        &self,
        id: SegmentId,
        layer: usize,
        first: usize,
        count: usize,
    ) -> Result<(Tensor, Tensor)> {
        match self.segments.get(&id).and_then(|stored| stored.layers.get(layer)) {
            Some((keys, values)) => Ok((keys.narrow(1, first, count)?, values.narrow(1, first, count)?)),
            None => candle_core::bail!("layer {layer} of segment {} is read before it is written", id.0),
        }
    }

    /// Takes keys and values of a segment in one layer out, to be given back by [`put_rows`](Self::put_rows), and how many
    /// tokens of earlier passes they hold.
    pub(super) fn take_rows(&mut self, id: SegmentId, layer: usize) -> (KeptRows, usize) {
        let Some(stored) = self.segments.get_mut(&id) else { return Default::default() };
        if stored.rows.len() <= layer {
            stored.rows.resize_with(layer + 1, KeptRows::default);
        }
        (std::mem::take(&mut stored.rows[layer]), stored.length)
    }

    /// Gives back what was taken.
    pub(super) fn put_rows(&mut self, id: SegmentId, layer: usize, rows: KeptRows) {
        if let Some(place) = self.segments.get_mut(&id).and_then(|stored| stored.rows.get_mut(layer)) {
            *place = rows;
        }
    }

    /// Keys and values of a segment in one layer.
    pub(super) fn rows(&self, id: SegmentId, layer: usize) -> Option<&KeptRows> {
        self.segments.get(&id)?.rows.get(layer)
    }
}

/// Writes `rows` behind the first `length` rows of `buffer`, in a buffer of twice the size where they don't fit.
fn append(buffer: &mut Tensor, length: usize, rows: &Tensor) -> Result<()> {
    let (heads, capacity, width) = buffer.dims3()?;
    let needed = length + rows.dim(1)?;
    if needed > capacity {
        let larger =
            Tensor::zeros((heads, needed.max(2 * capacity), width), buffer.dtype(), buffer.device())?;
        larger.slice_set(&buffer.narrow(1, 0, length)?.contiguous()?, 1, 0)?;
        *buffer = larger;
    }
    buffer.slice_set(&rows.contiguous()?, 1, length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache() -> KvCache {
        KvCache::new(KvShape { layers: 1, kv_heads: 1, head_dim: 2, dtype: Dtype::F32 })
    }

    #[test]
    fn a_segment_that_is_continued_does_not_grow() {
        let mut kv = cache();
        let (root, leaf) = (SegmentId(0), SegmentId(1));
        kv.open(root, &[], 3).unwrap();
        kv.commit([root].into_iter());
        assert_eq!(kv.open(leaf, &[root], 2).unwrap().start, 3);
        kv.commit([leaf].into_iter());
        assert_eq!(kv.open(root, &[], 1).err(), Some(SegmentError::Continued { id: root }));
        kv.release(leaf);
        assert_eq!(kv.open(root, &[], 1).unwrap().start, 3);
    }

    #[test]
    fn a_segment_is_cut_and_grows_on() {
        let mut kv = cache();
        let (root, leaf) = (SegmentId(0), SegmentId(1));
        kv.open(root, &[], 3).unwrap();
        kv.open(leaf, &[root], 5).unwrap();
        kv.commit([root, leaf].into_iter());
        assert_eq!(kv.truncate(root, 2), Err(SegmentError::Continued { id: root }));
        kv.truncate(leaf, 2).unwrap();
        kv.truncate(leaf, 4).unwrap();
        assert_eq!((kv.length(leaf), kv.tokens()), (Some(2), 5));
        assert_eq!(kv.open(leaf, &[root], 1).unwrap().start, 5);
    }

    #[test]
    fn a_reused_id_is_another_segment() {
        let mut kv = cache();
        let (root, leaf) = (SegmentId(0), SegmentId(1));
        kv.open(root, &[], 3).unwrap();
        kv.open(leaf, &[root], 2).unwrap();
        kv.commit([root, leaf].into_iter());
        kv.release(root);
        kv.open(root, &[], 5).unwrap();
        assert_eq!(kv.open(leaf, &[root], 1).err(), Some(SegmentError::OtherPrefix { id: leaf }));
    }

    #[test]
    fn a_failed_pass_leaves_nothing() {
        let mut kv = cache();
        let (root, leaf) = (SegmentId(0), SegmentId(1));
        kv.open(root, &[], 3).unwrap();
        kv.commit([root].into_iter());
        kv.open(root, &[], 2).unwrap();
        kv.open(leaf, &[root], 2).unwrap();
        assert_eq!(kv.open(leaf, &[root], 2).err(), Some(SegmentError::Repeated { id: leaf }));
        kv.roll_back([root, leaf].into_iter());
        assert_eq!((kv.length(root), kv.length(leaf)), (Some(3), None));
        assert_eq!(kv.open(root, &[], 1).unwrap().start, 3);
    }
}
