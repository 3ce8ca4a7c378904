//! Users and groups of the host by name and number, asked of every name service.

/// Name of the user with this number.
pub fn user_name(uid: u32) -> Option<String> {
    uzers::get_user_by_uid(uid).and_then(|user| user.name().to_str().map(str::to_owned))
}

/// Number of the user of this name.
pub fn user_id(name: &str) -> Option<u32> {
    uzers::get_user_by_name(name).map(|user| user.uid())
}

/// Number of the group of this name.
pub fn group_id(name: &str) -> Option<u32> {
    uzers::get_group_by_name(name).map(|group| group.gid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_known_both_ways_and_nobody_else_by_a_made_up_name() {
        assert_eq!(
            (user_name(0).as_deref(), user_id("root"), group_id("root")),
            (Some("root"), Some(0), Some(0))
        );
        assert_eq!((user_id("no-such-user"), group_id("no-such-group")), (None, None));
    }
}
