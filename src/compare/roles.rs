//! Which of the runs is the merge.

use super::error::CompareError;
use crate::vocabulary::ComparedRun;

/// How it is known which run is the merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MergeBy {
    /// The user said so.
    Asked,
    /// The recipe in its model's folder names another of the runs as a parent.
    Recipe,
    /// It was given first, and nothing says otherwise.
    #[default]
    Order,
}

impl MergeBy {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            MergeBy::Asked => "by --merge",
            MergeBy::Recipe => "by its recipe",
            MergeBy::Order => "the first given",
        }
    }
}

/// The place of the merge among the runs: the one that was asked for, or the one whose recipe names another as a parent, or the
/// first. `sorted`: whether the runs were given in the order of a shell's pattern, which says nothing.
///
/// # Errors
/// Nothing says which it is.
pub fn merge_of(
    runs: &[ComparedRun],
    asked: Option<usize>,
    sorted: bool,
) -> Result<(usize, MergeBy), CompareError> {
    if let Some(place) = asked {
        return Ok((place, MergeBy::Asked));
    }
    let merges: Vec<usize> = (0..runs.len()).filter(|place| parents_of(runs, *place) > 0).collect();
    match merges[..] {
        [one] => Ok((one, MergeBy::Recipe)),
        // A merge of merges: the one that no other was made of.
        [_, ..] => {
            let last: Vec<usize> = merges
                .iter()
                .copied()
                .filter(|place| {
                    !merges.iter().any(|other| other != place && names(&runs[*other], &runs[*place]))
                })
                .collect();
            match last[..] {
                [one] => Ok((one, MergeBy::Recipe)),
                _ => Err(CompareError::WhichMerge {
                    why: format!("the recipes of {} of the runs name others as parents", merges.len()),
                }),
            }
        }
        [] if sorted && runs.len() > 2 => Err(CompareError::WhichMerge {
            why: "no recipe is recorded, and the runs are in the order of their names, as `*` gives them"
                .into(),
        }),
        [] => Ok((0, MergeBy::Order)),
    }
}

/// What readers must know about the roles: parents that the merge's recipe does not name, and recipes that say otherwise. The
/// merge is the first of the runs.
pub fn role_notes(runs: &[ComparedRun]) -> Vec<String> {
    let Some((merge, others)) = runs.split_first() else { return Vec::new() };
    let mut notes = Vec::new();
    for other in others {
        if let Some(recipe) = &merge.recipe
            && !names(merge, other)
        {
            let named = recipe.parents.join(", ");
            notes.push(format!(
                "{}: the recipe of {} does not name it as a parent; it names {named}",
                other.source, merge.name
            ));
        }
        if names(other, merge) && !names(merge, other) {
            notes.push(format!(
                "{}: its recipe names {} as a parent, not the other way round",
                other.source, merge.name
            ));
        }
    }
    notes
}

fn parents_of(runs: &[ComparedRun], place: usize) -> usize {
    let other = |at: &usize| *at != place && names(&runs[place], &runs[*at]);
    (0..runs.len()).filter(other).count()
}

/// Whether the recipe of one names the other.
fn names(run: &ComparedRun, other: &ComparedRun) -> bool {
    let model = if other.model.is_empty() { &other.name } else { &other.model };
    run.recipe.as_ref().is_some_and(|recipe| recipe.names(model, &other.location))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::MergeRecipe;

    fn run(name: &str, parents: &[&str]) -> ComparedRun {
        let parents: Vec<String> = parents.iter().map(|parent| parent.to_string()).collect();
        let recipe = (!parents.is_empty()).then(|| MergeRecipe { parents, ..MergeRecipe::default() });
        ComparedRun { name: name.into(), source: name.into(), recipe, ..ComparedRun::default() }
    }

    #[test]
    fn the_recipe_decides_before_the_order() {
        let runs = [run("a", &[]), run("b", &[]), run("m", &["o/a", "o/b"])];
        assert_eq!(merge_of(&runs, None, true), Ok((2, MergeBy::Recipe)));
        assert_eq!(merge_of(&runs, Some(0), true), Ok((0, MergeBy::Asked)));
        // A merge of a merge.
        let runs = [run("first", &["a"]), run("second", &["first", "b"]), run("a", &[])];
        assert_eq!(merge_of(&runs, None, false), Ok((1, MergeBy::Recipe)));
        // Two merges of the same parent.
        let runs = [run("x", &["a"]), run("y", &["a"]), run("a", &[])];
        assert!(matches!(merge_of(&runs, None, false), Err(CompareError::WhichMerge { .. })));
        // A recipe that names none of the others says nothing of the roles.
        let runs = [run("a", &["z"]), run("b", &[]), run("c", &[])];
        assert_eq!(merge_of(&runs, None, false), Ok((0, MergeBy::Order)));
        assert!(merge_of(&runs, None, true).is_err());
        assert_eq!(merge_of(&runs[..2], None, true), Ok((0, MergeBy::Order)));
    }

    #[test]
    fn parents_that_a_recipe_does_not_name_are_told() {
        let runs = [run("m", &["o/a"]), run("a", &[]), run("b", &["m"])];
        assert_eq!(
            role_notes(&runs),
            [
                "b: the recipe of m does not name it as a parent; it names o/a",
                "b: its recipe names m as a parent, not the other way round"
            ]
        );
    }
}
