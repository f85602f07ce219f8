//! Metrics over the loglikelihoods of choices.

use crate::vocabulary::Gold;

/// What a metric sees of one document: its choices and their scores.
pub struct Scored<'a> {
    /// The choices' texts.
    pub choices: &'a [String],
    /// Loglikelihood of each.
    pub loglikelihoods: Vec<f64>,
    /// Whether each is what the model would have written.
    pub greedy: Vec<bool>,
    /// What is right.
    pub gold: &'a Gold,
}

/// Index of the largest value, the first among equals, as `numpy.argmax`.
fn argmax(values: impl Iterator<Item = f64>) -> usize {
    let mut best = (0, f64::NEG_INFINITY);
    for (i, value) in values.enumerate() {
        if i == 0 || value > best.1 {
            best = (i, value);
        }
    }
    best.0
}

fn is_right(gold: &Gold, choice: usize) -> f64 {
    let right = match gold {
        Gold::Index(index) => *index == choice,
        Gold::Labels(positions) => positions.contains(&(choice as i64)),
        Gold::Answer(_) | Gold::Answers(_) => false,
    };
    f64::from(u8::from(right))
}

/// 1 if the likeliest choice is right.
pub fn accuracy(scored: &Scored<'_>) -> f64 {
    is_right(scored.gold, argmax(scored.loglikelihoods.iter().copied()))
}

/// 1 if the choice likeliest per character (code point) is right. The delimiter before a choice does not count.
pub fn accuracy_by_characters(scored: &Scored<'_>) -> f64 {
    by_length(scored, |choice| choice.chars().count())
}

/// 1 if the choice likeliest per UTF-8 byte is right.
pub fn accuracy_by_bytes(scored: &Scored<'_>) -> f64 {
    by_length(scored, str::len)
}

fn by_length(scored: &Scored<'_>, length: fn(&str) -> usize) -> f64 {
    let pairs = scored.loglikelihoods.iter().zip(scored.choices);
    is_right(scored.gold, argmax(pairs.map(|(ll, choice)| ll / length(choice) as f64)))
}

/// 1 if the model would have written a right choice.
pub fn greedy_match(scored: &Scored<'_>) -> f64 {
    let right = (0..scored.greedy.len()).any(|i| scored.greedy[i] && is_right(scored.gold, i) == 1.0);
    f64::from(u8::from(right))
}

/// Share of probability on the true choices: those before the first label 0, even where labels are not sorted.
///
/// Source: lm-evaluation-harness b281b09, `truthfulqa_mc.process_results` (mc2), in double precision.
pub fn true_mass(scored: &Scored<'_>) -> Option<f64> {
    let Gold::Labels(labels) = scored.gold else { return None };
    let split = labels.iter().position(|label| *label == 0)?;
    let masses: Vec<f64> = scored.loglikelihoods.iter().map(|ll| ll.exp()).collect();
    let (right, wrong) = masses.split_at(split.min(masses.len()));
    let right: f64 = right.iter().sum();
    Some(right / (right + wrong.iter().sum::<f64>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scored<'a>(lls: &[f64], choices: &'a [String], gold: &'a Gold) -> Scored<'a> {
        Scored { choices, loglikelihoods: lls.to_vec(), greedy: vec![false; lls.len()], gold }
    }

    #[test]
    fn ties_go_to_the_first() {
        let choices = ["aa".to_string(), "a".to_string()];
        assert_eq!(accuracy(&scored(&[-1.0, -1.0], &choices, &Gold::Index(0))), 1.0);
        assert_eq!(accuracy(&scored(&[-1.0, -1.0], &choices, &Gold::Index(1))), 0.0);
        assert_eq!(accuracy_by_characters(&scored(&[-2.0, -1.0], &choices, &Gold::Index(0))), 1.0);
    }

    #[test]
    fn characters_are_not_bytes() {
        let choices = ["éé".to_string(), "aaa".to_string()];
        let gold = Gold::Index(0);
        assert_eq!(accuracy_by_characters(&scored(&[-3.0, -4.0], &choices, &gold)), 0.0);
        assert_eq!(accuracy_by_bytes(&scored(&[-3.0, -4.0], &choices, &gold)), 1.0);
    }

    #[test]
    fn unsorted_labels_split_at_the_first_zero() {
        let choices = vec![String::new(); 4];
        let gold = Gold::Labels(vec![1, 0, 1, 0]);
        let mass = true_mass(&scored(&[0.0, 0.0, 0.0, 0.0], &choices, &gold)).unwrap();
        assert_eq!(mass, 0.25);
    }

    #[test]
    fn all_true_has_no_split() {
        assert_eq!(true_mass(&scored(&[0.0], &[String::new()], &Gold::Labels(vec![1]))), None);
    }
}
