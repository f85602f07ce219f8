//! Metrics over the loglikelihoods of choices.

use std::cmp::Ordering;

use super::value::Value;
use crate::vocabulary::{Decision, DocumentRequests, Gold, NO_CHOICE, Response, View};

/// What a metric reads of one document: its choices and their scores.
pub struct Scored<'a> {
    /// The choices' texts.
    pub choices: &'a [String],
    pub loglikelihoods: Vec<f64>,
    /// Estimated error of each loglikelihood from rounding the logits, in nats.
    pub roundings: Vec<f64>,
    /// Whether greedy decoding would generate each choice.
    pub greedy: Vec<bool>,
    /// Whether rounding may have changed `greedy`.
    pub greedy_near_ties: Vec<bool>,
    pub gold: &'a Gold,
}

impl<'a> Scored<'a> {
    /// The choices of a document that a view covers, and the responses to them.
    ///
    /// # Errors
    /// Responses that are missing, of another kind, or NaN.
    pub fn new(
        document: &'a DocumentRequests,
        view: &'a View,
        responses: &[Response],
    ) -> Result<Self, String> {
        let responses = responses.get(view.choices.clone()).ok_or("responses are missing")?;
        let choices = document.choices.get(view.choices.clone()).ok_or("choices are missing")?;
        let (loglikelihoods, roundings, greedy, greedy_near_ties) = Default::default();
        let gold = &view.gold;
        let mut scored = Self { choices, loglikelihoods, roundings, greedy, greedy_near_ties, gold };
        for response in responses {
            let Response::Loglikelihood { loglikelihood, is_greedy, rounding, greedy_near_tie, .. } =
                response
            else {
                return Err("a response is no loglikelihood".into());
            };
            if loglikelihood.is_nan() {
                return Err("a loglikelihood is not a number".into());
            }
            scored.loglikelihoods.push(*loglikelihood);
            scored.roundings.push(*rounding);
            scored.greedy.push(*is_greedy);
            scored.greedy_near_ties.push(*greedy_near_tie);
        }
        Ok(scored)
    }

    /// Index of the choice that is likeliest per unit of `length`.
    fn likeliest_per(&self, length: fn(&str) -> usize) -> usize {
        argmax(self.choices.iter().zip(&self.loglikelihoods).map(|(choice, ll)| ll / length(choice) as f64))
    }
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
        Gold::NoChoice(_) | Gold::Answer(_) | Gold::Answers(_) => false,
    };
    f64::from(u8::from(right))
}

/// No length normalisation.
fn one(_: &str) -> usize {
    1
}

/// Length in code points.
fn characters(choice: &str) -> usize {
    choice.chars().count()
}

/// 1 if the likeliest choice is right.
pub fn accuracy(scored: &Scored<'_>) -> Result<Value, String> {
    Ok(accuracy_per(scored, one))
}

/// 1 if the choice likeliest per character (code point) is right. The delimiter before a choice does not count.
pub fn accuracy_by_characters(scored: &Scored<'_>) -> Result<Value, String> {
    Ok(accuracy_per(scored, characters))
}

/// 1 if the choice likeliest per UTF-8 byte is right.
pub fn accuracy_by_bytes(scored: &Scored<'_>) -> Result<Value, String> {
    Ok(accuracy_per(scored, str::len))
}

/// The likeliest choice.
pub fn likeliest(scored: &Scored<'_>) -> usize {
    scored.likeliest_per(one)
}

/// The choice that is likeliest per character.
pub fn likeliest_by_characters(scored: &Scored<'_>) -> usize {
    scored.likeliest_per(characters)
}

/// The choice that is likeliest per byte.
pub fn likeliest_by_bytes(scored: &Scored<'_>) -> usize {
    scored.likeliest_per(str::len)
}

/// 1 if the choice likeliest per unit of `length` is right, and how narrow the decision was.
fn accuracy_per(scored: &Scored<'_>, length: fn(&str) -> usize) -> Value {
    // For each choice the lowest, the computed and the highest value within the estimated rounding error.
    let reach: Vec<[f64; 3]> = scored
        .choices
        .iter()
        .zip(&scored.loglikelihoods)
        .zip(&scored.roundings)
        .map(|((choice, ll), rounding)| {
            [ll - rounding, *ll, ll + rounding].map(|x| x / length(choice) as f64)
        })
        .collect();
    let best = argmax(reach.iter().map(|[_, value, _]| *value));
    let others = || reach.iter().enumerate().filter(|(i, _)| *i != best).map(|(_, other)| other);
    let next = others().map(|[_, value, _]| *value).max_by(f64::total_cmp);
    let [lowest, value, _] = reach.get(best).copied().unwrap_or_default();
    let decision = Decision {
        margin: next.map(|next| value - next).filter(|margin| margin.is_finite()),
        // Not only the runner-up: a choice with more tokens, further behind, may have the larger rounding
        // error.
        near_tie: others().any(|[_, _, highest]| lowest.partial_cmp(highest) != Some(Ordering::Greater)),
    };
    (is_right(scored.gold, best), Some(decision))
}

/// 1 if greedy decoding would generate a right choice.
///
/// Source: `process_results` of 0.4.13, which indexes the choices by the label: -1, a hidden label, names the last one here, though
/// no choice is right by accuracy. -100, its own label for a choice that is out of range, names none.
pub fn greedy_match(scored: &Scored<'_>) -> Result<Value, String> {
    let count = scored.greedy.len();
    let from_the_end = |label: i64| {
        usize::try_from(label.unsigned_abs())
            .ok()
            .filter(|_| label < 0 && label != NO_CHOICE)
            .and_then(|back| count.checked_sub(back))
    };
    let last: Vec<usize> = match scored.gold {
        Gold::NoChoice(label) => from_the_end(*label).into_iter().collect(),
        Gold::Labels(labels) => labels.iter().filter_map(|&label| from_the_end(label)).collect(),
        _ => Vec::new(),
    };
    let right = || (0..count).filter(|&i| is_right(scored.gold, i) == 1.0 || last.contains(&i));
    let value = right().any(|i| scored.greedy[i]);
    // A right choice that is greedy and no near-tie settles it.
    let settled = right().any(|i| scored.greedy[i] && !scored.greedy_near_ties[i]);
    let near_tie = !settled && right().any(|i| scored.greedy_near_ties[i]);
    Ok((f64::from(u8::from(value)), Some(Decision { margin: None, near_tie })))
}

/// Share of probability on the true choices: those before the first label 0, even where labels are not sorted.
///
/// Source: lm-evaluation-harness b281b09, `truthfulqa_mc.process_results` (mc2), in double precision.
///
/// # Errors
/// Labels that name no wrong choice.
pub fn true_mass(scored: &Scored<'_>) -> Result<Value, String> {
    let split = match scored.gold {
        Gold::Labels(labels) => labels.iter().position(|label| *label == 0),
        _ => None,
    };
    let split = split.ok_or("the labels name no wrong choice, so there is no mass to share")?;
    let masses: Vec<f64> = scored.loglikelihoods.iter().map(|ll| ll.exp()).collect();
    let (right, wrong) = masses.split_at(split.min(masses.len()));
    let right: f64 = right.iter().sum();
    Ok((right / (right + wrong.iter().sum::<f64>()), None))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A decision's value and how narrow it was.
    fn decided(metric: fn(&Scored<'_>) -> Result<Value, String>, scored: &Scored<'_>) -> (f64, Decision) {
        let (value, decision) = metric(scored).unwrap();
        (value, decision.unwrap())
    }

    fn scored<'a>(lls: &[f64], choices: &'a [String], gold: &'a Gold) -> Scored<'a> {
        rounded(lls, &vec![0.0; lls.len()], choices, gold)
    }

    fn rounded<'a>(lls: &[f64], roundings: &[f64], choices: &'a [String], gold: &'a Gold) -> Scored<'a> {
        Scored {
            choices,
            loglikelihoods: lls.to_vec(),
            roundings: roundings.to_vec(),
            greedy: vec![false; lls.len()],
            greedy_near_ties: vec![false; lls.len()],
            gold,
        }
    }

    #[test]
    fn ties_go_to_the_first() {
        let choices = ["aa".to_string(), "a".to_string()];
        assert_eq!(decided(accuracy, &scored(&[-1.0, -1.0], &choices, &Gold::Index(0))).0, 1.0);
        assert_eq!(decided(accuracy, &scored(&[-1.0, -1.0], &choices, &Gold::Index(1))).0, 0.0);
        assert_eq!(decided(accuracy_by_characters, &scored(&[-2.0, -1.0], &choices, &Gold::Index(0))).0, 1.0);
    }

    #[test]
    fn characters_are_not_bytes() {
        let choices = ["éé".to_string(), "aaa".to_string()];
        let gold = Gold::Index(0);
        assert_eq!(decided(accuracy_by_characters, &scored(&[-3.0, -4.0], &choices, &gold)).0, 0.0);
        assert_eq!(decided(accuracy_by_bytes, &scored(&[-3.0, -4.0], &choices, &gold)).0, 1.0);
    }

    #[test]
    fn margins_are_in_the_metric_s_own_scale() {
        let choices = ["aa".to_string(), "aaaa".to_string()];
        let gold = Gold::Index(0);
        let scored = rounded(&[-2.0, -3.0], &[0.25, 0.5], &choices, &gold);
        assert_eq!(decided(accuracy, &scored).1, Decision { margin: Some(1.0), near_tie: false });
        // -1 and -0.75, each +- 0.125.
        assert_eq!(
            decided(accuracy_by_characters, &scored).1,
            Decision { margin: Some(0.25), near_tie: true }
        );
        let scored = rounded(&[-2.0, -3.0], &[0.25, 0.25], &choices, &gold);
        assert_eq!(
            decided(accuracy_by_characters, &scored).1,
            Decision { margin: Some(0.25), near_tie: false }
        );
    }

    #[test]
    fn a_third_choice_with_a_larger_rounding_makes_a_near_tie() {
        let choices = vec!["a".to_string(); 3];
        let scored = rounded(&[-1.0, -2.0, -3.0], &[0.25, 0.25, 1.75], &choices, &Gold::Index(0));
        assert_eq!(decided(accuracy, &scored).1, Decision { margin: Some(1.0), near_tie: true });
    }

    #[test]
    fn one_choice_is_no_tie_and_has_no_margin() {
        let choices = ["a".to_string()];
        let scored = rounded(&[-1.0], &[9.0], &choices, &Gold::Index(0));
        assert_eq!(decided(accuracy, &scored), (1.0, Decision { margin: None, near_tie: false }));
    }

    #[test]
    fn choices_without_length_are_tied() {
        let choices = [String::new(), String::new()];
        let scored = scored(&[-1.0, -2.0], &choices, &Gold::Index(0));
        assert_eq!(decided(accuracy_by_bytes, &scored).1, Decision { margin: None, near_tie: true });
    }

    #[test]
    fn a_settled_greedy_choice_is_no_near_tie() {
        let choices = vec!["a".to_string(); 3];
        let gold = Gold::Labels(vec![0, 1]);
        for (greedy, near_ties, expected) in [
            ([true, false, false], [false, true, true], (1.0, false)),
            ([true, false, false], [true, false, false], (1.0, true)),
            ([false, false, false], [false, true, false], (0.0, true)),
            ([false, false, true], [false, false, true], (0.0, false)),
        ] {
            let mut scored = scored(&[0.0; 3], &choices, &gold);
            (scored.greedy, scored.greedy_near_ties) = (greedy.to_vec(), near_ties.to_vec());
            let (value, decision) = decided(greedy_match, &scored);
            assert_eq!((value, decision.near_tie), expected, "{greedy:?} {near_ties:?}");
        }
    }

    #[test]
    fn hidden_labels_name_what_python_indexes_and_an_impossible_one_names_none() {
        let choices = vec!["a".to_string(); 150];
        for (gold, greedy, expected) in [
            (Gold::NoChoice(-1), 149, 1.0),
            (Gold::NoChoice(-1), 0, 0.0),
            (Gold::NoChoice(-100), 50, 0.0),
            (Gold::Labels(vec![-100, 3]), 50, 0.0),
            (Gold::Labels(vec![-100, 3]), 3, 1.0),
        ] {
            let mut scored = scored(&[0.0; 150], &choices, &gold);
            scored.greedy = (0..150).map(|i| i == greedy).collect();
            scored.greedy_near_ties = vec![false; 150];
            assert_eq!(decided(greedy_match, &scored).0, expected, "{gold:?} {greedy}");
        }
    }

    #[test]
    fn unsorted_labels_split_at_the_first_zero() {
        let choices = vec![String::new(); 4];
        let gold = Gold::Labels(vec![1, 0, 1, 0]);
        let mass = true_mass(&scored(&[0.0, 0.0, 0.0, 0.0], &choices, &gold)).unwrap();
        assert_eq!(mass, (0.25, None));
    }

    #[test]
    fn all_true_has_no_split() {
        assert!(true_mass(&scored(&[0.0], &[String::new()], &Gold::Labels(vec![1]))).is_err());
    }

    /// A choice: its length, and for each token its logit, its normaliser, and the exact logit's offset
    /// within the rounding. Logits are so close to one another that rounding often changes decisions.
    fn choice() -> impl Strategy<Value = (usize, Vec<(f32, f32, i8)>)> {
        // Steps that double precision sums exactly: the test is about decisions, not about its own sums.
        let number =
            |steps: std::ops::Range<i32>| steps.prop_map(|n| half::bf16::from_f32(n as f32 / 64.0).to_f32());
        let off = prop_oneof![Just(-4i8), Just(4), -4i8..=4];
        (1usize..3, prop::collection::vec((number(240..272), number(510..513), off), 1..3))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2048, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_decision_that_rounding_turns_is_marked(choices in prop::collection::vec(choice(), 2..6)) {
            use crate::engine::half_ulp;
            use crate::model::Dtype;

            let texts: Vec<String> = choices.iter().map(|(length, _)| "x".repeat(*length)).collect();
            let sum = |term: &dyn Fn(&(f32, f32, i8)) -> f64| -> Vec<f64> {
                choices.iter().map(|(_, tokens)| tokens.iter().map(term).sum()).collect()
            };
            let half = |logit: f32| half_ulp(logit, Dtype::Bf16);
            let read = sum(&|(logit, normaliser, _)| f64::from(*logit) - f64::from(*normaliser));
            let roundings = sum(&|(logit, _, _)| half(*logit));
            let truth = sum(&|(logit, normaliser, off)| {
                f64::from(*logit) + half(*logit) * f64::from(*off) / 4.0 - f64::from(*normaliser)
            });
            for metric in [accuracy, accuracy_by_characters, accuracy_by_bytes] {
                for gold in (0..choices.len()).map(Gold::Index) {
                    let (found, decision) = decided(metric, &rounded(&read, &roundings, &texts, &gold));
                    let (before, _) = decided(metric, &rounded(&truth, &roundings, &texts, &gold));
                    prop_assert!(found == before || decision.near_tie, "{read:?} +- {roundings:?}, in truth {truth:?}");
                }
            }
        }
    }
}
