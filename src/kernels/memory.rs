//! Memory for kernels: aligned to cache lines, and written by several jobs at once, each its own part.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::cell::RefCell;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut, Range};
use std::ptr::NonNull;
use std::sync::Arc;

/// Bytes of a cache line, and of the widest vector.
const LINE: usize = 64;

/// Numbers for which every bit pattern is valid.
///
/// # Safety
/// Any bytes, all-zero ones included, must be a valid value of the type.
pub unsafe trait Number: Copy + Send + Sync + 'static {}

// SAFETY: integers and floating-point numbers have no invalid values.
unsafe impl Number for u8 {}
// SAFETY: as above.
unsafe impl Number for u16 {}
// SAFETY: as above.
unsafe impl Number for f32 {}

/// An allocation of `bytes` bytes failed.
#[derive(Debug)]
pub struct NoMemory {
    pub bytes: usize,
}

/// A run of numbers that begins at a cache line.
pub struct Aligned<T: Number> {
    /// Owns the memory; `None` for an empty run.
    _block: Option<Arc<Block>>,
    start: NonNull<T>,
    length: usize,
}

// SAFETY: it owns its numbers exclusively, as a `Box<[T]>` does; the block's other runs do not overlap.
unsafe impl<T: Number> Send for Aligned<T> {}
// SAFETY: as above.
unsafe impl<T: Number> Sync for Aligned<T> {}

impl<T: Number> Aligned<T> {
    /// `length` zeros. Large runs take up memory only once they are written.
    pub fn zeros(length: usize) -> Result<Self, NoMemory> {
        let bytes = length.checked_mul(size_of::<T>()).ok_or(NoMemory { bytes: usize::MAX })?;
        match length {
            0 => Ok(Self { _block: None, start: NonNull::dangling(), length }),
            _ => Ok(Self::within(Arc::new(Block::zeros(bytes, LINE)?), 0, length)),
        }
    }

    /// Makes it at least `length` numbers long. If it has to grow, its content is lost and all numbers are
    /// zero.
    pub fn grow(&mut self, length: usize) -> Result<(), NoMemory> {
        if self.length < length {
            // The old memory is freed first, so that both never exist at once.
            *self = Self::zeros(0)?;
            *self = Self::zeros(length)?;
        }
        Ok(())
    }

    /// Numbers of a block from byte `at` on. They must lie within the block, start at a cache line, and
    /// belong to no other run.
    fn within(block: Arc<Block>, at: usize, length: usize) -> Self {
        // SAFETY: they lie within the block.
        let start = unsafe { block.start.add(at) }.cast();
        Self { _block: Some(block), start, length }
    }
}

impl<T: Number> Deref for Aligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: `length` initialised numbers lie there as long as the block lives; an empty run dangles, as
        // a slice may.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl<T: Number> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`, and borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }
}

/// One allocation.
struct Block {
    allocated: NonNull<u8>,
    layout: Layout,
    start: NonNull<u8>,
}

// SAFETY: it only frees its memory, once.
unsafe impl Send for Block {}
// SAFETY: as above.
unsafe impl Sync for Block {}

impl Block {
    /// `bytes` zeros, aligned by skipping bytes at the start. For such an alignment the system's allocator
    /// would write the zeros itself, where it otherwise takes pages that are already zero.
    fn zeros(bytes: usize, alignment: usize) -> Result<Self, NoMemory> {
        let no_memory = NoMemory { bytes };
        let layout = bytes.checked_add(alignment).and_then(|all| Layout::from_size_align(all, 16).ok());
        let Some(layout) = layout else { return Err(no_memory) };
        // SAFETY: the layout has a size above zero.
        let Some(allocated) = NonNull::new(unsafe { alloc_zeroed(layout) }) else { return Err(no_memory) };
        let skipped = allocated.as_ptr().align_offset(alignment);
        // SAFETY: `alignment` more bytes were allocated, and fewer are skipped.
        Ok(Self { allocated, layout, start: unsafe { allocated.add(skipped) } })
    }

    /// Requests huge pages. Without them everything works the same, only slower.
    fn prefer_large_pages(&self, bytes: usize) {
        #[cfg(target_os = "linux")]
        // SAFETY: the pages lie within the block; the advice does not change their content.
        unsafe {
            libc::madvise(self.start.as_ptr().cast(), bytes, libc::MADV_HUGEPAGE);
        }
        #[cfg(not(target_os = "linux"))]
        let _ = bytes;
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout, and freed only here.
        unsafe { dealloc(self.allocated.as_ptr(), self.layout) }
    }
}

/// Memory for weights, in huge pages: they are faster to allocate, and address translation is cheaper whenever
/// the weights are read. Small runs are adjacent in one block.
#[derive(Default)]
pub struct WeightArena {
    block: Option<Arc<Block>>,
    /// Bytes of the block in use.
    used: usize,
}

/// Bytes of a huge page.
const LARGE: usize = 2 << 20;
/// Bytes of a block of small runs, and of the largest run that goes into one.
const BLOCK: usize = 32 * LARGE;
const SMALL: usize = BLOCK / 4;

impl WeightArena {
    /// `length` zeros, which take up memory only once they are written.
    pub fn zeros<T: Number>(&mut self, length: usize) -> Result<Aligned<T>, NoMemory> {
        let bytes = length.checked_mul(size_of::<T>()).and_then(|bytes| bytes.checked_next_multiple_of(LINE));
        match bytes {
            None => Err(NoMemory { bytes: usize::MAX }),
            Some(0) => Aligned::zeros(0),
            Some(bytes) if bytes > SMALL => {
                let block = Block::zeros(bytes, LARGE)?;
                // The rest after the last whole page would take one more huge page.
                block.prefer_large_pages(bytes / LARGE * LARGE);
                Ok(Aligned::within(Arc::new(block), 0, length))
            }
            Some(bytes) => {
                let block = match &self.block {
                    Some(block) if bytes <= BLOCK - self.used => block.clone(),
                    _ => {
                        let block = Arc::new(Block::zeros(BLOCK, LARGE)?);
                        block.prefer_large_pages(BLOCK);
                        (self.block, self.used) = (Some(block.clone()), 0);
                        block
                    }
                };
                let at = self.used;
                self.used += bytes;
                Ok(Aligned::within(block, at, length))
            }
        }
    }
}

/// A slice that jobs write concurrently, each its own part.
pub struct Shared<'a, T> {
    start: *mut T,
    length: usize,
    of: PhantomData<&'a mut [T]>,
}

// SAFETY: the items are accessible only through `part`, whose caller promises that parts don't overlap.
unsafe impl<T: Send> Sync for Shared<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for Shared<'_, T> {}

impl<'a, T> Shared<'a, T> {
    pub fn new(slice: &'a mut [T]) -> Self {
        Self { start: slice.as_mut_ptr(), length: slice.len(), of: PhantomData }
    }

    /// Items `from..from + count`.
    ///
    /// # Safety
    /// No overlapping part may exist while the result lives.
    #[allow(clippy::mut_from_ref, reason = "the caller promises that parts don't overlap")]
    #[inline(always)]
    pub unsafe fn part(&self, from: usize, count: usize) -> &mut [T] {
        assert!(from <= self.length && count <= self.length - from, "a part lies within its slice");
        // SAFETY: within the slice, as just checked; not aliased, as the caller promises.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(from), count) }
    }
}

/// A row-major matrix that jobs write block by block.
pub struct Table<'a> {
    numbers: Shared<'a, f32>,
    stride: usize,
}

impl<'a> Table<'a> {
    pub fn new(numbers: &'a mut [f32], stride: usize) -> Self {
        Self { numbers: Shared::new(numbers), stride }
    }

    /// Some columns of some rows.
    ///
    /// # Safety
    /// No overlapping block may exist while the result lives.
    pub unsafe fn block(&self, rows: Range<usize>, columns: Range<usize>) -> BlockMut<'_> {
        assert!(
            columns.end <= self.stride && rows.end * self.stride <= self.numbers.length,
            "a block lies within its table"
        );
        BlockMut { numbers: &self.numbers, stride: self.stride, rows, columns }
    }
}

/// A block of a table: some columns of some rows, owned by one job.
pub struct BlockMut<'a> {
    numbers: &'a Shared<'a, f32>,
    stride: usize,
    rows: Range<usize>,
    columns: Range<usize>,
}

impl BlockMut<'_> {
    /// The block's columns of one of its rows, counted from its first.
    #[inline(always)]
    pub fn row(&mut self, row: usize) -> &mut [f32] {
        assert!(row < self.rows.len(), "a row of the block");
        // SAFETY: no other block overlaps this one, as the caller of `block` promised, and it is borrowed
        // exclusively.
        unsafe {
            self.numbers.part((self.rows.start + row) * self.stride + self.columns.start, self.columns.len())
        }
    }
}

/// Calls `work` with `length` numbers of this thread's scratch memory, aligned to a cache line, with any
/// content.
pub fn with_scratch<R>(length: usize, work: impl FnOnce(&mut [f32]) -> R) -> R {
    thread_local! {
        static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
    }
    let spare = LINE / size_of::<f32>();
    SCRATCH.with_borrow_mut(|scratch| {
        if scratch.len() < length + spare {
            scratch.resize(length + spare, 0.0);
        }
        let skipped = scratch.as_ptr().align_offset(LINE);
        work(&mut scratch[skipped..skipped + length])
    })
}

/// The bytes of numbers as they lie in memory.
pub fn bytes_of<T: Number>(numbers: &[T]) -> &[u8] {
    // SAFETY: numbers have no padding, and bytes need no alignment.
    unsafe { std::slice::from_raw_parts(numbers.as_ptr().cast(), size_of_val(numbers)) }
}

/// Aligned bytes, such as those of packed panels, as single-precision numbers.
pub fn numbers_of(bytes: &[u8]) -> &[f32] {
    // SAFETY: any 32 bits are a number; unaligned bytes are returned separately.
    let (before, numbers, behind) = unsafe { bytes.align_to() };
    assert!(before.is_empty() && behind.is_empty(), "panels are aligned");
    numbers
}

/// The bytes of words as they lie in memory.
pub fn bytes_of_words(words: &[u32]) -> &[u8] {
    // SAFETY: words have no padding, and bytes need no alignment.
    unsafe { std::slice::from_raw_parts(words.as_ptr().cast(), size_of_val(words)) }
}

/// Scratch memory as 16-bit numbers.
pub fn halves(numbers: &mut [f32]) -> &mut [u16] {
    // SAFETY: any bits are valid in both types.
    unsafe { std::slice::from_raw_parts_mut(numbers.as_mut_ptr().cast(), 2 * numbers.len()) }
}

/// Numbers as twice as many 16-bit ones.
pub fn halves_of(numbers: &[f32]) -> &[u16] {
    // SAFETY: any bits are valid in both types.
    unsafe { std::slice::from_raw_parts(numbers.as_ptr().cast(), 2 * numbers.len()) }
}

/// Scratch memory as 32-bit words.
pub fn words(numbers: &mut [f32]) -> &mut [u32] {
    // SAFETY: any 32 bits are valid in both types.
    unsafe { std::slice::from_raw_parts_mut(numbers.as_mut_ptr().cast(), numbers.len()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_begin_at_cache_lines_and_are_zero() {
        for length in [0, 1, 17, 100_000] {
            let run = Aligned::<f32>::zeros(length).unwrap();
            assert_eq!(run.len(), length);
            assert!(length == 0 || (run.as_ptr() as usize).is_multiple_of(LINE));
            assert!(run.iter().all(|&x| x == 0.0));
        }
        assert!(Aligned::<f32>::zeros(usize::MAX / 2).is_err());
    }

    #[test]
    fn runs_grow_and_never_shrink() {
        let mut run = Aligned::<u16>::zeros(5).unwrap();
        run.fill(7);
        run.grow(3).unwrap();
        assert_eq!(*run, [7; 5]);
        run.grow(6).unwrap();
        assert_eq!(run.len(), 6);
        with_scratch(10, |scratch| {
            assert!(scratch.len() == 10 && (scratch.as_ptr() as usize).is_multiple_of(LINE));
        });
    }

    #[test]
    fn runs_of_an_arena_lie_side_by_side_and_outlive_it() {
        let mut arena = WeightArena::default();
        let mut first = arena.zeros::<u8>(100).unwrap();
        let mut second = arena.zeros::<f32>(1000).unwrap();
        let large = arena.zeros::<u8>(SMALL + 1).unwrap();
        let third = arena.zeros::<u8>(1).unwrap();
        assert!(arena.zeros::<f32>(usize::MAX / 4).is_err() && arena.zeros::<f32>(usize::MAX).is_err());
        drop(arena);
        assert_eq!(second.as_ptr() as usize, first.as_ptr() as usize + 128);
        assert_eq!(third.as_ptr() as usize, second.as_ptr() as usize + 4032);
        assert!((large.as_ptr() as usize).is_multiple_of(LARGE) && large.len() == SMALL + 1);
        first.fill(1);
        second.fill(2.0);
        assert!(first.iter().all(|&x| x == 1) && second.iter().all(|&x| x == 2.0));
        assert!(large.iter().step_by(4096).all(|&x| x == 0));
    }

    #[test]
    fn jobs_write_their_own_parts() {
        let mut numbers = [0u32; 8];
        let shared = Shared::new(&mut numbers);
        std::thread::scope(|scope| {
            for i in 0..4 {
                let shared = &shared;
                // SAFETY: parts of different `i` don't overlap.
                scope.spawn(move || unsafe { shared.part(2 * i, 2) }.fill(i as u32));
            }
        });
        assert_eq!(numbers, [0, 0, 1, 1, 2, 2, 3, 3]);
    }
}
