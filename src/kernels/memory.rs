//! Memory that kernels work on: aligned to cache lines, and written by several jobs at once, each in its own places.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::cell::RefCell;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut, Range};
use std::ptr::NonNull;
use std::sync::Arc;

/// Bytes of a cache line, and of the widest vector.
const LINE: usize = 64;

/// Numbers of which every pattern of bits is one.
///
/// # Safety
/// All-zero bytes, and any other bytes, must be a value of the type.
pub unsafe trait Number: Copy + Send + Sync + 'static {}

// SAFETY: integers and floating-point numbers have no invalid values.
unsafe impl Number for u8 {}
// SAFETY: as above.
unsafe impl Number for u16 {}
// SAFETY: as above.
unsafe impl Number for f32 {}

/// No memory.
#[derive(Debug)]
pub struct NoMemory {
    pub bytes: usize,
}

/// A run of numbers that begins at a cache line.
pub struct Aligned<T: Number> {
    /// Keeps the numbers' memory; nothing, if there are none.
    _block: Option<Arc<Block>>,
    start: NonNull<T>,
    length: usize,
}

// SAFETY: it alone has its numbers, as a `Box<[T]>` does; the block's other runs lie elsewhere.
unsafe impl<T: Number> Send for Aligned<T> {}
// SAFETY: as above.
unsafe impl<T: Number> Sync for Aligned<T> {}

impl<T: Number> Aligned<T> {
    /// `length` zeros. Large runs cost memory when they are first written only.
    pub fn zeros(length: usize) -> Result<Self, NoMemory> {
        let bytes = length.checked_mul(size_of::<T>()).ok_or(NoMemory { bytes: usize::MAX })?;
        match length {
            0 => Ok(Self { _block: None, start: NonNull::dangling(), length }),
            _ => Ok(Self::within(Arc::new(Block::zeros(bytes, LINE)?), 0, length)),
        }
    }

    /// Makes it at least `length` numbers long. What it held is lost where it has to grow: it may hold anything then.
    pub fn grow(&mut self, length: usize) -> Result<(), NoMemory> {
        if self.length < length {
            // The old numbers go first, so that both are never there at once.
            *self = Self::zeros(0)?;
            *self = Self::zeros(length)?;
        }
        Ok(())
    }

    /// Numbers of a block from `at` bytes on, which must be there, at a line, and in no other run.
    fn within(block: Arc<Block>, at: usize, length: usize) -> Self {
        // SAFETY: the block holds them.
        let start = unsafe { block.start.add(at) }.cast();
        Self { _block: Some(block), start, length }
    }
}

impl<T: Number> Deref for Aligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: `length` zeroed numbers lie there as long as the block does; an empty run dangles, as a slice may.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl<T: Number> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`, and borrowed for this caller alone.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }
}

/// What was allocated in one piece.
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
    /// `bytes` zeros from a multiple of `alignment` on. That is reached by skipping some: for such alignment the system's
    /// allocator writes the zeros, where it otherwise takes pages that are zero already.
    fn zeros(bytes: usize, alignment: usize) -> Result<Self, NoMemory> {
        let no_memory = NoMemory { bytes };
        let layout = bytes.checked_add(alignment).and_then(|all| Layout::from_size_align(all, 16).ok());
        let Some(layout) = layout else { return Err(no_memory) };
        // SAFETY: the layout has a size above zero.
        let Some(allocated) = NonNull::new(unsafe { alloc_zeroed(layout) }) else { return Err(no_memory) };
        let skipped = allocated.as_ptr().align_offset(alignment);
        // SAFETY: `alignment` bytes more were allocated, and fewer are skipped.
        Ok(Self { allocated, layout, start: unsafe { allocated.add(skipped) } })
    }

    /// Asks for large pages. Where there are none everything stays as it is, only slower.
    fn prefer_large_pages(&self, bytes: usize) {
        #[cfg(target_os = "linux")]
        // SAFETY: the pages lie within the block; the advice changes nothing of what they hold.
        unsafe {
            libc::madvise(self.start.as_ptr().cast(), bytes, libc::MADV_HUGEPAGE);
        }
        #[cfg(not(target_os = "linux"))]
        let _ = bytes;
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout, and not given away since.
        unsafe { dealloc(self.allocated.as_ptr(), self.layout) }
    }
}

/// Memory for weights, in huge pages: they take less time to get, and to look up whenever the weights are read. Small runs
/// lie side by side.
#[derive(Default)]
pub struct WeightArena {
    block: Option<Arc<Block>>,
    /// Bytes of the block that are given away.
    used: usize,
}

/// Bytes of a large page.
const LARGE: usize = 2 << 20;
/// Bytes of a block of small runs, and of the largest among them.
const BLOCK: usize = 32 * LARGE;
const SMALL: usize = BLOCK / 4;

impl WeightArena {
    /// `length` zeros, which cost memory when they are first written only.
    pub fn zeros<T: Number>(&mut self, length: usize) -> Result<Aligned<T>, NoMemory> {
        let bytes = length.checked_mul(size_of::<T>()).and_then(|bytes| bytes.checked_next_multiple_of(LINE));
        match bytes {
            None => Err(NoMemory { bytes: usize::MAX }),
            Some(0) => Aligned::zeros(0),
            Some(bytes) if bytes > SMALL => {
                let block = Block::zeros(bytes, LARGE)?;
                // What is left behind the last whole page would take one more.
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

/// A slice that jobs write side by side, each its own places.
pub struct Shared<'a, T> {
    start: *mut T,
    length: usize,
    of: PhantomData<&'a mut [T]>,
}

// SAFETY: the one way to the numbers is `part`, whose caller promises that no two jobs overlap.
unsafe impl<T: Send> Sync for Shared<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for Shared<'_, T> {}

impl<'a, T> Shared<'a, T> {
    pub fn new(slice: &'a mut [T]) -> Self {
        Self { start: slice.as_mut_ptr(), length: slice.len(), of: PhantomData }
    }

    /// Numbers `from..from + count`.
    ///
    /// # Safety
    /// While the result lives, no other part that overlaps it may.
    #[allow(clippy::mut_from_ref, reason = "the caller promises that parts don't overlap")]
    #[inline(always)]
    pub unsafe fn part(&self, from: usize, count: usize) -> &mut [T] {
        assert!(from <= self.length && count <= self.length - from, "a part lies within its slice");
        // SAFETY: within the slice, as just checked; not aliased, as the caller promises.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(from), count) }
    }
}

/// Rows of numbers that jobs write block by block.
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
    /// While the result lives, no other block that overlaps it may.
    pub unsafe fn block(&self, rows: Range<usize>, columns: Range<usize>) -> BlockMut<'_> {
        assert!(
            columns.end <= self.stride && rows.end * self.stride <= self.numbers.length,
            "a block lies within its table"
        );
        BlockMut { numbers: &self.numbers, stride: self.stride, rows, columns }
    }
}

/// A block of a table: some columns of some rows, of one job alone.
pub struct BlockMut<'a> {
    numbers: &'a Shared<'a, f32>,
    stride: usize,
    rows: Range<usize>,
    columns: Range<usize>,
}

impl BlockMut<'_> {
    /// Its columns of one of its rows, counted from its first.
    #[inline(always)]
    pub fn row(&mut self, row: usize) -> &mut [f32] {
        assert!(row < self.rows.len(), "a row of the block");
        // SAFETY: no other block overlaps this one, as whoever made it promised, and this one is borrowed for the caller alone.
        unsafe {
            self.numbers.part((self.rows.start + row) * self.stride + self.columns.start, self.columns.len())
        }
    }
}

/// Calls `work` with `length` numbers of this thread's scratch memory, which hold anything and begin at a cache line.
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

/// Numbers as they lie in memory.
pub fn bytes_of<T: Number>(numbers: &[T]) -> &[u8] {
    // SAFETY: numbers have no padding, and bytes no alignment.
    unsafe { std::slice::from_raw_parts(numbers.as_ptr().cast(), size_of_val(numbers)) }
}

/// Bytes that are aligned, such as those of packed panels, as single-precision numbers.
pub fn numbers_of(bytes: &[u8]) -> &[f32] {
    // SAFETY: any 32 bits are a number; what is not aligned falls off the ends.
    let (before, numbers, behind) = unsafe { bytes.align_to() };
    assert!(before.is_empty() && behind.is_empty(), "panels are aligned");
    numbers
}

/// Words as they lie in memory.
pub fn bytes_of_words(words: &[u32]) -> &[u8] {
    // SAFETY: words have no padding, and bytes no alignment.
    unsafe { std::slice::from_raw_parts(words.as_ptr().cast(), size_of_val(words)) }
}

/// Scratch memory as numbers of 16 bits.
pub fn halves(numbers: &mut [f32]) -> &mut [u16] {
    // SAFETY: any bits are numbers of either kind.
    unsafe { std::slice::from_raw_parts_mut(numbers.as_mut_ptr().cast(), 2 * numbers.len()) }
}

/// Numbers as twice as many of 16 bits.
pub fn halves_of(numbers: &[f32]) -> &[u16] {
    // SAFETY: any bits are numbers of either kind.
    unsafe { std::slice::from_raw_parts(numbers.as_ptr().cast(), 2 * numbers.len()) }
}

/// Scratch memory as words.
pub fn words(numbers: &mut [f32]) -> &mut [u32] {
    // SAFETY: both are any 32 bits.
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
    fn runs_of_a_room_lie_side_by_side_and_outlive_it() {
        let mut room = WeightArena::default();
        let mut first = room.zeros::<u8>(100).unwrap();
        let mut second = room.zeros::<f32>(1000).unwrap();
        let large = room.zeros::<u8>(SMALL + 1).unwrap();
        let third = room.zeros::<u8>(1).unwrap();
        assert!(room.zeros::<f32>(usize::MAX / 4).is_err() && room.zeros::<f32>(usize::MAX).is_err());
        drop(room);
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
