//! How many documents of each task are evaluated.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// `--limit` for the chosen tasks. It is written as null, a number, or an object with the numbers of the
/// limited tasks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum TaskLimits {
    /// All documents.
    #[default]
    Whole,
    /// The same number of each task.
    Each(usize),
    /// A number for each of these tasks, and all documents of the others.
    ByTask(BTreeMap<String, usize>),
}

impl TaskLimits {
    /// The limits of tasks, by name, in canonical form: the same limit for all tasks becomes one number, so
    /// that runs with equal limits are equal however these were typed.
    pub fn of_tasks<'a>(tasks: impl IntoIterator<Item = (&'a str, Option<usize>)>) -> Self {
        let tasks: BTreeMap<&str, Option<usize>> = tasks.into_iter().collect();
        let first = tasks.values().next().copied().flatten();
        match first {
            Some(limit) if tasks.values().all(|other| *other == first) => Self::Each(limit),
            _ => {
                let limited = tasks.into_iter().filter_map(|(name, limit)| Some((name.to_string(), limit?)));
                let limited: BTreeMap<String, usize> = limited.collect();
                if limited.is_empty() { Self::Whole } else { Self::ByTask(limited) }
            }
        }
    }

    /// The limit of a task.
    pub fn of(&self, task: &str) -> Option<usize> {
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
        limit.map_or(Self::Whole, Self::Each)
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
        usize::try_from(limit).map(TaskLimits::Each).map_err(|_| E::invalid_value(number, &self))
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
                let bound = |limit: Option<&usize>| limit.copied().unwrap_or_default();
                let (least, most) = (bound(limits.values().min()), bound(limits.values().max()));
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
    use super::TaskLimits;
    use serde_json::json;

    #[test]
    fn a_plain_number_stays_one_and_everything_is_read_back() {
        let same = [("a", Some(3)), ("b", Some(3))];
        let some = [("b", Some(3)), ("a", Some(1)), ("c", None)];
        for (limits, written, said) in [
            (TaskLimits::from(None), json!(null), "no limit"),
            (TaskLimits::of_tasks([("a", None)]), json!(null), "no limit"),
            (TaskLimits::from(Some(3)), json!(3), "limit 3"),
            (TaskLimits::of_tasks(same), json!(3), "limit 3"),
            (TaskLimits::of_tasks(some), json!({"a": 1, "b": 3}), "limits by task (1 to 3)"),
            (TaskLimits::of_tasks([("a", None), ("b", Some(3))]), json!({"b": 3}), "limit 3 in some tasks"),
        ] {
            assert_eq!(json!(limits), written);
            assert_eq!(serde_json::from_value::<TaskLimits>(written).unwrap(), limits);
            assert_eq!(limits.to_string(), said);
        }
        let limits = TaskLimits::of_tasks(some);
        assert_eq!(["a", "b", "c"].map(|task| limits.of(task)), [Some(1), Some(3), None]);
    }
}
