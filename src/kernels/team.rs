//! Threads that go through a pass together.
//!
//! A pass of a small model is a thousand short loops. Threads of a pool fall asleep between two of them, and waking one takes
//! as long as a loop does. Those of a team are lent by the pool for a whole pass and wait awake; a thread that waits for long
//! lets others run.

use std::any::Any;
use std::cell::{RefCell, UnsafeCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rayon::prelude::*;

use super::memory::Shared;

/// What a thread is to a team.
#[derive(Clone, Default)]
enum Part {
    #[default]
    None,
    Leads(Arc<Team>),
    /// Within a job of a loop.
    Works,
}

thread_local! {
    static PART: RefCell<Part> = const { RefCell::new(Part::None) };
}

/// Looks at the leader's doings before a waiting thread lets others run: some 50 microseconds.
const LOOKS: usize = 1 << 10;

/// Does `body` on a thread of the pool, with the pool's other threads at hand for [`for_each`]. Loops of `body` go by that
/// alone: one of the pool's own would wait for threads that follow. Within another team's `body` or job, that team stays.
pub fn together<R: Send>(body: impl FnOnce() -> R + Send) -> R {
    if !matches!(PART.with_borrow(Part::clone), Part::None) {
        return body();
    }
    rayon::scope(|scope| {
        let team = Arc::new(Team::new());
        for _ in 1..rayon::current_num_threads() {
            let team = Arc::clone(&team);
            scope.spawn(move |_| team.follow());
        }
        let _over = Over(Arc::clone(&team));
        let _led = Playing::new(Part::Leads(team));
        body()
    })
}

/// Calls `job` with each number below `count`, on the threads of the team that this thread leads, or else on the pool's; a
/// loop within a job is its thread's alone.
pub fn for_each(count: usize, job: impl Fn(usize) + Sync) {
    match PART.with_borrow(Part::clone) {
        Part::Leads(team) if count > 1 => team.lead(&Loop { job: &job, count }),
        Part::None if count > 1 => (0..count).into_par_iter().for_each(&job),
        _ => (0..count).for_each(job),
    }
}

/// Calls `job` with each chunk of `size` items of `items`, the last perhaps shorter, and the chunk's number, as [`for_each`] does.
pub fn for_each_chunk<T: Send>(items: &mut [T], size: usize, job: impl Fn(usize, &mut [T]) + Sync) {
    let (length, items) = (items.len(), Shared::new(items));
    for_each(length.div_ceil(size), |number| {
        let from = number * size;
        // SAFETY: chunks don't overlap, and each is of one job.
        job(number, unsafe { items.part(from, size.min(length - from)) });
    });
}

/// Lets the team go at the end.
struct Over(Arc<Team>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::Release);
    }
}

/// A part that the thread plays meanwhile, and which it played before.
struct Playing {
    before: Part,
}

impl Playing {
    fn new(part: Part) -> Self {
        Self { before: PART.replace(part) }
    }
}

impl Drop for Playing {
    fn drop(&mut self) {
        PART.set(std::mem::take(&mut self.before));
    }
}

/// What is done with each number below `count`.
struct Loop<'a> {
    job: &'a (dyn Fn(usize) + Sync),
    count: usize,
}

/// In a cache line of its own, with the one that is fetched along.
#[repr(align(128))]
struct CachePadded<T>(T);

struct Team {
    /// Odd while there is a loop, and another with every loop.
    turn: CachePadded<AtomicUsize>,
    /// Followers that may be looking at `at_hand`.
    busy: CachePadded<AtomicUsize>,
    /// The next number of the loop.
    next: CachePadded<AtomicUsize>,
    at_hand: UnsafeCell<Option<*const Loop<'static>>>,
    is_over: AtomicBool,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

// SAFETY: the leader alone writes `at_hand`, while `turn` is even. A follower reads it only if it finds `turn` odd after it said
// that it is busy; the leader then waits for it before the next write, and before what `at_hand` points to goes. One that says so
// late, while the leader writes, finds another turn and reads nothing. What `at_hand` points to may be shared.
unsafe impl Send for Team {}
// SAFETY: as above.
unsafe impl Sync for Team {}

impl Team {
    fn new() -> Self {
        Self {
            turn: CachePadded(AtomicUsize::new(0)),
            busy: CachePadded(AtomicUsize::new(0)),
            next: CachePadded(AtomicUsize::new(0)),
            at_hand: UnsafeCell::new(None),
            is_over: AtomicBool::new(false),
            panic: Mutex::new(None),
        }
    }

    /// Goes through a loop with all who follow.
    fn lead(&self, work: &Loop<'_>) {
        let turn = self.turn.0.load(Ordering::Relaxed);
        self.next.0.store(0, Ordering::Relaxed);
        // SAFETY: nobody reads: `turn` is even, and the last loop's followers were waited for. The loop outlives its turn, which
        // ends below, whatever panics.
        unsafe { *self.at_hand.get() = Some(std::ptr::from_ref(work).cast()) };
        self.turn.0.store(turn + 1, Ordering::SeqCst);
        self.go_through(work);
        // A follower says that it is busy, then looks whether the turn is on; so either it is seen here, or it sees the end.
        self.turn.0.store(turn + 2, Ordering::SeqCst);
        let mut backoff = Backoff::default();
        while self.busy.0.load(Ordering::SeqCst) > 0 {
            backoff.wait();
        }
        let panic = self.panic.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }

    /// Takes part in loops until the leader lets go.
    fn follow(&self) {
        // The pool may hand this to a thread that others wait for: the leader, or one within a job.
        if !matches!(PART.with_borrow(Part::clone), Part::None) {
            return;
        }
        let (mut done, mut backoff) = (0, Backoff::default());
        while !self.is_over.load(Ordering::Acquire) {
            let turn = self.turn.0.load(Ordering::Relaxed);
            if turn == done || turn.is_multiple_of(2) {
                backoff.wait();
                continue;
            }
            self.busy.0.fetch_add(1, Ordering::SeqCst);
            if self.turn.0.load(Ordering::SeqCst) == turn {
                // SAFETY: the turn is on, and its leader waits while this thread is busy.
                let work = unsafe { (*self.at_hand.get()).map(|work| &*work) };
                if let Some(work) = work {
                    self.go_through(work);
                }
                backoff = Backoff::default();
            }
            self.busy.0.fetch_sub(1, Ordering::SeqCst);
            done = turn;
        }
    }

    fn go_through(&self, work: &Loop<'_>) {
        let _works = Playing::new(Part::Works);
        let all = || {
            loop {
                let number = self.next.0.fetch_add(1, Ordering::Relaxed);
                if number >= work.count {
                    break;
                }
                (work.job)(number);
            }
        };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(all)) {
            // The rest is left; the leader goes on with the first panic.
            self.next.0.store(work.count, Ordering::Relaxed);
            self.panic.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(panic);
        }
    }
}

/// Waiting awake.
#[derive(Default)]
struct Backoff {
    looks: usize,
}

impl Backoff {
    fn wait(&mut self) {
        self.looks += 1;
        match self.looks <= LOOKS {
            true => std::hint::spin_loop(),
            false => thread::yield_now(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn in_pool(threads: usize, test: impl FnOnce() + Send) {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(test);
    }

    #[test]
    fn each_number_is_taken_once_in_every_loop() {
        for threads in [1, 2, 5] {
            in_pool(threads, || {
                together(|| {
                    for count in (0..40).chain([1000, 3]).cycle().take(2000) {
                        let taken: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
                        for_each(count, |number| {
                            taken[number].fetch_add(1, Ordering::Relaxed);
                        });
                        assert!(taken.iter().all(|taken| taken.load(Ordering::Relaxed) == 1));
                    }
                });
            });
        }
    }

    #[test]
    fn loops_and_teams_within_them_and_beside_them_are_done() {
        in_pool(3, || {
            let sum = AtomicUsize::new(0);
            let add = |number| {
                sum.fetch_add(number, Ordering::Relaxed);
            };
            let both = || for_each(10, |_| for_each(10, add));
            together(both);
            both();
            together(|| for_each(10, |_| together(|| for_each(10, add))));
            together(|| {
                together(both);
                both();
            });
            assert_eq!(sum.load(Ordering::Relaxed), 5 * 450);
        });
    }

    /// Waits until `count` threads are here.
    fn meet(here: &AtomicUsize, count: usize) {
        here.fetch_add(1, Ordering::SeqCst);
        let start = Instant::now();
        while here.load(Ordering::SeqCst) < count {
            assert!(start.elapsed() < Duration::from_secs(60), "fewer than {count} threads take part");
            thread::yield_now();
        }
    }

    #[test]
    fn every_thread_takes_part_in_a_loop_of_as_many_jobs() {
        for threads in [2, 4] {
            in_pool(threads, || {
                let all_meet = || {
                    let here = AtomicUsize::new(0);
                    for_each(threads, |_| meet(&here, threads));
                };
                together(|| {
                    all_meet();
                    // A team within is the same, and is still there afterwards.
                    together(all_meet);
                    all_meet();
                });
            });
        }
    }

    #[test]
    fn a_caller_from_outside_the_pool_has_a_team() {
        let sum = AtomicUsize::new(0);
        let add = |number| {
            sum.fetch_add(number, Ordering::Relaxed);
        };
        together(|| for_each(100, add));
        assert_eq!(sum.into_inner(), 4950);
    }

    #[test]
    fn a_panic_of_a_follower_alone_is_the_callers() {
        in_pool(3, || {
            let leader = thread::current().id();
            let pass = || {
                let here = AtomicUsize::new(0);
                together(|| {
                    for_each(3, |_| {
                        meet(&here, 3);
                        assert!(thread::current().id() == leader, "a follower");
                    })
                });
            };
            let panic = catch_unwind(pass).unwrap_err();
            assert_eq!(*panic.downcast::<&str>().unwrap(), "a follower");
        });
    }

    #[test]
    fn teams_work_side_by_side() {
        in_pool(2, || {
            let sum = AtomicUsize::new(0);
            let add = |number| {
                sum.fetch_add(number, Ordering::Relaxed);
            };
            let pass = || together(|| for_each(100, add));
            (0..50).into_par_iter().for_each(|_| pass());
            assert_eq!(sum.load(Ordering::Relaxed), 50 * 4950);
        });
    }

    #[test]
    fn a_panic_of_any_thread_is_the_callers() {
        in_pool(4, || {
            for bad in [0, 7, 99] {
                let job = |number| assert!(number != bad, "number {number} is bad");
                let panic = catch_unwind(|| together(|| for_each(100, job))).unwrap_err();
                assert_eq!(*panic.downcast::<String>().unwrap(), format!("number {bad} is bad"));
            }
            together(|| for_each(3, |_| ()));
        });
    }
}
