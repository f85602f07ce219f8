//! Progress while a model computes, by tokens: requests differ too much in size. A bar on a terminal, plain lines elsewhere.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use indicatif::{HumanCount, HumanDuration, ProgressBar};

use super::output::{say, share_terminal};
use super::screen::{is_quiet, is_verbose, progress_bar};
use crate::evaluate::Plan;
use crate::vocabulary::{Estimate, Event};

/// Shows events on stderr.
pub struct Progress {
    bar: Option<ProgressBar>,
    started: Instant,
    last_line: Instant,
    position: Position,
    family: Family,
}

/// Where a run is, in tokens.
#[derive(Debug, Default)]
struct Position {
    /// Expected in all.
    total: f64,
    /// Expected of the families that are done; what they took may differ, since texts end when they end.
    done: f64,
    /// Expected of the current family.
    expected: f64,
    /// Computed in the current family.
    current: usize,
    /// Computed in the families before it.
    before: usize,
}

impl Position {
    /// Begins a family.
    fn begin(&mut self, expected: f64) {
        self.done += self.expected;
        self.before += self.current;
        (self.expected, self.current) = (expected, 0);
    }

    /// Tokens of the plan that are behind; a family counts with what was expected of it, at most.
    fn reached(&self) -> f64 {
        self.done + self.expected.min(self.current as f64)
    }

    /// Tokens per second, and the time that is left at this rate; `None` before the first tokens.
    fn pace(&self, elapsed: Duration) -> Option<(f64, Duration)> {
        let computed = (self.before + self.current) as f64;
        let rate = computed / elapsed.as_secs_f64().max(1e-3);
        let left = (self.total - self.reached()).max(0.0) / rate.max(1e-3);
        (computed > 0.0).then(|| (rate, Duration::from_secs_f64(left.min(1e9))))
    }
}

/// The tasks that are computed together.
#[derive(Debug, Default)]
struct Family {
    name: Option<String>,
    tasks: usize,
    finished: usize,
    /// By metric: the sum over finished tasks, and their number.
    scores: BTreeMap<String, (f64, usize)>,
}

/// Minimum time between plain lines.
const PAUSE: Duration = Duration::from_secs(30);

impl Progress {
    /// Progress towards the end of `plan`.
    pub fn new(plan: &Plan) -> Self {
        let total = plan.expected_tokens();
        let bar = progress_bar(
            "{elapsed_precise} [{bar:20}] {percent:>3} % of {human_len} tokens  {wide_msg}",
            "[{bar:8}] {percent:>3} % {wide_msg}",
        );
        if let Some(bar) = &bar {
            bar.set_length(total.ceil() as u64);
        }
        share_terminal(bar.as_ref());
        let now = Instant::now();
        let position = Position { total, ..Position::default() };
        Self { bar, started: now, last_line: now, position, family: Family::default() }
    }

    /// Shows an event.
    pub fn show(&mut self, event: &Event<'_>) {
        match event {
            Event::FamilyStarted { name, tasks, tokens } => {
                self.position.begin(*tokens);
                let name = name.map(str::to_string);
                self.family = Family { name, tasks: *tasks, ..Family::default() };
                self.advance("");
            }
            Event::TaskStarted { task, .. } => {
                if let Some(bar) = &self.bar {
                    bar.set_message(self.family.name.clone().unwrap_or_else(|| task.to_string()));
                }
            }
            Event::BatchDone { tokens } => {
                self.position.current = *tokens;
                self.advance("");
            }
            Event::BatchesNarrowed { rows } => self.print_line(&format!(
                "note: the device's memory ran out: passes have at most {rows} rows from here on"
            )),
            Event::DocumentFinished { task, running, .. } => {
                let scores: Vec<String> =
                    running.iter().map(|(name, mean)| format!("{name} {mean:.4}")).collect();
                self.advance(&format!("  {task} {}", scores.join(", ")));
            }
            Event::TaskFinished { task, estimates } => self.finish_task(task, estimates),
        }
    }

    /// A line for a task, and one for all tasks of a family: few want to read one for each subject.
    fn finish_task(&mut self, task: &str, estimates: &[(String, Estimate)]) {
        if self.family.tasks < 2 || is_verbose() {
            let scores: Vec<String> = estimates
                .iter()
                .map(|(metric, estimate)| match estimate.stderr {
                    Some(stderr) => format!("{metric} {:.4} ± {stderr:.4}", estimate.value),
                    None => format!("{metric} {:.4}", estimate.value),
                })
                .collect();
            self.print_line(&format!("{task}: {}{}", scores.join(", "), self.percent()));
        }
        let family = &mut self.family;
        family.finished += 1;
        for (metric, estimate) in estimates {
            let (sum, count) = family.scores.entry(metric.clone()).or_default();
            *sum += estimate.value;
            *count += 1;
        }
        let family = &self.family;
        if family.tasks > 1 && family.finished == family.tasks {
            let mean = |(metric, (sum, count)): (&String, &(f64, usize))| {
                format!("{metric} {:.4}", sum / *count as f64)
            };
            let scores: Vec<String> = family.scores.iter().map(mean).collect();
            let name = family.name.as_deref().unwrap_or("together");
            let line = format!("{name} ({} tasks): {}{}", family.tasks, scores.join(", "), self.percent());
            self.print_line(&line);
        }
    }

    /// Moves the bar, or prints a plain line where enough time has passed.
    fn advance(&mut self, news: &str) {
        let pace = self.pace();
        match &self.bar {
            Some(bar) => {
                bar.set_position(self.position.reached() as u64);
                bar.set_message(format!("{pace}{news}"));
            }
            None if self.last_line.elapsed() >= PAUSE && !is_quiet() => {
                self.last_line = Instant::now();
                let percent = 100.0 * self.position.reached() / self.position.total.max(1.0);
                let total = HumanCount(self.position.total.ceil() as u64);
                say!("{percent:.0} % of {total} tokens, {pace}{news}");
            }
            None => {}
        }
    }

    /// Prints a line of its own.
    fn print_line(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            None if is_quiet() => {}
            None => say!("{line}"),
        }
    }

    /// Ends the bar.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        share_terminal(None);
    }

    fn percent(&self) -> String {
        let Position { total, .. } = self.position;
        if total <= 0.0 {
            return String::new();
        }
        format!("  ({:.0} % of the tokens)", 100.0 * self.position.reached() / total)
    }

    fn pace(&self) -> String {
        match self.position.pace(self.started.elapsed()) {
            None => "the first pass".into(),
            Some((rate, left)) if left.as_secs() == 0 => format!("{rate:.0} tokens/s"),
            Some((rate, left)) => format!("{rate:.0} tokens/s, {} left", HumanDuration(left)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_left_follows_the_tokens_that_are_left() {
        let mut position = Position { total: 1000.0, ..Position::default() };
        position.begin(600.0);
        assert_eq!(position.pace(Duration::from_secs(1)), None, "nothing is known yet");
        position.current = 300;
        assert_eq!(position.pace(Duration::from_secs(3)), Some((100.0, Duration::from_secs(7))));
        // It took fewer tokens than expected: what was expected is behind.
        position.begin(400.0);
        assert_eq!(position.reached(), 600.0);
        position.current = 500;
        // More than expected, and never beyond the end.
        assert_eq!(position.reached(), 1000.0);
        assert_eq!(position.pace(Duration::from_secs(8)), Some((100.0, Duration::ZERO)));
    }
}
