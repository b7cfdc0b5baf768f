//! What `doveconf -n` prints, as a tree. It shows what differs from the defaults, which differ between versions.

/// A block: `name argument { ... }`; the root has neither name nor argument.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) name: String,
    pub(super) argument: String,
    settings: Vec<(String, String)>,
    pub(super) blocks: Vec<Self>,
}

/// Output that is no `doveconf -n` output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NoDoveconf;

/// The tree and the version that printed it.
pub(super) fn parse(text: &str) -> Result<(String, Block), NoDoveconf> {
    // The first line: `# 2.3.19.1 (9b53102964): /etc/dovecot/dovecot.conf`
    let version = text.lines().find_map(|line| line.strip_prefix("# 2.")).ok_or(NoDoveconf)?;
    let version = format!("2.{}", version.split([' ', '(', '-']).next().unwrap_or_default());
    let mut open = vec![Block::default()];
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if line == "}" {
            let closed = open.pop().ok_or(NoDoveconf)?;
            open.last_mut().ok_or(NoDoveconf)?.blocks.push(closed);
        } else if let Some(head) = line.strip_suffix('{') {
            let (name, argument) = head.trim().split_once(' ').unwrap_or((head.trim(), ""));
            open.push(Block { name: name.to_owned(), argument: argument.trim().to_owned(), ..Block::default() });
        } else {
            let (key, value) = line.split_once('=').ok_or(NoDoveconf)?;
            let block = open.last_mut().ok_or(NoDoveconf)?;
            block.settings.push((key.trim().to_owned(), value.trim().to_owned()));
        }
    }
    match (open.pop(), open.is_empty()) {
        (Some(root), true) => Ok((version, root)),
        (Some(_) | None, _) => Err(NoDoveconf),
    }
}

impl Block {
    /// A setting of this block: the last one counts.
    pub(super) fn setting(&self, key: &str) -> Option<&str> {
        self.settings.iter().rev().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    /// Blocks of this name.
    pub(super) fn named(&self, name: &'static str) -> impl Iterator<Item = &Self> {
        self.blocks.iter().filter(move |block| block.name == name)
    }

    /// A 2.4 setting of a group, in any of the places where it may stand: `group { key }`, `group { group_key }` and
    /// `group_key`.
    pub(super) fn grouped(&self, group: &str, key: &str) -> Option<&str> {
        let long = format!("{group}_{key}");
        let groups = self.blocks.iter().filter(|block| block.name == group);
        let inner = groups.rev().find_map(|block| block.setting(key).or_else(|| block.setting(&long)));
        inner.or_else(|| self.setting(&long))
    }

    /// Every setting of this block and of all below it, with the name of its block.
    pub(super) fn everywhere(&self) -> Vec<(&str, &str, &str)> {
        let own = self.settings.iter().map(|(key, value)| (self.name.as_str(), key.as_str(), value.as_str()));
        own.chain(self.blocks.iter().flat_map(Self::everywhere)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_within_blocks_are_read() {
        let text = "# 2.4.1-4 (7d8c0e5759): /etc/dovecot/dovecot.conf\n# OS: x\nssl = no\npassdb site {\n  driver = pam\n}\n\
                    auth_policy {\n  request_attributes {\n    a = %{b | default('')}\n  }\n  server_url = x\n}\n";
        let (version, root) = parse(text).unwrap();
        assert_eq!((version.as_str(), root.setting("ssl")), ("2.4.1", Some("no")));
        let passdb = root.named("passdb").next().unwrap();
        assert_eq!((passdb.argument.as_str(), passdb.setting("driver")), ("site", Some("pam")));
        assert_eq!(root.grouped("auth_policy", "server_url"), Some("x"));
        assert_eq!(root.everywhere().len(), 4);
    }

    #[test]
    fn anything_else_is_no_doveconf_output() {
        for text in
            ["", "doveconf: not found", "# 2.3.1 (x): y\npassdb {\n", "# 2.3.1 (x): y\n}\n", "# 2.3.1: y\nwords\n"]
        {
            assert_eq!(parse(text), Err(NoDoveconf), "{text}");
        }
    }
}
