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
use std::thread::{self, ThreadId};

use rayon::prelude::*;

thread_local! {
    /// The team that this thread leads.
    static LED: RefCell<Option<Arc<Team>>> = const { RefCell::new(None) };
}

/// Looks at the leader's doings before a waiting thread lets others run: some 50 microseconds.
const LOOKS: usize = 1 << 10;

/// Does `body` on a thread of the pool, with the pool's other threads at hand for [`for_each`].
pub fn together<R: Send>(body: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|scope| {
        let team = Arc::new(Team::new());
        for _ in 1..rayon::current_num_threads() {
            let team = Arc::clone(&team);
            scope.spawn(move |_| team.follow());
        }
        let leading = Leading(team);
        LED.set(Some(Arc::clone(&leading.0)));
        body()
    })
}

/// Calls `job` with each number below `count`, on the threads of the team that this thread leads, or else on the pool's.
pub fn for_each(count: usize, job: impl Fn(usize) + Sync) {
    if count < 2 {
        return (0..count).for_each(job);
    }
    // Nobody leads meanwhile: a loop within a job is the pool's.
    match LED.take() {
        None => (0..count).into_par_iter().for_each(&job),
        Some(team) => {
            team.lead(&Loop { job: &job, count });
            LED.set(Some(team));
        }
    }
}

/// Lets the team go at the end.
struct Leading(Arc<Team>);

impl Drop for Leading {
    fn drop(&mut self) {
        LED.take();
        self.0.is_over.store(true, Ordering::Release);
    }
}

/// What is done with each number below `count`.
struct Loop<'a> {
    job: &'a (dyn Fn(usize) + Sync),
    count: usize,
}

/// In a cache line of its own, with the one that is fetched along.
#[repr(align(128))]
struct Alone<T>(T);

struct Team {
    leader: ThreadId,
    /// Odd while there is a loop, and another with every loop.
    turn: Alone<AtomicUsize>,
    /// Followers that may be looking at `at_hand`.
    busy: Alone<AtomicUsize>,
    /// The next number of the loop.
    next: Alone<AtomicUsize>,
    at_hand: UnsafeCell<Option<*const Loop<'static>>>,
    is_over: AtomicBool,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

// SAFETY: `at_hand` is written by the leader alone, while `turn` is even and nobody is busy, and read by the busy alone, while it
// is odd; what it points to may be shared, and is there while somebody is busy.
unsafe impl Send for Team {}
// SAFETY: as above.
unsafe impl Sync for Team {}

impl Team {
    /// A team that this thread leads.
    fn new() -> Self {
        Self {
            leader: thread::current().id(),
            turn: Alone(AtomicUsize::new(0)),
            busy: Alone(AtomicUsize::new(0)),
            next: Alone(AtomicUsize::new(0)),
            at_hand: UnsafeCell::new(None),
            is_over: AtomicBool::new(false),
            panic: Mutex::new(None),
        }
    }

    /// Goes through a loop with all who follow.
    fn lead(&self, work: &Loop<'_>) {
        let turn = self.turn.0.load(Ordering::Relaxed);
        self.next.0.store(0, Ordering::Relaxed);
        // SAFETY: nobody is busy: the last loop ended so. The loop outlives its turn, which ends below, whatever panics.
        unsafe { *self.at_hand.get() = Some(std::ptr::from_ref(work).cast()) };
        self.turn.0.store(turn + 1, Ordering::SeqCst);
        self.go_through(work);
        // A follower says that it is busy, then looks whether the turn is on; so either it is seen here, or it sees the end.
        self.turn.0.store(turn + 2, Ordering::SeqCst);
        let mut patience = Patience::default();
        while self.busy.0.load(Ordering::SeqCst) > 0 {
            patience.wait();
        }
        let panic = self.panic.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }

    /// Takes part in loops until the leader lets go.
    fn follow(&self) {
        // The pool may hand this to the leader, which waits for nobody but the others.
        if thread::current().id() == self.leader {
            return;
        }
        let (mut done, mut patience) = (0, Patience::default());
        while !self.is_over.load(Ordering::Acquire) {
            let turn = self.turn.0.load(Ordering::Relaxed);
            if turn == done || turn.is_multiple_of(2) {
                patience.wait();
                continue;
            }
            self.busy.0.fetch_add(1, Ordering::SeqCst);
            if self.turn.0.load(Ordering::SeqCst) == turn {
                // SAFETY: the turn is on, and does not end before this thread is done.
                let work = unsafe { (*self.at_hand.get()).map(|work| &*work) };
                if let Some(work) = work {
                    self.go_through(work);
                }
                patience = Patience::default();
            }
            self.busy.0.fetch_sub(1, Ordering::SeqCst);
            done = turn;
        }
    }

    fn go_through(&self, work: &Loop<'_>) {
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
            // The rest is left; the leader goes on with the panic.
            self.next.0.store(work.count, Ordering::Relaxed);
            *self.panic.lock().unwrap_or_else(PoisonError::into_inner) = Some(panic);
        }
    }
}

/// Waiting awake.
#[derive(Default)]
struct Patience {
    looks: usize,
}

impl Patience {
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
    fn loops_within_loops_and_beside_a_team_are_done() {
        in_pool(3, || {
            let sum = AtomicUsize::new(0);
            let add = |number| {
                sum.fetch_add(number, Ordering::Relaxed);
            };
            let both = || for_each(10, |_| for_each(10, add));
            together(both);
            both();
            together(|| rayon::join(both, both));
            assert_eq!(sum.load(Ordering::Relaxed), 4 * 450);
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
