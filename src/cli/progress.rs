//! Progress while a model computes: a bar on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{HumanCount, HumanDuration, ProgressBar, ProgressStyle};

use super::output::say;
use crate::evaluate::Plan;
use crate::vocabulary::Event;

/// Shows events on stderr.
pub struct Progress {
    bar: Option<ProgressBar>,
    started: Instant,
    last_line: Instant,
    /// Number of tokens that are expected to go through the model.
    tokens: f64,
    /// Tokens of the families before the current one, and of the current one.
    computed: (usize, usize),
    requests: usize,
    answered: usize,
}

/// Minimum time between plain lines.
const PAUSE: Duration = Duration::from_secs(30);

impl Progress {
    /// Progress towards the end of `plan`, after which all `requests` of the run are answered.
    pub fn new(plan: &Plan, requests: usize) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(requests as u64);
            let style = "{elapsed_precise} [{bar:30}] {human_pos}/{human_len} requests, {msg}";
            bar.set_style(
                ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()),
            );
            bar.enable_steady_tick(Duration::from_millis(500));
            bar
        });
        let now = Instant::now();
        let tokens = plan.expected_tokens();
        Self { bar, started: now, last_line: now, tokens, computed: (0, 0), requests, answered: 0 }
    }

    /// Shows an event.
    pub fn show(&mut self, event: &Event<'_>) {
        match event {
            Event::TaskStarted { task, .. } => {
                if let Some(bar) = &self.bar {
                    bar.set_message(task.to_string());
                }
            }
            Event::BatchDone { tokens } => {
                // Each family counts from zero.
                if *tokens < self.computed.1 {
                    self.computed.0 += self.computed.1;
                }
                self.computed.1 = *tokens;
            }
            Event::BatchesNarrowed { rows } => self.print_line(&format!(
                "note: the device's memory ran out: passes have at most {rows} rows from here on"
            )),
            Event::DocumentFinished { task, requests, running, .. } => {
                self.answered += requests;
                let scores: Vec<String> =
                    running.iter().map(|(name, mean)| format!("{name} {mean:.4}")).collect();
                let news = format!("{}  {task} {}", self.pace(), scores.join(", "));
                match &self.bar {
                    Some(bar) => {
                        bar.set_position(self.answered as u64);
                        bar.set_message(news);
                    }
                    None if self.last_line.elapsed() >= PAUSE => {
                        self.last_line = Instant::now();
                        say!("{} {news}", self.count());
                    }
                    None => {}
                }
            }
            Event::TaskFinished { task, estimates } => {
                let scores: Vec<String> = estimates
                    .iter()
                    .map(|(metric, estimate)| match estimate.stderr {
                        Some(stderr) => format!("{metric} {:.4} ± {stderr:.4}", estimate.value),
                        None => format!("{metric} {:.4}", estimate.value),
                    })
                    .collect();
                let line = format!("{} {}  {task}: {}", self.count(), self.pace(), scores.join(", "));
                self.print_line(&line);
            }
        }
    }

    /// Prints a line of its own.
    fn print_line(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            None => say!("{line}"),
        }
    }

    /// Ends the bar.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn count(&self) -> String {
        format!("{}/{} requests,", HumanCount(self.answered as u64), HumanCount(self.requests as u64))
    }

    /// Rate and time left, by tokens: requests differ too much in size.
    fn pace(&self) -> String {
        let elapsed = self.started.elapsed().as_secs_f64().max(1e-3);
        let computed = (self.computed.0 + self.computed.1) as f64;
        // Answers arrive before the pass that computed them is counted.
        if computed == 0.0 {
            return String::new();
        }
        let rate = computed / elapsed;
        let left = (self.tokens - computed).max(0.0) / rate.max(1e-3);
        format!("{rate:.0} tokens/s, {} left", HumanDuration(Duration::from_secs_f64(left.min(1e9))))
    }
}
