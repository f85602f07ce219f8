//! What is seen while a model works: a bar on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{HumanCount, HumanDuration, ProgressBar, ProgressStyle};

use crate::vocabulary::Event;

/// Shows events on stderr.
pub struct Progress {
    bar: Option<ProgressBar>,
    started: Instant,
    last_line: Instant,
    requests: usize,
    answered: usize,
}

/// Plain lines come no closer than this.
const PAUSE: Duration = Duration::from_secs(30);

impl Progress {
    /// Progress towards `requests` answers.
    pub fn new(requests: usize) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(requests as u64);
            let style =
                "{elapsed_precise} [{bar:30}] {human_pos}/{human_len} requests, {per_sec}, {eta} left  {msg}";
            bar.set_style(
                ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()),
            );
            bar.enable_steady_tick(Duration::from_millis(500));
            bar
        });
        let now = Instant::now();
        Self { bar, started: now, last_line: now, requests, answered: 0 }
    }

    /// Takes note of an event.
    pub fn show(&mut self, event: &Event<'_>) {
        match event {
            Event::TaskStarted { task, .. } => {
                if let Some(bar) = &self.bar {
                    bar.set_message(task.to_string());
                }
            }
            Event::DocumentFinished { task, requests, running, .. } => {
                self.answered += requests;
                let score =
                    running.map(|(metric, value)| format!(" {metric} {value:.4}")).unwrap_or_default();
                match &self.bar {
                    Some(bar) => {
                        bar.set_position(self.answered as u64);
                        bar.set_message(format!("{task}{score}"));
                    }
                    None if self.last_line.elapsed() >= PAUSE => {
                        self.last_line = Instant::now();
                        eprintln!("{}  {task}{score}", self.line());
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
                let line = format!("{}  {task}: {}", self.line(), scores.join(", "));
                match &self.bar {
                    Some(bar) => bar.println(line),
                    None => eprintln!("{line}"),
                }
            }
        }
    }

    /// Ends the bar.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn line(&self) -> String {
        let elapsed = self.started.elapsed();
        let rate = self.answered as f64 / elapsed.as_secs_f64().max(1e-3);
        let left = Duration::from_secs_f64((self.requests - self.answered) as f64 / rate.max(1e-3));
        format!(
            "{}/{} requests, {rate:.1}/s, {} left",
            HumanCount(self.answered as u64),
            HumanCount(self.requests as u64),
            HumanDuration(left)
        )
    }
}
