//! Finds task files, follows their includes, and selects tasks by name.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::error::TaskError;
use super::fields::{SchemaError, text_of, wrong};
use super::group::{GroupFile, Overrides, merged, read_groups, set_the_same};
use super::includes::{expand, get, is_yaml, read_with_includes, walk};
use super::odd_files::{OddFile, notes};
use super::read_task::read_task;
use super::schema::Task;
use super::spelling::{either, matched, nearest, spelled};
use super::suite::{Suite, read_suite};
use super::yaml::parse_document;
use super::yaml_value::{Key, Node, Yaml};
use crate::builtin;
use crate::vocabulary::{Fingerprint, Group};

/// What one task file declares, not yet compiled.
#[derive(Clone)]
struct Declaration {
    node: Node,
    constants: Map<String, Value>,
    fingerprint: Fingerprint,
    tags: Vec<String>,
    included: bool,
    /// Whether the working folder's files replace the built-in ones.
    own: bool,
}

/// All task files, by the names they declare.
pub struct TaskIndex {
    tasks: BTreeMap<String, Declaration>,
    order: Vec<String>,
    /// Each with whether its file is below `--include`.
    groups: BTreeMap<String, (GroupFile, bool)>,
    /// Members of groups that may be tasks of their own, by the member's name.
    inline: Vec<(String, Declaration)>,
    suites: Vec<Suite>,
    /// Whether any of the working folder's files replaces a built-in one.
    has_own_files: bool,
    /// Files that cannot be read, and keys that occur twice in a mapping.
    odd_files: Vec<OddFile>,
    repeated: Vec<Key>,
}

/// The selected tasks.
#[derive(Debug)]
pub struct Selection {
    /// Each task once, in the requested order.
    pub tasks: Vec<Task>,
    /// The suite, if its name was the only one requested.
    pub suite: Option<Suite>,
    /// The requested groups that have scores, each before those in it.
    pub groups: Vec<Group>,
}

/// The built-in task files; each subfolder holds those of a suite.
const BUILTIN: &str = "tasks";

/// How deep groups may lie in groups.
const MAX_DEPTH: usize = 8;

impl TaskIndex {
    /// Reads the built-in task files and those below `include`, whose tasks override built-in ones of the
    /// same name. An included file that cannot be read does not hinder the others: see [`notes`](Self::notes).
    ///
    /// # Errors
    /// A folder that cannot be read; a name declared twice; a built-in file replaced by one that cannot be read.
    pub fn load(include: &[PathBuf]) -> Result<Self, TaskError> {
        let built_in = builtin::folders(BUILTIN).into_iter().flat_map(|folder| builtin::list(&folder));
        let built_in: Vec<String> = built_in.filter(|path| is_yaml(Path::new(path))).collect();
        let mut index = Self::empty();
        index.has_own_files = built_in.iter().any(|path| builtin::is_replaced(path));
        for path in built_in {
            index.add(Path::new(&path), false, &mut Vec::new())?;
        }
        for folder in include {
            let mut files = Vec::new();
            walk(folder, &mut files)?;
            files.sort();
            if files.is_empty() {
                return Err(TaskError::NoFiles { path: folder.display().to_string() });
            }
            for file in files {
                let mut source = Vec::new();
                match index.add(&file, true, &mut source) {
                    Err(error @ TaskError::Twice { .. }) => return Err(error),
                    Err(error) => index.odd_files.push(OddFile::new(file, &source, &error)),
                    Ok(()) => {}
                }
            }
        }
        index.declare_inline()?;
        Ok(index)
    }

    /// The tasks that a single file declares; `path` is for messages.
    ///
    /// # Errors
    /// As [`load`](Self::load); also an `include`, as no file is read.
    pub fn of_source(source: &str, path: &Path) -> Result<Self, TaskError> {
        let mut index = Self::empty();
        let node = parse_document(source, Arc::from(path)).map_err(SchemaError::from)?.root;
        if let Some(include) = get(&node, "include") {
            let (place, path) = (include.place.clone(), path.display().to_string());
            let source = std::io::Error::other("the file stands alone here");
            return Err(TaskError::Include { place, path, source });
        }
        index.declare(node, source.as_bytes(), true, false)?;
        index.declare_inline()?;
        Ok(index)
    }

    fn empty() -> Self {
        let (tasks, order, groups, suites) = Default::default();
        let (odd_files, repeated, inline) = Default::default();
        Self { tasks, order, groups, inline, suites, has_own_files: false, odd_files, repeated }
    }

    /// Adds what the file at `path` declares; what was read is in `sources`, also after an error.
    fn add(&mut self, path: &Path, included: bool, sources: &mut Vec<u8>) -> Result<(), TaskError> {
        let node = read_with_includes(path, included, sources, &mut Vec::new(), &mut self.repeated)?;
        // The names of included files are not known here, so any replaced built-in file counts.
        let includes = get(&node, "include").is_some();
        let own = !included
            && if includes { self.has_own_files } else { builtin::is_replaced(&path.to_string_lossy()) };
        self.declare(node, sources, included, own)
    }

    /// Adds what the mapping at `node` declares, which was read from `sources`.
    fn declare(&mut self, node: Node, sources: &[u8], included: bool, own: bool) -> Result<(), TaskError> {
        if get(&node, "suite").is_some() {
            self.suites.push(read_suite(node)?);
            return Ok(());
        }
        let Some(name) = get(&node, "task") else { return Ok(()) };
        if let (Yaml::List(_), Some(group)) = (&name.yaml, get(&node, "group")) {
            let (constants, tags) = Default::default();
            let (name, fingerprint) = (text_of(group, "group")?, Fingerprint::of(sources));
            let declared = Declaration { node: node.clone(), constants, fingerprint, tags, included, own };
            return self.add_group(name, &node, &declared);
        }
        let fingerprint = Fingerprint::of(sources);
        for (constants, node) in expand(node)? {
            let declared = get(&node, "task").ok_or_else(|| wrong(&node, "task", "a name"))?;
            let name = text_of(declared, "task")?;
            let place = declared.place.clone();
            let mut tags = Vec::new();
            for key in ["tag", "group"] {
                match get(&node, key).map(|tag| &tag.yaml) {
                    Some(Yaml::Text(tag)) => tags.push(tag.clone()),
                    Some(Yaml::List(list)) => {
                        for tag in list {
                            tags.push(text_of(tag, key)?);
                        }
                    }
                    _ => {}
                }
            }
            let declaration =
                Declaration { node, constants, fingerprint: fingerprint.clone(), tags, included, own };
            match self.tasks.get(&name) {
                Some(other) if other.included == included => {
                    return Err(TaskError::Twice { place, name, other: other.node.place.clone() });
                }
                Some(_) => {}
                None => self.order.push(name.clone()),
            }
            self.tasks.insert(name, declaration);
        }
        Ok(())
    }

    /// Adds the group at `node`, and those in its list that have lists of their own.
    fn add_group(&mut self, group: String, node: &Node, declared: &Declaration) -> Result<(), TaskError> {
        for (name, file) in read_groups(group, node)? {
            if let Some((other, included)) = self.groups.get(&name)
                && *included == declared.included
            {
                return Err(TaskError::Twice { place: file.place, name, other: other.place.clone() });
            }
            for (member, node) in
                file.members.iter().filter_map(|member| Some((member, member.inline.as_ref()?)))
            {
                let own = task_in_group(&name, &member.name, node, &file.own);
                self.inline.push((member.name.clone(), Declaration { node: own, ..declared.clone() }));
            }
            self.groups.insert(name, (file, declared.included));
        }
        Ok(())
    }

    /// Declares the tasks that stand in groups' lists and nowhere else.
    fn declare_inline(&mut self) -> Result<(), TaskError> {
        for (name, declaration) in std::mem::take(&mut self.inline) {
            if self.is_known(&name) {
                continue;
            }
            let declared =
                get(&declaration.node, "task").ok_or_else(|| wrong(&declaration.node, "task", "a name"))?;
            let full = text_of(declared, "task")?;
            if self.tasks.insert(full.clone(), declaration).is_none() {
                self.order.push(full);
            }
        }
        Ok(())
    }

    fn is_known(&self, name: &str) -> bool {
        let tagged = |task: &Declaration| task.tags.iter().any(|tag| tag == name);
        self.tasks.contains_key(name) || self.groups.contains_key(name) || self.tasks.values().any(tagged)
    }

    /// What was odd about the files, a line each: those that are left out, and keys of which an earlier value does not count.
    pub fn notes(&self) -> Vec<String> {
        let repeated = self.repeated.iter().map(|Key { name, place }| {
            format!("{place}: key `{name}` stands twice in one mapping; the last one counts, as for PyYAML")
        });
        let mut lines: Vec<String> = notes(&self.odd_files).chain(repeated).collect();
        lines.dedup();
        lines
    }

    /// An error if one of the names may be declared in a file that is left out.
    fn check_odd_files<'n>(&self, mut names: impl Iterator<Item = &'n String>) -> Result<(), TaskError> {
        let asked = names.find_map(|name| {
            let elsewhere = self.is_known(name) || self.suite(name).is_some();
            self.odd_files.iter().find(|file| file.may_declare(name, elsewhere))
        });
        match asked {
            None => Ok(()),
            // The file is read once more for its error.
            Some(file) => Self::empty().add(&file.path, true, &mut Vec::new()),
        }
    }

    /// All names that can be selected: suites and their aliases, groups and tags, tasks.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for suite in &self.suites {
            names.extend(suite.aliases.iter().cloned());
            names.push(suite.name.clone());
        }
        names.extend(self.groups.keys().cloned());
        names.extend(self.tags());
        names.extend(self.order.iter().cloned());
        names
    }

    fn tags(&self) -> Vec<String> {
        let mut seen = HashSet::new();
        let all = self.order.iter().flat_map(|name| self.tasks[name].tags.iter());
        all.filter(|tag| seen.insert((*tag).clone())).cloned().collect()
    }

    /// The suites.
    pub fn suites(&self) -> &[Suite] {
        &self.suites
    }

    /// The names of all tasks with their tags, in the order of their files.
    pub fn tasks(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.order.iter().map(|name| (name.as_str(), self.tasks[name].tags.as_slice()))
    }

    /// The tasks that `wanted` stands for: a suite, its alias, a group, a tag, a task, in any case, or a pattern with `*`.
    ///
    /// # Errors
    /// An unknown name; a task file that does not compile.
    pub fn select(&self, wanted: &[String]) -> Result<Selection, TaskError> {
        let wanted = wanted.iter().map(|name| self.spelled(name)).collect::<Result<Vec<_>, _>>()?;
        self.check_odd_files(wanted.iter())?;
        let mut chosen: Vec<(String, Overrides)> = Vec::new();
        let mut suites: Vec<&Suite> = Vec::new();
        for name in &wanted {
            chosen.extend(self.wanted(name)?);
            suites.extend(self.suite(name));
        }
        let chosen = once_each(chosen)?;
        self.check_odd_files(chosen.iter().map(|(name, _)| name))?;
        let tasks = chosen
            .iter()
            .map(|(name, overrides)| self.compile(name, overrides))
            .collect::<Result<Vec<_>, _>>()?;
        let mut groups: Vec<Group> = Vec::new();
        for name in wanted.iter().flat_map(|name| self.groups_of(name)) {
            self.add_scored(&name, 0, &mut groups)?;
        }
        let suite = (suites.len() == 1 && wanted.len() == 1).then(|| suites[0].clone());
        Ok(Selection { tasks, suite, groups })
    }

    /// The task `name` as a run had it whose files had the hash `fingerprint`: alone, or with the keys that one of the groups sets in
    /// it. As it is alone where no way to read it has that hash; `None` where the name is a group here.
    ///
    /// # Errors
    /// An unknown name; a task file that does not compile.
    pub fn recorded(&self, name: &str, fingerprint: &str) -> Result<Option<Task>, TaskError> {
        self.check_odd_files([name.to_string()].iter())?;
        if !self.tasks.contains_key(name) {
            return self.members(name, 0).map(|_| None);
        }
        let in_groups = self.groups.keys().filter_map(|group| self.chosen(group, &[], 0).ok()).flatten();
        let sets = in_groups.filter(|(member, set)| member == name && !set.is_empty()).map(|(_, set)| set);
        let found = std::iter::once(Vec::new()).chain(sets).find_map(|set| {
            self.compile(name, &set).ok().filter(|task| task.fingerprint.to_string() == fingerprint)
        });
        found.map_or_else(|| self.compile(name, &[]), Ok).map(Some)
    }

    /// The name that is meant, whatever its case.
    fn spelled(&self, typed: &str) -> Result<String, TaskError> {
        spelled(typed, &self.names()).map_err(|hint| TaskError::Unknown { name: typed.to_string(), hint })
    }

    /// The groups that `wanted` names, alone or as a pattern.
    fn groups_of(&self, wanted: &str) -> Vec<String> {
        if wanted.contains('*') {
            return matched(wanted, self.groups.keys());
        }
        let is_task = self.tasks.contains_key(wanted) || self.suite(wanted).is_some();
        self.groups.keys().filter(|name| !is_task && *name == wanted).cloned().collect()
    }

    /// Adds the group `name` and those in it, as far as they have scores and are not there yet.
    fn add_scored(&self, name: &str, depth: usize, found: &mut Vec<Group>) -> Result<(), TaskError> {
        let Some((file, _)) = self.groups.get(name).filter(|_| depth < MAX_DEPTH) else { return Ok(()) };
        if !file.aggregates.is_empty() && !found.iter().any(|group| group.name == name) {
            let title = file.alias.clone().unwrap_or_else(|| name.to_string());
            let (tasks, aggregates) = (self.members(name, 0)?, file.aggregates.clone());
            found.push(Group { name: name.to_string(), title, tasks, aggregates });
        }
        file.members.iter().try_for_each(|member| self.add_scored(&member.name, depth + 1, found))
    }

    /// The names of the tasks that `wanted` stands for, read as by [`select`](Self::select).
    ///
    /// # Errors
    /// An unknown name.
    pub fn resolve(&self, wanted: &str) -> Result<Vec<String>, TaskError> {
        Ok(self.wanted(&self.spelled(wanted)?)?.into_iter().map(|(name, _)| name).collect())
    }

    fn suite(&self, name: &str) -> Option<&Suite> {
        self.suites.iter().find(|suite| suite.name == name || suite.aliases.iter().any(|alias| alias == name))
    }

    fn wanted(&self, name: &str) -> Result<Vec<(String, Overrides)>, TaskError> {
        if name.contains('*') {
            return self.matching(name);
        }
        let Some(suite) = self.suite(name) else { return self.chosen(name, &[], 0) };
        let mut chosen = Vec::new();
        for column in &suite.columns {
            chosen.extend(self.chosen(&column.tasks, &[], 0)?);
        }
        Ok(chosen)
    }

    /// The tasks of a pattern, which names tasks, tags and groups alike. A task that a matching group has too is the group's, with the
    /// keys that it sets: the group's score is over those.
    fn matching(&self, pattern: &str) -> Result<Vec<(String, Overrides)>, TaskError> {
        let mut of_groups = Vec::new();
        for group in matched(pattern, self.groups.keys()) {
            of_groups.extend(self.chosen(&group, &[], 0)?);
        }
        let tags: BTreeSet<&String> = self.tasks.values().flat_map(|task| &task.tags).collect();
        let tags = matched(pattern, tags.into_iter());
        let names = matched(pattern, self.order.iter());
        let is_meant = |name: &&String| {
            names.contains(name) || self.tasks[*name].tags.iter().any(|tag| tags.contains(tag))
        };
        let alone =
            self.order.iter().filter(is_meant).filter(|name| !of_groups.iter().any(|(of, _)| of == *name));
        let mut chosen: Vec<(String, Overrides)> = alone.map(|name| (name.clone(), Vec::new())).collect();
        chosen.extend(of_groups);
        // Nothing: the error has the names that are near.
        if chosen.is_empty() { self.chosen(pattern, &[], 0) } else { Ok(chosen) }
    }

    /// The task names that a task, tag, group or pattern stands for.
    pub fn members(&self, name: &str, depth: usize) -> Result<Vec<String>, TaskError> {
        Ok(self.chosen(name, &[], depth)?.into_iter().map(|(name, _)| name).collect())
    }

    /// As [`members`](Self::members), with the keys that the enclosing groups set in each task; an outer
    /// group overrides an inner one.
    fn chosen(
        &self,
        name: &str,
        outer: &[(Key, Node)],
        depth: usize,
    ) -> Result<Vec<(String, Overrides)>, TaskError> {
        if self.tasks.contains_key(name) {
            return Ok(vec![(name.to_string(), outer.to_vec())]);
        }
        if let Some((file, _)) = self.groups.get(name).filter(|_| depth < MAX_DEPTH) {
            let passed = merged(outer, &file.own);
            let mut chosen: Vec<(String, Overrides)> = Vec::new();
            for member in &file.members {
                let inline = format!("{name}::{}", member.name);
                let inner = if member.inline.is_some() && self.tasks.contains_key(&inline) {
                    self.chosen(&inline, outer, depth + 1)?
                } else {
                    let found = self.chosen(&member.name, &merged(&member.set, &passed), depth + 1);
                    found.map_err(|error| error.of_member(&file.place, name, &member.name))?
                };
                // A task that a list has twice counts once.
                let new = inner
                    .into_iter()
                    .filter(|(task, _)| {
                        !self.tasks.contains_key(&member.name)
                            || !chosen.iter().any(|(known, _)| known == task)
                    })
                    .collect::<Vec<_>>();
                chosen.extend(new);
            }
            return Ok(chosen);
        }
        let found = if name.contains('*') {
            matched(name, self.order.iter())
        } else {
            let tagged = |task: &&String| self.tasks[*task].tags.iter().any(|tag| tag == name);
            self.order.iter().filter(tagged).cloned().collect()
        };
        if found.is_empty() {
            let names = self.names();
            let hint = match nearest(name, names.iter().map(String::as_str)).as_slice() {
                [] => "`assay tasks` lists all; `--include DIR` adds your own".to_string(),
                near => format!("did you mean {}? `assay tasks` lists all", either(near)),
            };
            return Err(TaskError::Unknown { name: name.to_string(), hint });
        }
        Ok(found.into_iter().map(|name| (name, outer.to_vec())).collect())
    }

    fn compile(&self, name: &str, overrides: &[(Key, Node)]) -> Result<Task, TaskError> {
        let Some(declaration) = self.tasks.get(name) else {
            return Err(TaskError::Unknown { name: name.into(), hint: "`assay tasks` lists all".into() });
        };
        let Declaration { mut node, constants, mut fingerprint, included, own, .. } = declaration.clone();
        if let (Yaml::Map(entries), false) = (&mut node.yaml, overrides.is_empty()) {
            *entries = merged(overrides, entries);
            fingerprint = Fingerprint::of(format!("{fingerprint} {}", node.to_json()).as_bytes());
        }
        // A group that sets keys in a built-in task makes it a different task.
        let included = included || own || !overrides.is_empty();
        Ok(Task { included, ..read_task(node, constants, fingerprint)? })
    }
}

/// The task that the item `node` of a group's list declares.
fn task_in_group(group: &str, name: &str, node: &Node, own: &[(Key, Node)]) -> Node {
    let Yaml::Map(entries) = &node.yaml else { return node.clone() };
    let mut entries = merged(entries, own);
    for (_, value) in entries.iter_mut().filter(|(key, _)| key.name == "task") {
        value.yaml = Yaml::Text(format!("{group}::{name}"));
    }
    Node { yaml: Yaml::Map(entries), ..node.clone() }
}

/// Each task once, in the order of their first mention.
fn once_each(chosen: Vec<(String, Overrides)>) -> Result<Vec<(String, Overrides)>, TaskError> {
    let mut once: Vec<(String, Overrides)> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for (name, set) in chosen {
        match places.get(&name) {
            Some(place) if set_the_same(&once[*place].1, &set) => {}
            Some(_) => return Err(TaskError::Ambiguous { name }),
            None => {
                places.insert(name.clone(), once.len());
                once.push((name, set));
            }
        }
    }
    Ok(once)
}
