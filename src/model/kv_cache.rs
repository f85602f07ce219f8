//! Keys and values of computed tokens, cached by segment.
//!
//! A segment is a run of tokens that continues a chain of other segments, its prefix. Segments form a tree,
//! and each holds only its own keys and values. A segment that no other one continues can grow in place:
//! computing more tokens under its id appends them. A full buffer grows by more than one row, so that a
//! decode step usually copies one row; growing in place keeps the chain short.

use std::collections::HashMap;

use super::plain::kv_tensors::KvTensors;
use crate::kernels::attention::kv_rows::{KvRows, KvShape};
use crate::kernels::dtype::Dtype;

/// Id of a segment; the caller chooses the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SegmentId(pub usize);

/// A segment that doesn't fit the tree. These are bugs in the plan of passes, never input errors.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
pub enum SegmentError {
    /// Segment `link` of the prefix was never computed, or was released.
    #[error("segment {} continues segment {}, whose keys and values are not kept", id.0, link.0)]
    #[diagnostic(code(assay::engine), help("this is a fault in assay's plan of passes; please report it"))]
    Unknown { id: SegmentId, link: SegmentId },
    /// The prefix isn't a chain from a root: `link` doesn't continue the segments before it.
    #[error("segment {} names a prefix in which segment {} does not continue those before it", id.0, link.0)]
    #[diagnostic(code(assay::engine), help("this is a fault in assay's plan of passes; please report it"))]
    Broken { id: SegmentId, link: SegmentId },
    /// The id is cached with another prefix.
    #[error("segment {} is kept with another prefix", id.0)]
    #[diagnostic(code(assay::engine), help("this is a fault in assay's plan of passes; please report it"))]
    OtherPrefix { id: SegmentId },
    /// A segment that others continue can't grow or be truncated: their positions would be wrong.
    #[error("segment {} cannot grow or be cut, other segments continue it", id.0)]
    #[diagnostic(code(assay::engine), help("this is a fault in assay's plan of passes; please report it"))]
    Continued { id: SegmentId },
    /// An id occurs twice in a pass.
    #[error("segment {} occurs twice in a pass", id.0)]
    #[diagnostic(code(assay::engine), help("this is a fault in assay's plan of passes; please report it"))]
    Repeated { id: SegmentId },
}

/// Dimensions and dtype of a model's cached keys and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KvCacheShape {
    pub layers: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    pub dtype: Dtype,
}

impl KvCacheShape {
    fn of_layer(self) -> KvShape {
        KvShape { kv_heads: self.kv_heads, head_dim: self.head_dim, dtype: self.dtype }
    }
}

/// Keys and values of a model's segments. Made by [`Model::kv_cache`](super::Model::kv_cache).
pub struct KvCache {
    shape: KvCacheShape,
    segments: HashMap<SegmentId, SegmentEntry>,
    next_serial: u64,
}

struct SegmentEntry {
    /// Distinguishes a segment from an earlier one with the same id.
    serial: u64,
    prefix: Vec<(SegmentId, u64)>,
    /// Tokens of passes that succeeded.
    length: usize,
    /// Tokens of the current pass.
    pending: usize,
    /// Number of cached segments whose prefix contains this one.
    followers: usize,
    /// Used by the plain path.
    tensors: KvTensors,
    /// Used by the CPU path, one element per layer.
    rows: Vec<KvRows>,
}

/// Keys of one segment of the chain that a segment of the current pass attends to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    pub id: SegmentId,
    /// Position of the first key.
    pub start: usize,
    pub length: usize,
}

/// A segment that was opened for the current pass.
pub struct Opened {
    /// Position of its first token of this pass.
    pub start: usize,
    /// Its prefix, root first; last its own cached tokens if it grows.
    pub links: Vec<Link>,
}

impl KvCache {
    pub fn new(shape: KvCacheShape) -> Self {
        Self { shape, segments: HashMap::new(), next_serial: 0 }
    }

    /// Removes a segment. Segments that continue it can no longer grow.
    pub fn release(&mut self, id: SegmentId) {
        let Some(entry) = self.segments.remove(&id) else { return };
        for (link, serial) in entry.prefix {
            if let Some(link) = self.segments.get_mut(&link).filter(|link| link.serial == serial) {
                link.followers -= 1;
            }
        }
    }

    /// Drops a segment's tokens from `length` on, if it has more than `length`. It can grow again from there.
    ///
    /// # Errors
    /// [`SegmentError::Continued`].
    pub fn truncate(&mut self, id: SegmentId, length: usize) -> Result<(), SegmentError> {
        let shape = self.shape.of_layer();
        let Some(entry) = self.segments.get_mut(&id).filter(|entry| length < entry.length) else {
            return Ok(());
        };
        if entry.followers > 0 {
            return Err(SegmentError::Continued { id });
        }
        // The plain path's buffers still hold the dropped rows; the next rows overwrite them.
        entry.length = length;
        entry.rows.iter_mut().for_each(|rows| rows.truncate(shape, length));
        Ok(())
    }

    /// Removes all segments.
    pub fn clear(&mut self) {
        self.segments.clear();
    }

    /// Number of tokens cached for a segment, without its prefix; `None` if it isn't cached.
    pub fn length(&self, id: SegmentId) -> Option<usize> {
        self.segments.get(&id).map(|entry| entry.length)
    }

    /// Number of tokens cached for all segments.
    pub fn tokens(&self) -> usize {
        self.segments.values().map(|entry| entry.length).sum()
    }

    /// Bytes allocated, including the spare capacity of growing segments.
    pub fn bytes(&self) -> usize {
        let numbers: usize = self.segments.values().map(|entry| entry.tensors.numbers()).sum();
        let rows: usize = self.segments.values().flat_map(|entry| &entry.rows).map(KvRows::bytes).sum();
        numbers * self.shape.dtype.size() + rows
    }

    pub fn shape(&self) -> KvCacheShape {
        self.shape
    }

    /// Registers `count` more tokens of segment `id`, new or growing, as pending until
    /// [`commit`](Self::commit) or [`roll_back`](Self::roll_back).
    pub fn open(
        &mut self,
        id: SegmentId,
        prefix: &[SegmentId],
        count: usize,
    ) -> Result<Opened, SegmentError> {
        let mut links = Vec::with_capacity(prefix.len() + 1);
        let mut chain: Vec<(SegmentId, u64)> = Vec::with_capacity(prefix.len());
        let mut start = 0;
        for &link in prefix {
            let Some(entry) = self.segments.get(&link) else {
                return Err(SegmentError::Unknown { id, link });
            };
            if entry.prefix != chain {
                return Err(SegmentError::Broken { id, link });
            }
            let length = entry.length + entry.pending;
            links.push(Link { id: link, start, length });
            chain.push((link, entry.serial));
            start += length;
        }
        if let Some(entry) = self.segments.get_mut(&id) {
            if entry.pending > 0 {
                return Err(SegmentError::Repeated { id });
            }
            if entry.prefix != chain {
                return Err(SegmentError::OtherPrefix { id });
            }
            if entry.followers > 0 {
                return Err(SegmentError::Continued { id });
            }
            entry.pending = count;
            links.push(Link { id, start, length: entry.length });
            return Ok(Opened { start: start + entry.length, links });
        }
        for (link, _) in &chain {
            if let Some(link) = self.segments.get_mut(link) {
                link.followers += 1;
            }
        }
        let entry = SegmentEntry {
            serial: self.next_serial,
            prefix: chain,
            length: 0,
            pending: count,
            followers: 0,
            tensors: KvTensors::default(),
            rows: Vec::new(),
        };
        self.next_serial += 1;
        self.segments.insert(id, entry);
        Ok(Opened { start, links })
    }

    /// Commits the pending tokens of a pass that succeeded.
    pub fn commit(&mut self, ids: impl Iterator<Item = SegmentId>) {
        for id in ids {
            if let Some(entry) = self.segments.get_mut(&id) {
                entry.length += std::mem::take(&mut entry.pending);
            }
        }
    }

    /// Restores the segments to their state before a pass that failed. `ids` are in the order of opening.
    pub fn roll_back(&mut self, ids: impl DoubleEndedIterator<Item = SegmentId>) {
        for id in ids.rev() {
            if let Some(entry) = self.segments.get_mut(&id) {
                entry.pending = 0;
                for rows in &mut entry.rows {
                    rows.truncate(self.shape.of_layer(), entry.length);
                }
                if entry.length == 0 {
                    self.release(id);
                }
            }
        }
    }

    /// The plain path's keys and values of a segment, and how many tokens of earlier passes they hold.
    pub fn tensors_mut(&mut self, id: SegmentId) -> Option<(&mut KvTensors, usize)> {
        self.segments.get_mut(&id).map(|entry| (&mut entry.tensors, entry.length))
    }

    /// The plain path's keys and values of a segment.
    pub fn tensors(&self, id: SegmentId) -> Option<&KvTensors> {
        self.segments.get(&id).map(|entry| &entry.tensors)
    }

    /// Takes out the keys and values of a segment in one layer, to be returned by
    /// [`put_rows`](Self::put_rows), and gives the number of tokens of earlier passes that they hold.
    pub fn take_rows(&mut self, id: SegmentId, layer: usize) -> (KvRows, usize) {
        let Some(entry) = self.segments.get_mut(&id) else { return Default::default() };
        if entry.rows.len() <= layer {
            entry.rows.resize_with(layer + 1, KvRows::default);
        }
        (std::mem::take(&mut entry.rows[layer]), entry.length)
    }

    /// Returns what [`take_rows`](Self::take_rows) took out.
    pub fn put_rows(&mut self, id: SegmentId, layer: usize, rows: KvRows) {
        if let Some(slot) = self.segments.get_mut(&id).and_then(|entry| entry.rows.get_mut(layer)) {
            *slot = rows;
        }
    }

    /// Keys and values of a segment in one layer.
    pub fn rows(&self, id: SegmentId, layer: usize) -> Option<&KvRows> {
        self.segments.get(&id)?.rows.get(layer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache() -> KvCache {
        KvCache::new(KvCacheShape { layers: 1, kv_heads: 1, head_dim: 2, dtype: Dtype::F32 })
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
