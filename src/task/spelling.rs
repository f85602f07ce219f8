//! Names as they are typed: in any case, with `*`, or nearly right.

/// The one of `names` that is meant: the same, or the only one that differs in case alone. A pattern, and a name that is not there,
/// stay as they are.
///
/// # Errors
/// Several names differ from it in case alone: a hint that lists them.
pub fn spelled(typed: &str, names: &[String]) -> Result<String, String> {
    if typed.contains('*') || names.iter().any(|name| name == typed) {
        return Ok(typed.to_string());
    }
    let lower = typed.to_lowercase();
    let mut alike: Vec<&str> =
        names.iter().map(String::as_str).filter(|name| name.to_lowercase() == lower).collect();
    alike.sort_unstable();
    alike.dedup();
    match alike.as_slice() {
        [] => Ok(typed.to_string()),
        [only] => Ok(only.to_string()),
        several => Err(format!("names that differ in case alone: write {}", either(several))),
    }
}

/// The known name that is closest to an unknown one, if any is close.
pub fn closest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    nearest(name, known).into_iter().next()
}

/// At most three known names that are close to an unknown one, the closest first.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    const LEAST: f64 = 0.75;
    let name = name.to_lowercase();
    // Other harnesses have another word before the subject: `mmlu_anatomy`.
    let subject =
        name.split_once(['_', '-', ':']).map(|(_, subject)| subject).filter(|subject| subject.len() > 3);
    let similarity = |candidate: &str| {
        let candidate = candidate.to_lowercase();
        let has_subject = subject.is_some_and(|subject| {
            candidate.strip_suffix(subject).is_some_and(|before| before.ends_with(['_', '-', ':']))
        });
        let similarity = strsim::jaro_winkler(&name, &candidate);
        if has_subject { similarity.max(LEAST + 0.01) } else { similarity }
    };
    let mut near: Vec<(f64, &str)> = known
        .map(|candidate| (similarity(candidate), candidate))
        .filter(|(similarity, _)| *similarity > LEAST)
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    near.dedup_by_key(|(_, candidate)| *candidate);
    // A name that is much closer than the others is the one that is meant.
    let least = near.first().map_or(0.0, |(best, _)| best - 0.05);
    near.into_iter()
        .take_while(|(similarity, _)| *similarity >= least)
        .take(3)
        .map(|(_, name)| name)
        .collect()
}

/// `a`, `b` or `c`, in quotes.
pub fn either(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

/// The names that a pattern with `*` matches: in its own case, or, where there are none, in any.
pub fn matched<'a>(pattern: &str, names: impl Iterator<Item = &'a String>) -> Vec<String> {
    let names: Vec<&String> = names.collect();
    let found = |accept: &dyn Fn(&str) -> bool| -> Vec<String> {
        names.iter().filter(|name| accept(name)).map(|name| name.to_string()).collect()
    };
    let exact = found(&|name| matches_pattern(pattern, name));
    if !exact.is_empty() {
        return exact;
    }
    let lower = pattern.to_lowercase();
    found(&|name| matches_pattern(&lower, &name.to_lowercase()))
}

/// Shell-style `*`.
fn matches_pattern(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = name.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let parts: Vec<&str> = parts.collect();
    for (i, part) in parts.iter().enumerate() {
        if i + 1 == parts.len() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_under_another_word_is_near() {
        let names = ["hendrycksTest-anatomy", "hendrycksTest-astronomy", "gsm8k", "x-tomy"];
        assert_eq!(nearest("mmlu_anatomy", names.into_iter()), ["hendrycksTest-anatomy"]);
        assert_eq!(nearest("MMLU:astronomy", names.into_iter()), ["hendrycksTest-astronomy"]);
        assert!(nearest("a_tomy", names.into_iter()).contains(&"x-tomy"));
        assert!(nearest("mmlu_surgery", names.into_iter()).is_empty());
    }

    #[test]
    fn patterns_are_shell_style() {
        for (pattern, name, expected) in [
            ("group-*", "group-a", true),
            ("*", "x", true),
            ("a*c", "abc", true),
            ("a*c", "abd", false),
            ("*b*", "abc", true),
            ("a*b*", "ac", false),
        ] {
            assert_eq!(matches_pattern(pattern, name), expected, "{pattern} {name}");
        }
        let names = ["Ab", "ac", "x"].map(str::to_string);
        assert_eq!(matched("a*", names.iter()), ["ac"]);
        assert_eq!(matched("A*", names.iter()), ["Ab"]);
        assert_eq!(matched("X*", names.iter()), ["x"]);
    }

    #[test]
    fn a_name_is_found_in_any_case_unless_two_are_meant() {
        let names = ["one", "Two", "TWO", "two-three"].map(str::to_string);
        let found = |typed| spelled(typed, &names);
        assert_eq!(found("ONE"), Ok("one".into()));
        assert_eq!(found("TWO"), Ok("TWO".into()));
        assert_eq!(found("TWO-Three"), Ok("two-three".into()));
        assert_eq!(found("four"), Ok("four".into()));
        assert_eq!(found("two"), Err("names that differ in case alone: write `TWO` or `Two`".into()));
        assert_eq!(closest("ON", ["one", "two"].into_iter()), Some("one"));
        assert_eq!(nearest("alpha_c", ["alpha_a", "alpha_b", "beta"].into_iter()), ["alpha_a", "alpha_b"]);
        assert_eq!(either(&["a", "b", "c"]), "`a`, `b` or `c`");
    }
}
