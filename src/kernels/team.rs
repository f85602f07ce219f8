//! Threads that run the loops of a pass together.
//!
//! A pass of a small model is a thousand short loops. Threads of a pool go to sleep between loops, and waking
//! one takes as long as a loop. A team borrows the threads of the pool for a whole pass, and they spin
//! between loops; a thread that waits for long yields.

use std::any::Any;
use std::cell::{RefCell, UnsafeCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rayon::prelude::*;

use super::memory::Shared;

/// The role of a thread in a team.
#[derive(Clone, Default)]
enum Role {
    #[default]
    None,
    Leads(Arc<Team>),
    /// Within a job of a loop.
    Works,
}

thread_local! {
    static ROLE: RefCell<Role> = const { RefCell::new(Role::None) };
}

/// Spins of a waiting thread before it yields: about 50 microseconds.
const SPINS: usize = 1 << 10;

/// Runs `body` on a thread of the pool, with the pool's other threads as followers for [`for_each`]. `body`
/// must use no other parallel loops: one of rayon's would wait for threads that follow. Within another team's
/// `body` or job, no new team is made.
pub fn together<R: Send>(body: impl FnOnce() -> R + Send) -> R {
    if !matches!(ROLE.with_borrow(Role::clone), Role::None) {
        return body();
    }
    rayon::scope(|scope| {
        let team = Arc::new(Team::new());
        for _ in 1..rayon::current_num_threads() {
            let team = Arc::clone(&team);
            scope.spawn(move |_| team.follow());
        }
        let _over = EndOnDrop(Arc::clone(&team));
        let _led = RoleGuard::new(Role::Leads(team));
        body()
    })
}

/// Calls `job` with each index below `count`, on the threads of the team that this thread leads, or else on
/// the pool's. A loop within a team's job runs on the job's thread alone.
pub fn for_each(count: usize, job: impl Fn(usize) + Sync) {
    match ROLE.with_borrow(Role::clone) {
        Role::Leads(team) if count > 1 => team.lead(&Loop { job: &job, count }),
        Role::None if count > 1 => (0..count).into_par_iter().for_each(&job),
        _ => (0..count).for_each(job),
    }
}

/// Calls `job` with the index of each chunk of `size` items and the chunk, as [`for_each`] does. The last
/// chunk may be shorter.
pub fn for_each_chunk<T: Send>(items: &mut [T], size: usize, job: impl Fn(usize, &mut [T]) + Sync) {
    let (length, items) = (items.len(), Shared::new(items));
    for_each(length.div_ceil(size), |number| {
        let from = number * size;
        // SAFETY: chunks don't overlap, and each belongs to one job.
        job(number, unsafe { items.part(from, size.min(length - from)) });
    });
}

/// Ends the team on drop.
struct EndOnDrop(Arc<Team>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::Release);
    }
}

/// Gives the thread a role; restores the previous one on drop.
struct RoleGuard {
    before: Role,
}

impl RoleGuard {
    fn new(part: Role) -> Self {
        Self { before: ROLE.replace(part) }
    }
}

impl Drop for RoleGuard {
    fn drop(&mut self) {
        ROLE.set(std::mem::take(&mut self.before));
    }
}

/// A loop: `job` is called with each index below `count`.
struct Loop<'a> {
    job: &'a (dyn Fn(usize) + Sync),
    count: usize,
}

/// Aligned to two cache lines: the second is prefetched along with the first.
#[repr(align(128))]
struct CachePadded<T>(T);

struct Team {
    /// Odd while a loop runs; different for every loop.
    turn: CachePadded<AtomicUsize>,
    /// Followers that may be reading `current`.
    busy: CachePadded<AtomicUsize>,
    /// The next index of the loop.
    next: CachePadded<AtomicUsize>,
    current: UnsafeCell<Option<*const Loop<'static>>>,
    is_over: AtomicBool,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

// SAFETY: only the leader writes `current`, while `turn` is even. A follower reads it only if it finds `turn`
// odd after it has marked itself busy; the leader then waits for it before the next write, and before the
// loop that `current` points to ends. A follower that marks itself late, while the leader writes, finds a
// different turn and reads nothing. A `Loop` is `Sync`.
unsafe impl Send for Team {}
// SAFETY: as above.
unsafe impl Sync for Team {}

impl Team {
    fn new() -> Self {
        Self {
            turn: CachePadded(AtomicUsize::new(0)),
            busy: CachePadded(AtomicUsize::new(0)),
            next: CachePadded(AtomicUsize::new(0)),
            current: UnsafeCell::new(None),
            is_over: AtomicBool::new(false),
            panic: Mutex::new(None),
        }
    }

    /// Runs a loop together with the followers.
    fn lead(&self, work: &Loop<'_>) {
        let turn = self.turn.0.load(Ordering::Relaxed);
        self.next.0.store(0, Ordering::Relaxed);
        // SAFETY: there is no reader: `turn` is even, and the leader waited for the last loop's followers.
        // `work` outlives its turn, which ends below even if a job panics.
        unsafe { *self.current.get() = Some(std::ptr::from_ref(work).cast()) };
        self.turn.0.store(turn + 1, Ordering::SeqCst);
        self.go_through(work);
        // A follower marks itself busy, then checks the turn: either it is counted below, or it finds the
        // turn over.
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

    /// Takes part in loops until the team ends.
    fn follow(&self) {
        // The pool may run this on a thread that others wait for: the leader, or one within a job.
        if !matches!(ROLE.with_borrow(Role::clone), Role::None) {
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
                // SAFETY: the turn is not over, and its leader waits while this thread is busy.
                let work = unsafe { (*self.current.get()).map(|work| &*work) };
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
        let _works = RoleGuard::new(Role::Works);
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
            // The remaining jobs are skipped; the leader resumes the first panic.
            self.next.0.store(work.count, Ordering::Relaxed);
            self.panic.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(panic);
        }
    }
}

/// Busy waiting: spins, then yields.
#[derive(Default)]
struct Backoff {
    spins: usize,
}

impl Backoff {
    fn wait(&mut self) {
        self.spins += 1;
        if self.spins <= SPINS { std::hint::spin_loop() } else { thread::yield_now() }
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

    /// Waits until `count` threads have arrived.
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
                    // A nested call uses the same team and does not end it.
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
