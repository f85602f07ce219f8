//! `--limit`: a number for each task, limits by task, or both.

use std::collections::{BTreeMap, HashSet};
use std::str::FromStr;

use miette::Diagnostic;

use super::failure::Failure;
use super::output::note;
use crate::task::{Selection, TaskIndex};
use crate::vocabulary::{Limit, TaskLimits};

/// What was typed, before tasks are known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LimitArgument {
    /// For tasks that no entry names.
    default: Option<Limit>,
    /// Names as `--tasks` takes them, with their numbers, in the order of typing.
    named: Vec<(String, Limit)>,
    /// Entries whose number lost a fraction, and what is left.
    cut: Vec<(String, Limit)>,
}

impl FromStr for LimitArgument {
    type Err = String;

    /// Errors go through clap, which puts the option and its value before them; a `tip:` becomes the hint.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut read = Self::default();
        for entry in text.split(',').map(str::trim) {
            let typed = entry.rsplit_once('=').map_or(entry, |(_, number)| number);
            if let Some(number) =
                typed.parse::<f64>().ok().filter(|number| *number > 1.0 && number.fract() > 0.0)
            {
                read.cut.push((entry.to_string(), Limit::First(number as usize)));
            }
            let fault = |what: &str| Err(format!("`{entry}` {what}\ntip: {TIP}"));
            let Some((name, limit)) = entry.rsplit_once('=') else {
                let limit = match entry {
                    "" => return fault("is empty, expected N or NAME=N"),
                    entry => number(entry, entry)?,
                };
                if read.default.replace(limit).is_some() {
                    return fault("is a second number for all tasks, expected one");
                }
                continue;
            };
            let (name, limit) = (name.trim(), limit.trim());
            if name.is_empty() {
                return fault("names no task, expected NAME=N");
            }
            if limit.is_empty() {
                return fault("has no number, expected NAME=N");
            }
            if read.named.iter().any(|(other, _)| other == name) {
                return fault("names its tasks a second time, expected each name once");
            }
            read.named.push((name.to_string(), number(entry, limit)?));
        }
        Ok(read)
    }
}

const TIP: &str = "give one number for each task, limits by task (NAME=8,OTHER=20), or both (4,NAME=8); a number below 1 is a share";

/// The number of an entry.
fn number(entry: &str, text: &str) -> Result<Limit, String> {
    use std::num::IntErrorKind::{NegOverflow, PosOverflow};

    let out_of_range = || Err(format!("`{entry}`: {text} is not in 1..={}\ntip: {TIP}", u32::MAX));
    match text.parse::<i64>() {
        Ok(number) => match u32::try_from(number) {
            Ok(number @ 1..) => Ok(Limit::First(number as usize)),
            _ => out_of_range(),
        },
        Err(error) if matches!(error.kind(), PosOverflow | NegOverflow) => out_of_range(),
        // 0.4.13 takes a number below 1 for a share, and any other down to the next whole one.
        Err(_) => match text.parse::<f64>() {
            Ok(share) if Limit::share(share).is_some() => Ok(Limit::Share(share)),
            Ok(number) if (1.0..=f64::from(u32::MAX)).contains(&number) => Ok(Limit::First(number as usize)),
            Ok(_) => out_of_range(),
            Err(_) => Err(format!("`{entry}`: `{text}` is no number, expected N or NAME=N\ntip: {TIP}")),
        },
    }
}

impl LimitArgument {
    /// The limits of the chosen tasks.
    ///
    /// # Errors
    /// An entry names none of them.
    pub fn of(&self, index: &TaskIndex, selection: &Selection) -> Result<TaskLimits, Failure> {
        for (entry, limit) in &self.cut {
            note!("note: --limit {entry}: taken as {limit}, as lm_eval takes it; a share is below 1");
        }
        let chosen: Vec<&str> = selection.tasks.iter().map(|task| &*task.name).collect();
        let mut limits: BTreeMap<&str, Option<Limit>> =
            chosen.iter().map(|name| (*name, self.default)).collect();
        for (name, limit) in &self.named {
            let named = index.resolve(name).map_err(|error| {
                let hint = error.help().map(|help| help.to_string()).unwrap_or_default();
                Failure::bad_input(format!("--limit {name}={limit}: {error}"), hint)
            })?;
            let named: HashSet<&str> = named.iter().map(String::as_str).collect();
            let mut held = false;
            for (_, of_task) in limits.iter_mut().filter(|(task, _)| named.contains(**task)) {
                *of_task = Some(*limit);
                held = true;
            }
            if !held {
                return Err(Failure::bad_input(
                    format!(
                        "--limit {name}={limit}: `{name}` is none of the chosen tasks, expected one of --tasks"
                    ),
                    "leave this entry out, or choose its tasks with --tasks too",
                ));
            }
        }
        Ok(TaskLimits::of_tasks(limits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index() -> TaskIndex {
        TaskIndex::load(&[]).unwrap()
    }

    fn limits(tasks: &[&str], typed: &str) -> TaskLimits {
        let index = index();
        let tasks: Vec<String> = tasks.iter().map(|name| name.to_string()).collect();
        let selection = index.select(&tasks).unwrap();
        typed.parse::<LimitArgument>().unwrap().of(&index, &selection).unwrap()
    }

    #[test]
    fn a_number_is_every_task_s() {
        assert_eq!(limits(&["gsm8k", "winogrande"], "4"), TaskLimits::from(Some(4)));
        assert_eq!(limits(&["gsm8k", "winogrande"], "4,gsm8k=4"), TaskLimits::from(Some(4)));
        assert_eq!(limits(&["gsm8k"], " gsm8k = 4 "), TaskLimits::from(Some(4)));
    }

    #[test]
    fn the_last_entry_that_names_a_task_wins_over_the_number_for_all() {
        let tasks = ["all"];
        let found = limits(&tasks, "mmlu=3,hendrycksTest-a*=2,hendrycksTest-anatomy=5,gsm8k=7,9");
        let expected = [
            ("hendrycksTest-anatomy", 5),
            ("hendrycksTest-astronomy", 2),
            ("hendrycksTest-virology", 3),
            ("gsm8k", 7),
            ("winogrande", 9),
        ];
        for (task, limit) in expected {
            assert_eq!(found.of(task), Some(Limit::First(limit)), "{task}");
        }
        let found = limits(&tasks, "gsm8k=7,all=2,winogrande=3");
        assert_eq!(
            ["gsm8k", "winogrande"].map(|task| found.of(task)),
            [Some(Limit::First(2)), Some(Limit::First(3))]
        );
        // Without a number for all, tasks that no entry names have no limit.
        let found = limits(&["gsm8k", "winogrande"], "gsm8k=7");
        assert_eq!(found, TaskLimits::of_tasks([("gsm8k", Some(Limit::First(7))), ("winogrande", None)]));
        assert_eq!(found.of("winogrande"), None);
    }

    #[test]
    fn numbers_are_read_as_lm_eval_reads_them() {
        let cut = |typed: &str| typed.parse::<LimitArgument>().unwrap().cut;
        assert_eq!(cut("3,gsm8k=2.7,arc=1.0,winogrande=0.5"), [("gsm8k=2.7".to_string(), Limit::First(2))]);
        for (typed, expected) in [
            ("0.1", Limit::Share(0.1)),
            ("1.0", Limit::First(1)),
            ("2.7", Limit::First(2)),
            ("1e2", Limit::First(100)),
            ("5e-1", Limit::Share(0.5)),
        ] {
            assert_eq!(limits(&["winogrande"], typed), TaskLimits::Each(expected), "{typed}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        for (typed, fault) in [
            ("0", "`0`: 0 is not in 1..=4294967295"),
            ("-1", "`-1`: -1 is not in 1..=4294967295"),
            ("4294967296", "`4294967296`: 4294967296 is not in 1..=4294967295"),
            ("x=0", "`x=0`: 0 is not in 1..=4294967295"),
            (
                "x=99999999999999999999",
                "`x=99999999999999999999`: 99999999999999999999 is not in 1..=4294967295",
            ),
            ("0.0", "`0.0`: 0.0 is not in 1..=4294967295"),
            ("nan", "`nan`: nan is not in 1..=4294967295"),
            ("", "`` is empty, expected N or NAME=N"),
            ("4,", "`` is empty, expected N or NAME=N"),
            ("x", "`x`: `x` is no number, expected N or NAME=N"),
            ("4,5", "`5` is a second number for all tasks, expected one"),
            ("x=", "`x=` has no number, expected NAME=N"),
            ("=3", "`=3` names no task, expected NAME=N"),
            ("x=abc", "`x=abc`: `abc` is no number, expected N or NAME=N"),
            ("x=1,y=2,x=3", "`x=3` names its tasks a second time, expected each name once"),
        ] {
            let error = typed.parse::<LimitArgument>().unwrap_err();
            assert_eq!(error.lines().next(), Some(fault), "{typed}");
        }
    }
}
