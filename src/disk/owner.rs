//! Whether somebody else could have written a file.

use std::io;
use std::path::Path;

#[cfg(unix)]
use super::read::{TEXT, read_text};

/// Why a file or folder is not this user's alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stranger {
    /// Another user owns it.
    Owner(u32),
    /// All users may write it.
    World,
    /// The members of a group may write it, and others than this user are in it.
    Group(u32),
}

impl std::fmt::Display for Stranger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Owner(user) => write!(f, "user {user} owns it"),
            Self::World => write!(f, "every user may write it"),
            Self::Group(group) => write!(f, "the members of group {group} may write it"),
        }
    }
}

/// Who else could have written `path` itself; `None` where nobody but this user, or the system's own, could. A link is not followed.
///
/// # Errors
/// It cannot be asked.
#[cfg(unix)]
pub fn stranger(path: &Path) -> io::Result<Option<Stranger>> {
    use std::os::unix::fs::MetadataExt;
    let facts = std::fs::symlink_metadata(path)?;
    let me = rustix::process::geteuid().as_raw();
    Ok(if ![me, 0].contains(&facts.uid()) {
        Some(Stranger::Owner(facts.uid()))
    } else if facts.mode() & 0o002 != 0 && !facts.is_symlink() {
        Some(Stranger::World)
    } else if facts.mode() & 0o020 != 0 && !facts.is_symlink() && !is_private(facts.gid(), me) {
        Some(Stranger::Group(facts.gid()))
    } else {
        None
    })
}

/// Other systems have no such owners.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub fn stranger(_: &Path) -> io::Result<Option<Stranger>> {
    Ok(None)
}

/// Whether nobody but this user is in a group, by the system's own lists. A group that they do not name is another's, but for one with
/// the user's own number, as most systems make them.
#[cfg(unix)]
fn is_private(group: u32, me: u32) -> bool {
    let list = |path: &str| read_text(path, TEXT).unwrap_or_default();
    is_private_by(&list("/etc/passwd"), &list("/etc/group"), group, me)
}

#[cfg(unix)]
fn is_private_by(users: &str, groups: &str, group: u32, me: u32) -> bool {
    if group == 0 {
        return true;
    }
    let number = |text: Option<&&str>| text.and_then(|text| text.parse::<u32>().ok());
    let mut own_name = None;
    for fields in users.lines().map(|line| line.split(':').collect::<Vec<_>>()) {
        let user = number(fields.get(2));
        if user == Some(me) {
            own_name = fields.first().copied();
        } else if number(fields.get(3)) == Some(group) {
            return false;
        }
    }
    let found = groups.lines().map(|line| line.split(':').collect::<Vec<_>>());
    match found.into_iter().find(|fields| number(fields.get(2)) == Some(group)) {
        Some(fields) => {
            let members = fields.get(3).copied().unwrap_or_default();
            members.split(',').map(str::trim).all(|member| member.is_empty() || Some(member) == own_name)
        }
        None => group == me,
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_others_may_write_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "").unwrap();
        let with = |mode| {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            stranger(&path).unwrap()
        };
        assert_eq!(with(0o644), None);
        assert_eq!(with(0o666), Some(Stranger::World));
        assert!(stranger(&folder.path().join("none")).is_err());
    }

    #[test]
    fn a_private_group_is_no_other_user() {
        let users = "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\nbob:x:1001:100::/home/bob:/bin/sh\n";
        let groups = "root:x:0:\nusers:x:100:\nann:x:1000:\nlab:x:2000:ann,bob\nsolo:x:2001:ann\n";
        let private = |group| is_private_by(users, groups, group, 1000);
        assert!(private(1000) && private(2001) && private(0));
        assert!(!private(100), "bob's first group");
        assert!(!private(2000) && !private(3000));
        assert!(is_private_by("", "", 1000, 1000) && !is_private_by("", "", 100, 1000));
    }
}
