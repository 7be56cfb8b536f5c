//! An example for each command, which its help ends with.

use clap::Command;

/// By the command's words, in the order of `--help`.
const EXAMPLES: &[(&str, &str)] = &[
    ("", "mailtrail demo"),
    ("demo", "mailtrail demo --listen 127.0.0.1:0"),
    ("init", "mailtrail init --email you@example.org"),
    ("serve", "mailtrail serve --listen 127.0.0.1:7465"),
    ("workspace create", "mailtrail workspace create --name Acme"),
    ("workspace list", "mailtrail workspace list"),
    ("workspace show", "mailtrail workspace show Acme"),
    ("workspace set", "mailtrail workspace set Acme --name 'Acme Inc.'"),
    ("workspace hold", "mailtrail workspace hold Acme"),
    ("workspace release", "mailtrail workspace release Acme"),
    ("workspace delete", "mailtrail workspace delete Acme"),
    ("user create", "mailtrail user create --email grace@example.org --role auditor"),
    ("user invite", "mailtrail user invite --email grace@example.org --role admin"),
    ("user list", "mailtrail user list"),
    ("user show", "mailtrail user show grace@example.org"),
    ("user set", "mailtrail user set grace@example.org --role owner"),
    ("user delete", "mailtrail user delete grace@example.org"),
    ("invitation list", "mailtrail invitation list"),
    ("invitation withdraw", "mailtrail invitation withdraw grace@example.org"),
    ("invitation accept", "mailtrail invitation accept < link-and-password.txt"),
    ("tenant create", "mailtrail tenant create --name Acme --domain acme.example"),
    ("tenant list", "mailtrail tenant list"),
    ("tenant show", "mailtrail tenant show Acme"),
    ("tenant set", "mailtrail tenant set Acme --name 'Acme Inc.'"),
    ("tenant hold", "mailtrail tenant hold Acme"),
    ("tenant release", "mailtrail tenant release Acme"),
    ("tenant delete", "mailtrail tenant delete Acme"),
    ("mailbox create", "mailtrail mailbox create --address ada@example.org --tenant Acme"),
    ("mailbox list", "mailtrail mailbox list"),
    ("mailbox show", "mailtrail mailbox show ada@example.org"),
    ("mailbox set", "mailtrail mailbox set ada@example.org --daily-send-limit 200"),
    ("mailbox policy", "mailtrail mailbox policy ada@example.org policy.json"),
    ("mailbox map", "mailtrail mailbox map > /etc/postfix/mailtrail"),
    ("mailbox hold", "mailtrail mailbox hold ada@example.org"),
    ("mailbox release", "mailtrail mailbox release ada@example.org"),
    ("mailbox delete", "mailtrail mailbox delete ada@example.org"),
    ("project create", "mailtrail project create --name 'New letter'"),
    ("project list", "mailtrail project list"),
    ("project show", "mailtrail project show 'New letter'"),
    ("project set", "mailtrail project set 'New letter' --name Newsletter"),
    ("project hold", "mailtrail project hold Newsletter"),
    ("project release", "mailtrail project release Newsletter"),
    ("project delete", "mailtrail project delete Newsletter"),
    ("key create", "mailtrail key create --name agent --scope messages:read messages:write"),
    ("key list", "mailtrail key list"),
    ("key show", "mailtrail key show agent"),
    ("key rotate", "mailtrail key rotate agent --overlap 24h"),
    ("key revoke", "mailtrail key revoke agent"),
    ("license issue", "mailtrail license issue --holder Acme"),
    ("license list", "mailtrail license list"),
    ("license show", "mailtrail license show 0190b3c8-5e4a-7cc1-8a1d-2f6f0c9b7e11"),
    ("record message", "mailtrail record message --mailbox ada@example.org < message.eml"),
    ("import", "mailtrail import messages --mailbox ada@example.org messages.ndjson"),
    ("export", "mailtrail export activity --project Newsletter -o activity.ndjson"),
    ("query", "mailtrail query messages --mailbox ada@example.org --outcome delivered"),
    ("tail", "mailtrail tail messages --outcome rate_limited -n 5"),
    ("stats", "mailtrail stats"),
    ("retention run", "mailtrail retention run --dry-run"),
    ("retention show", "mailtrail retention show"),
    ("retention set", "mailtrail retention set enforcement 365"),
    ("backup", "mailtrail backup /root/mailtrail-today.db"),
    ("restore", "mailtrail restore /root/mailtrail-today.db --dry-run"),
    ("clock", "mailtrail clock"),
    ("clock accept", "mailtrail clock accept"),
    ("check", "mailtrail check"),
    ("verify", "mailtrail verify --pin checkpoints"),
    ("proof", "mailtrail proof messages 1@example.org --mailbox ada@example.org"),
    ("erase", "mailtrail erase --address bob@example.org --why 'asked for' --dry-run"),
    ("checkpoint", "mailtrail checkpoint >> checkpoints"),
    ("checkpoint renew", "mailtrail checkpoint renew --why 'the key is lost'"),
    ("witness", "mailtrail witness --show-key --data /var/lib/mailtrail-witness"),
    ("config", "mailtrail config"),
    ("health", "mailtrail health"),
    ("man", "mailtrail man > mailtrail.1"),
    ("completions", "mailtrail completions bash > mailtrail"),
];

/// Puts each behind the help of its command.
pub fn add(command: Command) -> Command {
    with_examples(command, "")
}

fn with_examples(command: Command, parent: &str) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|child| child.get_name().to_owned()).collect();
    let command = names.iter().fold(command, |command, name| {
        let words = format!("{parent}{name}");
        command.mut_subcommand(name, |child| with_examples(child, &format!("{words} ")))
    });
    match EXAMPLES.iter().find(|(words, _)| *words == parent.trim_end()) {
        Some((_, example)) => command.after_help(format!("Example:\n  {example}")),
        None => command,
    }
}

#[cfg(test)]
mod tests {
    use clap::Command;

    use super::*;
    use crate::cli::command;

    /// Every command that does something, with its words.
    fn walk(command: &Command, words: &str, look: &mut impl FnMut(&str, &Command)) {
        for child in command.get_subcommands() {
            let words = format!("{words} {}", child.get_name());
            if !child.is_subcommand_required_set() {
                look(words.trim_start(), child);
            }
            walk(child, &words, look);
        }
    }

    /// As a shell would split it, up to where it goes on by itself.
    fn words_of(example: &str) -> Vec<String> {
        let mut words = vec![String::new()];
        let mut is_quoted = false;
        for c in example.split(['>', '<']).next().expect("one").chars() {
            match c {
                '\'' => is_quoted = !is_quoted,
                ' ' if !is_quoted => words.push(String::new()),
                c => words.last_mut().expect("one").push(c),
            }
        }
        words.retain(|word| !word.is_empty());
        words
    }

    #[test]
    fn each_command_has_an_example_that_can_be_typed() {
        let mut n = 0;
        walk(&command(), "", &mut |words, _| {
            let found = EXAMPLES.iter().find(|(known, _)| *known == words);
            let (_, example) = found.unwrap_or_else(|| panic!("no example for {words}"));
            n += 1;
            assert!(example.starts_with(&format!("mailtrail {words}")), "{words}: {example}");
            command()
                .try_get_matches_from(words_of(example))
                .unwrap_or_else(|error| panic!("{words}: {error}"));
        });
        assert_eq!(n + 1, EXAMPLES.len(), "an example of no command");
    }

    #[test]
    fn help_fits_eighty_columns_and_breaks_no_word() {
        fn look(command: &mut Command, name: &str) {
            for (kind, text) in [
                ("-h", command.clone().term_width(80).render_help().to_string()),
                ("--help", command.clone().term_width(80).render_long_help().to_string()),
            ] {
                for line in text.lines() {
                    let is_usage = line.starts_with("Usage: ") || line.starts_with("       ");
                    assert!(line.chars().count() <= 80 || is_usage, "{name} {kind}: {line:?}");
                }
                // A word of the texts that stands in no line was broken.
                let told = command.get_about().map(ToString::to_string).unwrap_or_default();
                for word in told.split_whitespace() {
                    assert!(text.contains(word), "{name} {kind}: {word:?} is broken");
                }
            }
            for child in command.get_subcommands_mut() {
                let name = format!("{name} {}", child.get_name());
                look(child, &name);
            }
        }
        let mut command = command();
        command.build();
        look(&mut command, "mailtrail");
    }

    #[test]
    fn a_command_s_own_options_stand_before_those_of_every_command() {
        let mut command = command();
        command.build();
        let record =
            command.find_subcommand_mut("record").and_then(|record| record.find_subcommand_mut("message"));
        let text = record.expect("the command").clone().term_width(80).render_help().to_string();
        let at = |what: &str| text.find(what).unwrap_or_else(|| panic!("{what}: {text}"));
        assert!(at("--sysexits") < at("Options of every command"), "{text}");
        for option in ["--data", "--config", "--json", "--workspace", "--set", "--wide"] {
            assert!(at("Options of every command") < at(option), "{option}: {text}");
        }
    }
}
