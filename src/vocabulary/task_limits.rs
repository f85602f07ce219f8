//! How many documents of each task are evaluated.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How many documents of a task are evaluated: its first ones.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limit {
    /// So many, at least one.
    First(usize),
    /// This share of all, above 0 and below 1, rounded up as lm-evaluation-harness 0.4.13 does (`get_sample_size`).
    Share(f64),
}

/// A share is a number, never NaN.
impl Eq for Limit {}

impl Limit {
    /// The number of documents, of `available` ones.
    pub fn of(self, available: usize) -> usize {
        match self {
            Self::First(count) => count.min(available),
            Self::Share(share) => ((available as f64 * share).ceil() as usize).min(available),
        }
    }

    /// The share that a number stands for, if it is one.
    pub fn share(number: f64) -> Option<Self> {
        (number > 0.0 && number < 1.0).then_some(Self::Share(number))
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::First(count) => count.fmt(f),
            Self::Share(share) => share.fmt(f),
        }
    }
}

/// Written as a number.
impl Serialize for Limit {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::First(count) => count.serialize(to),
            Self::Share(share) => share.serialize(to),
        }
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(ANumber)
    }
}

struct ANumber;

impl Visitor<'_> for ANumber {
    type Value = Limit;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of documents or a share below 1")
    }

    fn visit_u64<E: Error>(self, limit: u64) -> Result<Limit, E> {
        let number = Unexpected::Unsigned(limit);
        usize::try_from(limit).map(Limit::First).map_err(|_| E::invalid_value(number, &self))
    }

    fn visit_f64<E: Error>(self, share: f64) -> Result<Limit, E> {
        Limit::share(share).ok_or_else(|| E::invalid_value(Unexpected::Float(share), &self))
    }
}

/// `--limit` for the chosen tasks. It is written as null, a number, or an object with the numbers of the
/// limited tasks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum TaskLimits {
    /// All documents.
    #[default]
    Whole,
    /// The same number of each task.
    Each(Limit),
    /// A number for each of these tasks, and all documents of the others.
    ByTask(BTreeMap<String, Limit>),
}

impl TaskLimits {
    /// The limits of tasks, by name, in canonical form: the same limit for all tasks becomes one number, so
    /// that runs with equal limits are equal however these were typed.
    pub fn of_tasks<'a>(tasks: impl IntoIterator<Item = (&'a str, Option<Limit>)>) -> Self {
        let tasks: BTreeMap<&str, Option<Limit>> = tasks.into_iter().collect();
        let first = tasks.values().next().copied().flatten();
        match first {
            Some(limit) if tasks.values().all(|other| *other == first) => Self::Each(limit),
            _ => {
                let limited = tasks.into_iter().filter_map(|(name, limit)| Some((name.to_string(), limit?)));
                let limited: BTreeMap<String, Limit> = limited.collect();
                if limited.is_empty() { Self::Whole } else { Self::ByTask(limited) }
            }
        }
    }

    /// The limit of a task.
    pub fn of(&self, task: &str) -> Option<Limit> {
        match self {
            Self::Whole => None,
            Self::Each(limit) => Some(*limit),
            Self::ByTask(limits) => limits.get(task).copied(),
        }
    }

    /// Whether no task has a limit.
    pub fn is_whole(&self) -> bool {
        *self == Self::Whole
    }
}

impl From<Option<usize>> for TaskLimits {
    fn from(limit: Option<usize>) -> Self {
        limit.map_or(Self::Whole, |limit| Self::Each(Limit::First(limit)))
    }
}

/// A derived implementation would not report where the error is.
impl<'de> Deserialize<'de> for TaskLimits {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(AsWritten)
    }
}

struct AsWritten;

impl<'de> Visitor<'de> for AsWritten {
    type Value = TaskLimits;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("null, a number of documents or an object of such numbers")
    }

    fn visit_unit<E: Error>(self) -> Result<TaskLimits, E> {
        Ok(TaskLimits::Whole)
    }

    fn visit_u64<E: Error>(self, limit: u64) -> Result<TaskLimits, E> {
        let number = Unexpected::Unsigned(limit);
        let count = usize::try_from(limit).map_err(|_| E::invalid_value(number, &self))?;
        Ok(TaskLimits::Each(Limit::First(count)))
    }

    fn visit_f64<E: Error>(self, share: f64) -> Result<TaskLimits, E> {
        let share = Limit::share(share).ok_or_else(|| E::invalid_value(Unexpected::Float(share), &self))?;
        Ok(TaskLimits::Each(share))
    }

    fn visit_map<A: MapAccess<'de>>(self, limits: A) -> Result<TaskLimits, A::Error> {
        BTreeMap::deserialize(MapAccessDeserializer::new(limits)).map(TaskLimits::ByTask)
    }
}

/// Short: a suite may have limits for dozens of tasks.
impl fmt::Display for TaskLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str("no limit"),
            Self::Each(limit) => write!(f, "limit {limit}"),
            Self::ByTask(limits) => {
                let mut counts: Vec<usize> = Vec::new();
                for limit in limits.values() {
                    match limit {
                        Limit::First(count) => counts.push(*count),
                        Limit::Share(_) => return f.write_str("limits by task"),
                    }
                }
                let (least, most) = (counts.iter().min(), counts.iter().max());
                let (least, most) = (least.copied().unwrap_or_default(), most.copied().unwrap_or_default());
                if least == most {
                    write!(f, "limit {most} in some tasks")
                } else {
                    write!(f, "limits by task ({least} to {most})")
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Limit, TaskLimits};
    use serde_json::json;

    #[test]
    fn a_plain_number_stays_one_and_everything_is_read_back() {
        let same = [("a", Some(Limit::First(3))), ("b", Some(Limit::First(3)))];
        let some = [("b", Some(Limit::First(3))), ("a", Some(Limit::First(1))), ("c", None)];
        for (limits, written, said) in [
            (TaskLimits::from(None), json!(null), "no limit"),
            (TaskLimits::of_tasks([("a", None)]), json!(null), "no limit"),
            (TaskLimits::from(Some(3)), json!(3), "limit 3"),
            (TaskLimits::of_tasks(same), json!(3), "limit 3"),
            (TaskLimits::Each(Limit::Share(0.1)), json!(0.1), "limit 0.1"),
            (
                TaskLimits::of_tasks([("a", Some(Limit::Share(0.5))), ("b", Some(Limit::First(2)))]),
                json!({"a": 0.5, "b": 2}),
                "limits by task",
            ),
            (TaskLimits::of_tasks(some), json!({"a": 1, "b": 3}), "limits by task (1 to 3)"),
            (
                TaskLimits::of_tasks([("a", None), ("b", Some(Limit::First(3)))]),
                json!({"b": 3}),
                "limit 3 in some tasks",
            ),
        ] {
            assert_eq!(json!(limits), written);
            assert_eq!(serde_json::from_value::<TaskLimits>(written).unwrap(), limits);
            assert_eq!(limits.to_string(), said);
        }
        let limits = TaskLimits::of_tasks(some);
        assert_eq!(
            ["a", "b", "c"].map(|task| limits.of(task)),
            [Some(Limit::First(1)), Some(Limit::First(3)), None]
        );
    }

    #[test]
    fn a_share_is_rounded_up_as_in_the_harness() {
        // `math.ceil(n * share)` by CPython 3.11.
        for (available, share, count) in [
            (10, 0.1, 1),
            (11, 0.1, 2),
            (30, 0.1, 3),
            (100, 0.07, 8),
            (1319, 0.01, 14),
            (5, 0.999, 5),
            (1, 0.001, 1),
        ] {
            assert_eq!(Limit::Share(share).of(available), count, "{available} {share}");
        }
        assert_eq!((Limit::First(3).of(2), Limit::First(1).of(2)), (2, 1));
        assert!([0.0, 1.0, -0.5, f64::NAN].iter().all(|number| Limit::share(*number).is_none()));
    }
}
